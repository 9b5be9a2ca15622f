"""Many series, one after the other, compiled: scaling, start, search, verdict.

Series lie end to end in one array, or overlap in it as rolling windows do; every row says where its
own begins and how long it is. Each is divided by its standard deviation, so that an estimate
does not depend on the unit of its returns.
"""

from math import exp, isfinite, log, sqrt
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .kernel_fit import (
    AT_BOUND,
    CONSTANT,
    CONVERGED,
    NOT_CONVERGED,
    TOO_SHORT,
    fit_cold,
    fit_warm,
    has_corners,
    is_level,
    leave_bounds,
)
from .kernel_mean import points_at_mean, settle_mean
from .kernel_passes import EGARCH, Series, likelihood_pass
from .kernel_search import LEVEL, Room, copy_into, make_room
from .kernel_transform import n_free, to_free, to_theta
from .recursion import MEAN_ABSOLUTE_NORMAL

FEWEST = 100
"""Fewest returns that are estimated on."""

_BACKCAST, _DECAY = 75, 0.94
_WIDEST = 1e6


class Plan(NamedTuple):
    """What to estimate on every row.

    Attributes
    ----------
    volatility, law : int
        Codes.
    free_mean : bool
        Whether mu is estimated.
    exponential : bool
        Presample variance by exponential weights, else the mean squared residual.
    chained : bool
        Whether a row starts where the one before it ended.
    """

    volatility: int
    law: int
    free_mean: bool
    exponential: bool
    chained: bool


@njit(error_model="numpy")
def scale_of(y: NDArray[np.float64], free_mean: bool) -> tuple[float, float]:
    """Return the mean that is taken off before estimation, and the deviation around it."""
    mean = float(np.mean(y)) if free_mean else 0.0
    square = 0.0
    for t in range(len(y)):
        square += (y[t] - mean) ** 2
    return mean, sqrt(square / len(y))


@njit(error_model="numpy")
def prepare(
    y: NDArray[np.float64], plan: Plan, limits: NDArray[np.float64]
) -> tuple[Series, float]:
    """Return the scaled series with its presample variance, and the scale.

    The presample variance and EGARCH's limits are those of `arch`: exponentially weighted squares
    of the returns around their mean, the limits a million times and a millionth of them.
    """
    mean, scale = scale_of(y, plan.free_mean)
    y = y / scale
    mean /= scale
    weight, total, backcast = 1.0, 0.0, 0.0
    for t in range(min(_BACKCAST, len(y))):
        backcast += weight * (y[t] - mean) ** 2
        total += weight
        weight *= _DECAY
    backcast /= total
    if plan.volatility == EGARCH:
        largest = 0.0
        for t in range(len(y)):
            largest = max(largest, (y[t] - mean) ** 2)
        smooth = backcast
        for t in range(len(y)):
            limits[0, t] = log(max(smooth / _WIDEST, 1e-8))
            high = max(smooth * _WIDEST, 1.0 + largest)
            limits[1, t] = log(min(high, 1e7 * (1.0 + largest)))
            smooth = _DECAY * smooth + (1.0 - _DECAY) * (y[t] - mean) ** 2
    own_mean, deviation = scale_of(y, True)
    variance = deviation * deviation
    start = backcast if plan.exponential else np.nan
    series = Series(y, plan.volatility, plan.law, own_mean, variance, start, plan.free_mean, limits)
    return series, scale


@njit(error_model="numpy")
def varies(y: NDArray[np.float64]) -> bool:
    """Whether returns differ by more than rounding."""
    low, high, largest = np.inf, -np.inf, 0.0
    for t in range(len(y)):
        low, high = min(low, y[t]), max(high, y[t])
        largest = max(largest, abs(y[t]))
    return high - low > 1e-9 * largest


@njit(error_model="numpy")
def rescale(theta: NDArray[np.float64], scale: float, volatility: int) -> None:
    """Turn parameters for returns into those for `scale` times the returns."""
    theta[0] *= scale
    if volatility == EGARCH:
        theta[1] += (1.0 - theta[4]) * 2.0 * log(scale)
    else:
        theta[1] *= scale * scale


