"""dYdX: the reference values of the chain's own test, and the exact rational number beside it."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.calibrate.venues import Position
from foremargin.calibrate.venues.dydx import GENESIS_TIERS, LiquidityTier
from foremargin.errors import InputError

moderate = settings(max_examples=50, deadline=None)

TIER = LiquidityTier(
    base_ppm=200_000, maintenance_ppm=500_000, lower_cap_usd=1_000_000, upper_cap_usd=2_000_000
)


@pytest.mark.parametrize(
    ("open_usd", "ppm"),
    [
        (0, 200_000),
        (1_000_000, 200_000),
        (1_234_567, 387_653),
        (1_500_000, 600_000),
        (2_000_000, 1_000_000),
        (9_000_000, 1_000_000),
    ],
)
def test_the_fraction_is_that_of_the_chain(open_usd: int, ppm: int) -> None:
    assert TIER.initial_ppm(np.array([open_usd * 10**6], dtype=object)).tolist() == [ppm]
    margin = TIER.margin(Position(size=1.0, price=1e6, open_interest=float(open_usd)))
    assert margin.initial == ppm
    assert margin.maintenance == 100_000.0  # the base alone: half of 20 %


@moderate
@given(open_quantums=st.integers(0, 10**15), quote=st.integers(0, 10**14))
def test_the_margin_is_the_exact_one_within_a_ppm_and_rounded_up(
    open_quantums: int, quote: int
) -> None:
    exact = Fraction(1, 5) + max(Fraction(open_quantums - 10**12, 10**12), Fraction(0)) * Fraction(
        4, 5
    )
    ppm = int(TIER.initial_ppm(np.array([open_quantums], dtype=object))[0])
    assert 0 <= min(exact, Fraction(1)) - Fraction(ppm, 10**6) < Fraction(1, 10**6)
    margin = TIER.margin(Position(size=quote / 1e6, price=1.0, open_interest=open_quantums / 1e6))
    assert round(float(margin.initial) * 1e6) == -(-quote * ppm // 10**6)


def test_a_cent_of_a_quantum_is_a_whole_quantum() -> None:
    # 20 % of 1e-6 USD is 0.2 quantums, half of one is rounded up again.
    margin = TIER.margin(Position(size=1e-6, price=1.0, open_interest=0.0))
    assert margin.initial == margin.maintenance == 1e-6


def test_equal_caps_are_a_step() -> None:
    step = LiquidityTier(
        base_ppm=100_000, maintenance_ppm=500_000, lower_cap_usd=5, upper_cap_usd=5
    )
    got = step.initial_ppm(np.array([4_999_999, 5_000_000], dtype=object))
    assert got.tolist() == [100_000, 1_000_000]


def test_without_caps_open_interest_does_not_matter() -> None:
    large = GENESIS_TIERS[0].margin(Position(size=1.0, price=1e6, open_interest=1e12))
    unknown = GENESIS_TIERS[0].margin(Position(size=1.0, price=1e6))
    assert large.initial == unknown.initial == 50_000.0
    assert large.maintenance == 30_000.0


def test_open_interest_that_is_needed_is_asked_for() -> None:
    with pytest.raises(InputError, match=r"grows with open interest.*give Position.open_interest"):
        TIER.margin(Position(size=1.0, price=1.0))


def test_a_forecast_raises_the_base_and_leaves_the_caps() -> None:
    ahead = TIER.with_forecast(0.25)
    assert (ahead.base_ppm, ahead.lower_cap_usd, ahead.upper_cap_usd) == (
        250_000,
        1_000_000,
        2_000_000,
    )


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"base_ppm": 0}, r"base_ppm must be in \(0, 1000000\]"),
        ({"base_ppm": 0.2}, "base_ppm must be an integer"),
        ({"maintenance_ppm": 1_000_001}, "maintenance_ppm at most 1000000"),
        ({"lower_cap_usd": 3, "upper_cap_usd": 2}, "lower_cap_usd must not be above"),
    ],
)
def test_parameters_that_make_no_tier_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LiquidityTier(**{"base_ppm": 200_000, "maintenance_ppm": 500_000, **parameters})
