"""Realised range: the variance of a period from the ranges of its bars."""

from collections.abc import Mapping

import numpy as np
from numba import njit
from numpy.typing import NDArray

LATE_SHARE = 0.25
"""Part of the bars of a period, from its end, that ``late_range`` is made of."""


def realized_range(
    columns: Mapping[str, NDArray[np.float64]],
    log_return: NDArray[np.float64],
    heads: NDArray[np.int64],
) -> dict[str, NDArray[np.float64]]:
    r"""Sum the variances that the ranges of the bars show.

    Of each bar the estimate of Garman and Klass [1]_, and the squared gap before it:
    :math:`\tfrac12 \ln(H/L)^2 - (2 \ln 2 - 1) \ln(C/O)^2 + (r - \ln(C/O))^2`. A range sees
    the whole path inside its bar, so that from the same bars its error variance is about a
    seventh of that of squared returns; very short bars with few trades show too small a range
    [2]_.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n_bars,)
        ``open``, ``high``, ``low``, ``close``.
    log_return : ndarray, shape (n_bars,)
        Decimal log return of each bar from the close before it; NaN counts as no gap.
    heads : ndarray of int64, shape (n_periods,)
        Index of the first bar of each period, strictly increasing, starting with 0.

    Returns
    -------
    dict of str to ndarray, shape (n_periods,)
        ``realized_range``, decimal squared per period; ``late_range``, the same of the last quarter
        of the bars (at least one), as if the whole period had been like it.

    References
    ----------
    .. [1] Garman and Klass (1980), "On the Estimation of Security Price Volatilities from
       Historical Data", Journal of Business 53(1).
    .. [2] Christensen and Podolskij (2007), "Realized Range-Based Estimation of Integrated
       Variance", Journal of Econometrics 141(2).

    Examples
    --------
    >>> bar = {"open": 100.0, "high": 102.0, "low": 99.0, "close": 101.0}
    >>> columns = {name: np.full(4, value) for name, value in bar.items()}
    >>> ranges = realized_range(columns, np.full(4, np.log(1.01)), np.array([0]))
    >>> [round(float(values[0]), 6) for values in ranges.values()]
    [0.00163, 0.00163]
    """
    body = np.log(columns["close"] / columns["open"])
    gap = np.where(np.isfinite(log_return), log_return - body, 0.0)
    log_range = np.log(columns["high"] / columns["low"])
    variance = 0.5 * log_range**2 - (2.0 * np.log(2.0) - 1.0) * body**2 + gap**2
    ends = np.append(heads[1:], len(variance))
    late = late_first(heads, ends)
    return {
        "realized_range": sums_of(variance, heads, ends),
        "late_range": sums_of(variance, late, ends) * (ends - heads) / (ends - late),
    }


def late_first(heads: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where the last quarter of the bars of each period begins, at least one bar."""
    n_late = np.maximum(1, np.rint(LATE_SHARE * (ends - heads))).astype(np.int64)
    return np.asarray(ends - n_late)


@njit(cache=True)
def sums_of(
    values: NDArray[np.float64], first: NDArray[np.int64], stop: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Sum each slice by itself, so that what lies before it changes no digit."""
    out = np.zeros(len(first))
    for i in range(len(first)):
        for j in range(first[i], stop[i]):
            out[i] += values[j]
    return out
