"""Illiquidity inside a period: how far a unit of traded value moved the price, bar by bar."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .ranges import late_first, sums_of

Array = NDArray[np.float64]


def bar_illiquidity(
    columns: Mapping[str, Array], log_return: Array, heads: NDArray[np.int64]
) -> dict[str, Array]:
    r"""Average the price impact of traded value over the bars of each period.

    :math:`\tfrac1n \sum_j |r_j| / v_j` [1]_ over the bars with a return and a traded value
    :math:`v_j`; and the same with the range :math:`\ln(H_j/L_j)` in place of the absolute return,
    which is never zero by chance and much less noisy: of tomorrow's illiquidity it knows more than
    today's does.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n_bars,)
        ``quote_asset_volume``, quote currency; ``high`` and ``low`` where they are known.
    log_return : ndarray, shape (n_bars,)
        Decimal log return of each bar from the close before it; NaN is left out.
    heads : ndarray of int64, shape (n_periods,)
        Index of the first bar of each period, strictly increasing, starting with 0.

    Returns
    -------
    dict of str to ndarray, shape (n_periods,)
        ``bar_amihud`` and, with ranges, ``range_illiquidity`` and ``late_range_illiquidity`` (the
        last quarter of the bars), decimal per quote currency; NaN where no bar of it counts.

    References
    ----------
    .. [1] Amihud (2002), "Illiquidity and Stock Returns", Journal of Financial Markets 5(1); here
       of bars instead of days.

    Examples
    --------
    >>> columns = {"quote_asset_volume": np.array([200.0, 100.0, 0.0])}
    >>> bar_illiquidity(columns, np.array([0.02, -0.03, 0.0]), np.array([0]))
    {'bar_amihud': array([0.0002])}
    """
    value = columns["quote_asset_volume"]
    per_value = 1.0 / np.where(value > 0.0, value, np.nan)
    ends = np.append(heads[1:], len(value))
    out = {"bar_amihud": _means(np.abs(log_return) * per_value, heads, ends)}
    if "high" in columns:
        impact = np.log(columns["high"] / columns["low"]) * per_value
        out["range_illiquidity"] = _means(impact, heads, ends)
        out["late_range_illiquidity"] = _means(impact, late_first(heads, ends), ends)
    return out


def _means(values: Array, first: NDArray[np.int64], stop: NDArray[np.int64]) -> Array:
    """Mean of the finite values of each slice; NaN where there are none."""
    known = np.isfinite(values)
    count = sums_of(known.astype(np.float64), first, stop)
    total = sums_of(np.where(known, values, 0.0), first, stop)
    return np.asarray(total / np.where(count > 0.0, count, np.nan))