@njit(error_model="numpy", inline="always")
def fit_series(
    series: Series, room: Room, x: NDArray[np.float64], inverse: NDArray[np.float64], warm: bool
) -> tuple[float, int]:
    """Estimate one scaled series; return its log-likelihood and the verdict."""
    value = fit_warm(series, room, x, inverse) if warm else fit_cold(series, room, x, inverse)
    if not isfinite(value):
        return -value, NOT_CONVERGED
    value, at_bound, settled = leave_bounds(series, room, x, inverse, value)
    on_return = False
    if has_corners(series):
        value, on_return = settle_mean(series, room, x, inverse, value)
    level = is_level(series, room, x, 1 if on_return else 0)
    if on_return:
        level = level and points_at_mean(series, room, x, LEVEL * len(series.log_return))
    if not (level and settled):
        return -value, NOT_CONVERGED
    return -value, AT_BOUND if at_bound else CONVERGED


@njit(error_model="numpy")
def next_variance(series: Series, theta: NDArray[np.float64], room: Room) -> float:
    """Return the variance of the period after the series."""
    if not isfinite(likelihood_pass(series, theta, theta[0], room.work, room.by_theta)):
        return np.nan
    last = len(series.log_return) - 1
    e, h = room.work.rows[0, last], room.work.rows[1, last]
    if series.volatility != EGARCH:
        news = theta[2] + (theta[3] if e < 0.0 else 0.0)
        return float(theta[1] + news * e * e + theta[4] * h)
    z = e / sqrt(h)
    news = theta[2] * (abs(z) - MEAN_ABSOLUTE_NORMAL) + theta[3] * z
    return float(exp(theta[1] + news + theta[4] * log(h)))


@njit(error_model="numpy", inline="always")
def fit_rows(
    flat: NDArray[np.float64],
    rows: NDArray[np.int64],
    plan: Plan,
    theta: NDArray[np.float64],
    value: NDArray[np.float64],
    verdict: NDArray[np.int64],
) -> None:
    """Estimate every row.

    Parameters
    ----------
    flat : ndarray, shape (n_values,)
        Returns, finite inside every row.
    rows : ndarray, shape (n_rows, 2)
        Where each row begins in `flat`, and its length.
    plan : Plan
        What to estimate.
    theta : ndarray, shape (n_rows, 7)
        Parameters in the units of `flat`: a start, or NaN in its first element for none; the
        estimates afterwards.
    value : ndarray, shape (n_rows, 2)
        Output: the log-likelihood, and the variance of the period after the row.
    verdict : ndarray, shape (n_rows, 2)
        Output: the code of the verdict, and the passes over the data that it took.
    """
    longest = 0
    for i in range(len(rows)):
        longest = max(longest, rows[i, 1])
    limits = np.empty((2, longest if plan.volatility == EGARCH else 0))
    empty = Series(np.empty(0), plan.volatility, plan.law, 0.0, 1.0, 1.0, plan.free_mean, limits)
    n = n_free(empty)
    room = make_room(longest, n)
    x, inverse = np.empty(n), np.full((n, n), np.nan)
    previous = -1
    for i in range(len(rows)):
        y = flat[rows[i, 0] : rows[i, 0] + rows[i, 1]]
        value[i] = np.nan
        verdict[i, 1] = 0
        verdict[i, 0] = TOO_SHORT if len(y) < FEWEST else CONSTANT
        if len(y) < FEWEST or not varies(y):
            theta[i] = np.nan
            continue
        series, scale = prepare(y, plan, limits)
        chained = plan.chained and previous >= 0
        if chained:
            copy_into(theta[i], theta[previous])
        warm = not np.isnan(theta[i, 0])
        if warm:
            rescale(theta[i], 1.0 / scale, plan.volatility)
            to_free(theta[i], series, x)
        if not chained:
            inverse[0, 0] = np.nan
        room.passes[0] = 0
        best, code = fit_series(series, room, x, inverse, warm)
        to_theta(x, series, theta[i], room.jacobian)
        value[i, 0] = best - len(y) * log(scale)
        value[i, 1] = next_variance(series, theta[i], room) * scale * scale
        rescale(theta[i], scale, plan.volatility)
        verdict[i, 0], verdict[i, 1] = code, room.passes[0]
        previous = i if code <= AT_BOUND else -1
