"""One series from a start to an honest solution, compiled.

A GARCH likelihood has several summits: persistent and fleeting variance can explain the same
thousand returns about as well. A cold fit therefore looks at some groups of points and searches
from the best of each of the likeliest groups; a warm one looks at all before it is believed.
"""

from math import isfinite

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .kernel_passes import EGARCH, GARCH, Series, likelihood_pass
from .kernel_search import (
    LEVEL,
    Room,
    aim,
    copy_into,
    copy_matrix,
    evaluate,
    inverse_curvature,
    search,
)
from .kernel_transform import to_free

CONVERGED, AT_BOUND, NOT_CONVERGED, TOO_SHORT, CONSTANT = 0, 1, 2, 3, 4

_ENOUGH = 1e-12  # log-likelihood; moves a parameter by a millionth of its standard error
_ENOUGH_FOR_NOW = 1e-4  # for a search that is refined afterwards
_NOTHING = 1e-10  # log-likelihood, a few roundings of it
_GAIN = 1e-6  # log-likelihood that a step off a bound may gain at a solution

START_SHAPE = (6.0, 0.0)  # nu and lambda that every search starts from
# omega, alpha, gamma, beta at variance one, in groups of five: persistent variance, fleeting, and
# where rises and falls may differ, both again with news of one of them alone.
GROUP = 5
_SEARCHES = 3  # at most; with three of GJR's four, none of 3,600 fits ended below `arch`
GRID_GARCH = np.array(
    [
        *[[0.02, 0.02, 0.0, 0.96], [0.02, 0.05, 0.0, 0.93], [0.02, 0.10, 0.0, 0.88]],
        *[[0.10, 0.05, 0.0, 0.85], [0.10, 0.20, 0.0, 0.70]],
        *[[0.30, 0.10, 0.0, 0.60], [0.30, 0.30, 0.0, 0.40], [0.50, 0.05, 0.0, 0.45]],
        *[[0.50, 0.20, 0.0, 0.30], [0.60, 0.40, 0.0, 0.00]],
    ]
)
GRID_GJR = np.array(
    [
        *[[0.02, 0.01, 0.02, 0.96], [0.02, 0.02, 0.06, 0.93], [0.02, 0.08, 0.04, 0.88]],
        *[[0.10, 0.02, 0.06, 0.85], [0.10, 0.15, 0.10, 0.70]],
        *[[0.30, 0.10, 0.00, 0.60], [0.30, 0.20, 0.20, 0.40], [0.50, 0.05, 0.05, 0.42]],
        *[[0.50, 0.20, 0.00, 0.30], [0.60, 0.30, 0.20, 0.00]],
        *[[0.01, 0.03, -0.03, 0.975], [0.02, 0.06, -0.05, 0.945], [0.05, 0.10, -0.08, 0.88]],
        *[[0.10, 0.20, -0.15, 0.77], [0.02, 0.00, 0.04, 0.96]],
        *[[0.30, 0.25, -0.20, 0.55], [0.60, 0.25, -0.20, 0.25], [0.30, 0.30, -0.10, 0.45]],
        *[[0.30, 0.02, 0.30, 0.53], [0.60, 0.02, 0.40, 0.18]],
    ]
)
_GRID_EGARCH = np.array(
    [
        *[[0.0, 0.05, -0.03, 0.98], [0.0, 0.15, 0.00, 0.98], [0.0, 0.15, -0.10, 0.96]],
        *[[0.0, 0.20, 0.00, 0.90], [0.0, 0.10, 0.10, 0.96]],
        *[[0.0, 0.20, 0.00, 0.50], [0.0, 0.20, 0.00, 0.70], [0.0, 0.40, 0.00, 0.50]],
        *[[0.0, 0.40, 0.00, 0.80], [0.0, 0.10, 0.00, 0.20]],
        *[[0.0, 0.00, -0.20, 0.50], [0.0, 0.10, -0.15, 0.80], [0.0, 0.00, 0.20, 0.50]],
        *[[0.0, 0.10, 0.15, 0.80], [0.0, 0.20, -0.20, 0.20]],
    ]
)


@njit(error_model="numpy")
def _grid(volatility: int) -> NDArray[np.float64]:
    if volatility == EGARCH:
        return _GRID_EGARCH
    return GRID_GARCH if volatility == GARCH else GRID_GJR


@njit(error_model="numpy")
def _grid_theta(series: Series, mean: float, row: int, theta: NDArray[np.float64]) -> None:
    theta[0] = mean if series.free_mean else 0.0
    for i in range(4):
        theta[1 + i] = _grid(series.volatility)[row, i]
    theta[5], theta[6] = START_SHAPE


@njit(error_model="numpy", inline="always")
def best_of_grid(
    series: Series, mean: float, rows: tuple[int, int], room: Room, theta: NDArray[np.float64]
) -> float:
    """Write the best start among some rows of the grid; return its log-likelihood."""
    best, best_row = -np.inf, rows[0]
    for row in range(rows[0], rows[1]):
        _grid_theta(series, mean, row, theta)
        value = likelihood_pass(series, theta, theta[0], room.work, room.by_theta)
        room.passes[0] += 1
        if value > best:
            best, best_row = value, row
    _grid_theta(series, mean, best_row, theta)
    return best


