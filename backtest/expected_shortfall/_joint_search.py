"""Compiled search for the coefficients of a joint regression: the simplex of Nelder and Mead.

The loss has a kink wherever a fitted value at risk meets a loss, so nothing here needs a gradient.
Regressors come orthogonal and of unit mean square, so that one step length fits all directions.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Where v and e both fell to zero in one period, log e would be a minimum that says nothing.
SMALLEST = 1e-3  # in units of the mean of the largest losses
_MOST_STEPS = 4_000
_MOST_RESTARTS = 30
_ENOUGH = 1e-8  # a restart that lowers the loss by less ends the search


@njit(cache=True)
def joint_loss(point: Array, loss: Array, x: Array, w: Array, tail: float) -> float:
    """Mean of ``(v + max(loss - v, 0) / tail) / e + log e``; infinite where v or e is too small.

    ``v = x point[:k]`` and ``e = w point[k:]``. Without columns in `w`, e is 1 and v may have any
    sign: the quantile loss.
    """
    k, m = x.shape[1], w.shape[1]
    total, product = 0.0, 1.0
    for t in range(len(loss)):
        v, e = 0.0, 0.0
        for j in range(k):
            v += x[t, j] * point[j]
        for j in range(m):
            e += w[t, j] * point[k + j]
        cost = v + max(loss[t] - v, 0.0) / tail
        if m == 0:
            total += cost
            continue
        if v < SMALLEST or e < SMALLEST:
            return np.inf
        total += cost / e
        # One logarithm for the product of eight: it would be most of the work.
        product *= e
        if t % 8 == 7:
            total += np.log(product)
            product = 1.0
    total += np.log(product)
    mean: float = total / len(loss)
    return mean


@njit(cache=True)
def search(
    start: Array, loss: Array, x: Array, w: Array, tail: float, step: float
) -> tuple[Array, float, bool]:
    """Lower :func:`joint_loss` from `start`, restarted until that gains nothing.

    Returns the point, its loss, and whether the last restart gained nothing.
    """
    best, value = start.copy(), joint_loss(start, loss, x, w, tail)
    for restart in range(_MOST_RESTARTS):
        # Every second simplex points the other way and is smaller.
        length = step * 0.5 ** (restart // 2) * (1.0 if restart % 2 == 0 else -1.0)
        point, lower = _descend(best, length, loss, x, w, tail)
        gain = value - lower
        if lower < value:
            best, value = point, lower
        if restart > 0 and gain < _ENOUGH:
            return best, value, True
    return best, value, False


@njit(cache=True)
def _descend(
    start: Array, length: float, loss: Array, x: Array, w: Array, tail: float
) -> tuple[Array, float]:
    k = len(start)
    corner = np.empty((k + 1, k))
    value = np.empty(k + 1)
    for i in range(k + 1):
        corner[i] = start
        if i > 0:
            corner[i, i - 1] += length
        value[i] = joint_loss(corner[i], loss, x, w, tail)
    for _ in range(_MOST_STEPS):
        order = np.argsort(value)
        corner, value = corner[order], value[order]
        spread = np.max(np.abs(corner[1:] - corner[0]))
        if value[k] - value[0] < 1e-9 and spread < 1e-5:
            break
        centre = np.zeros(k)
        for i in range(k):
            centre += corner[i] / k
        away = centre - corner[k]
        point, lower = _replacement(centre, away, corner, value, loss, x, w, tail)
        if lower < value[k]:
            corner[k], value[k] = point, lower
            continue
        for i in range(1, k + 1):
            corner[i] = 0.5 * (corner[i] + corner[0])
            value[i] = joint_loss(corner[i], loss, x, w, tail)
    lowest = np.argmin(value)
    return corner[lowest].copy(), value[lowest]


@njit(cache=True)
def _replacement(
    centre: Array,
    away: Array,
    corner: Array,
    value: Array,
    loss: Array,
    x: Array,
    w: Array,
    tail: float,
) -> tuple[Array, float]:
    """Reflected, expanded or contracted corner instead of the worst; infinite where none helps."""
    k = len(centre)
    reflected = centre + away
    mirrored = joint_loss(reflected, loss, x, w, tail)
    if mirrored < value[0]:
        expanded = centre + 2.0 * away
        far = joint_loss(expanded, loss, x, w, tail)
        if far < mirrored:
            return expanded, far
        return reflected, mirrored
    if mirrored < value[k - 1]:
        return reflected, mirrored
    inside = mirrored >= value[k]
    contracted = centre + (-0.5 if inside else 0.5) * away
    near = joint_loss(contracted, loss, x, w, tail)
    if near < min(mirrored, value[k]):
        return contracted, near
    return reflected, np.inf
