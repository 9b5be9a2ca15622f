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

from .empirical import keep_score, read_tail

SHARE = 0.1
"""Share of the scores that are excesses (McNeil and Frey take 100 of 1,000)."""

USUAL_SHAPE = 0.1
"""Shape that the estimate is drawn to: tails a little heavier than exponential."""

PRIOR_EXCESSES = 100.0
"""Number of excesses that the usual shape counts for."""

_LOWEST, _HIGHEST = -0.25, 0.5  # a law with a finite variance, and an end that is not near
_PLOTTING = 0.35  # Hosking and Wallis place the j-th of n sorted excesses at (j - 0.35) / n


@njit(cache=True)
def _fit_excesses(ordered: NDArray[np.float64], count: int, n_excesses: int) -> tuple[float, float]:
    """Shape and scale of the law of the largest `n_excesses` scores above the next one."""
    threshold = ordered[count - n_excesses - 1]
    mean, weighted = 0.0, 0.0
    for j in range(n_excesses):
        excess = ordered[count - n_excesses + j] - threshold
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
    ordered: NDArray[np.float64], count: int, tail_probability: float
) -> tuple[float, float]:
    """Quantile and mean beyond it of the first `count` sorted scores.

    The empirical ones where the tail is not rarer than the threshold, or where the threshold is
    tied: scores that mostly stand still have no tail that a smooth law could describe.
    """
    n_excesses = int(np.ceil(SHARE * count))
    threshold = ordered[count - n_excesses - 1]
    ratio = tail_probability * count / n_excesses
    if ratio >= 1.0 or ordered[count - n_excesses] <= threshold:
        return read_tail(ordered, count, tail_probability)
    shape, scale = _fit_excesses(ordered, count, n_excesses)
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
    ordered, queue = np.empty(window + 1), np.empty(window)
    count, head = 0, 0
    for t in range(n):
        if t >= lag and np.isfinite(score[t - lag]):
            if t < first:  # sorted once, below
                queue[head] = score[t - lag]
                count, head = min(count + 1, window), (head + 1) % window
            else:
                count, head = keep_score(ordered, queue, count, head, score[t - lag])
        if t + 1 == first:
            ordered[:count] = np.sort(queue[:count])
        if t >= first and count >= max(needed, 2):
            for k in range(n_tails):
                quantile[t, k], beyond[t, k] = pareto_tail(ordered, count, tail_probabilities[k])
    return quantile, beyond
