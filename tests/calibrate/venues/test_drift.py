"""Drift: worked integers, and the real-valued formula beside them."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.calibrate.venues import Position
from foremargin.calibrate.venues.drift import (
    PerpMarket,
    collateral_value,
    imf_for,
    size_discount_weight,
    size_premium_ratio,
)
from foremargin.errors import InputError

moderate = settings(max_examples=50, deadline=None)


def units(size: float) -> np.ndarray:
    return np.array([round(size * 1e9)], dtype=object)


def test_a_large_position_by_hand() -> None:
    # sqrt(10 * 1e6 * 1e9 + 1) = 1e8; 1e8 * 100 / 1e7 = 1000; 1000 - 200 + 1000 = 1800.
    assert size_premium_ratio(units(1e6), ratio=1_000, imf=100).tolist() == [1_800]
    # 1.1e10 / (1e6 + 1e8 * 100 / 1e5) = 1.1e10 / 1.1e6 = 10,000: where the discount begins.
    assert size_discount_weight(units(1e6), weight=10_000, imf=100).tolist() == [10_000]
    # Four times the size: 1.1e10 / 1.2e6 = 9166.67, rounded down.
    assert size_discount_weight(units(4e6), weight=10_000, imf=100).tolist() == [9_166]


@moderate
@given(size=st.floats(1e-9, 1e9), ratio=st.integers(1, 10_000), imf=st.integers(0, 100_000))
def test_integers_follow_the_formula_to_their_grid(size: float, ratio: int, imf: int) -> None:
    size = round(size * 1e9) / 1e9
    root = math.sqrt(size)
    exact = max(ratio, 0.8 * ratio + imf / 100.0 * root)
    (got,) = size_premium_ratio(units(size), ratio=ratio, imf=imf)
    # Floors of a fifth and of the premium, and of the root, one step of 1e-5 times imf.
    slack = 1.0 + imf * 1e-7 + 1e-9 * exact
    assert exact - slack <= got <= exact + slack
    weight = min(ratio, 11_000.0 / (1.0 + imf / 1e6 * root))
    (discounted,) = size_discount_weight(units(size), weight=ratio, imf=imf)
    assert weight - 1.0 - 1e-6 * weight <= discounted <= weight * (1.0 + 1e-5 + imf * 1e-9) + 1e-6


@moderate
@given(a=st.floats(1e-6, 1e9), b=st.floats(1e-6, 1e9), imf=st.integers(0, 100_000))
def test_size_raises_ratios_and_lowers_weights(a: float, b: float, imf: int) -> None:
    small, large = units(min(a, b)), units(max(a, b))
    assert size_premium_ratio(small, ratio=500, imf=imf) <= size_premium_ratio(
        large, ratio=500, imf=imf
    )
    assert size_discount_weight(small, weight=8_000, imf=imf) >= size_discount_weight(
        large, weight=8_000, imf=imf
    )


def test_the_premium_starts_without_a_jump() -> None:
    # 0.8 r + imf sqrt(size) passes r at size = (0.2 r / imf)^2: 0.02 / 1e-4 = 200, squared 40,000.
    ratio = size_premium_ratio(
        np.array([39_990 * 10**9, 40_000 * 10**9, 40_900 * 10**9], dtype=object),
        ratio=1_000,
        imf=100,
    )
    assert ratio.tolist() == [1_000, 1_000, 1_002]


def test_margin_is_value_times_ratio_rounded_down_as_on_the_chain() -> None:
    market = PerpMarket(initial_ratio=333, maintenance_ratio=111)
    margin = market.margin(Position(size=1.0, price=0.000_123))
    assert margin.initial == 4e-6  # 123 * 0.0333 = 4.0959 units
    assert margin.maintenance == 1e-6


@moderate
@given(rate=st.floats(0.05, 1.0), size=st.floats(1.0, 1e6))
def test_the_size_factor_for_a_ratio_gives_that_ratio_and_no_smaller_factor_does(
    rate: float, size: float
) -> None:
    imf = imf_for(rate, size=size, ratio=500)
    (got,) = size_premium_ratio(units(size), ratio=500, imf=imf)
    assert got >= rate * 1e4 - 1e-9
    if imf > 1:
        (less,) = size_premium_ratio(units(size), ratio=500, imf=imf - 1)
        assert less < rate * 1e4


def test_a_forecast_keeps_the_share_of_maintenance() -> None:
    ahead = PerpMarket(initial_ratio=500, maintenance_ratio=300, imf=7).with_forecast(0.0801)
    assert (ahead.initial_ratio, ahead.maintenance_ratio, ahead.imf) == (801, 481, 7)


def test_collateral_loses_weight_with_size() -> None:
    position = Position(size=[1.0, 4e6], price=2.0)
    value = collateral_value(position, weight=10_000, imf=100)
    np.testing.assert_array_equal(value, [2.0, 8e6 * 0.9166])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: PerpMarket(initial_ratio=300, maintenance_ratio=500),
            "0 < maintenance <= initial",
        ),
        (lambda: PerpMarket(initial_ratio=300, maintenance_ratio=0), "0 < maintenance <= initial"),
        (
            lambda: PerpMarket(initial_ratio=3, maintenance_ratio=1, imf=-1),
            "imf must be an integer",
        ),
        (
            lambda: collateral_value(Position(size=-1.0, price=1.0), weight=1),
            "must not be negative",
        ),
        (lambda: collateral_value(Position(size=1.0, price=1.0), weight=10_001), "at most 10000"),
        (lambda: imf_for(0.1, size=0.0, ratio=500), "size must be positive"),
    ],
)
def test_what_makes_no_market_is_refused(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
