"""Synthetic markets whose truth is known: variance, regimes, jumps, spreads and impact."""

from .market import SyntheticMarket, Truth
from .presets import CALM, CRYPTO, EQUITY
from .simulation import simulate_market
from .spec import (
    BookSpec,
    Collapse,
    InstrumentSpec,
    JumpSpec,
    MarketSpec,
    RegimeSpec,
    SeasonSpec,
    VolatilitySpec,
)

__all__ = [
    "CALM",
    "CRYPTO",
    "EQUITY",
    "BookSpec",
    "Collapse",
    "InstrumentSpec",
    "JumpSpec",
    "MarketSpec",
    "RegimeSpec",
    "SeasonSpec",
    "SyntheticMarket",
    "Truth",
    "VolatilitySpec",
    "simulate_market",
]
