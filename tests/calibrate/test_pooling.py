"""Pooled tails: what they are, when they are known, and what they are worth to a short history."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from foremargin.calibrate.coverage import AdaptiveConformal
from foremargin.calibrate.empirical import pooled_levels
from foremargin.calibrate.pooling import PooledTail, pooled_tail

Array = NDArray[np.float64]

TAIL = 0.02
N, K = 1_200, 5


def scores(seed: int = 1) -> Array:
    return np.random.default_rng(seed).standard_t(4, size=(N, K, 2))


def known_after(horizon: int) -> NDArray[np.intp]:
    row = np.arange(N) + horizon
    return np.repeat(np.where(row < N, row, N)[:, None], K, axis=1)


def read(score: Array, *, horizon: int = 1, step: int = 7, window: int = 500) -> PooledTail:
    return pooled_tail(
        score,
        known_after(horizon),
        tail_probability=TAIL,
        window=window,
        step=step,
        weight=500.0,
    )


def test_a_pooled_quantile_is_that_of_all_scores_known_in_the_window() -> None:
    score = scores()
    score[::9, 2] = np.nan
    quantile = read(score, horizon=5).quantile
    row = 700  # a hundred times seven: a row of reading
    past = score[row - 499 : row - 4].ravel()
    past = np.sort(past[np.isfinite(past)])
    for level, got in zip(pooled_levels(TAIL, 9), quantile[row], strict=True):
        place = (past.size + 1) * (1 - level)  # counted from one, between two scores
        below = int(place)
        wanted = past[below - 1] + (place - below) * (past[below] - past[below - 1])
        assert got == pytest.approx(wanted, rel=1e-12)
    np.testing.assert_array_equal(quantile[row : row + 7], quantile[[row] * 7])


@pytest.mark.parametrize("horizon", [1, 5])
def test_a_score_moves_no_pooled_quantile_before_it_is_known(horizon: int) -> None:
    score = scores()
    changed = score.copy()
    changed[600] = 50.0
    base, moved = read(score, horizon=horizon, step=1), read(changed, horizon=horizon, step=1)
    until = 600 + horizon
    np.testing.assert_array_equal(moved.quantile[:until], base.quantile[:until])
    assert (moved.quantile[until] > base.quantile[until]).all()


def test_there_is_no_pooled_quantile_before_its_rarest_level_lies_inside_the_sample() -> None:
    quantile = read(scores(), step=1).quantile
    # A quarter of 2 % needs 200 scores: twenty rows of five instruments and two sides, each known
    # a row later.
    assert np.isnan(quantile[:20]).all()
    assert np.isfinite(quantile[20:]).all()


def test_a_margin_is_the_mean_of_both_tails_weighted_by_the_number_of_own_scores() -> None:
    score = scores()
    pooled = read(score)
    rule = AdaptiveConformal(window=400, needed=100, gain=0.0, guard=None)
    own = rule.run(score[:, 0, 0], tail_probability=TAIL).quantile
    mixed = rule.run(score[:, 0, 0], tail_probability=TAIL, pooled=pooled).quantile
    # Without adaptation the level is the tail probability, which lies between two of the nine.
    logs = np.log(pooled_levels(TAIL, 9))
    others = np.array([np.interp(np.log(TAIL), logs, q) for q in pooled.quantile])
    count = np.minimum(np.arange(N), 400)
    share = np.where(count >= 100, count / (count + 500.0), 0.0)
    wanted = share * np.where(count >= 100, own, 0.0) + (1.0 - share) * others
    np.testing.assert_allclose(mixed[20:], wanted[20:], rtol=1e-9)


def test_a_newcomer_has_a_margin_from_the_others_that_holds_the_breach_rate() -> None:
    n_trials, breaches, losses = 40, 0, 0
    for seed in range(n_trials):
        score = scores(seed)
        score[:600, 0] = np.nan  # listed after 600 periods
        rule = AdaptiveConformal(window=500, needed=250)
        said = rule.run(score[:, 0, 0], tail_probability=TAIL, pooled=read(score))
        margin = said.quantile[600:850]
        assert np.isfinite(margin).all()
        breaches += int((score[600:850, 0, 0] > margin).sum())
        losses += len(margin)
    # Independent of the others' scores: a binomial band with a false-alarm rate of 1e-4, and the
    # quantile's own error, 0.14 of the rate at some hundred tail scores, averaged over 40 markets.
    low, high = stats.binom.interval(1 - 1e-4, losses, TAIL)
    assert 0.95 * low <= breaches <= 1.05 * high
