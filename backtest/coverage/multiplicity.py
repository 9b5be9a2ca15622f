"""What several tests at once do to a p-value."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError
from .._checks import as_series


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    r"""Adjust p-values for having run several tests.

    Sorted ascending, :math:`\tilde p_{(i)} = \max_{j \le i} \min\{1, (m - j + 1)\,p_{(j)}\}`.
    Rejecting where the result is below a significance level keeps the probability of *any*
    false rejection at that level, however the tests depend on each other.

    Parameters
    ----------
    p_values : array_like, shape (m,)
        Unadjusted p-values, in [0, 1].

    Returns
    -------
    ndarray of float64, shape (m,)
        Adjusted p-values in the same order, none smaller than before.

    Raises
    ------
    InputError
        If a p-value is not in [0, 1].

    References
    ----------
    Holm (1979), "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian
    Journal of Statistics 6(2).

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    raw = as_series("p_values", p_values)
    if raw.min() < 0.0 or raw.max() > 1.0:
        raise InputError(
            f"p_values must be in [0, 1], were {raw.min():g} to {raw.max():g}; "
            "pass TestResult.p_value, not the statistic"
        )
    order = np.argsort(raw, kind="stable")
    stepped = np.maximum.accumulate(np.arange(raw.size, 0, -1) * raw[order])
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
