r"""What the DQ statistic is when the margin is right, given the very margins that were set.

A breach of 1 % is rare, and the large-sample law of the statistic is then far off (see
:func:`.dynamic_quantile`). Breaches of a right margin are independent draws of one probability,
whatever the margins are: draw them, regress them on the margins seen, and compare. Only periods
with a breach, and those after them, enter the sums, so that thousands of draws take milliseconds.
"""

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from .._checks import (
    as_breach,
    as_series,
    check_count,
    check_longer_than,
    check_probability,
    check_same_shape,
)
from .._results import TestResult

_COLLINEAR = 1e-9  # share of a regressor that must be its own
_TIED = 1e-9  # relative difference below which two statistics are one, rounded twice


def simulated_dynamic_quantile(
    breach: ArrayLike,
    *,
    tail_probability: float,
    rng: np.random.Generator,
    value_at_risk: ArrayLike | None = None,
    lags: int = 4,
    n_simulations: int = 1_999,
) -> TestResult:
    r"""DQ test with a p-value that holds at any length and tail probability.

    The statistic is that of :func:`.dynamic_quantile`. The p-value is

    .. math:: \frac{1 + \#\{i : DQ_i \ge DQ\}}{1 + N}

    over :math:`N` series of independent breaches on the same margins (Dufour 2006, Journal of
    Econometrics 133(2)). Ties count against rejection, so that a right margin is rejected at most
    as often as the significance level says.

    Parameters
    ----------
    breach : array_like of bool, shape (n,)
        Whether the loss exceeded the margin, in time order; n > 2 `lags` + 2.
    tail_probability : float
        Promised breach probability in (0, 1), for example 0.01.
    rng : numpy.random.Generator
        Draws the series.
    value_at_risk : array_like, shape (n,), optional
        Margin in force in the same periods, any unit; None leaves it out.
    lags : int
        Number of lagged breaches, >= 0.
    n_simulations : int
        :math:`N`, at least 1; the smallest p-value is 1 / (N + 1).

    Returns
    -------
    TestResult
        ``df`` is None: no law is assumed.

    Raises
    ------
    InputError
        As :func:`.dynamic_quantile`.

    Examples
    --------
    >>> breach = np.arange(500) % 250 < 3  # six breaches in two runs
    >>> rng = np.random.default_rng(0)
    >>> simulated_dynamic_quantile(breach, tail_probability=0.01, rng=rng).p_value
    0.0005
    """
    hits = as_breach(breach)
    check_probability("tail_probability", tail_probability)
    check_count("lags", lags, minimum=0)
    check_count("n_simulations", n_simulations, minimum=1)
    check_longer_than("breach", hits, 2 * lags + 2, f"a regression on {lags} lags")
    direction = np.zeros(hits.size)
    if value_at_risk is not None:
        margin = as_series("value_at_risk", value_at_risk)
        check_same_shape(breach=hits, value_at_risk=margin)
        direction[lags:] = _direction(margin[lags:])
    length = float(np.sum(direction * direction))
    seen = _statistic(np.flatnonzero(hits), hits, direction, length, lags, tail_probability)
    drawn = _null_statistics(direction, lags, tail_probability, n_simulations, rng)
    beyond = int(np.sum(drawn >= seen * (1.0 - _TIED)))
    return TestResult(statistic=seen, p_value=(1 + beyond) / (1 + n_simulations), df=None)


def _direction(margin: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what the margins add to a constant, at unit length; zeros if nothing."""
    # Divided first, so that neither the unit of the margin nor a tiny one matters.
    largest = np.abs(margin).max()
    scaled = margin / largest if largest > 0.0 else margin
    apart = scaled - scaled.mean()
    length = np.linalg.norm(apart)
    rounding = np.finfo(np.float64).eps * margin.size
    return np.asarray(apart / length if length > rounding else np.zeros(margin.size))


@njit(cache=True)
def _null_statistics(
    direction: NDArray[np.float64],
    lags: int,
    tail_probability: float,
    n_simulations: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    n = len(direction)
    out = np.empty(n_simulations)
    is_hit = np.zeros(n, dtype=np.bool_)
    where = np.empty(n, dtype=np.int64)
    log_held = np.log1p(-tail_probability)
    length = np.sum(direction * direction)
    for i in range(n_simulations):
        count = 0
        t = np.floor(np.log(1.0 - rng.random()) / log_held)  # the wait is geometric
        while t < n:
            where[count] = int(t)
            is_hit[where[count]] = True
            count += 1
            t += 1.0 + np.floor(np.log(1.0 - rng.random()) / log_held)
        out[i] = _statistic(where[:count], is_hit, direction, length, lags, tail_probability)
        is_hit[where[:count]] = False
    return out


@njit(cache=True)
def _statistic(
    where: NDArray[np.int64],
    is_hit: NDArray[np.bool_],
    direction: NDArray[np.float64],
    length: float,
    lags: int,
    tail_probability: float,
) -> float:
    """Squared length of the hits' projection on the regressors, over p (1 - p).

    Regressors are a constant, the direction of the margins (of `length` 1, or 0 if they do not
    differ), and the lagged hits.
    """
    n = len(direction)
    gram = np.zeros((lags + 2, lags + 2))
    moment = np.zeros(lags + 2)
    gram[0, 0] = n - lags
    gram[1, 1] = length
    moment[0] = -tail_probability * (n - lags)
    for s in where:
        if s >= lags:
            moment[0] += 1.0
            moment[1] += direction[s]
        for k in range(max(1, lags - s), min(lags, n - 1 - s) + 1):
            t = s + k
            gram[k + 1, 0] += 1.0
            gram[k + 1, 1] += direction[t]
            moment[k + 1] += (1.0 if is_hit[t] else 0.0) - tail_probability
            for j in range(1, k + 1):
                if is_hit[t - j]:
                    gram[k + 1, j + 1] += 1.0
    return _explained(gram, moment) / (tail_probability * (1.0 - tail_probability))


@njit(cache=True)
def _explained(gram: NDArray[np.float64], moment: NDArray[np.float64]) -> float:
    """Return m' G^+ m by Cholesky; a regressor that the ones before it span adds nothing."""
    size = len(moment)
    lower = np.zeros((size, size))
    total = 0.0
    projected = np.zeros(size)
    for j in range(size):
        for i in range(j):
            if lower[i, i] > 0.0:
                inner = np.sum(lower[j, :i] * lower[i, :i])
                lower[j, i] = (gram[j, i] - inner) / lower[i, i]
        pivot = gram[j, j] - np.sum(lower[j, :j] ** 2)
        if pivot > _COLLINEAR * gram[j, j]:
            lower[j, j] = np.sqrt(pivot)
            projected[j] = (moment[j] - np.sum(lower[j, :j] * projected[:j])) / lower[j, j]
            total += projected[j] ** 2
    return total
