"""Quasi-Newton search in free coordinates, compiled: BFGS from a curvature that is measured.

Nocedal and Wright (2006), *Numerical Optimization*, chapter 6; the line search accepts by the
slope where differences of the value drown in rounding (Hager and Zhang 2005, SIAM Journal on
Optimization 16(1)).
"""

from math import isfinite, sqrt
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .kernel_passes import EGARCH, Series, likelihood_pass
from .kernel_sums import Scratch, make_scratch
from .kernel_transform import to_theta

LEVEL = 1e-6
"""Largest slope per observation, in any free coordinate, of a solution."""

MAX_ITERATIONS = 200
MAX_PASSES = 500  # of one search: some dozens do, but without news a likelihood has long valleys
MAX_PASSES_EGARCH = 150  # where alpha is negative it can be no surface, and a search has no end
MAX_MEASUREMENTS = 2  # of the curvature, after steps that failed

_LARGEST_STEP = 1.0  # in any coordinate; all of them are of the order of one
_ARMIJO, _STEEP = 1e-4, 0.9
_ROUNDING = 1e-14  # of a value, relative


class Room(NamedTuple):
    """Scratch of one search: nothing is allocated while it runs.

    Attributes
    ----------
    work : Scratch
        For the passes.
    theta, by_theta : ndarray, shape (7,)
        Parameters of the last evaluation and the gradient by them.
    jacobian : ndarray, shape (7, n_free)
        Derivatives of the parameters.
    passes : ndarray of int, shape (1,)
        Passes over the data so far.
    """

    work: Scratch
    theta: NDArray[np.float64]
    by_theta: NDArray[np.float64]
    jacobian: NDArray[np.float64]
    passes: NDArray[np.int64]


@njit(error_model="numpy")
def make_room(n_periods: int, n_coordinates: int) -> Room:
    """Allocate the scratch of one search."""
    return Room(
        make_scratch(n_periods),
        np.zeros(7),
        np.zeros(7),
        np.zeros((7, n_coordinates)),
        np.zeros(1, dtype=np.int64),
    )


@njit(error_model="numpy")
def evaluate(
    x: NDArray[np.float64], series: Series, room: Room, gradient: NDArray[np.float64]
) -> float:
    """Return minus the log-likelihood at `x`, infinite where it is no number, and its gradient."""
    to_theta(x, series, room.theta, room.jacobian)
    room.by_theta[:] = 0.0
    value = likelihood_pass(series, room.theta, room.theta[0], room.work, room.by_theta)
    room.passes[0] += 1
    for j in range(len(x)):
        total = 0.0
        for i in range(7):
            total += room.jacobian[i, j] * room.by_theta[i]
        gradient[j] = -total
    return -value if isfinite(value) else np.inf


@njit(error_model="numpy", inline="always")
def inverse_curvature(
    x: NDArray[np.float64],
    gradient: NDArray[np.float64],
    series: Series,
    room: Room,
    out: NDArray[np.float64],
) -> bool:
    """Write the inverse of the second derivatives at `x`, from differences of the gradient.

    What is not positive definite is made so by adding to the diagonal; False if it had to be.
    """
    n = len(x)
    curvature = np.empty((n, n))
    moved, there = x.copy(), np.empty(n)
    step = 1e-5
    for j in range(n):
        moved[j] = x[j] + step
        evaluate(moved, series, room, there)
        moved[j] = x[j]
        for i in range(n):
            curvature[i, j] = (there[i] - gradient[i]) / step
    scale = 0.0
    for i in range(n):
        scale = max(scale, abs(curvature[i, i]))
        for j in range(i):
            curvature[i, j] = curvature[j, i] = 0.5 * (curvature[i, j] + curvature[j, i])
    if not isfinite(scale) or scale == 0.0:
        scale = float(len(series.log_return))
        curvature[:] = 0.0
    ridge = 0.0
    while not invert(curvature, ridge, out):
        ridge = max(10.0 * ridge, 1e-3 * scale)
    return ridge == 0.0


@njit(error_model="numpy")
def _cholesky(a: NDArray[np.float64], ridge: float, low: NDArray[np.float64]) -> bool:
    """Write the lower factor of ``a + ridge I``; False if that is not positive definite."""
    for i in range(len(a)):
        for j in range(i + 1):
            total = a[i, j] + (ridge if i == j else 0.0)
            size = abs(total)
            for k in range(j):
                total -= low[i, k] * low[j, k]
            if i > j:
                low[i, j] = total / low[j, j]
            elif total > 1e-10 * size:
                low[i, i] = sqrt(total)
            else:
                return False
    return True


@njit(error_model="numpy")
def invert(a: NDArray[np.float64], ridge: float, out: NDArray[np.float64]) -> bool:
    """Write the inverse of ``a + ridge I``; False if that is not positive definite."""
    n = len(a)
    low = np.zeros((n, n))
    if not _cholesky(a, ridge, low):
        return False
    for column in range(n):
        for i in range(n):
            total = 1.0 if i == column else 0.0
            for k in range(i):
                total -= low[i, k] * out[k, column]
            out[i, column] = total / low[i, i]
        for i in range(n - 1, -1, -1):
            total = out[i, column]
            for k in range(i + 1, n):
                total -= low[k, i] * out[k, column]
            out[i, column] = total / low[i, i]
    return True


