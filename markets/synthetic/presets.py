"""Three markets to begin with; change them with :func:`dataclasses.replace`."""

from ..listings import Kind
from .spec import (
    BookSpec,
    InstrumentSpec,
    JumpSpec,
    MarketSpec,
    RegimeSpec,
    SeasonSpec,
    VolatilitySpec,
)

CALM = MarketSpec(
    instruments=(
        InstrumentSpec(name="AAA", annual_volatility=0.5, kind=Kind.SPOT),
        InstrumentSpec(name="BBB", annual_volatility=0.7, kind=Kind.SPOT),
    ),
    regimes=(RegimeSpec(name="calm", variance_multiplier=1.0, mean_days=365.0, correlation=0.5),),
    jumps=JumpSpec(per_year=0.0),
)
"""One state, no jumps: two instruments whose variance only drifts."""

CRYPTO = MarketSpec(
    instruments=tuple(
        InstrumentSpec(name=name, annual_volatility=volatility, price=price, daily_volume=volume)
        for name, volatility, price, volume in (
            ("SYN1", 0.55, 30_000.0, 2e10),
            ("SYN2", 0.70, 2_000.0, 1e10),
            ("SYN3", 0.90, 100.0, 2e9),
            ("SYN4", 1.10, 1.0, 5e8),
        )
    ),
    regimes=(
        RegimeSpec(name="calm", variance_multiplier=1.0, mean_days=40.0, correlation=0.5),
        RegimeSpec(
            name="restless",
            variance_multiplier=3.0,
            mean_days=12.0,
            correlation=0.7,
            jump_multiplier=2.0,
        ),
        RegimeSpec(
            name="stress",
            variance_multiplier=12.0,
            mean_days=3.0,
            correlation=0.9,
            jump_multiplier=8.0,
        ),
    ),
    volatility=VolatilitySpec(half_life_days=4.0, log_sd=0.7, leverage=-0.2),
    jumps=JumpSpec(per_year=20.0, mean=-0.01, sd=0.03, common_share=0.6),
)
"""Four perpetuals that never close, three states, jumps that mostly come together."""

EQUITY = MarketSpec(
    instruments=(
        InstrumentSpec(
            name="IDX", annual_volatility=0.16, price=4_000.0, calendar="XNYS", kind=Kind.INDEX
        ),
        InstrumentSpec(
            name="SHR", annual_volatility=0.30, price=50.0, calendar="XNYS", kind=Kind.SPOT
        ),
    ),
    regimes=(
        RegimeSpec(name="calm", variance_multiplier=1.0, mean_days=120.0, correlation=0.5),
        RegimeSpec(
            name="stress",
            variance_multiplier=6.0,
            mean_days=20.0,
            correlation=0.8,
            jump_multiplier=4.0,
        ),
    ),
    volatility=VolatilitySpec(half_life_days=10.0, log_sd=0.6, leverage=-0.6),
    jumps=JumpSpec(per_year=6.0, mean=-0.01, sd=0.02, common_share=0.8),
    season=SeasonSpec(log_amplitude=0.2, peak_hour=20.0),
    book=BookSpec(spread_bps=1.0),
)
"""An index and a share of the New York exchange: nights, weekends and holidays are gaps."""
