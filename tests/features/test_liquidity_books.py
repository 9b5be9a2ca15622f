"""Quotes, impact, flow, order books and crowding: closed forms and laws of the pure functions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import linregress

from foremargin.errors import InputError, ShapeError
from foremargin.features.liquidity import (
    SlippageCurve,
    amihud,
    annualised_basis,
    annualised_funding,
    bulk_imbalance,
    depth_half_life,
    depth_imbalance,
    depth_within,
    effective_spread_bps,
    fit_power_law,
    herfindahl,
    kyle_lambda,
    liquidation_share,
    log_basis,
    mid_price,
    quoted_spread_bps,
    taker_imbalance,
    walk_book,
)

Array = NDArray[np.float64]

SIZES = np.array([1e3, 1e4, 1e5, 1e6])

costs = st.lists(st.floats(0.0, 500.0), min_size=4, max_size=4).map(np.array)


def test_a_quoted_spread_is_the_width_over_the_middle_and_a_crossed_book_is_unknown() -> None:
    bid = np.array([99.0, 100.0, 101.0, 0.0, np.nan, 99.0])
    ask = np.array([101.0, 100.0, 100.0, 1.0, 1.0, np.inf])
    np.testing.assert_allclose(quoted_spread_bps(bid, ask)[:2], [200.0, 0.0])
    assert np.isnan(quoted_spread_bps(bid, ask)[2:]).all()
    np.testing.assert_array_equal(mid_price(bid, ask)[:2], [100.0, 100.0])
    assert np.isnan(mid_price(bid, ask)[2:]).all()


def test_a_trade_at_the_touch_has_the_quoted_spread_as_its_effective_spread() -> None:
    bid, ask = np.array([99.9, 0.0999]), np.array([100.1, 0.1001])
    middle = mid_price(bid, ask)
    for price in (bid, ask):
        np.testing.assert_allclose(effective_spread_bps(price, middle), quoted_spread_bps(bid, ask))
    assert np.isnan(effective_spread_bps([0.0, 1.0], [1.0, 0.0])).all()


def test_amihud_falls_with_volume_and_is_unknown_without() -> None:
    move, value = np.array([0.01, -0.02, 0.0, 0.01]), np.array([1e6, 4e6, 1e6, 0.0])
    base = amihud(move, value)
    np.testing.assert_allclose(base, [1e-8, 5e-9, 0.0, np.nan])
    np.testing.assert_allclose(amihud(move, 10.0 * value), base / 10.0)
    np.testing.assert_allclose(amihud(3.0 * move, value), base * 3.0)


def test_kyle_lambda_is_least_squares_in_each_window() -> None:
    rng = np.random.default_rng(2)
    flow = 1e6 * rng.normal(size=300)
    move = 2e-9 * flow + 1e-3 * rng.normal(size=300)
    move[150] = np.nan
    fit = kyle_lambda(move, flow, window=60)
    for end in (60, 170, 300):
        rows = np.arange(end - 60, end)[np.isfinite(move[end - 60 : end])]
        reference = linregress(flow[rows], move[rows])
        # Sums roll on from row to row, so rounding differs.
        np.testing.assert_allclose(fit.impact[end - 1], reference.slope, rtol=1e-8)
        np.testing.assert_allclose(
            fit.t_statistic[end - 1], reference.slope / reference.stderr, rtol=1e-8
        )
        np.testing.assert_allclose(fit.r_squared[end - 1], reference.rvalue**2, rtol=1e-8)


def test_kyle_lambda_scales_as_return_per_volume_and_ignores_what_comes_later() -> None:
    rng = np.random.default_rng(3)
    flow, move = 1e6 * rng.normal(size=120), 0.01 * rng.normal(size=120)
    base = kyle_lambda(move, flow, window=40)
    scaled = kyle_lambda(3.0 * move, 0.5 * flow, window=40)
    np.testing.assert_allclose(scaled.impact, 6.0 * base.impact, rtol=1e-7)
    np.testing.assert_allclose(scaled.t_statistic, base.t_statistic, rtol=1e-7)
    cut = kyle_lambda(move[:70], flow[:70], window=40)
    np.testing.assert_array_equal(cut.impact, base.impact[:70])
    assert np.isnan(base.impact[:19]).all()
    assert np.isfinite(base.impact[19:]).all()


def test_kyle_lambda_is_unknown_where_flow_never_varied() -> None:
    fit = kyle_lambda(np.random.default_rng(0).normal(size=30), np.full(30, 5e7), window=10)
    assert np.isnan(fit.impact).all()
    assert np.isnan(fit.t_statistic).all()
    with pytest.raises(ShapeError, match="pass one instrument"):
        kyle_lambda(np.zeros(5), np.zeros(4), window=3)
    with pytest.raises(InputError, match="window must be at least 3 periods, was 2"):
        kyle_lambda(np.zeros(5), np.zeros(5), window=2)


@pytest.mark.slow
def test_the_t_statistic_of_flow_that_moves_nothing_is_rarely_large() -> None:
    rng = np.random.default_rng(8)
    n_trials, window = 4_000, 50
    flow, move = rng.normal(size=n_trials * window), rng.normal(size=n_trials * window)
    t = kyle_lambda(move, flow, window=window).t_statistic[window - 1 :: window]
    # Windows do not overlap; 5 % of a t with 48 degrees lie beyond 2.0106. Band at 1e-4.
    beyond = int((np.abs(t) > 2.0106).sum())
    assert 148 <= beyond <= 257


def test_taker_imbalance_is_minus_one_to_one_and_defective_volumes_are_unknown() -> None:
    bought, volume = np.array([0.0, 50.0, 100.0, 101.0, -1.0, 0.0]), np.full(6, 100.0)
    volume[5] = 0.0
    np.testing.assert_array_equal(
        taker_imbalance(bought, volume), [-1.0, 0.0, 1.0, np.nan, np.nan, np.nan]
    )


def test_bulk_imbalance_is_the_probability_of_a_smaller_return_twice_minus_one() -> None:
    got = bulk_imbalance(np.array([0.0, 0.0196, -0.0196, 0.01]), np.array([0.01, 0.01, 0.01, 0.0]))
    # P(|z| < 1.96) = 0.9500042.
    np.testing.assert_allclose(got, [0.0, 0.9500042, -0.9500042, np.nan], atol=1e-7)


@given(cost=costs, a=st.floats(1e3, 1e6), b=st.floats(1e3, 1e6))
def test_a_larger_size_never_costs_less(cost: Array, a: float, b: float) -> None:
    curve = SlippageCurve(size=SIZES, cost_bps=cost)
    small, large = sorted([a, b])
    # Interpolation between equal costs rounds in the last digits.
    assert curve.cost(small) <= curve.cost(large) + 1e-9


@given(cost=costs, share=st.floats(0.0, 1.0))
def test_implied_depth_is_the_largest_size_within_a_cost(cost: Array, share: float) -> None:
    curve = SlippageCurve(size=SIZES, cost_bps=cost)
    low, high = curve.cost_bps[0], curve.cost_bps[-1]
    limit = float(min(low + share * (high - low), high))
    depth = curve.implied_depth(limit)
    assert 1e3 * (1 - 1e-9) <= depth <= 1e6 * (1 + 1e-9)
    # Logs and exponentials round; costs are up to 500 and change by at most 500 a decade.
    assert curve.cost(np.clip(depth, 1e3, 1e6)) <= limit + 1e-9
    if depth < 0.9e6:
        assert curve.cost(1.1 * depth) > limit - 1e-9


def test_slippage_is_linear_in_the_log_of_size_and_unknown_outside() -> None:
    curve = SlippageCurve(size=SIZES, cost_bps=np.array([1.0, 2.0, np.nan, 8.0]))
    np.testing.assert_allclose(curve.cost(np.array([1e3, 10**3.5, 1e5])), [1.0, 1.5, 5.0])
    assert np.isnan(curve.cost(np.array([999.0, 1.1e6, 0.0, np.nan]))).all()
    np.testing.assert_allclose(curve.implied_depth(5.0), 1e5)
    assert np.isnan(curve.implied_depth(0.5))
    assert np.isnan(curve.implied_depth(9.0))
    empty = SlippageCurve(size=SIZES, cost_bps=np.full(4, np.nan))
    assert np.isnan(empty.cost(1e4))
    assert np.isnan(empty.implied_depth(1.0))


def test_a_book_that_is_walked_costs_the_average_of_its_levels() -> None:
    price, quantity = np.array([100.1, 100.2, 100.4]), np.array([10.0, 10.0, 10.0])
    value = price * quantity
    size = np.array([500.0, value[:2].sum(), value.sum(), value.sum() + 1.0])
    curve = walk_book(price, quantity, mid=100.0, size=size)
    # The first fits the touch; the average of equal quantities is the mean of their prices.
    expected = [10.0, 1e4 * (100.15 / 100 - 1), 1e4 * ((100.1 + 100.2 + 100.4) / 300 - 1)]
    np.testing.assert_allclose(curve.cost_bps, expected)
    np.testing.assert_array_equal(curve.size, size[:3])
    bids = walk_book(200.0 - price, quantity, mid=100.0, size=np.array([500.0]))
    np.testing.assert_allclose(bids.cost_bps, [10.0])


def test_a_defective_book_or_curve_is_refused() -> None:
    one = np.array([1.0])
    with pytest.raises(InputError, match="sorted from the best level on"):
        walk_book(np.array([1.0, 3.0, 2.0]), np.ones(3), mid=1.0, size=one)
    with pytest.raises(InputError, match="drop empty levels"):
        walk_book(np.array([1.0, 2.0]), np.array([1.0, 0.0]), mid=1.0, size=one)
    with pytest.raises(ShapeError, match=r"quantity must have shape \(n_levels,\)"):
        walk_book(np.array([1.0, 2.0]), one, mid=1.0, size=one)
    with pytest.raises(InputError, match="size must be positive and increasing"):
        SlippageCurve(size=np.array([2.0, 1.0]), cost_bps=np.ones(2))
    with pytest.raises(ShapeError, match="cost_bps must have shape"):
        SlippageCurve(size=SIZES, cost_bps=one)


@pytest.mark.parametrize("exponent", [0.5, 0.8])
def test_the_power_law_is_recovered_with_an_honest_error(exponent: float) -> None:
    rng = np.random.default_rng(4)
    size = np.tile(np.geomspace(1e3, 1e6, 40), 5)
    noise = np.exp(0.2 * rng.normal(size=(400, 200)))
    laws = [
        fit_power_law(size, 3.0 + 0.02 * size**exponent * one, half_spread_bps=3.0) for one in noise
    ]
    z = np.array([(law.exponent - exponent) / law.exponent_error for law in laws])
    # 400 standardised errors of a t with 198 degrees: mean and spread within four errors.
    assert abs(z.mean()) < 4.0 / np.sqrt(400)
    assert abs(z.std() - 1.0) < 4.0 / np.sqrt(800)
    assert laws[0].n_points == 200
    reference = linregress(np.log(size), np.log(0.02 * size**exponent * noise[0]))
    np.testing.assert_allclose(laws[0].exponent, reference.slope, rtol=1e-9)
    np.testing.assert_allclose(laws[0].exponent_error, reference.stderr, rtol=1e-9)
    fitted = np.exp(reference.intercept + reference.slope * np.log(size))
    np.testing.assert_allclose(laws[0].cost_bps(size), fitted, rtol=1e-9)


def test_a_power_law_needs_two_sizes_that_cost_more_than_the_half_spread() -> None:
    with pytest.raises(InputError, match="found 1; give larger sizes"):
        fit_power_law(SIZES, np.array([1.0, 1.0, 1.0, 5.0]), half_spread_bps=1.0)
    two = fit_power_law(SIZES, np.array([1.0, 1.0, 3.0, 5.0]), half_spread_bps=1.0)
    np.testing.assert_allclose(two.exponent, np.log10(2.0))
    assert np.isnan(two.exponent_error)


def test_depth_counts_the_levels_within_the_distance_its_end_included() -> None:
    price, quantity = np.array([100.1, 100.2, 100.3]), np.array([1.0, 2.0, 4.0])
    np.testing.assert_allclose(depth_within(price, quantity, mid=100.0, bps=20), 300.5)
    assert depth_within(price, quantity, mid=100.0, bps=5) == 0.0
    assert depth_within(200.0 - price, quantity, mid=100.0, bps=30) == pytest.approx(698.3)
    with pytest.raises(InputError, match="mid and bps must be positive"):
        depth_within(price, quantity, mid=0.0, bps=5)
    with pytest.raises(ShapeError, match="quantity must have the shape"):
        depth_within(price, quantity[:1], mid=100.0, bps=5)


def test_depth_imbalance_changes_sign_with_the_sides() -> None:
    bids, asks = np.array([3.0, 1.0, 0.0, -1.0]), np.array([1.0, 0.0, 0.0, 2.0])
    np.testing.assert_array_equal(depth_imbalance(bids, asks), [0.5, 1.0, np.nan, np.nan])
    np.testing.assert_array_equal(depth_imbalance(asks, bids), [-0.5, -1.0, np.nan, np.nan])


def test_depth_that_decays_exponentially_has_its_half_life() -> None:
    minutes = np.array([0.0, 3.0, 7.0, 20.0, 40.0])
    depth = 5e6 * 0.5 ** (minutes / 12.0)
    depth[2] = np.nan
    np.testing.assert_allclose(depth_half_life(depth, minutes), 12.0)
    np.testing.assert_allclose(depth_half_life(7.0 * depth, 60.0 * minutes), 720.0)
    assert depth_half_life(1.0 / depth, minutes) == np.inf
    assert np.isnan(depth_half_life(depth[:1], minutes[:1]))
    with pytest.raises(ShapeError, match="elapsed must have shape"):
        depth_half_life(depth, minutes[:2])


def test_a_basis_point_a_payment_is_eleven_percent_a_year() -> None:
    rates = np.array([1e-4, -1e-4, np.nan])
    got = annualised_funding(rates, payments_per_year=3 * 365)
    np.testing.assert_allclose(got, [0.1095, -0.1095, np.nan])
    with pytest.raises(InputError, match="payments_per_year must be positive, was 0"):
        annualised_funding(rates, payments_per_year=0)


def test_a_future_two_percent_dear_with_a_quarter_to_go_yields_eight_percent_a_year() -> None:
    dear = 100.0 * np.exp(0.02)
    np.testing.assert_allclose(annualised_basis(dear, 100.0, years_to_convergence=0.25), 0.08)
    np.testing.assert_allclose(log_basis([100.0, dear], [dear, 100.0]), [-0.02, 0.02])
    assert np.isnan(log_basis([0.0, 1.0], [1.0, 0.0])).all()
    with pytest.raises(InputError, match="drop expired contracts"):
        annualised_basis(dear, 100.0, years_to_convergence=0.0)


def test_concentration_is_one_over_the_number_of_equal_holders() -> None:
    np.testing.assert_allclose(herfindahl(np.full((3, 4), 7.0)), np.full(3, 0.25))
    np.testing.assert_allclose(herfindahl(np.full((3, 4), 7.0), axis=0), np.full(4, 1 / 3))
    value = np.array([[1.0, 2.0, 5.0], [np.nan, np.nan, 2.0], [0.0, 0.0, np.nan]])
    np.testing.assert_allclose(herfindahl(value), [30 / 64, 1.0, np.nan])
    np.testing.assert_allclose(herfindahl(1e9 * value), herfindahl(value))
    with pytest.raises(InputError, match="value must not be negative, smallest was -1"):
        herfindahl(np.array([-1.0, 2.0]))


def test_liquidations_are_a_share_of_volume_and_silence_of_both_sides_is_unknown() -> None:
    longs, shorts = np.array([2.0, np.nan, np.nan, 1.0]), np.array([1.0, 3.0, np.nan, 1.0])
    volume = np.array([100.0, 100.0, 100.0, 0.0])
    np.testing.assert_allclose(
        liquidation_share(longs, shorts, volume), [0.03, 0.03, np.nan, np.nan]
    )
