"""From many values to one, by the rule of a field."""

import numpy as np
from numpy.typing import NDArray

from ..fields import Rule


def reduce_by(
    rule: Rule, values: NDArray[np.float64], heads: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Reduce runs of values to one number each.

    Parameters
    ----------
    rule : Rule
        How.
    values : ndarray, shape (n,)
        NaN where unknown.
    heads : ndarray of int64, shape (n_runs,)
        Index of the first value of each run, strictly increasing, starting with 0.

    Returns
    -------
    ndarray, shape (n_runs,)
        NaN where the rule knows no value.

    Examples
    --------
    >>> reduce_by(Rule.SUM, np.array([1.0, 2.0, np.nan, 4.0]), np.array([0, 2]))
    array([ 3., nan])
    """
    match rule:
        case Rule.FIRST:
            return values[heads]
        case Rule.HIGHEST:
            return np.maximum.reduceat(values, heads)
        case Rule.LOWEST:
            return np.minimum.reduceat(values, heads)
        case Rule.LAST:
            return _last_known(values, heads)
        case Rule.SUM:
            return np.add.reduceat(values, heads)
        case Rule.SUM_OF_KNOWN:
            known = np.isfinite(values)
            total = np.add.reduceat(np.where(known, values, 0.0), heads)
            return np.where(np.logical_or.reduceat(known, heads), total, np.nan)
        case Rule.MEAN:
            known = np.isfinite(values)
            count = np.add.reduceat(known.astype(np.float64), heads)
            total = np.add.reduceat(np.where(known, values, 0.0), heads)
            return total / np.where(count > 0.0, count, np.nan)


def _last_known(values: NDArray[np.float64], heads: NDArray[np.int64]) -> NDArray[np.float64]:
    position = np.where(np.isfinite(values), np.arange(len(values)), -1)
    last = np.maximum.reduceat(position, heads)
    return np.where(last >= 0, values[last], np.nan)
