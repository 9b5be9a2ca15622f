"""Tails of scores by extreme value theory: the rare beyond the frequent.

Of the last scores, the largest tenth is a threshold and what exceeds it. The excesses follow
nearly a generalised Pareto law (Pickands 1975, Annals of Statistics 3(1)); on scores that were
divided by a volatility forecast this is the method of McNeil and Frey (2000), Journal of Empirical
Finance 7(3-4). A quantile then rests on a hundred scores instead of the ten that lie beyond it.
The shape comes from probability-weighted moments (Hosking and Wallis 1987, Technometrics 29(3)),
drawn towards one that is usual for returns.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .empirical import tail_depth
from .upper_end import (
    COUNT,
    KEPT,
    keep_score,
    new_window,
    order_upper,
    read_tail,
    remember_score,
)

SHARE = 0.1
"""Share of the scores that are excesses (McNeil and Frey take 100 of 1,000)."""

USUAL_SHAPE = 0.1
"""Shape that the estimate is drawn to: tails a little heavier than exponential."""

PRIOR_EXCESSES = 100.0
"""Number of excesses that the usual shape counts for."""

_LOWEST, _HIGHEST = -0.25, 0.5  # a law with a finite variance, and an end that is not near
_PLOTTING = 0.35  # Hosking and Wallis place the j-th of n sorted excesses at (j - 0.35) / n


@njit(cache=True)
def _fit_excesses(upper: NDArray[np.float64], n_excesses: int) -> tuple[float, float]:
    """Shape and scale of the law of the largest `n_excesses` scores above the next one."""
    first = len(upper) - n_excesses
    threshold = upper[first - 1]
    mean, weighted = 0.0, 0.0
    for j in range(n_excesses):
        excess = upper[first + j] - threshold
        mean += excess
        weighted += (1.0 - (j + 1.0 - _PLOTTING) / n_excesses) * excess
    mean, weighted = mean / n_excesses, weighted / n_excesses
    raw = 2.0 - mean / (mean - 2.0 * weighted) if mean > 2.0 * weighted else _HIGHEST
    shape = (n_excesses * raw + PRIOR_EXCESSES * USUAL_SHAPE) / (n_excesses + PRIOR_EXCESSES)
    shape = min(max(shape, _LOWEST), _HIGHEST)
    # The mean excess is scale / (1 - shape) at any shape.
    return shape, mean * (1.0 - shape)


@njit(cache=True)
def pareto_tail(
    upper: NDArray[np.float64], scores: NDArray[np.float64], tail_probability: float
) -> tuple[float, float]:
    """Quantile and mean beyond it of `scores`, of which `upper` are the largest, ascending.

    More than a tenth of them must be there. The empirical ones where the tail is not rarer than
    the threshold, or where the threshold is tied: scores that mostly stand still have no tail that
    a smooth law could describe.
    """
    n_excesses = int(np.ceil(SHARE * len(scores)))
    threshold = upper[-n_excesses - 1]
    ratio = tail_probability * len(scores) / n_excesses
    if ratio >= 1.0 or upper[-n_excesses] <= threshold:
        return read_tail(upper, scores, tail_probability)
    shape, scale = _fit_excesses(upper, n_excesses)
    # (ratio ** -shape - 1) / shape, whose limit at shape 0 is -log(ratio)
    reach = -np.log(ratio)
    if abs(shape) > 1e-9:
        reach = np.expm1(shape * reach) / shape
    quantile = threshold + scale * reach
    return quantile, quantile + scale * (1.0 + shape * reach) / (1.0 - shape)


@njit(cache=True)
def rolling_pareto_tails(
    score: NDArray[np.float64],
    tail_probabilities: NDArray[np.float64],
    lag: int,
    window: int,
    needed: int,
    first: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute smooth tails of the last `window` known scores at every origin.

    Parameters and results are those of :func:`.empirical.rolling_tails`, at least two scores
    being needed; origins before `first` are NaN.
    """
    n, n_tails = len(score), len(tail_probabilities)
    quantile = np.full((n, n_tails), np.nan)
    beyond = np.full((n, n_tails), np.nan)
    depth = tail_depth(window, max(SHARE, tail_probabilities.max()))
    upper, queue, state = new_window(window, depth)
    for t in range(n):
        if t >= lag and np.isfinite(score[t - lag]):
            if t < first:  # ordered once, below
                remember_score(queue, state, score[t - lag])
            else:
                keep_score(upper, queue, state, depth, score[t - lag])
        if t + 1 == first:
            order_upper(upper, queue, state, depth)
        if t >= first and state[COUNT] >= max(needed, 2):
            largest, scores = upper[: state[KEPT]], queue[: state[COUNT]]
            for k in range(n_tails):
                quantile[t, k], beyond[t, k] = pareto_tail(largest, scores, tail_probabilities[k])
    return quantile, beyond