@njit(error_model="numpy", inline="always")
def _update(
    inverse: NDArray[np.float64], step: NDArray[np.float64], change: NDArray[np.float64]
) -> None:
    """Update the inverse curvature by BFGS; nothing where the slope did not rise along the step."""
    n = len(step)
    along, size = 0.0, 0.0
    moved = np.zeros(n)
    for i in range(n):
        along += step[i] * change[i]
        for j in range(n):
            moved[i] += inverse[i, j] * change[j]
    for i in range(n):
        size += change[i] * moved[i]
    if not along > 1e-12 * sqrt(abs(size) * abs(along)) or not size > 0.0:
        return
    weight = (1.0 + size / along) / along
    for i in range(n):
        for j in range(n):
            cross = step[i] * moved[j] + moved[i] * step[j]
            inverse[i, j] += weight * step[i] * step[j] - cross / along


@njit(error_model="numpy")
def copy_into(target: NDArray[np.float64], source: NDArray[np.float64]) -> None:
    """Copy a vector: an assignment of slices would compile the messages of its errors too."""
    for i in range(len(target)):
        target[i] = source[i]


@njit(error_model="numpy")
def copy_matrix(target: NDArray[np.float64], source: NDArray[np.float64]) -> None:
    """Copy a square matrix."""
    for i in range(len(target)):
        for j in range(len(target)):
            target[i, j] = source[i, j]


@njit(error_model="numpy")
def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    out = 0.0
    for i in range(len(a)):
        out += a[i] * b[i]
    return out


@njit(error_model="numpy", inline="always")
def _line_search(
    x: NDArray[np.float64],
    value: float,
    direction: NDArray[np.float64],
    series: Series,
    room: Room,
    gradient: NDArray[np.float64],
) -> tuple[float, float]:
    """Return an accepted step and its value; `gradient` holds that at x and then that at the end.

    The step is zero, and the gradient unchanged, if nothing along the direction is better.
    """
    slope = _dot(gradient, direction)
    there, best_gradient = np.empty(len(x)), np.empty(len(x))
    low, high, best, best_value = 0.0, np.inf, 0.0, value
    step = 1.0
    noise = _ROUNDING * abs(value)
    for _ in range(25):
        new = evaluate(x + step * direction, series, room, there)
        new_slope = _dot(there, direction)
        lower = new <= value + _ARMIJO * step * slope
        flat = new <= value + noise and abs(new_slope) <= abs(slope)
        if not (lower or flat):
            high = step
        else:
            if new <= best_value + noise:
                best, best_value = step, new
                copy_into(best_gradient, there)
            if new_slope >= _STEEP * slope:
                break
            low = step
        if isfinite(high):
            # The parabola through value and slope at zero and the value where it is too high.
            guess = -0.5 * slope * step * step / (new - value - slope * step)
            inside = low == 0.0 and 0.1 * high < guess < 0.6 * high
            step = guess if inside else 0.5 * (low + high)
        else:
            step *= 2.5
        if best > 0.0 and isfinite(high):
            break
    if best > 0.0:
        copy_into(gradient, best_gradient)
    return best, best_value


@njit(error_model="numpy")
def aim(
    inverse: NDArray[np.float64], gradient: NDArray[np.float64], direction: NDArray[np.float64]
) -> float:
    """Write the step to the bottom of the quadratic, cut in length; return what it would gain."""
    n = len(direction)
    largest = 0.0
    for i in range(n):
        direction[i] = 0.0
        for j in range(n):
            direction[i] -= inverse[i, j] * gradient[j]
        largest = max(largest, abs(direction[i]))
    gain = -0.5 * _dot(direction, gradient)
    if largest > _LARGEST_STEP:
        for i in range(n):
            direction[i] *= _LARGEST_STEP / largest
    return gain


@njit(error_model="numpy")
def search(
    x: NDArray[np.float64],
    inverse: NDArray[np.float64],
    series: Series,
    room: Room,
    enough: float,
) -> float:
    """Move `x` to a minimum of minus the log-likelihood; return the value there.

    Parameters
    ----------
    x : ndarray, shape (n,)
        Start, and solution.
    inverse : ndarray, shape (n, n)
        Inverse curvature at the start, and at the end; NaN in its first element asks for a
        measurement.
    series, room : Series, Room
        Data and scratch.
    enough : float
        Log-likelihood left to gain, by the quadratic that the search sees, at which it stops.
    """
    n = len(x)
    gradient, direction, last = np.empty(n), np.empty(n), np.empty(n)
    value = evaluate(x, series, room, gradient)
    if not isfinite(value):
        return value
    fresh = np.isnan(inverse[0, 0])
    most = MAX_PASSES_EGARCH if series.volatility == EGARCH else MAX_PASSES
    measured, last_pass = 0, room.passes[0] + most
    if fresh:
        inverse_curvature(x, gradient, series, room, inverse)
    for _ in range(MAX_ITERATIONS):
        gain = aim(inverse, gradient, direction)
        if 0.0 <= gain < enough or room.passes[0] > last_pass:
            break
        copy_into(last, gradient)
        step, new = _line_search(x, value, direction, series, room, gradient)
        if step == 0.0:
            if fresh or measured == MAX_MEASUREMENTS:
                break
            measured += 1
            inverse_curvature(x, gradient, series, room, inverse)
            fresh = True
            continue
        fresh = False
        for i in range(n):
            direction[i] *= step
            x[i] += direction[i]
            last[i] = gradient[i] - last[i]
        value = new
        _update(inverse, direction, last)
    return value
