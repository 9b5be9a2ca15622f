"""Rolling tails against a loop that can be read at a glance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from foremargin.calibrate.empirical import rolling_tails

Array = NDArray[np.float64]

TAILS = np.array([0.01, 0.025, 0.05, 0.2])


def by_loop(score: Array, tails: Array, lag: int, window: int, needed: int) -> tuple[Array, Array]:
    """Collect what was known at each origin, sort it, read position (n + 1)(1 - tail)."""
    quantile = np.full((len(score), len(tails)), np.nan)
    beyond = np.full((len(score), len(tails)), np.nan)
    for t in range(len(score)):
        past = score[: max(0, t - lag + 1)]
        kept = np.sort(past[np.isfinite(past)][-window:])
        n = len(kept)
        if n < needed:
            continue
        for k, tail in enumerate(tails):
            position = np.clip((n + 1) * (1 - tail) - 1, 0, n - 1)
            quantile[t, k] = np.interp(position, np.arange(n), kept)
            beyond[t, k] = kept[kept >= quantile[t, k] - 1e-12].mean()
    return quantile, beyond


@pytest.mark.parametrize(
    ("lag", "window", "needed"), [(1, 50, 10), (5, 50, 50), (1, 1_000, 100), (3, 20, 1)]
)
def test_rolling_tails_agree_with_a_loop(lag: int, window: int, needed: int) -> None:
    rng = np.random.default_rng(6)
    score = rng.standard_t(3, size=400)
    score[rng.uniform(size=400) < 0.1] = np.nan
    score[100:130] = np.nan
    got = rolling_tails(score, TAILS, lag, window, needed)
    for ours, theirs in zip(got, by_loop(score, TAILS, lag, window, needed), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)


def test_ties_are_removed_one_at_a_time() -> None:
    score = np.array([1.0, 1.0, 2.0, 1.0, 0.0, 0.0, 2.0, 1.0, 1.0, 0.0] * 4)
    for ours, theirs in zip(
        rolling_tails(score, TAILS, 1, 5, 1), by_loop(score, TAILS, 1, 5, 1), strict=True
    ):
        np.testing.assert_allclose(ours, theirs)


@pytest.mark.parametrize("lag", [1, 4])
def test_a_score_counts_from_the_moment_it_is_known_and_not_before(lag: int) -> None:
    score = np.random.default_rng(7).normal(size=120)
    base = rolling_tails(score, TAILS, lag, 60, 10)
    changed = score.copy()
    changed[80] = 50.0
    moved = rolling_tails(changed, TAILS, lag, 60, 10)
    for before, after in zip(base, moved, strict=True):
        np.testing.assert_array_equal(after[: 80 + lag], before[: 80 + lag])
        assert (after[80 + lag] != before[80 + lag]).all()


scores = st.lists(st.floats(-1e3, 1e3), min_size=30, max_size=80).map(np.array)


@given(score=scores)
def test_rarer_tails_are_never_smaller_and_the_mean_beyond_never_less_than_the_quantile(
    score: Array,
) -> None:
    quantile, beyond = rolling_tails(score, TAILS, 1, 40, 5)
    quantile, beyond = quantile[10:], beyond[10:]
    assert (np.diff(quantile, axis=1) <= 0.0).all()
    slack = 1e-9  # a mean of equal numbers is rounded
    assert (np.diff(beyond, axis=1) <= slack).all()
    assert (beyond >= quantile - slack).all()


def test_the_next_of_exchangeable_scores_exceeds_the_quantile_as_often_as_promised() -> None:
    rng = np.random.default_rng(8)
    n, trials, tail = 99, 20_000, 0.05
    exceeded = 0
    for _ in range(trials // 200):
        block = rng.standard_t(3, size=(200, n + 1))
        for row in block:
            quantile = rolling_tails(row, np.array([tail]), 1, n, n)[0]
            exceeded += bool(row[n] > quantile[n, 0])
    # (n + 1)(1 - tail) = 95 is whole: the promise is exact. Exactly binomial over the trials,
    # with a false-alarm rate of 1e-4.
    error = 3.9 * np.sqrt(tail * (1 - tail) * trials)
    assert abs(exceeded - tail * trials) < error


def test_a_loss_that_equals_its_margin_does_not_breach_it() -> None:
    # Prices move in ticks, so that losses are tied; 995 (1 - p) + 995 p is not always 995.
    rng = np.random.default_rng(10)
    for tick in rng.uniform(0.001, 1_000.0, size=200):
        score = tick * rng.integers(0, 2, size=40).astype(float)
        quantile = rolling_tails(score, np.array([0.0713]), 1, 40, 5)[0][10:, 0]
        assert set(quantile) <= {0.0, tick}
