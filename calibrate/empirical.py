"""Empirical tails of scores that become known with a delay.

One compiled pass keeps the last scores sorted and reads the tail from it at every origin. A score
belongs to an origin and is known `lag` periods later; nothing here can see it before.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def _upper_quantile(ordered: NDArray[np.float64], count: int, tail_probability: float) -> float:
    """Return the quantile at (count + 1)(1 - tail), interpolated, within the sample.

    With exchangeable scores the next one exceeds it with at most `tail_probability` (up to
    interpolation), which the plain sample quantile does not give.
    """
    position = (count + 1.0) * (1.0 - tail_probability) - 1.0
    if position >= count - 1.0:
        return float(ordered[count - 1])
    if position <= 0.0:
        return float(ordered[0])
    below = int(position)
    lower, upper = ordered[below], ordered[below + 1]
    # Exact where both are equal: a tied loss must not breach a margin made of itself.
    return float(min(lower + (position - below) * (upper - lower), upper))


@njit(cache=True)
def _mean_beyond(ordered: NDArray[np.float64], count: int, threshold: float) -> float:
    """Mean of the scores at or beyond a threshold; the threshold itself if there are none."""
    total, seen = 0.0, 0
    for i in range(count - 1, -1, -1):
        if ordered[i] < threshold:
            break
        total += ordered[i]
        seen += 1
    return total / seen if seen > 0 else threshold


@njit(cache=True)
def _insert(ordered: NDArray[np.float64], count: int, value: float) -> None:
    place = np.searchsorted(ordered[:count], value)
    for i in range(count, place, -1):
        ordered[i] = ordered[i - 1]
    ordered[place] = value


@njit(cache=True)
def _remove(ordered: NDArray[np.float64], count: int, value: float) -> None:
    place = np.searchsorted(ordered[:count], value)
    for i in range(place, count - 1):
        ordered[i] = ordered[i + 1]


@njit(cache=True)
def keep_score(
    ordered: NDArray[np.float64],
    queue: NDArray[np.float64],
    count: int,
    head: int,
    score: float,
) -> tuple[int, int]:
    """Add a score to the sorted ones, after dropping the oldest if the queue is full.

    Returns
    -------
    count, head : int
        Scores kept, and the place of the oldest in the queue once it is full.
    """
    window = len(queue)
    if count == window:
        _remove(ordered, count, queue[head])
        count -= 1
    _insert(ordered, count, score)
    queue[head] = score
    return count + 1, (head + 1) % window


@njit(cache=True)
def read_tail(
    ordered: NDArray[np.float64], count: int, tail_probability: float
) -> tuple[float, float]:
    """Quantile of the first `count` sorted scores, and the mean of those at or beyond it."""
    quantile = _upper_quantile(ordered, count, tail_probability)
    return quantile, _mean_beyond(ordered, count, quantile)


@njit(cache=True)
def rolling_tails(
    score: NDArray[np.float64],
    tail_probabilities: NDArray[np.float64],
    lag: int,
    window: int,
    needed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Quantile and mean beyond it of the last `window` known scores, at every origin.

    Parameters
    ----------
    score : ndarray, shape (n,)
        Score of each origin, positive where money was lost; NaN is skipped.
    tail_probabilities : ndarray, shape (n_tails,)
        Each in (0, 1).
    lag : int
        Periods after which the score of an origin is known, at least one.
    window : int
        Finite scores kept.
    needed : int
        Fewest finite scores; NaN before.

    Returns
    -------
    quantile, mean_beyond : ndarray, shape (n, n_tails)
        In the unit of the scores.
    """
    n, n_tails = len(score), len(tail_probabilities)
    quantile = np.full((n, n_tails), np.nan)
    beyond = np.full((n, n_tails), np.nan)
    ordered, queue = np.empty(window + 1), np.empty(window)
    count, head = 0, 0
    for t in range(n):
        if t >= lag and np.isfinite(score[t - lag]):
            count, head = keep_score(ordered, queue, count, head, score[t - lag])
        if count >= needed:
            for k in range(n_tails):
                quantile[t, k], beyond[t, k] = read_tail(ordered, count, tail_probabilities[k])
    return quantile, beyond


LOWEST_LEVEL, HIGHEST_LEVEL = 0.25, 3.0
"""A margin may aim at these multiples of its tail probability, and no lower or higher."""


def pooled_levels(tail_probability: float, n_levels: int) -> NDArray[np.float64]:
    """Return the tail probabilities at which pooled quantiles are read, evenly spaced in logs."""
    return np.asarray(tail_probability * np.geomspace(LOWEST_LEVEL, HIGHEST_LEVEL, n_levels))


@njit(cache=True)
def _read_pooled(quantile: NDArray[np.float64], tail_probability: float, level: float) -> float:
    """Interpolate a pooled quantile between the levels of :func:`pooled_levels`, linear in logs."""
    last = len(quantile) - 1
    share = np.log(level / (tail_probability * LOWEST_LEVEL)) / np.log(HIGHEST_LEVEL / LOWEST_LEVEL)
    position = min(max(share, 0.0), 1.0) * last
    below = min(int(position), last - 1)
    step = position - below
    return float((1.0 - step) * quantile[below] + step * quantile[below + 1])


@njit(cache=True)
def adaptive_quantile(
    score: NDArray[np.float64],
    pooled: NDArray[np.float64],
    tail_probability: float,
    lag: int,
    window: int,
    needed: int,
    rate: float,
    weight: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute a rolling quantile that answers to its own breaches; see :mod:`.conformal`.

    Parameters
    ----------
    score : ndarray, shape (n,)
        Score of each origin, positive where money was lost; NaN is skipped.
    pooled : ndarray, shape (n, n_levels)
        Quantiles of others' scores too (see :mod:`.pooling`); no levels leave the own ones alone.
    tail_probability : float
        Target breach rate.
    lag, window, needed : int
        As in :func:`rolling_tails`.
    rate : float
        Step of the tail probability aimed at.
    weight : float
        Own scores that the pooled quantile counts as.

    Returns
    -------
    quantile : ndarray, shape (n,)
        In the unit of the scores; NaN before there are enough.
    aimed : ndarray, shape (n,)
        Tail probability at which the quantile was read.
    """
    n, n_levels = pooled.shape
    quantile, aimed = np.full(n, np.nan), np.full(n, np.nan)
    ordered, queue = np.empty(window + 1), np.empty(window)
    count, head = 0, 0
    current = tail_probability
    low, high = tail_probability * LOWEST_LEVEL, tail_probability * HIGHEST_LEVEL
    for t in range(n):
        if t >= lag and np.isfinite(score[t - lag]):
            past = score[t - lag]
            if np.isfinite(quantile[t - lag]):
                breach = 1.0 if past > quantile[t - lag] else 0.0
                current = min(max(current + rate * (tail_probability - breach), low), high)
            count, head = keep_score(ordered, queue, count, head, past)
        others = np.nan
        if n_levels > 1:
            others = _read_pooled(pooled[t], tail_probability, current)
        if count >= needed:
            own = _upper_quantile(ordered, count, current)
            share = count / (count + weight) if np.isfinite(others) else 1.0
            quantile[t] = own if share == 1.0 else share * own + (1.0 - share) * others
        else:
            quantile[t] = others
        if np.isfinite(quantile[t]):
            aimed[t] = current
    return quantile, aimed
