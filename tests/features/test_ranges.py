"""Range estimators and whole-day variance: closed forms, drift, nights, and no look-ahead.

Bounds on means are four standard errors of the simulation, two-sided: one false alarm in 16,000.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremargin.features.measures import Measures, Memory
from foremargin.features.ranges import (
    garman_klass_variance,
    parkinson_variance,
    rogers_satchell_variance,
    yang_zhang_variance,
)
from foremargin.features.whole_day import whole_day_variance
from foremargin.markets import Panel

SIGMA = 0.02


@dataclass(frozen=True)
class Logs:
    """Log prices of daily bars, each shape (n,)."""

    open: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray

    def panel(self, **fields):
        n = len(self.close)
        close = np.exp(self.close)[:, None]
        bars = {name: np.exp(getattr(self, name))[:, None] for name in ("open", "high", "low")}
        return Panel(
            time=np.asarray(pd.date_range("2000-01-02", periods=n), dtype="datetime64[ns]"),
            period=pd.Timedelta(days=1),
            instruments=("X",),
            close=close,
            log_return=np.vstack([[[np.nan]], np.diff(np.log(close), axis=0)]),
            missing=np.zeros((n, 1), dtype=np.int8),
            periods_per_year=np.array([365.0]),
            fields=bars | {name: values[:, None] for name, values in fields.items()},
        )


def brownian(n, *, drift=0.0, night=0.0, seed=0, steps=60):
    """Bars of Brownian motion with variance SIGMA² in the session, drift and night in sigmas.

    Between two grid points the extremes of the bridge are drawn from their exact law, so that
    ranges are those of the continuous path.
    """
    rng = np.random.default_rng(seed)
    scale = SIGMA / np.sqrt(steps)
    moves = drift * SIGMA / steps + scale * rng.normal(size=(n, steps))
    after = np.cumsum(moves, axis=1)
    before = after - moves
    reach = [np.sqrt(moves**2 - 2 * scale**2 * np.log(rng.random(moves.shape))) for _ in range(2)]
    high, low = (
        (before + after + reach[0]).max(axis=1) / 2,
        (before + after - reach[1]).min(axis=1) / 2,
    )
    gap = night * SIGMA * rng.normal(size=n)
    opens = np.cumsum(gap) + np.concatenate([[0.0], np.cumsum(after[:-1, -1])])
    return Logs(opens, opens + high, opens + low, opens + after[:, -1])


@pytest.fixture(scope="module")
def driftless():
    return brownian(20_000, seed=1).panel()


@pytest.fixture(scope="module")
def trending():
    return brownian(20_000, drift=1.0, seed=2).panel()


def mean_and_error(values):
    known = values[np.isfinite(values)]
    return known.mean() / SIGMA**2, 4 * known.std() / SIGMA**2 / np.sqrt(len(known))


SESSION = [parkinson_variance, garman_klass_variance, rogers_satchell_variance]


@pytest.mark.parametrize("estimate", SESSION)
def test_range_estimates_are_unbiased_without_drift(driftless, estimate):
    mean, error = mean_and_error(estimate(Measures(panel=driftless)))
    assert abs(mean - 1.0) < error


def test_only_rogers_satchell_is_unbiased_with_drift(trending):
    found = {e: mean_and_error(e(Measures(panel=trending))) for e in SESSION}
    mean, error = found[rogers_satchell_variance]
    assert abs(mean - 1.0) < error
    # A drift of one sigma a day: 1.38 and 1.14 in this simulation.
    assert found[parkinson_variance][0] > 1.3
    assert found[garman_klass_variance][0] > 1.1


# The variance of a squared return over that of the estimate. Parkinson: 2 / (9 zeta(3) /
# (16 ln(2)^2) - 1) exactly, 5.2 in his paper. The others: Garman and Klass (1980), Rogers and
# Satchell (1991).
@pytest.mark.parametrize(
    ("estimate", "efficiency"),
    [(parkinson_variance, 4.91), (garman_klass_variance, 7.4), (rogers_satchell_variance, 6.0)],
)
def test_range_estimates_are_as_efficient_as_published(driftless, estimate, efficiency):
    found = estimate(Measures(panel=driftless)) / SIGMA**2
    # The sampling error of these variances is below 2 %.
    assert 2.0 / found.var() == pytest.approx(efficiency, rel=0.06)


def test_rogers_satchell_of_one_bar_agrees_with_its_formula():
    logs = Logs(*(np.log([x, x]) for x in (100.0, 110.0, 95.0, 104.0)))
    up, down, body = np.log(110 / 100), np.log(95 / 100), np.log(104 / 100)
    expected = up * (up - body) + down * (down - body)
    found = rogers_satchell_variance(Measures(panel=logs.panel()))
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_a_trend_without_any_noise_has_no_variance():
    line = np.arange(1.0, 41.0)
    logs = Logs(line - 1.0, line, line - 1.0, line)
    m = Measures(panel=logs.panel())
    np.testing.assert_allclose(rogers_satchell_variance(m), 0.0, atol=1e-12)  # logs of exponentials
    found = yang_zhang_variance(m, days=10)[10:]
    np.testing.assert_allclose(found, 0.0, atol=1e-12)


prices = st.floats(0.5, 2.0)


@given(first=prices, last=prices, up=st.floats(0.0, 1.0), down=st.floats(0.0, 0.9))
def test_rogers_satchell_is_never_negative_when_the_range_encloses_the_body(first, last, up, down):
    high, low = max(first, last) * (1 + up), min(first, last) * (1 - down)
    logs = Logs(*(np.log([x, x]) for x in (first, high, low, last)))
    # Logs of exponentials are off by their last digit.
    assert (rogers_satchell_variance(Measures(panel=logs.panel())) >= -1e-15).all()


@pytest.mark.parametrize(("drift", "night"), [(0.0, 0.5), (1.0, 0.5), (0.5, 0.0), (-1.0, 1.0)])
def test_yang_zhang_is_unbiased_with_drift_and_nights(drift, night):
    panel = brownian(20_000, drift=drift, night=night, seed=3).panel()
    # Every twentieth window is free of the others.
    found = yang_zhang_variance(Measures(panel=panel), days=20)[20::20]
    mean, error = mean_and_error(found)
    assert abs(mean - (1.0 + night**2)) < error
    squared = np.nanmean(panel.log_return**2) / SIGMA**2
    # The mean square counts the drift as variance.
    assert squared == pytest.approx(1.0 + night**2 + drift**2, rel=0.06)


def test_yang_zhang_is_more_precise_than_the_variance_of_closes():
    panel = brownian(20_000, night=0.5, seed=4).panel()
    m = Measures(panel=panel)
    found = yang_zhang_variance(m, days=10)[10::10]
    closes = m.covariance(m.log_return, m.log_return, days=10)[10::10]
    # The efficiency is at most 1 + 1/k = 8.5, for a night of the right size.
    efficiency = closes.var() / found.var()
    assert 5.0 < efficiency < 8.9


def test_yang_zhang_agrees_with_rolling_sums():
    logs = brownian(200, night=0.7, drift=0.3, seed=5)
    n = 14
    k = 0.34 / (1.34 + (n + 1) / (n - 1))
    night = pd.Series(np.r_[np.nan, logs.open[1:] - logs.close[:-1]])
    body = pd.Series(logs.close - logs.open)
    up, down = logs.high - logs.open, logs.low - logs.open
    ranges = pd.Series(up * (up - body) + down * (down - body))
    expected = (
        night.rolling(n).var() + k * body.rolling(n).var() + (1 - k) * ranges.rolling(n).mean()
    )
    found = yang_zhang_variance(Measures(panel=logs.panel()), days=n)[:, 0]
    np.testing.assert_allclose(found[n:], expected[n:], rtol=1e-7)  # exponentials and logs
    assert np.isnan(found[: n // 2 - 1]).all()
    assert np.isfinite(found[n // 2 :]).all()


PAST_ONLY = {
    "rogers-satchell": rogers_satchell_variance,
    "yang-zhang": lambda m: yang_zhang_variance(m, days=10),
    "whole-day": whole_day_variance,
}
by_estimate = pytest.mark.parametrize("name", PAST_ONLY)


@by_estimate
def test_an_estimate_ignores_the_future(name):
    estimate = PAST_ONLY[name]
    panel = brownian(200, night=0.5, seed=6).panel()
    np.testing.assert_array_equal(
        estimate(Measures(panel=panel.upto(120))), estimate(Measures(panel=panel))[:120]
    )


@by_estimate
def test_an_estimate_carries_on_where_it_stopped(name):
    estimate = PAST_ONLY[name]
    panel = brownian(200, night=0.5, seed=6).panel()
    memory, rows = Memory(), []
    for first, stop in ((0, 90), (90, 91), (91, 200)):
        memory_scope = Measures(panel=panel.rows(first, stop), memory=memory)
        with memory.scope(name):
            rows.append(estimate(memory_scope))
    np.testing.assert_array_equal(np.vstack(rows), estimate(Measures(panel=panel)))


@by_estimate
@pytest.mark.parametrize("factor", [0.1, 3.0])
def test_an_estimate_scales_with_the_square_of_returns(name, factor):
    estimate = PAST_ONLY[name]
    logs = brownian(200, night=0.5, seed=7)
    scaled = Logs(*(factor * getattr(logs, x) for x in ("open", "high", "low", "close")))
    base, other = (estimate(Measures(panel=one.panel())) for one in (logs, scaled))
    np.testing.assert_allclose(other, factor**2 * base, rtol=1e-7)  # exponentials and logs


@by_estimate
def test_an_estimate_without_ranges_is_unknown(name):
    panel = brownian(100, seed=8).panel()
    closes = replace(panel, fields={})
    assert np.isnan(PAST_ONLY[name](Measures(panel=closes))).all()


def slow_whole_day(night, session, whole):
    """Weights of Hansen and Lunde (2005), section 3, from their means and (co)variances."""
    mean_0, mean_1, mean_2 = whole.mean(), night.mean(), session.mean()
    var_1, var_2 = night.var(), session.var()
    both = ((night - mean_1) * (session - mean_2)).mean()
    share = (mean_2**2 * var_1 - mean_1 * mean_2 * both) / (
        mean_2**2 * var_1 + mean_1**2 * var_2 - 2 * mean_1 * mean_2 * both
    )
    weights = (1 - share) * mean_0 / mean_1, share * mean_0 / mean_2
    return weights[0] * night[-1] + weights[1] * session[-1]


@pytest.fixture(scope="module")
def nights():
    """Six thousand days of changing variance with nights; realised variance of the session."""
    n = 6000
    rng = np.random.default_rng(11)
    log_variance = np.zeros(n)
    for t in range(1, n):
        log_variance[t] = 0.95 * log_variance[t - 1] + 0.2 * rng.normal()
    level = np.exp(0.5 * log_variance)[:, None]
    moves = SIGMA * level * rng.normal(size=(n, 78)) / np.sqrt(78)
    gap = 0.5 * SIGMA * level[:, 0] * rng.normal(size=n)
    start = np.cumsum(gap) + np.concatenate([[0.0], np.cumsum(moves.sum(axis=1))[:-1]])
    path = start[:, None] + np.cumsum(moves, axis=1)
    logs = Logs(start, np.maximum(start, path.max(1)), np.minimum(start, path.min(1)), path[:, -1])
    return logs.panel(session_variance=(moves**2).sum(axis=1)), 1.25 * (SIGMA * level[:, 0]) ** 2


def test_whole_day_variance_agrees_with_its_weights(nights):
    panel, _ = nights
    found = whole_day_variance(Measures(panel=panel))[:, 0]
    night = (panel.log_return - np.log(panel.close / panel.fields["open"]))[:, 0] ** 2
    session = panel.fields["session_variance"][:, 0]
    assert np.isnan(found[0])
    for t in (61, 500, 5999):
        seen = slice(1, t + 1)
        expected = slow_whole_day(night[seen], session[seen], panel.log_return[seen, 0] ** 2)
        np.testing.assert_allclose(found[t], expected, rtol=1e-8)
    # Before sixty periods both count once.
    np.testing.assert_allclose(found[1:60], (night + session)[1:60], rtol=1e-12)


def test_whole_day_variance_is_closer_to_the_truth_than_the_plain_sum(nights):
    panel, truth = nights
    found = whole_day_variance(Measures(panel=panel))[:, 0]
    night = (panel.log_return - np.log(panel.close / panel.fields["open"]))[:, 0] ** 2
    plain = night + panel.fields["session_variance"][:, 0]
    later = slice(500, None)
    error = np.mean((found[later] - truth[later]) ** 2) / np.mean(
        (plain[later] - truth[later]) ** 2
    )
    assert error < 0.5
    squared = np.nanmean(panel.log_return[later] ** 2)
    # Both means are those of the squared returns; an expanding mean lags behind by a few percent.
    assert found[later].mean() == pytest.approx(squared, rel=0.06)


def test_no_share_is_negative_where_nights_follow_the_session_too_closely():
    logs = brownian(400, seed=13)
    # Nights that vary little and always with the session: the best share would be below zero.
    session = SIGMA**2 * np.random.default_rng(14).lognormal(sigma=1.5, size=400)
    night = 0.1 * SIGMA * (session / SIGMA**2) ** 0.1
    shift = np.cumsum(night + np.r_[0.0, logs.close[:-1] - logs.open[1:]])
    apart = Logs(*(getattr(logs, x) + shift for x in ("open", "high", "low", "close")))
    panel = apart.panel(session_variance=session)
    found = whole_day_variance(Measures(panel=panel))[60:, 0]
    assert (found > 0.0).all()
    mean = np.cumsum(panel.log_return[1:, 0] ** 2) / np.arange(1, 400)
    nights_mean = np.cumsum(night[1:] ** 2) / np.arange(1, 400)
    np.testing.assert_allclose(found, (mean * night[1:] ** 2 / nights_mean)[59:], rtol=1e-6)


def test_a_market_without_nights_is_measured_by_its_sessions():
    logs = brownian(300, seed=12)
    line = Logs(np.r_[logs.open[0], logs.close[:-1]], logs.high, logs.low, logs.close)
    panel = line.panel(session_variance=np.full(300, SIGMA**2))
    # Opens that are closes to the last bit: nothing happens in between.
    opens = panel.fields["open"].copy()
    opens[1:] = panel.close[:-1]
    panel = replace(panel, fields={**panel.fields, "open": opens})
    found = whole_day_variance(Measures(panel=panel))[:, 0]
    # Sessions of one variance: what is left of the weights is the mean squared return so far.
    squared = panel.log_return[1:, 0] ** 2
    expected = np.cumsum(squared) / np.arange(1, 300)
    np.testing.assert_allclose(found[60:], expected[59:], rtol=1e-9)
    np.testing.assert_allclose(found[1:60], SIGMA**2, rtol=1e-9)
