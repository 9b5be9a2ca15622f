"""Quotes and a clock that the test moves."""

from collections.abc import Callable

import pytest

from foremargin.serving.quote import Basis, Calculation, Quote, SideMargin, Status

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND


class HandClock:
    def __init__(self) -> None:
        self.time = START

    def now(self) -> int:
        return self.time

    def ahead(self, seconds: float) -> None:
        self.time += round(seconds * SECOND)


def quote(
    *,
    instrument: str = "A",
    origin: int = START,
    margins: tuple[int, int] = (200, 210),
    horizon: int = 1,
    tail_probability: float = 0.05,
    sigma: float = 0.01,
    basis: Basis = Basis.NETWORK,
    status: Status = Status.OK,
    computed: bool = True,
    due_at: int = 0,
) -> Quote:
    def side(bps: int) -> SideMargin:
        return SideMargin(
            initial_margin_bps=bps, maintenance_margin_bps=bps, components={"tail": float(bps)}
        )

    calculation = Calculation(
        instrument=instrument,
        basis=basis,
        observed_at=origin,
        long=side(margins[0]),
        short=side(margins[1]),
        horizon_periods=horizon,
        horizon_s=horizon * 3_600,
        tail_probability=tail_probability,
        sigma=sigma,
        sigma_lower=sigma / 2,
        sigma_upper=2 * sigma,
        regime="calm",
        due_at=due_at,
    )
    return Quote(
        instrument=instrument,
        sequence=1,
        status=status,
        basis=basis,
        reason="",
        observed_at=origin,
        quoted_at=origin + SECOND,
        valid_until=origin + 7_200 * SECOND,
        long=side(margins[0]),
        short=side(margins[1]),
        calculation=calculation if computed else None,
    )


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def make_quote() -> Callable[..., Quote]:
    return quote
