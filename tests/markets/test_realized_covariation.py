"""Realised beta, correlation and covariance: references, calendars, lengths, and odd times."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError, ShapeError
from foremargin.markets import FIELDS
from foremargin.markets.bars.aggregation import aggregate, with_covariation
from foremargin.markets.bars.cleaning import Bars
from foremargin.markets.parsing import DAY_NS, HOUR_NS, MINUTE_NS
from foremargin.markets.realized import (
    Ticks,
    hayashi_yoshida_covariance,
    market_covariation,
    realized_covariance,
)

MONDAY = pd.Timestamp("2024-01-01").value
LOADINGS = (1.5, 0.7, 1.0)


def bars_of(name, log_close, *, length=5 * MINUTE_NS, start=MONDAY):
    """Bars that never stop, from the log price at the end of each."""
    n = len(log_close)
    return Bars(
        instrument=name,
        origin=name,
        start=start + np.arange(n) * length,
        length=length,
        every_day=True,
        columns={"close": np.exp(log_close)},
    )


def taken(bars, keep):
    columns = {name: values[keep] for name, values in bars.columns.items()}
    return replace(bars, start=bars.start[keep], columns=columns)


@pytest.fixture
def returns():
    """Six days of five-minute returns of three instruments with one common factor."""
    rng = np.random.default_rng(4)
    factor = rng.normal(size=(6 * 288, 1))
    return 1e-3 * (factor * LOADINGS + 0.5 * rng.normal(size=(6 * 288, 3)))


@pytest.fixture
def three(returns):
    return [bars_of(name, np.cumsum(r)) for name, r in zip("ABC", returns.T, strict=True)]


def test_beta_and_correlation_agree_with_sums_over_the_bars_of_a_day(returns, three):
    found = market_covariation(three, period=DAY_NS)
    for i, one in enumerate(found):
        others = np.delete(returns, i, axis=1).mean(axis=1)
        for day in range(6):
            # The first bar of all has no price before it.
            rows = slice(max(day * 288, 1), (day + 1) * 288)
            r, m = returns[rows, i], others[rows]
            assert one.start[day] == MONDAY + day * DAY_NS
            assert one.beta[day] == pytest.approx((r @ m) / (m @ m), rel=1e-9)
            expected = (r @ m) / np.sqrt((r @ r) * (m @ m))
            assert one.correlation[day] == pytest.approx(expected, rel=1e-9)


def test_beta_recovers_the_loading_on_the_others(returns, three):
    for i, one in enumerate(market_covariation(three, period=DAY_NS)):
        others = np.delete(LOADINGS, i)
        mean = others.mean()
        expected = LOADINGS[i] * mean / (mean**2 + 0.5**2 / 2)
        # Six days of 288 bars: the standard error of a mean beta is below 0.02.
        assert one.beta.mean() == pytest.approx(expected, abs=0.08)


def test_covariation_scales_as_a_ratio_and_not_with_both(three):
    doubled = [replace(one, columns={"close": one.columns["close"] ** 2}) for one in three]
    base, same = (market_covariation(bars, period=DAY_NS) for bars in (three, doubled))
    mixed = market_covariation([doubled[0], *three[1:]], period=DAY_NS)
    np.testing.assert_allclose(same[0].beta, base[0].beta, rtol=1e-9)
    np.testing.assert_allclose(mixed[0].beta, 2 * base[0].beta, rtol=1e-9)
    np.testing.assert_allclose(mixed[0].correlation, base[0].correlation, rtol=1e-9)


def test_a_copy_of_the_only_other_one_has_beta_and_correlation_one(three):
    pair = market_covariation([three[0], replace(three[0], instrument="COPY")], period=DAY_NS)
    for one in pair:
        np.testing.assert_allclose(one.beta, 1.0, rtol=1e-9)
        np.testing.assert_allclose(one.correlation, 1.0, rtol=1e-9)
        assert (one.correlation <= 1.0).all()


def test_bars_of_other_lengths_are_brought_to_a_common_one(three):
    def coarse(bars, minutes):
        step = minutes * MINUTE_NS // bars.length
        last = bars.columns["close"][step - 1 :: step]
        return bars_of(bars.instrument, np.log(last), length=minutes * MINUTE_NS)

    quarter = [coarse(one, 15) for one in three]
    mixed = market_covariation([three[0], quarter[1], coarse(three[2], 15)], period=DAY_NS)
    for found, expected in zip(mixed, market_covariation(quarter, period=DAY_NS), strict=True):
        np.testing.assert_array_equal(found.start, expected.start)
        np.testing.assert_allclose(found.beta, expected.beta, rtol=1e-12)
    # 10 and 15 minutes meet every half an hour.
    half = [coarse(one, 30) for one in three]
    mixed = market_covariation([coarse(three[0], 10), *quarter[1:]], period=DAY_NS)
    for found, expected in zip(mixed, market_covariation(half, period=DAY_NS), strict=True):
        np.testing.assert_allclose(found.correlation, expected.correlation, rtol=1e-12)


def test_only_bars_that_both_have_count_and_no_return_spans_a_gap(returns, three):
    session = (np.arange(6 * 288) % 288 >= 120) & (np.arange(6 * 288) % 288 < 200)
    stock = taken(three[1], session)
    coin, exchange = market_covariation([three[0], stock], period=DAY_NS)
    np.testing.assert_array_equal(coin.start, exchange.start)
    # Market less own return is the other's return up to its last digit.
    np.testing.assert_allclose(coin.correlation, exchange.correlation, rtol=1e-12)
    for day in range(6):
        rows = slice(day * 288 + 121, day * 288 + 200)  # the first bar runs from last night
        a, b = returns[rows, 0], returns[rows, 1]
        assert coin.beta[day] == pytest.approx((a @ b) / (b @ b), rel=1e-9)


def test_a_hole_leaves_out_the_bars_on_both_of_its_sides(returns, three):
    holed = [taken(three[0], np.arange(6 * 288) != 400), three[1]]
    found = market_covariation(holed, period=DAY_NS)[0]
    rows = np.setdiff1d(np.arange(288, 576), [400, 401])
    a, b = returns[rows, 0], returns[rows, 1]
    assert found.beta[1] == pytest.approx((a @ b) / (b @ b), rel=1e-9)


def test_fewer_than_six_common_bars_are_not_measured(three):
    few = taken(three[1], (np.arange(6 * 288) < 6) | (np.arange(6 * 288) >= 570))
    starts = market_covariation([three[0], few], period=DAY_NS)[0].start
    # Day 0 has five returns; of day 1 the last five bars are there, after a gap.
    assert starts.tolist() == [MONDAY + day * DAY_NS for day in range(2, 6)]


def test_a_price_that_stands_still_has_no_correlation(three):
    flat = bars_of("FLAT", np.zeros(6 * 288))
    moving, still = market_covariation([three[0], flat], period=DAY_NS)
    assert np.isnan(moving.beta).all()
    assert np.isnan(moving.correlation).all()
    np.testing.assert_array_equal(still.beta, 0.0)
    assert np.isnan(still.correlation).all()


def test_what_happens_later_changes_nothing_before(three):
    base = market_covariation(three, period=DAY_NS)
    shocked = three[1].columns["close"].copy()
    shocked[3 * 288 :] *= np.exp(np.random.default_rng(5).normal(size=3 * 288))
    other = replace(three[1], columns={"close": shocked})
    moved = market_covariation([three[0], other, three[2]], period=DAY_NS)
    for a, b in zip(base, moved, strict=True):
        np.testing.assert_array_equal(a.beta[:3], b.beta[:3])
        assert (a.beta[3:] != b.beta[3:]).all()


def test_one_instrument_or_bars_as_long_as_the_period_have_no_covariation(three):
    assert market_covariation(three[:1], period=DAY_NS) == ()
    daily = bars_of("DAILY", np.zeros(6), length=DAY_NS)
    assert market_covariation([three[0], daily], period=DAY_NS) == ()
    assert market_covariation(three, period=5 * MINUTE_NS) == ()
    # Ten and fifteen minutes have no common bar inside a quarter of an hour or twenty minutes.
    ten = bars_of("TEN", np.zeros(600), length=10 * MINUTE_NS)
    fifteen = bars_of("FIFTEEN", np.zeros(600), length=15 * MINUTE_NS)
    assert market_covariation([ten, fifteen], period=HOUR_NS // 3) == ()
    with_daily = market_covariation([three[0], daily, three[1]], period=DAY_NS)
    assert [len(one.start) for one in with_daily] == [6, 0, 6]


def test_periods_get_the_fields_and_a_halted_one_gets_none(three):
    volume = np.ones(6 * 288)
    volume[288:576] = 0.0
    bars = [replace(one, columns={**one.columns, "volume": volume}) for one in three[:2]]
    periods = [aggregate(one, period=DAY_NS) for one in bars]
    found = with_covariation(periods, bars, period=DAY_NS)
    for one in found:
        known = np.isfinite(one.values["realized_beta"])
        assert known.tolist() == [True, False, True, True, True, True]
        assert set(one.values) - {"close", "log_return"} <= set(FIELDS)
    assert with_covariation(periods[:1], bars[:1], period=DAY_NS) == tuple(periods[:1])


def test_a_covariance_matrix_is_the_sum_of_outer_products(returns):
    heads = np.array([0, 100, 101])
    found = realized_covariance(returns, heads)
    for matrix, r in zip(found, np.split(returns, heads[1:]), strict=True):
        np.testing.assert_allclose(matrix, r.T @ r, rtol=1e-10, atol=1e-18)  # sums in other order
        assert np.linalg.eigvalsh(matrix).min() > -1e-18
    # Positive semidefinite with holes too, and unknown where no bar is common.
    holed = returns.copy()
    holed[np.random.default_rng(6).random(holed.shape) < 0.3] = np.nan
    holed[100] = [np.nan, 1e-3, 1e-3]
    found = realized_covariance(holed, heads)
    assert np.isnan(found[1]).all()
    complete = np.isfinite(holed[:100]).all(axis=1)
    r = returns[:100][complete]
    np.testing.assert_allclose(found[0], r.T @ r, rtol=1e-10, atol=1e-18)
    with pytest.raises(ShapeError, match=r"must have shape \(n_bars, n_instruments\), was \(5,\)"):
        realized_covariance(np.zeros(5), np.array([0]))


def ticks_of(log_price, times):
    return Ticks(time=np.asarray(times, dtype=np.int64), log_price=np.asarray(log_price))


def overlap_sum(a, b):
    """Every pair of returns whose intervals overlap, one by one."""
    total = 0.0
    for i in range(len(a.time) - 1):
        for j in range(len(b.time) - 1):
            if max(a.time[i], b.time[j]) < min(a.time[i + 1], b.time[j + 1]):
                total += (a.log_price[i + 1] - a.log_price[i]) * (
                    b.log_price[j + 1] - b.log_price[j]
                )
    return total


@pytest.mark.parametrize("seed", range(20))
def test_overlapping_returns_agree_with_the_double_sum(seed):
    rng = np.random.default_rng(seed)
    a, b = (
        ticks_of(
            rng.normal(size=n).cumsum(), np.sort(rng.choice(60, size=n, replace=False)) + shift
        )
        for n, shift in ((rng.integers(2, 25), 0), (rng.integers(2, 25), rng.integers(-70, 70)))
    )
    assert hayashi_yoshida_covariance(a, b) == pytest.approx(overlap_sum(a, b), abs=1e-12)
    reversed_order = hayashi_yoshida_covariance(b, a)
    assert reversed_order == pytest.approx(overlap_sum(a, b), abs=1e-12)


def test_the_same_times_give_the_realised_covariance(returns):
    prices = np.vstack([np.zeros(3), np.cumsum(returns[:288], axis=0)])
    a, b = (ticks_of(prices[:, i], np.arange(289)) for i in range(2))
    expected = realized_covariance(returns[:288, :2], np.array([0]))[0, 0, 1]
    assert hayashi_yoshida_covariance(a, b) == pytest.approx(expected, rel=1e-9)


def test_overlaps_are_unbiased_where_a_grid_is_not():
    rng = np.random.default_rng(10)
    rho, n, days = 0.6, 2000, 400
    found, gridded = [], []
    for _ in range(days):
        z = rng.normal(size=(n, 2)) / np.sqrt(n)
        path = np.cumsum(z @ np.linalg.cholesky([[1, rho], [rho, 1]]).T, axis=0)
        seen = [np.flatnonzero(rng.random(n) < 0.05) for _ in range(2)]
        # Both are seen at both ends of the day.
        seen = [np.unique(np.r_[0, one, n - 1]) for one in seen]
        found.append(
            hayashi_yoshida_covariance(*(ticks_of(path[s, i], s) for i, s in enumerate(seen)))
        )
        # A grid of ten steps takes the last price of each, half of a price's waiting time old.
        grid = [s[np.searchsorted(s, np.arange(9, n, 10), side="right") - 1] for s in seen]
        r = [np.diff(path[g, i]) for i, g in enumerate(grid)]
        gridded.append(r[0] @ r[1])
    error = np.std(found) / np.sqrt(days)
    assert abs(np.mean(found) - rho * (n - 1) / n) < 4 * error  # one false alarm in 16,000
    assert np.mean(gridded) < 0.75 * rho


def test_too_few_or_unordered_ticks():
    one, two = ticks_of([0.0], [0]), ticks_of([0.0, 1.0], [0, 1])
    assert np.isnan(hayashi_yoshida_covariance(one, two))
    with pytest.raises(InputError, match="strictly increasing times and finite log prices"):
        ticks_of([0.0, 1.0], [1, 1])
    with pytest.raises(InputError, match="strictly increasing times and finite log prices"):
        ticks_of([0.0, np.nan], [0, 1])
    with pytest.raises(ShapeError, match=r"must have one shape \(n_ticks,\), were \(2,\) and"):
        ticks_of([0.0], [0, 1])
