"""Time to close, spread and concentration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.calibrate.liquidity import (
    bangia_lvar,
    half_spread,
    held_scale,
    margin_period_of_risk,
    open_interest_margin_rate,
    square_root_size_margin_rate,
    steadily_worked_off_scale,
    volume_share_multiplier,
    worked_off_scale,
)
from foremargin.errors import InputError, ShapeError

# Time


def test_a_position_within_the_volume_takes_the_base_and_a_larger_one_in_proportion() -> None:
    got = margin_period_of_risk(
        np.array([0.0, 20.0, 20.1, 100.0]), 100.0, participation=0.1, base=2.0
    )
    np.testing.assert_allclose(got, [2.0, 2.0, 2.01, 10.0], rtol=1e-14)


def test_scales_have_their_reference_values() -> None:
    n = np.array([1.0, 2.0, 5.0, 10.0, 250.0])
    closed = np.sqrt((n + 1.0) * (2.0 * n + 1.0) / (6.0 * n))
    np.testing.assert_allclose(worked_off_scale(n), closed, rtol=1e-14)
    assert round(float(worked_off_scale(5.0)), 10) == 1.4832396974
    np.testing.assert_allclose(held_scale(n), np.sqrt(n), rtol=1e-15)
    np.testing.assert_allclose(steadily_worked_off_scale(n), np.sqrt(n / 3.0), rtol=1e-15)


@pytest.mark.parametrize("n", [0.3, 1.0, 1.2, 1.8, 2.5, 7.01])
def test_a_broken_number_of_periods_adds_up_the_squares_of_what_is_left(n: float) -> None:
    left = np.maximum(1.0 - np.arange(0, int(n) + 1) / n, 0.0)
    np.testing.assert_allclose(worked_off_scale(n), np.sqrt((left**2).sum()), rtol=1e-14)


def test_the_scale_is_the_volatility_of_a_position_that_is_sold_in_parts() -> None:
    rng = np.random.default_rng(5)
    moves = rng.normal(size=(200_000, 4))
    left = np.array([1.0, 0.75, 0.5, 0.25])
    # Standard error of a standard deviation: 1 / sqrt(2 n), times five.
    assert abs((moves @ left).std() / float(worked_off_scale(4.0)) - 1.0) < 5 / np.sqrt(4e5)


def test_many_steps_come_near_to_selling_steadily() -> None:
    n = np.array([1e3, 1e6, 1e300])
    ratio = worked_off_scale(n) / steadily_worked_off_scale(n)
    # (n/3 + 1/2 + ...) over n/3
    np.testing.assert_allclose(ratio, np.sqrt(1.0 + 1.5 / n), rtol=1e-6)


@given(n=st.floats(min_value=1e-3, max_value=1e6), step=st.floats(min_value=0.0, max_value=10.0))
@settings(max_examples=200)
def test_more_periods_are_never_less_risk_and_a_sale_never_more_than_holding(
    n: float, step: float
) -> None:
    # Rounding of sums of a million squares: parts in 1e12 are not a decline.
    assert worked_off_scale(n + step) >= worked_off_scale(n) * (1.0 - 1e-12)
    assert worked_off_scale(n) <= max(float(held_scale(n)), 1.0) * (1.0 + 1e-12)


@pytest.mark.parametrize("n", [1.0, 2.0, 3.0, 40.0])
def test_the_scale_has_no_jump_at_whole_numbers(n: float) -> None:
    near = worked_off_scale(np.array([n * (1.0 - 1e-9), n, n * (1.0 + 1e-9)]))
    np.testing.assert_allclose(near, near[1], rtol=1e-8)


def test_time_refuses_what_is_out_of_range() -> None:
    with pytest.raises(InputError, match=r"participation must be in \[0, 1\], found 1.5"):
        margin_period_of_risk(1.0, 1.0, participation=1.5)
    with pytest.raises(InputError, match="participation must be positive"):
        margin_period_of_risk(1.0, 1.0, participation=0.0)
    with pytest.raises(InputError, match="volume must be positive"):
        margin_period_of_risk(1.0, 0.0, participation=0.1)
    with pytest.raises(InputError, match="periods must be positive"):
        worked_off_scale(0.0)
    with pytest.raises(InputError, match="margin period of risk must be a finite number"):
        margin_period_of_risk(1e300, 1e-300, participation=0.1)


# Spread


def test_the_liquidity_adjusted_value_at_risk_has_its_reference_value() -> None:
    assert round(float(bangia_lvar(100.0, 0.02, 0.01, sigma_multiple=1.65)), 10) == 3.8


def test_half_of_a_bad_spread_is_added_to_the_value_at_risk() -> None:
    price, sigma = np.array([100.0, 50.0]), np.array([0.02, 0.05])
    mean, std = np.array([0.01, 0.002]), np.array([0.004, 0.001])
    got = bangia_lvar(price, sigma, mean, std, sigma_multiple=2.33, spread_multiple=4.0)
    np.testing.assert_allclose(got, [4.66 + 1.3, 5.825 + 0.15], rtol=1e-14)
    np.testing.assert_allclose(half_spread(mean, std, spread_multiple=4.0), [0.013, 0.003])


def test_a_spread_refuses_what_is_not_a_number() -> None:
    with pytest.raises(InputError, match="spread_std must be zero or more and finite, found nan"):
        bangia_lvar(100.0, 0.02, 0.01, np.nan, sigma_multiple=1.65)
    with pytest.raises(InputError, match="sigma_multiple must be zero or more"):
        bangia_lvar(100.0, 0.02, 0.01, sigma_multiple=-1.65)
    with pytest.raises(ShapeError, match="shapes must fit each other"):
        bangia_lvar(np.ones(2), np.ones(2), np.ones(3), sigma_multiple=1.65)
    with pytest.raises(InputError, match="lvar must be a finite number"):
        bangia_lvar(1e308, 10.0, 0.01, sigma_multiple=10.0)


# Concentration


def test_margin_scaled_by_open_interest_has_its_reference_values() -> None:
    interest = np.array([0.0, 1e6, 1_234_567.0, 1.5e6, 2e6, 9e6])
    got = open_interest_margin_rate(interest, base=0.2, lower_cap=1e6, upper_cap=2e6)
    wanted = [0.2, 0.2, 0.387_653_6, 0.6, 1.0, 1.0]  # the protocol cuts the third to 387,653 ppm
    np.testing.assert_allclose(got, wanted, rtol=1e-12)


def test_beyond_caps_that_nearly_meet_the_rate_is_one() -> None:
    caps = {"lower_cap": 1e-300, "upper_cap": 2e-300}
    assert open_interest_margin_rate(1e300, base=1.0, **caps) == 1.0
    assert open_interest_margin_rate(1e300, base=0.3, **caps) == 1.0


@pytest.mark.parametrize("growth", [0.5, 1.0, 2.0])
def test_a_position_up_to_the_threshold_is_not_concentrated(growth: float) -> None:
    got = volume_share_multiplier(
        np.array([0.0, 19.0, 20.0, 20.0 * (1.0 + 1e-9), 80.0]),
        100.0,
        threshold=0.2,
        growth=growth,
    )
    np.testing.assert_allclose(got, [1.0, 1.0, 1.0, 1.0, 4.0**growth], rtol=1e-8)


def test_the_root_of_size_begins_to_count_where_it_exceeds_the_relief() -> None:
    from_here = ((1.0 - 0.8) * 0.05 / 0.001) ** 2
    size = np.array([0.0, from_here * (1.0 - 1e-9), from_here * (1.0 + 1e-9), 4.0 * from_here])
    got = square_root_size_margin_rate(size, base=0.05, factor=0.001)
    np.testing.assert_allclose(got, [0.05, 0.05, 0.05, 0.06], rtol=1e-8)


@given(
    a=st.floats(min_value=0.0, max_value=1e9),
    b=st.floats(min_value=0.0, max_value=1e9),
    base=st.floats(min_value=0.01, max_value=1.0),
)
@settings(max_examples=100)
def test_a_larger_position_or_market_never_has_less_margin(a: float, b: float, base: float) -> None:
    size = np.array(sorted([a, b]))
    rules = (
        open_interest_margin_rate(size, base=base, lower_cap=1e6, upper_cap=1e8),
        volume_share_multiplier(size, 1e7, threshold=0.1),
        square_root_size_margin_rate(size, base=base, factor=1e-5),
    )
    for small, large in rules:
        assert small <= large


def test_concentration_refuses_caps_in_the_wrong_order_and_no_volume() -> None:
    with pytest.raises(InputError, match="lower_cap must be below upper_cap, found 1"):
        open_interest_margin_rate(1.0, base=0.2, lower_cap=2.0, upper_cap=2.0)
    with pytest.raises(InputError, match=r"base must be in \[0, 1\], found 20"):
        open_interest_margin_rate(1.0, base=20.0, lower_cap=1.0, upper_cap=2.0)
    with pytest.raises(InputError, match="volume must be positive"):
        volume_share_multiplier(1.0, 0.0, threshold=0.1)
    with pytest.raises(InputError, match="multiplier must be a finite number"):
        volume_share_multiplier(1e300, 1e-300, threshold=0.1)
    with pytest.raises(InputError, match="margin rate must be a finite number"):
        square_root_size_margin_rate(1e300, base=0.1, factor=1e300)
    with pytest.raises(InputError, match=r"relief must be in \[0, 1\], found 2"):
        square_root_size_margin_rate(1.0, base=0.1, factor=0.1, relief=2.0)