@njit(error_model="numpy")
def has_corners(series: Series) -> bool:
    """Whether the mean is estimated in a likelihood with |z|."""
    return series.volatility == EGARCH and series.free_mean


@njit(error_model="numpy", inline="always")
def fit_cold(
    series: Series, room: Room, x: NDArray[np.float64], inverse: NDArray[np.float64]
) -> float:
    """Search from some starts; write the best solution, return minus its log-likelihood."""
    n = len(x)
    theta, other = np.zeros(7), np.empty(n)
    other_inverse = np.empty((n, n))
    mean = float(np.mean(series.log_return))
    enough = _ENOUGH_FOR_NOW if has_corners(series) else _ENOUGH
    n_groups = len(_grid(series.volatility)) // GROUP
    height, starts = np.empty(n_groups), np.empty((n_groups, n))
    for group in range(n_groups):
        rows = (group * GROUP, (group + 1) * GROUP)
        height[group] = best_of_grid(series, mean, rows, room, theta)
        to_free(theta, series, starts[group])
    value = np.inf
    for search_number in range(min(_SEARCHES, n_groups)):
        group = int(np.argmax(height))
        height[group] = -np.inf
        copy_into(other, starts[group])
        other_inverse[0, 0] = np.nan
        there = search(other, other_inverse, series, room, enough)
        if search_number == 0 or there < value:
            value = there
            copy_into(x, other)
            copy_matrix(inverse, other_inverse)
    return value


@njit(error_model="numpy", inline="always")
def fit_warm(
    series: Series, room: Room, x: NDArray[np.float64], inverse: NDArray[np.float64]
) -> float:
    """Search from `x`; search again from the grid if that has a better point than the solution."""
    n = len(x)
    enough = _ENOUGH_FOR_NOW if has_corners(series) else _ENOUGH
    value = search(x, inverse, series, room, enough)
    theta = np.zeros(7)
    mean = float(np.mean(series.log_return))
    if best_of_grid(series, mean, (0, len(_grid(series.volatility))), room, theta) > -value:
        other, other_inverse = np.empty(n), np.empty((n, n))
        to_free(theta, series, other)
        other_inverse[0, 0] = np.nan
        there = search(other, other_inverse, series, room, enough)
        if there < value:
            value = there
            copy_into(x, other)
            copy_matrix(inverse, other_inverse)
    return value


@njit(error_model="numpy", inline="always")
def leave_bounds(
    series: Series,
    room: Room,
    x: NDArray[np.float64],
    inverse: NDArray[np.float64],
    value: float,
) -> tuple[float, bool, bool]:
    """Try a step off each bound that the solution lies on, and search on where it gains.

    On a bound a squared sine has no slope, whichever way the likelihood rises: only a step tells.
    Returns the value, whether a bound is reached, and whether every step off it has been refused.
    """
    n = len(x)
    moved, gradient, other = np.empty(n), np.empty(n), np.empty((n, n))
    first = 1 if series.free_mean else 0
    bounded = 1 + first if series.volatility != EGARCH else 3 + first
    last = n - 1 if series.law == 2 else n
    settled, reached = False, False
    for _ in range(3):
        settled, reached = True, False
        for j in range(bounded, last):
            slack = abs(np.sin(2.0 * x[j]))
            if slack > 2e-3:  # a share of a millionth off its bound
                continue
            reached = True
            copy_into(moved, x)
            moved[j] += 0.02 if np.cos(x[j]) * np.sin(x[j]) >= 0.0 else -0.02
            if abs(np.sin(2.0 * moved[j])) < slack:
                moved[j] = 2.0 * x[j] - moved[j]
            if evaluate(moved, series, room, gradient) < value - _GAIN:
                other[0, 0] = np.nan
                there = search(moved, other, series, room, _ENOUGH)
                settled = False
                if there < value:
                    value = there
                    copy_into(x, moved)
                    copy_matrix(inverse, other)
                break
        if settled:
            break
    return value, reached, settled


@njit(error_model="numpy", inline="always")
def is_level(series: Series, room: Room, x: NDArray[np.float64], skip: int) -> bool:
    """Whether no coordinate but the first `skip` has a slope left at `x`.

    Without news the likelihood is a valley so steep that a step of one rounding error changes its
    slope. There it is level if its curvature leaves nothing to gain: not so for EGARCH, whose
    curvature may be that of a jagged line.
    """
    n = len(x)
    gradient = np.empty(n)
    if not isfinite(evaluate(x, series, room, gradient)):
        return False
    limit = LEVEL * len(series.log_return)
    level = True
    for j in range(skip, len(x)):
        level = level and abs(gradient[j]) <= limit
    if level or series.volatility == EGARCH:
        return level
    inverse, step = np.empty((n, n)), np.empty(n)
    bowl = inverse_curvature(x, gradient, series, room, inverse)
    return bool(bowl and aim(inverse, gradient, step) <= _NOTHING)
