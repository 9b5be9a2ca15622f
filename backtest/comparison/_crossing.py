"""Extremes of a mean elementary score difference over all thresholds, none left out.

Between two neighbouring forecasts or outcomes the curve is constant or linear, so a sort finds
them.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def extremes_of_quantiles(
    loss: Array, a: Array, b: Array, *, tail_probability: float
) -> tuple[float, float]:
    """Smallest and largest mean difference of two quantile forecasts, both with n periods."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    sign = np.where(a > b, 1, np.where(a < b, -1, 0))
    # From `low` to `high` the forecasts disagree, by `sign` times 1{loss <= threshold} - (1 - p).
    inside = loss < high
    position = np.concatenate([low, high, np.maximum(loss, low)[inside], high[inside]])
    disagree = np.concatenate([sign, -sign, 0 * sign[inside], 0 * sign[inside]])
    below = np.concatenate([0 * sign, 0 * sign, sign[inside], -sign[inside]])
    order, last = _order(position)
    # Whole numbers: where nothing differs the curve is zero, not nearly so.
    curve = (
        np.cumsum(below[order])[last] - (1.0 - tail_probability) * np.cumsum(disagree[order])[last]
    )
    return _extremes(curve / len(loss))


def extremes_of_pairs(
    cost_a: Array, expected_a: Array, cost_b: Array, expected_b: Array
) -> tuple[float, float]:
    """Smallest and largest mean difference of two pairs, from quantile loss and shortfall."""
    n = len(cost_a)
    position = np.concatenate([expected_a, expected_b])
    order, last = _order(position)
    cost = np.cumsum(np.concatenate([cost_a, -cost_b])[order])[last]
    acted = np.cumsum(np.repeat([1, -1], n)[order])[last]
    at = position[order][last]
    from_right = cost - acted * at
    # Linear up to the next position, where it need not be continuous.
    from_left = cost[:-1] - acted[:-1] * at[1:]
    rounding = 1e-14 * np.abs(np.concatenate([cost_a, cost_b, position])).sum()
    curve = np.concatenate([from_right, from_left])
    curve[np.abs(curve) <= rounding] = 0.0
    return _extremes(curve / n)


def _order(position: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Order of positions, and where in it the last of equal ones stands."""
    order = np.argsort(position, kind="stable")
    ordered = position[order]
    last = np.flatnonzero(np.append(ordered[1:] > ordered[:-1], True))
    return order, last


def _extremes(curve: Array) -> tuple[float, float]:
    # Below all forecasts nothing differs.
    return min(0.0, float(curve.min())), max(0.0, float(curve.max()))
