from collections.abc import Callable

import pytest

from foremargin.serving.quote import Basis, Calculation, SideMargin

HOUR = 3_600 * 10**9


def side(initial: int, maintenance: int | None = None) -> SideMargin:
    maintenance = max(initial * 3 // 4, 1) if maintenance is None else maintenance
    parts = {"tail": initial - 0.25, "rounding": 0.25}
    return SideMargin(
        initial_margin_bps=initial, maintenance_margin_bps=maintenance, components=parts
    )


@pytest.fixture(scope="session")
def make_calculation() -> Callable[..., Calculation]:
    """Return a function that makes a sound calculation of an hourly instrument."""

    def make(
        long: int = 500, short: int = 600, *, basis: Basis = Basis.NETWORK, at: int = 0, **other
    ) -> Calculation:
        return Calculation(
            **{
                "instrument": "BTC",
                "basis": basis,
                "observed_at": at,
                "long": side(long),
                "short": side(short),
                "horizon_periods": 2,
                "horizon_s": 7_200,
                "tail_probability": 0.01,
                "sigma": 0.02,
                "sigma_lower": 0.01,
                "sigma_upper": 0.03,
                "regime": "calm",
                "reason": "" if basis is Basis.NETWORK else "the network has no inputs",
                **other,
            }
        )

    return make
