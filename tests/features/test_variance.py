"""Variance measures against closed forms and simulated Brownian bars."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from foremargin.features import (
    Measures,
    best_variance,
    build_features,
    garman_klass_variance,
    overnight_variance,
    parkinson_variance,
    range_variance,
    variance_measure,
)
from foremargin.features.own_time import trailing_sum
from foremargin.markets import Panel

Array = NDArray[np.float64]
MakePanel = Callable[..., Panel]


def bar_panel(open_: Array, high: Array, low: Array, close: Array) -> Panel:
    """Build one coin with these daily bars."""
    n = len(close)
    column = close[:, None]
    return Panel(
        time=np.asarray(pd.date_range("2020-01-02", periods=n), dtype="datetime64[ns]"),
        period=pd.Timedelta(days=1),
        instruments=("X",),
        close=column,
        log_return=np.vstack([[[np.nan]], np.diff(np.log(column), axis=0)]),
        missing=np.zeros((n, 1), dtype=np.int8),
        periods_per_year=np.array([365.0]),
        fields={"open": open_[:, None], "high": high[:, None], "low": low[:, None]},
    )


def brownian_bars(n: int, *, sigma: float, steps: int, seed: int) -> Panel:
    rng = np.random.default_rng(seed)
    path = np.cumsum(sigma / np.sqrt(steps) * rng.normal(size=(n, steps)), axis=1)
    start = np.concatenate([[0.0], np.cumsum(path[:-1, -1])])
    logs = start[:, None] + path
    return bar_panel(
        np.exp(start),
        np.exp(np.maximum(start, logs.max(1))),
        np.exp(np.minimum(start, logs.min(1))),
        np.exp(logs[:, -1]),
    )


def test_range_estimates_of_one_bar_agree_with_their_formulas() -> None:
    bar = [np.array([x, x]) for x in (100.0, 110.0, 95.0, 104.0)]
    m = Measures(panel=bar_panel(*bar))
    log_range, body = np.log(110 / 95), np.log(104 / 100)
    # Parkinson: ln(H/L)² / (4 ln 2). Garman-Klass: ln(H/L)²/2 - (2 ln 2 - 1) ln(C/O)².
    np.testing.assert_allclose(parkinson_variance(m), log_range**2 / (4 * np.log(2)))
    garman_klass = log_range**2 / 2 - (2 * np.log(2) - 1) * body**2
    np.testing.assert_allclose(garman_klass_variance(m), garman_klass)
    # The second bar opens at 100 after a close of 104.
    np.testing.assert_allclose(overnight_variance(m)[1], np.log(100 / 104) ** 2)


@pytest.mark.parametrize(
    ("estimate", "relative_variance", "range_weight"),
    [(parkinson_variance, 0.41, 1 / (4 * np.log(2))), (garman_klass_variance, 0.27, 0.5)],
)
def test_range_estimates_recover_the_variance_of_brownian_bars(
    estimate: Callable[..., Array], relative_variance: float, range_weight: float
) -> None:
    n, sigma, steps = 4_000, 0.03, 400
    got = estimate(Measures(panel=brownian_bars(n, sigma=sigma, steps=steps, seed=3)))
    # The extreme of a walk of k moves lies 0.5826 sigma / sqrt(k) inside that of the continuous
    # path (Broadie, Glasserman and Kou 1997), twice in a range whose mean is sqrt(8/pi) sigma.
    missed = 2.0 * 0.5826 / np.sqrt(steps)
    expected = 1.0 - range_weight * (2.0 * np.sqrt(8.0 / np.pi) * missed - missed**2)
    # Var(estimate) / sigma^4 is 0.41 (Parkinson) and 0.27 (Garman-Klass); 4 standard errors are
    # one false alarm in 16,000.
    error = 4.0 * np.sqrt(relative_variance / n)
    assert abs(got.mean() / sigma**2 - expected) < error


@pytest.mark.parametrize(
    ("estimate", "relative_variance"), [(parkinson_variance, 0.41), (garman_klass_variance, 0.27)]
)
def test_range_estimates_are_as_precise_as_published(
    estimate: Callable[..., Array], relative_variance: float
) -> None:
    got = estimate(Measures(panel=brownian_bars(4_000, sigma=0.03, steps=400, seed=4)))
    # A squared return would have 2. The sampling error of a fourth moment is a few percent.
    np.testing.assert_allclose(got.var() / got.mean() ** 2, relative_variance, rtol=0.15)


prices = st.floats(0.5, 2.0)


@given(open_=prices, close=prices, up=st.floats(0.0, 1.0), down=st.floats(0.0, 0.9))
def test_garman_klass_is_never_negative_when_the_range_encloses_the_body(
    open_: float, close: float, up: float, down: float
) -> None:
    high, low = max(open_, close) * (1 + up), min(open_, close) * (1 - down)
    bar = [np.array([x, x]) for x in (open_, high, low, close)]
    assert (garman_klass_variance(Measures(panel=bar_panel(*bar))) >= 0.0).all()


@pytest.mark.parametrize("factor", [0.1, 7.0])
def test_variance_scales_with_the_square_of_returns(make_panel: MakePanel, factor: float) -> None:
    base, scaled = (
        Measures(panel=panel).variance for panel in (make_panel(), make_panel(scale=factor))
    )
    # Logs of rounded prices: a move of 1e-5 keeps eleven of sixteen digits, squared ten.
    known = base > 1e-9
    np.testing.assert_allclose(scaled[known], factor**2 * base[known], rtol=1e-6)
    np.testing.assert_array_equal(np.isnan(scaled), np.isnan(base))


def test_a_range_estimate_that_misses_a_stale_open_is_as_large_as_returns_on_average() -> None:
    # The day's first 40 % happens while the open still stands at the last close: the true open
    # is not quoted and the range begins late.
    rng = np.random.default_rng(8)
    n, steps = 6_000, 100
    path = np.cumsum(0.01 * rng.normal(size=(n, steps)) / 10, axis=1)
    start = np.concatenate([[0.0], np.cumsum(path[:-1, -1])])
    seen = start[:, None] + path[:, 40:]
    close = seen[:, -1]
    # What the bar shows: an open equal to the last close, a range that forgets the first part.
    shown_high, shown_low = np.maximum(seen.max(1), start), np.minimum(seen.min(1), start)
    panel = bar_panel(np.exp(start), np.exp(shown_high), np.exp(shown_low), np.exp(close))
    m = Measures(panel=panel)
    raw = (overnight_variance(m) + garman_klass_variance(m))[1:]
    scaled, squared = range_variance(m)[1:], m.log_return[1:] ** 2
    assert raw.mean() < 0.9 * squared.mean()
    # The scale is an expanding mean, so early periods carry its noise: a squared return has a
    # relative variance of two, and 4 standard errors of 6,000 of them are seven percent.
    np.testing.assert_allclose(scaled.mean(), squared.mean(), rtol=0.07)
    np.testing.assert_allclose(scaled[-1] / raw[-1], squared.mean() / raw.mean(), rtol=0.02)


def test_the_best_measure_is_chosen_period_by_period(make_panel: MakePanel) -> None:
    base = make_panel()
    realized = base.fields["realized_variance"].copy()
    realized[:500, 0] = np.nan
    high = base.fields["high"].copy()
    high[:200, 0] = np.nan
    panel = replace(base, fields={**base.fields, "realized_variance": realized, "high": high})
    m = Measures(panel=panel)
    got, ranged = best_variance(m)[:, 0], range_variance(Measures(panel=panel))[:, 0]
    assert np.isnan(got[0])
    np.testing.assert_array_equal(got[1:200], m.log_return[1:200, 0] ** 2)
    np.testing.assert_array_equal(got[200:500], ranged[200:500])
    np.testing.assert_array_equal(got[500:], realized[500:, 0])


def test_each_instrument_says_where_its_variance_comes_from(make_panel: MakePanel) -> None:
    measure = variance_measure(make_panel())
    assert measure == (
        "realised, from bars inside the period",
        "range-based, Garman-Klass and overnight",
        "realised, from bars inside the period",
        "squared close-to-close return",
    )
    assert "range-based" in variance_measure(make_panel(intraday=False))[0]


def test_a_market_that_has_never_moved_has_no_level_and_one_that_pauses_keeps_its_own() -> None:
    flat = np.full(40, 100.0)
    moving = 100.0 * np.exp(np.cumsum(0.01 * np.random.default_rng(1).normal(size=40)))
    for close, finite in (
        (np.r_[flat, flat], False),
        (np.r_[moving, np.full(40, moving[-1])], True),
    ):
        bars = bar_panel(close, close, close, close)
        features = build_features(replace(bars, fields={}))
        assert np.isfinite(features.level[-1, 0]) == finite
        assert features.variance[-1, 0] == 0.0


def test_a_trailing_sum_of_zeros_is_zero_and_not_a_residue() -> None:
    values = np.r_[np.random.default_rng(2).uniform(size=50) * 1e6, np.zeros(10)]
    assert trailing_sum(values, 5)[-1] == 0.0


def test_the_scale_of_a_range_estimate_gives_sixty_periods_to_no_bias() -> None:
    m = Measures(panel=brownian_bars(30, sigma=0.02, steps=20, seed=9))
    raw = (overnight_variance(m) + garman_klass_variance(m))[:, 0]
    scaled = range_variance(m)[:, 0]
    for t in (1, 7, 29):
        seen = slice(1, t + 1)  # the first period has no return
        prior = 60.0 * raw[seen].mean()
        total = (m.log_return[seen, 0] ** 2).sum()
        expected = raw[t] * (total + prior) / (raw[seen].sum() + prior)
        np.testing.assert_allclose(scaled[t], expected)
