"""The state of the market: closed forms, independent references, and no future in any of it."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.distance import mahalanobis

from foremargin.features.state import (
    Absorption,
    Change,
    Comoments,
    LeadLag,
    LiquidityContraction,
    LiquidityWindows,
    MarketCorrelation,
    RealizedOfLevel,
    RollingMarketCorrelation,
    Score,
    Shift,
    Turbulence,
)

Array = NDArray[np.float64]

N, K = 400, 4


def simulate(n: int = N, k: int = K, *, rho: float = 0.6, seed: int = 0) -> Array:
    """Equicorrelated normal returns of 2 % per row."""
    root = np.linalg.cholesky((1.0 - rho) * np.eye(k) + rho)
    return 0.02 * np.random.default_rng(seed).normal(size=(n, k)) @ root.T


def with_holes(returns: Array) -> Array:
    """One column starts late, one has weekends, one halts and then vanishes."""
    holed = returns.copy()
    holed[: len(holed) // 4, 1] = np.nan
    holed[np.arange(len(holed)) % 7 >= 5, 2] = np.nan
    holed[150:165, 3] = np.nan
    holed[300:, 3] = np.nan
    return holed


RETURNS = with_holes(simulate())
MARKET = np.cumsum(simulate(k=1, seed=7)[:, 0])
for _day in np.flatnonzero(np.arange(N) % 7 >= 5):
    MARKET[_day] = MARKET[_day - 1]  # what is known on a weekend is Friday's close
MARKET[200:220] = np.nan
LOG_VARIANCE = np.where(np.isfinite(RETURNS), np.log(RETURNS**2), np.nan)
VALUE = np.where(
    np.isfinite(RETURNS), np.exp(simulate(seed=3) * 20.0) * [9.0, 1.0, 1.0, 10.0], np.nan
)
PRESENT = np.isfinite(RETURNS)


def _liquidity() -> LiquidityContraction:
    whole = lambda n: np.full(K, n, dtype=np.int64)  # noqa: E731
    return LiquidityContraction.fresh(
        LiquidityWindows(day=whole(1), quarter=whole(60), year=whole(120), needed=whole(40))
    )


def _stack(*arrays: Array) -> Array:
    return np.column_stack(arrays)


Feed = Callable[[Any, slice], Array]

PARTS: dict[str, tuple[Callable[[], Any], Feed]] = {
    "comoments": (
        lambda: Comoments.fresh(K, half_life=30.0),
        lambda part, rows: part.advance(RETURNS[rows]),
    ),
    "market correlation": (
        lambda: MarketCorrelation.fresh(K, half_life=21.0, delayed=True),
        lambda part, rows: part.advance(RETURNS[rows], MARKET[rows]),
    ),
    "rolling correlation": (
        lambda: RollingMarketCorrelation.fresh(K, window=40),
        lambda part, rows: part.advance(RETURNS[rows], MARKET[rows]),
    ),
    "turbulence": (
        lambda: Turbulence.fresh(K, half_life=90.0),
        lambda part, rows: (
            lambda path: _stack(path.turbulence, path.magnitude, path.correlation_surprise)
        )(part.advance(RETURNS[rows])),
    ),
    "absorption": (
        lambda: Absorption.fresh(K, half_life=60.0),
        lambda part, rows: part.advance(RETURNS[rows]),
    ),
    "shift": (
        lambda: Shift.fresh(short=5, long=60, needed=20),
        lambda part, rows: part.advance(MARKET[rows]),
    ),
    "score": (
        lambda: Score.fresh(window=60, needed=20),
        lambda part, rows: part.advance(MARKET[rows]),
    ),
    "change": (lambda: Change.fresh(rows=7), lambda part, rows: part.advance(MARKET[rows])),
    "realized": (
        lambda: RealizedOfLevel.fresh(window=30),
        lambda part, rows: part.advance(MARKET[rows]),
    ),
    "liquidity": (
        _liquidity,
        lambda part, rows: (lambda path: _stack(path.illiquidity, path.mean, path.share))(
            part.advance(RETURNS[rows], VALUE[rows], PRESENT[rows])
        ),
    ),
    "lead-lag": (
        lambda: LeadLag.fresh(K, half_life=60.0),
        lambda part, rows: (lambda path: _stack(path.push, path.score))(
            part.advance(LOG_VARIANCE[rows], VALUE[rows])
        ),
    ),
}

by_part = pytest.mark.parametrize("name", PARTS)


@by_part
def test_a_part_that_takes_one_row_at_a_time_agrees_to_the_last_bit(name: str) -> None:
    make, feed = PARTS[name]
    whole, part = feed(make(), slice(None)), make()
    assert np.isfinite(whole).any()
    rows = [feed(part, slice(t, t + 1)) for t in range(N)]
    np.testing.assert_array_equal(np.concatenate(rows), whole)


@by_part
@settings(max_examples=15, deadline=None)
@given(cuts=st.sets(st.integers(0, N), max_size=8))
def test_any_split_into_chunks_gives_the_same_bits(name: str, cuts: set[int]) -> None:
    make, feed = PARTS[name]
    part, edges = make(), [0, *sorted(cuts), N]
    pieces = [feed(part, slice(a, b)) for a, b in pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(pieces), feed(make(), slice(None)))


def test_one_row_updates_return_what_a_chunk_of_one_row_does() -> None:
    one, other = (Turbulence.fresh(K, half_life=90.0) for _ in range(2))
    mean, mean_chunk = (Comoments.fresh(K, half_life=30.0) for _ in range(2))
    market, market_chunk = (MarketCorrelation.fresh(K, half_life=21.0) for _ in range(2))
    whole = one.advance(RETURNS).turbulence
    averages = mean_chunk.advance(RETURNS)
    correlations = market_chunk.advance(RETURNS, MARKET)
    for t in range(N):
        np.testing.assert_array_equal(other.update(RETURNS[t]).turbulence, whole[t : t + 1])
        np.testing.assert_array_equal(mean.update(RETURNS[t]), averages[t])
        np.testing.assert_array_equal(market.update(RETURNS[t], MARKET[t]), correlations[t])


# --- correlation ---------------------------------------------------------------------------


def _weighted_correlation(x: Array, y: Array, half_life: float) -> float:
    weight = 0.5 ** (np.arange(len(x))[::-1] / half_life)
    covariance = np.cov(x, y, aweights=weight)
    return float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))


def test_correlations_are_those_of_exponential_weights() -> None:
    returns = simulate()
    part = Comoments.fresh(K, half_life=30.0)
    part.advance(returns)
    for i, j in ((0, 1), (1, 3)):
        expected = _weighted_correlation(returns[:, i], returns[:, j], 30.0)
        # The first row has no level before it off the diagonal; its weight is 1e-4.
        later = _weighted_correlation(returns[1:, i], returns[1:, j], 30.0)
        np.testing.assert_allclose(part.correlation()[i, j], later, rtol=1e-9)
        np.testing.assert_allclose(expected, later, rtol=1e-2)


def test_a_coin_is_compared_with_an_index_over_joint_days_only() -> None:
    coin = simulate(k=1, seed=1)[:, 0]
    level = np.cumsum(coin)
    open_days = np.flatnonzero(np.arange(N) % 7 < 5)
    index = np.full(N, np.nan)
    noise = np.cumsum(simulate(k=1, seed=2)[:, 0])
    index_level = level + 0.5 * noise
    index[open_days[1:]] = np.diff(index_level[open_days])
    part = Comoments.fresh(2, half_life=40.0)
    part.advance(np.column_stack([coin, index]))
    # The first joint row only sets the base.
    x, y = np.diff(level[open_days])[1:], np.diff(index_level[open_days])[1:]
    expected = _weighted_correlation(x, y, 40.0)
    np.testing.assert_allclose(part.correlation()[0, 1], expected, rtol=1e-9)


def test_a_market_series_that_follows_a_coin_on_weekdays_has_a_correlation_of_one() -> None:
    coin = simulate(k=1, seed=1)
    market = np.cumsum(coin[:, 0])
    for day in np.flatnonzero(np.arange(N) % 7 >= 5):
        market[day] = market[day - 1]
    out = MarketCorrelation.fresh(1, half_life=21.0).advance(coin, market)
    assert np.isnan(out[:30]).all()
    # Friday to Monday holds the coin's weekend on both sides, so nothing is lost.
    np.testing.assert_allclose(out[60:], 1.0, rtol=1e-9)


@pytest.mark.parametrize("delay", [0, 1])
def test_a_series_that_is_published_a_day_late_keeps_its_correlation(delay: int) -> None:
    pair = simulate(4000, 2, rho=0.5, seed=2)
    coin, market = pair[:, :1], np.cumsum(pair[:, 1])
    late = np.r_[np.full(delay, np.nan), market[: len(market) - delay]]
    for part in (
        MarketCorrelation.fresh(1, half_life=1000.0, delayed=True),
        RollingMarketCorrelation.fresh(1, window=2500),
    ):
        # Two correlations from some 2,500 rows: a deviation of 0.03.
        np.testing.assert_allclose(part.advance(coin, late)[-1], 0.5, atol=0.1)
    plain = MarketCorrelation.fresh(1, half_life=1000.0).advance(coin, late)[-1]
    np.testing.assert_allclose(plain, 0.0 if delay else 0.5, atol=0.1)


def test_the_rolling_correlation_is_that_of_the_last_changes_with_two_spans() -> None:
    coin, market = simulate(k=2, seed=4)[:, :1], np.cumsum(simulate(k=2, seed=4)[:, 1])
    out = RollingMarketCorrelation.fresh(1, window=40).advance(coin, market)
    for t in (100, 399):
        y = np.diff(market)[t - 40 : t]
        same, before = coin[t - 39 : t + 1, 0], coin[t - 40 : t, 0]
        wanted = np.corrcoef(same, y)[0, 1] + np.corrcoef(before, y)[0, 1]
        np.testing.assert_allclose(out[t, 0], wanted, rtol=1e-9)


def test_correlation_with_a_series_that_is_missing_or_stands_still_is_unknown() -> None:
    for market in (np.full(N, np.nan), np.full(N, 3.0)):
        assert np.isnan(MarketCorrelation.fresh(K, half_life=21.0).advance(RETURNS, market)).all()
        rolling = RollingMarketCorrelation.fresh(K, window=40).advance(RETURNS, market)
        assert np.isnan(rolling).all()


# --- turbulence and absorption ----------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 8, 20])
@pytest.mark.parametrize("rho", [0.0, 0.7, 0.95])
def test_turbulence_is_about_one_on_average_when_nothing_unusual_happens(
    k: int, rho: float
) -> None:
    n = 3000
    path = Turbulence.fresh(k, half_life=180.0).advance(simulate(n, k, rho=rho, seed=5))
    settled = path.turbulence[500:]
    # The mean of n chi-squares over k has deviation sqrt(2 / (k n)): at most 2 % here, and
    # estimating a covariance of twenty from some 500 effective rows adds another 4 %.
    deviation = np.sqrt(2.0 / (k * len(settled)))
    assert 1.0 - 4.0 * deviation < settled.mean() < 1.05 + 4.0 * deviation
    np.testing.assert_allclose(path.magnitude[500:].mean(), 1.0, atol=0.1)  # heavier: rho


def test_turbulence_is_the_mahalanobis_distance_to_what_came_before() -> None:
    returns = simulate(4000, rho=0.5)
    path = Turbulence.fresh(K, half_life=1e12).advance(returns)
    before = returns[:-1]
    inverse = np.linalg.inv(np.cov(before.T))
    expected = mahalanobis(returns[-1], before.mean(axis=0), inverse) ** 2 / K
    # Four columns against 4,000 rows are shrunk by 0.1 %.
    np.testing.assert_allclose(path.turbulence[-1], expected, rtol=5e-3)
    z = (returns[-1] - before.mean(axis=0)) / before.std(axis=0, ddof=1)
    np.testing.assert_allclose(path.magnitude[-1], (z**2).mean(), rtol=1e-9)


def test_turbulence_inverts_correlations_that_are_shrunk_to_their_mean() -> None:
    returns, half_life = simulate(101), 40.0
    before, z = returns[:-1], np.empty(K)
    weight = 0.5 ** (np.arange(100)[::-1] / half_life)
    for i in range(K):
        mean = np.average(before[:, i], weights=weight)
        spread = np.cov(before[:, i], aweights=weight)  # corrected for the mean
        z[i] = (returns[-1, i] - mean) / np.sqrt(spread)
    # A pair first meets in the first row; its returns begin with the second.
    correlation, later = np.eye(K), weight[1:]
    for i in range(K):
        for j in range(i + 1, K):
            rho = _weighted_correlation(before[1:, i], before[1:, j], half_life)
            correlation[i, j] = correlation[j, i] = rho
    off = ~np.eye(K, dtype=bool)
    times = later.sum() ** 2 / (later**2).sum()
    own = times / (times + K)
    correlation[off] = own * correlation[off] + (1.0 - own) * correlation[off].mean()
    expected = z @ np.linalg.solve(correlation, z) / K
    path = Turbulence.fresh(K, half_life=half_life, needed=60).advance(returns)
    np.testing.assert_allclose(path.turbulence[-1], expected, rtol=1e-9)


def test_turbulence_is_magnitude_times_correlation_surprise() -> None:
    path = Turbulence.fresh(K, half_life=90.0).advance(RETURNS)
    known = np.isfinite(path.correlation_surprise)
    assert known.sum() > 200
    product = path.magnitude * path.correlation_surprise
    np.testing.assert_allclose(product[known], path.turbulence[known], rtol=1e-12)


def test_instruments_that_usually_move_together_surprise_by_moving_apart() -> None:
    returns = simulate(1000, 2, rho=0.9)
    together, apart = returns.copy(), returns.copy()
    together[-1], apart[-1] = [0.04, 0.04], [0.04, -0.04]
    paths = [Turbulence.fresh(2, half_life=180.0).advance(x) for x in (together, apart)]
    # The magnitude differs by the estimated means only, a twentieth of a deviation at most.
    np.testing.assert_allclose(paths[0].magnitude[-1], paths[1].magnitude[-1], rtol=0.2)
    assert paths[0].correlation_surprise[-1] < 0.7  # 1 / (1 + rho) = 0.53
    assert paths[1].correlation_surprise[-1] > 7.0  # 1 / (1 - rho) = 10


def test_turbulence_does_not_depend_on_the_unit_of_any_instrument() -> None:
    base = Turbulence.fresh(K, half_life=90.0).advance(RETURNS).turbulence
    scaled = Turbulence.fresh(K, half_life=90.0).advance(RETURNS * [1.0, 7.0, 0.01, 30.0])
    np.testing.assert_allclose(scaled.turbulence, base, rtol=1e-9)


@pytest.mark.parametrize("part", [Turbulence, Absorption, Comoments])
def test_an_instrument_that_has_vanished_or_is_not_yet_there_changes_nothing(part: Any) -> None:
    returns = simulate(k=3)
    gone, late = np.full((N, 1), np.nan), np.full((N, 1), np.nan)
    gone[:150] = simulate(k=1, seed=9)[:150] * 50.0  # LUNA: wild, then no more
    late[250:] = simulate(k=1, seed=8)[250:] * 50.0
    run = lambda x: part.fresh(x.shape[1], half_life=60.0).advance(x)  # noqa: E731
    alone, joined = run(returns), run(np.hstack([returns, gone, late]))
    if part is Turbulence:
        alone, joined = alone.turbulence, joined.turbulence
    np.testing.assert_array_equal(joined[150:250], alone[150:250])
    assert np.isfinite(alone[150:250]).all()
    assert (joined[320:] != alone[320:]).all()


def test_rows_of_nothing_and_instruments_that_stand_still_are_left_out() -> None:
    returns = np.hstack([simulate(k=2), np.zeros((N, 1))])
    returns[200] = np.nan
    path = Turbulence.fresh(3, half_life=60.0).advance(returns)
    assert np.isnan(path.turbulence[200])
    flat_left_out = Turbulence.fresh(2, half_life=60.0).advance(returns[:, :2])
    np.testing.assert_array_equal(path.turbulence, flat_left_out.turbulence)
    ratio = Absorption.fresh(3, half_life=60.0).advance(returns)
    np.testing.assert_array_equal(
        ratio, Absorption.fresh(2, half_life=60.0).advance(returns[:, :2])
    )


def test_correlations_from_different_days_that_do_not_fit_together_still_give_a_distance() -> None:
    # 0 and 1 meet in the first third and agree, 1 and 2 in the second and agree, 0 and 2 in the
    # third and oppose each other: no covariance has these three correlations.
    rng = np.random.default_rng(0)
    shock = 0.02 * rng.normal(size=300)
    returns = np.full((301, 3), np.nan)
    returns[:100, [0, 1]] = shock[:100, None]
    returns[100:200, [1, 2]] = shock[100:200, None]
    returns[200:300, 0], returns[200:300, 2] = shock[200:], -shock[200:]
    returns[300] = 0.02
    path = Turbulence.fresh(3, half_life=60.0).advance(returns)
    assert 0.0 < path.turbulence[300] < 1e4


@pytest.mark.parametrize("k", [4, 8])
def test_the_absorption_ratio_is_the_share_of_the_first_fifth_of_the_eigenvalues(k: int) -> None:
    returns = simulate(4000, k, rho=0.4) * np.linspace(1.0, 2.0, k)
    ratio = Absorption.fresh(k, half_life=1e12).advance(returns)[-1]
    values = np.linalg.eigvalsh(np.cov(returns.T))[::-1] / np.trace(np.cov(returns.T))
    expected = values[0] if k == 4 else values[0] + 0.6 * values[1]  # 8 / 5 = 1.6
    np.testing.assert_allclose(ratio, expected, rtol=2e-3)  # shrunk by k / 4000


def test_absorption_rises_when_a_common_factor_takes_over() -> None:
    apart, together = simulate(300, 6, rho=0.1), simulate(300, 6, rho=0.9, seed=1)
    ratio = Absorption.fresh(6, half_life=40.0).advance(np.vstack([apart, together]))
    assert ratio[290] < 0.45
    assert ratio[-1] > 0.85
    shift = Shift.fresh(short=15, long=250, needed=60).advance(ratio)
    assert shift[340] > 1.5


# --- liquidity and leadership ----------------------------------------------------------------


def test_a_dry_up_of_all_instruments_is_seen_and_the_unit_of_volume_is_not() -> None:
    value = VALUE.copy()
    value[380:] /= np.exp(3.0)
    base = _liquidity().advance(RETURNS, VALUE, PRESENT)
    dry = _liquidity().advance(RETURNS, value, PRESENT)
    scaled = _liquidity().advance(RETURNS, VALUE * 1e6, PRESENT)
    np.testing.assert_allclose(scaled.mean, base.mean, atol=1e-9)  # logs of 1e6 cancel
    np.testing.assert_array_equal(dry.mean[:380], base.mean[:380])
    # Three logs up, less the part that has entered the mean of sixty rows.
    assert (dry.mean[380:] - base.mean[380:] > 3.0 * 0.6).all()
    assert dry.share[380:].mean() > base.share[380:].mean() + 0.3


def test_the_share_beyond_the_past_quantile_is_about_a_tenth_in_quiet_times() -> None:
    returns, volume = simulate(2000, 6, rho=0.0), np.ones((2000, 6))
    whole = lambda n: np.full(6, n, dtype=np.int64)  # noqa: E731
    part = LiquidityContraction.fresh(
        LiquidityWindows(day=whole(1), quarter=whole(90), year=whole(365), needed=whole(60))
    )
    share = part.advance(returns, volume, np.ones((2000, 6), dtype=bool)).share
    assert 0.08 < np.nanmean(share) < 0.12  # 11,000 draws at 0.1: a deviation of 0.003


def test_an_instrument_is_held_against_as_many_rows_as_must_come_before() -> None:
    full = np.ones((N, K), dtype=bool)
    share = _liquidity().advance(simulate(), np.ones((N, K)), full).share
    # Illiquidity is known from row 29 on, half a quarter; forty values of it must come before.
    assert np.flatnonzero(np.isfinite(share))[0] == 29 + 40


def test_periods_without_a_move_or_a_trade_say_nothing_about_liquidity() -> None:
    returns, value = RETURNS.copy(), VALUE.copy()
    returns[390, 0], value[391, 0] = 0.0, 0.0
    path = _liquidity().advance(returns, value, PRESENT)
    # A window of one day that holds nothing known is unknown.
    assert np.isnan(path.illiquidity[390:392, 0]).all()
    assert np.isfinite(path.illiquidity[392, 0])


def _led(n: int, *, seed: int = 0) -> Array:
    """Log variances: column 0 leads columns 1 and 2 by a row."""
    rng = np.random.default_rng(seed)
    x = np.zeros((n, 3))
    for t in range(1, n):
        x[t] = 0.5 * x[t - 1] + rng.normal(size=3)
        x[t, 1:] += 0.6 * x[t - 1, 0]
    return x - 9.0


def test_the_one_that_leads_is_found_and_its_push_is_the_regression_weight() -> None:
    x = _led(3000)
    value = np.tile([10.0, 1.0, 2.0], (3000, 1))
    path = LeadLag.fresh(3, half_life=1e12).advance(x, value)
    np.testing.assert_array_equal(path.push[100:, 0], 0.0)
    np.testing.assert_array_equal(path.score[100:, 0], 0.0)
    assert (path.score[-1, 1:] > 0.4).all()
    ratio = path.push[-1, 1] / (x[-1, 0] - x[:-1, 0].mean())
    y, own, other = x[1:, 1] - x[:, 1].mean(), x[:-1, 1], x[:-1, 0]
    design = np.column_stack([own - own.mean(), other - other.mean()])
    expected = np.linalg.lstsq(design, y, rcond=None)[0][1]
    # Deviations are from the mean so far, the reference from the whole mean: 1 / sqrt(n) apart.
    np.testing.assert_allclose(ratio, expected, rtol=0.05)
    np.testing.assert_allclose(ratio, 0.6, atol=0.06)


def test_a_large_instrument_that_follows_has_a_negative_score() -> None:
    x = _led(3000)
    value = np.tile([1.0, 10.0, 2.0], (3000, 1))
    score = LeadLag.fresh(3, half_life=500.0).advance(x, value).score
    assert score[-1, 0] < -0.3


def test_without_traded_value_nobody_leads() -> None:
    x = _led(300)
    path = LeadLag.fresh(3, half_life=90.0).advance(x, np.full_like(x, np.nan))
    assert np.isnan(path.push).all()
    assert np.isnan(path.score).all()
