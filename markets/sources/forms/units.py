"""Which unit a column is in, where its name does not say: by size, or not at all."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .form import Refusal

PERCENT = 100.0


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What size tells about a unit: below `decimal` it is decimal, above `percent` percent.

    Attributes
    ----------
    what : str
        What the column holds, for the sentence.
    decimal, percent : float
        Bounds of the median absolute value; between them nothing can be told.
    """

    what: str
    decimal: float
    percent: float


FUNDING = Sizes(what="a funding rate per interval", decimal=4e-4, percent=1.2e-3)
"""Interest alone is 0.0001 per 8 h at most venues, 0.01 in percent."""

IMPLIED_VOL = Sizes(what="an annual volatility", decimal=2.5, percent=4.0)
"""Indices stand between 8 % and 200 % a year."""

DAILY_VOL = Sizes(what="the square root of a daily variance", decimal=0.12, percent=0.2)
"""Daily volatility is between 0.2 % (a currency) and 12 % (a small coin)."""

DAILY_RETURN = Sizes(what="the size of a daily return", decimal=0.08, percent=0.12)
"""The median of a daily return's size is two thirds of the daily volatility."""


def is_percent(values: NDArray[np.float64], sizes: Sizes, *, column: str) -> bool:
    """Tell percent from decimals by the median size of the values that are not zero.

    Parameters
    ----------
    values : ndarray, shape (n,)
        The column; NaN is left out.
    sizes : Sizes
        Bounds.
    column : str
        Its name, for the sentence.

    Raises
    ------
    Refusal
        If the size fits both.

    Examples
    --------
    >>> is_percent(np.array([0.0100, 0.0086, 0.0045]), FUNDING, column="funding")
    True
    """
    known = np.abs(values[np.isfinite(values) & (values != 0)])
    if not len(known):
        return False
    size = float(np.median(known))
    if sizes.decimal < size < sizes.percent:
        raise Refusal(
            check="unclear-unit",
            reason=f"the unit of column {column!r} must be plain from its size, found a median of "
            f"{size:.3g}, which as {sizes.what} may be decimal or percent; write a canonical "
            "observation file in decimals, or say the unit in a market file",
        )
    return size >= sizes.percent
