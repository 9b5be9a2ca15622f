"""The upper end of a moving window of scores, kept in order.

A tail needs only the largest scores. Of a window of 24,000 hourly ones a margin of 1 % reads a few
hundred: a new score is put in its place among these if it belongs there, and all the others are
only remembered, so that they can be dropped in time. When too few large ones are left, they are
found anew. What is read is the same, to the last bit, as from the whole window in order.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

_SLACK = 3
"""Largest scores kept at most, as a multiple of those that are needed."""

COUNT, HEAD, KEPT = 0, 1, 2
"""Places in the state: scores in the window, place of the oldest, largest ones in order."""


@njit(cache=True)
def new_window(
    window: int, depth: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return an empty window: the ordered upper end, the queue of all scores, and the state.

    Parameters
    ----------
    window : int
        Scores kept.
    depth : int
        Largest scores that must be there in order, if the window holds as many.
    """
    return np.empty(min(window, _SLACK * depth) + 1), np.empty(window), np.zeros(3, dtype=np.int64)


@njit(cache=True)
def keep_score(
    upper: NDArray[np.float64],
    queue: NDArray[np.float64],
    state: NDArray[np.int64],
    depth: int,
    score: float,
) -> None:
    """Add a score in place, after dropping the oldest if the window is full.

    Afterwards ``upper[:state[KEPT]]`` are the largest scores, ascending, at least `depth` or all of
    them; ``queue[:state[COUNT]]`` are all, in no order.
    """
    if state[COUNT] == len(queue):
        _forget(upper, state, queue[state[HEAD]])
    remember_score(queue, state, score)
    complete = state[KEPT] == state[COUNT] - 1
    if complete or score >= upper[0]:
        _insert(upper, state, score)
    if state[KEPT] == len(upper):
        _thin_out(upper, state, (_SLACK - 1) * depth)
    elif state[KEPT] < min(depth, state[COUNT]):
        order_upper(upper, queue, state, depth)


@njit(cache=True)
def remember_score(queue: NDArray[np.float64], state: NDArray[np.int64], score: float) -> None:
    """Put a score into the queue alone; :func:`order_upper` must follow before anything is read."""
    queue[state[HEAD]] = score
    state[COUNT] = min(state[COUNT] + 1, len(queue))
    state[HEAD] = (state[HEAD] + 1) % len(queue)


@njit(cache=True)
def order_upper(
    upper: NDArray[np.float64], queue: NDArray[np.float64], state: NDArray[np.int64], depth: int
) -> None:
    """Find the largest scores anew in the whole queue."""
    count = state[COUNT]
    if count == 0:
        return
    kept = min(count, len(upper) - 1, (_SLACK - 1) * depth)
    upper[:kept] = np.sort(np.partition(queue[:count], count - kept)[count - kept :])
    state[KEPT] = kept


@njit(cache=True)
def _insert(upper: NDArray[np.float64], state: NDArray[np.int64], score: float) -> None:
    kept = state[KEPT]
    place = np.searchsorted(upper[:kept], score)
    for i in range(kept, place, -1):
        upper[i] = upper[i - 1]
    upper[place] = score
    state[KEPT] = kept + 1


@njit(cache=True)
def _forget(upper: NDArray[np.float64], state: NDArray[np.int64], score: float) -> None:
    """Drop the oldest score. Of equal ones at the lower edge any may go: they are equal."""
    kept = state[KEPT]
    if kept == 0 or score < upper[0]:
        return
    for i in range(np.searchsorted(upper[:kept], score), kept - 1):
        upper[i] = upper[i + 1]
    state[KEPT] = kept - 1


@njit(cache=True)
def _thin_out(upper: NDArray[np.float64], state: NDArray[np.int64], wanted: int) -> None:
    """Give up the smaller ones when there is no more room."""
    surplus = state[KEPT] - min(wanted, len(upper) - 1)
    upper[:-surplus] = upper[surplus:].copy()
    state[KEPT] -= surplus


@njit(cache=True)
def upper_quantile(
    upper: NDArray[np.float64], scores: NDArray[np.float64], tail_probability: float
) -> float:
    """Return the quantile at (n + 1)(1 - tail), interpolated, within the sample.

    With exchangeable scores the next one exceeds it with at most `tail_probability` (up to
    interpolation), which the plain sample quantile does not give.

    Parameters
    ----------
    upper : ndarray
        The largest scores, ascending: all that are not below the quantile, and the next one.
    scores : ndarray, shape (n,)
        All scores, in any order.
    tail_probability : float
        In (0, 1).
    """
    n, missing = len(scores), len(scores) - len(upper)
    position = (n + 1.0) * (1.0 - tail_probability) - 1.0
    if position >= n - 1.0:
        return float(upper[-1])
    if position <= 0.0:
        return float(upper[0])
    below = int(position)
    lower, higher = upper[below - missing], upper[below + 1 - missing]
    # Exact where both are equal: a tied loss must not breach a margin made of itself.
    return float(min(lower + (position - below) * (higher - lower), higher))


@njit(cache=True)
def _mean_beyond(
    upper: NDArray[np.float64], scores: NDArray[np.float64], threshold: float
) -> float:
    """Mean of the scores at or beyond a threshold; the threshold itself if there are none."""
    total, seen = 0.0, 0
    for i in range(len(upper) - 1, -1, -1):
        if upper[i] < threshold:
            return total / seen if seen > 0 else threshold
        total += upper[i]
        seen += 1
    if len(upper) < len(scores):
        # The threshold is tied down to the lower edge: equal scores may lie below it.
        lowest = upper[0]
        tied = np.sum(scores == lowest) - np.sum(upper == lowest)
        for _ in range(tied):
            total += lowest
        seen += tied
    return total / seen if seen > 0 else threshold


@njit(cache=True)
def read_tail(
    upper: NDArray[np.float64], scores: NDArray[np.float64], tail_probability: float
) -> tuple[float, float]:
    """Quantile of the scores and the mean of those at or beyond it; see :func:`upper_quantile`."""
    quantile = upper_quantile(upper, scores, tail_probability)
    return quantile, _mean_beyond(upper, scores, quantile)
