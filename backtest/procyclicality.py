r"""How violently a margin moves: the measures clearing houses disclose.

A margin :math:`M_t > 0`; ratios, not percentages: 1.2 means +20 %.

Reference: Murphy, Vasios and Vause (2014), "An investigation into the procyclicality of
risk-based initial margin models", Bank of England Financial Stability Paper 29.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from ._checks import as_series, check_count, check_longer_than


def peak_to_trough(margin: ArrayLike, *, ordered: bool = False) -> float:
    r"""Highest margin over lowest margin.

    Unordered, :math:`\max_t M_t / \min_t M_t`; ordered, :math:`\max_t (M_t / \min_{s \le t}
    M_s)`: only a trough *before* the peak counts, so a falling margin scores 1.

    Parameters
    ----------
    margin : array_like, shape (n,)
        Margin of one instrument and side through time, any unit; finite and > 0.
    ordered : bool
        Whether the trough must come before the peak.

    Returns
    -------
    float
        Ratio >= 1; ordered never exceeds unordered.

    Raises
    ------
    InputError
        If a margin is not finite and positive.

    Examples
    --------
    >>> peak_to_trough([3.0, 1.0, 2.0])
    3.0
    >>> peak_to_trough([3.0, 1.0, 2.0], ordered=True)
    2.0
    """
    series = _as_margin(margin)
    trough = np.minimum.accumulate(series) if ordered else series.min()
    return float((series / trough).max())


def largest_increase(margin: ArrayLike, *, periods: int) -> float:
    r"""Largest rise over a fixed number of periods, :math:`\max_t M_t / M_{t-k}`.

    Parameters
    ----------
    margin : array_like, shape (n,)
        Margin of one instrument and side through time, any unit; finite and > 0.
    periods : int
        Length of the rise :math:`k` in periods, >= 1.

    Returns
    -------
    float
        Ratio: 1.2 means +20 %; below 1 if the margin only ever fell.

    Raises
    ------
    InputError
        If a margin is not finite and positive, or there are no more than `periods` of them.

    Examples
    --------
    >>> largest_increase([1.0, 1.2, 0.9, 1.8], periods=1)
    2.0
    """
    return float(_ratio(margin, periods).max())


def large_increase_share(margin: ArrayLike, *, periods: int = 5, threshold: float = 1.25) -> float:
    r"""Share of rises beyond a threshold, the mean of :math:`1\{M_t / M_{t-k} > c\}`.

    Parameters
    ----------
    margin : array_like, shape (n,)
        Margin of one instrument and side through time, any unit; finite and > 0.
    periods : int
        Length of the rise :math:`k` in periods, >= 1.
    threshold : float
        Ratio :math:`c` a rise must exceed, > 0; 1.25 is +25 %.

    Returns
    -------
    float
        Share in [0, 1] of the n - `periods` comparisons.

    Raises
    ------
    InputError
        If a margin is not finite and positive, or there are no more than `periods` of them.

    Examples
    --------
    >>> large_increase_share([1.0, 1.2, 0.9, 1.8, 1.5], periods=1)
    0.25
    """
    if not threshold > 0.0:
        raise InputError(f"threshold must be > 0, was {threshold}; write 1.25 for +25 %")
    return float((_ratio(margin, periods) > threshold).mean())


def _ratio(margin: ArrayLike, periods: int) -> NDArray[np.float64]:
    check_count("periods", periods, minimum=1)
    series = _as_margin(margin)
    check_longer_than("margin", series, periods, f"rises over {periods} periods")
    return series[periods:] / series[:-periods]


def _as_margin(margin: ArrayLike) -> NDArray[np.float64]:
    series = as_series("margin", margin)
    if series.min() <= 0.0:
        raise InputError(
            f"margin must be > 0, the smallest was {series.min():g}; a ratio to no margin has "
            "no meaning, so drop the periods before the policy starts"
        )
    return series
