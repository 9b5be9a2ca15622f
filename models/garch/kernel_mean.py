"""The mean of an EGARCH model, compiled: its likelihood has a kink at every return.

|z| has no derivative at zero, so that a likelihood has a corner wherever the mean passes a return,
and a small summit between many of them. A search stops on any one. Here the likelihood is looked
at along a ridge, the mean moving and the others following, and the best few places are searched
from. A corner may be the summit itself: then the mean is that return, the others are estimated
at it, and the slopes on its two sides must point at it.
"""

from math import isfinite, sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .kernel_passes import Series, likelihood_pass
from .kernel_search import LEVEL, Room, copy_into, copy_matrix, evaluate, make_room, search
from .kernel_transform import to_theta

_ENOUGH = 1e-11
_STEPS, _PER_ERROR = 12, 8.0  # looks on either side, and per standard error of the mean
_CANDIDATES = 3
_NUDGES, _NUDGE = 3, 0.02  # restarts, and how far off a corner, in standard errors of the mean
_ROUNDING = 1e-8  # of a log-likelihood
_NEAR = 1e-3  # of the mean's standard error: a return this close may be the mean


@njit(error_model="numpy", inline="always")
def points_at_mean(series: Series, room: Room, x: NDArray[np.float64], limit: float) -> bool:
    """Whether the likelihood falls on both sides of a mean that is one of the returns."""
    to_theta(x, series, room.theta, room.jacobian)
    mu = room.theta[0]
    tiny = 1e-13 * max(1.0, abs(mu))
    likelihood_pass(series, room.theta, mu + tiny, room.work, room.by_theta)
    above = room.by_theta[0]
    likelihood_pass(series, room.theta, mu - tiny, room.work, room.by_theta)
    return bool(above <= limit and room.by_theta[0] >= -limit)


@njit(error_model="numpy")
def _pin(
    series: Series,
    room: Room,
    x: NDArray[np.float64],
    inverse: NDArray[np.float64],
    value: float,
    error: float,
) -> tuple[float, bool]:
    """Put the mean on the return next to it, if that is where the search was stuck."""
    n = len(x)
    gradient = np.empty(n)
    evaluate(x, series, room, gradient)
    if abs(gradient[0]) <= LEVEL * len(series.log_return):
        return value, False
    nearest = series.log_return[np.argmin(np.abs(series.log_return - x[0]))]
    if not abs(nearest - x[0]) <= _NEAR * error:
        return value, False
    around = Series(
        series.log_return - nearest,
        series.volatility,
        series.law,
        series.mean - nearest,
        series.variance,
        series.start,
        False,
        series.limits,
    )
    own = make_room(len(series.log_return), n - 1)
    rest, rest_inverse = x[1:].copy(), np.full((n - 1, n - 1), np.nan)
    there = search(rest, rest_inverse, around, own, _ENOUGH)
    room.passes[0] += own.passes[0]
    if not there <= value + _ROUNDING:
        return value, False
    x[0] = nearest
    copy_into(x[1:], rest)
    return there, True


@njit(error_model="numpy", inline="always")
def settle_mean(
    series: Series,
    room: Room,
    x: NDArray[np.float64],
    inverse: NDArray[np.float64],
    value: float,
) -> tuple[float, bool]:
    """Improve a solution along its mean; return its value and whether the mean is a return."""
    n = len(x)
    error = sqrt(inverse[0, 0]) if inverse[0, 0] > 0.0 else np.nan
    if not isfinite(error):
        inverse[0, 0] = np.nan
        return search(x, inverse, series, room, _ENOUGH), False
    gradient = np.empty(n)
    seen = np.empty(2 * _STEPS + 1)
    ridge = inverse[:, 0] / inverse[0, 0]
    for k in range(2 * _STEPS + 1):
        moved = x + ((k - _STEPS) * error / _PER_ERROR) * ridge
        seen[k] = evaluate(moved, series, room, gradient)
    seen[_STEPS] = -np.inf  # the solution itself is always polished
    centre, curvature = x.copy(), inverse.copy()
    on_return = False
    value = np.inf
    for _ in range(_CANDIDATES):
        k = int(np.argmin(seen))
        seen[k] = np.inf
        moved = centre + ((k - _STEPS) * error / _PER_ERROR) * ridge
        inverse_there = curvature.copy()
        there = search(moved, inverse_there, series, room, _ENOUGH)
        there, stuck = _pin(series, room, moved, inverse_there, there, error)
        if there < value:
            value, on_return = there, stuck
            copy_into(x, moved)
            copy_matrix(inverse, inverse_there)
    for _ in range(_NUDGES):
        evaluate(x, series, room, gradient)
        limit = LEVEL * len(series.log_return)
        if abs(gradient[0]) <= limit or (on_return and points_at_mean(series, room, x, limit)):
            break
        # Curvature that was measured across a corner is none: begin again between two of them.
        moved = x.copy()
        moved[0] -= _NUDGE * error if gradient[0] > 0.0 else -_NUDGE * error
        inverse_there = np.full((n, n), np.nan)
        there = search(moved, inverse_there, series, room, _ENOUGH)
        there, stuck = _pin(series, room, moved, inverse_there, there, error)
        if not there < value:
            break
        value, on_return = there, stuck
        copy_into(x, moved)
        copy_matrix(inverse, inverse_there)
    return value, on_return
