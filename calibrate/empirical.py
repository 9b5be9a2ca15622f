"""Empirical tails of scores that become known with a delay.

One compiled pass keeps the largest of the last scores in order (:mod:`.upper_end`) and reads the
tail from them at every origin. A score belongs to an origin and is known `lag` periods later;
nothing here can see it before.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .upper_end import COUNT, KEPT, keep_score, new_window, read_tail


@njit(cache=True)
def tail_depth(window: int, tail_probability: float) -> int:
    """Return how many of the largest scores a tail is read from, at most."""
    return int(np.ceil((window + 1.0) * tail_probability)) + 2


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
    depth = tail_depth(window, tail_probabilities.max())
    upper, queue, state = new_window(window, depth)
    for t in range(n):
        if t >= lag and np.isfinite(score[t - lag]):
            keep_score(upper, queue, state, depth, score[t - lag])
        if state[COUNT] >= needed:
            largest, scores = upper[: state[KEPT]], queue[: state[COUNT]]
            for k in range(n_tails):
                quantile[t, k], beyond[t, k] = read_tail(largest, scores, tail_probabilities[k])
    return quantile, beyond


LOWEST_LEVEL, HIGHEST_LEVEL = 0.25, 3.0
"""A margin may aim at these multiples of its tail probability, and no lower or higher."""


def pooled_levels(tail_probability: float, n_levels: int) -> NDArray[np.float64]:
    """Return the tail probabilities at which pooled quantiles are read, evenly spaced in logs."""
    return np.asarray(tail_probability * np.geomspace(LOWEST_LEVEL, HIGHEST_LEVEL, n_levels))
