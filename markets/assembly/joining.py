"""The as-of join: at the end of each period, what could be known by then and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..bars.reduction import reduce_by
from ..fields import Rule
from ..parsing import SECOND_NS

_NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True, kw_only=True, eq=False)
class Joined:
    """A series on the axis of a panel.

    Attributes
    ----------
    values : ndarray, shape (n_periods,)
        NaN where nothing was known, or what was known is too old.
    time : ndarray of int64, shape (n_periods,)
        The moment that each value speaks of, nanoseconds since 1970 UTC; the smallest
        integer where there is none.
    """

    values: NDArray[np.float64]
    time: NDArray[np.int64]

    def age_s(self, ends: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return seconds from what a value speaks of to the end of its period; NaN without one."""
        known = self.time != _NEVER
        age_s = np.full(len(ends), np.nan)
        age_s[known] = (ends[known] - self.time[known]) / SECOND_NS
        return age_s


@dataclass(frozen=True, kw_only=True, eq=False)
class Series:
    """One series of values, each with the moment from which it could be known.

    Attributes
    ----------
    time : ndarray of int64, shape (n,)
        The moment that each value speaks of, nanoseconds since 1970 UTC, in any order.
    known_at : ndarray of int64, shape (n,)
        The moment from which it could be known.
    values : ndarray, shape (n,)
        NaN where unknown.
    """

    time: NDArray[np.int64]
    known_at: NDArray[np.int64]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, parts: Sequence["Series"]) -> "Series":
        """Return several series as one."""
        return cls(
            time=np.concatenate([part.time for part in parts]),
            known_at=np.concatenate([part.known_at for part in parts]),
            values=np.concatenate([part.values for part in parts]),
        )

    def known(self) -> "Series":
        """Return the series without the values that are NaN."""
        return self.take(np.isfinite(self.values))

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> "Series":
        """Return some of the values."""
        return Series(time=self.time[rows], known_at=self.known_at[rows], values=self.values[rows])


def as_of(series: Series, ends: NDArray[np.int64], *, max_age: pd.Timedelta | None) -> Joined:
    """Return the last value known at the end of each period.

    Of the values with ``known_at <= end`` it is the one that speaks of the latest moment, and of
    several that speak of the same moment the one that came last: a late arrival does not replace
    what is newer, a revision does. It stands for `max_age` after it was known.

    Parameters
    ----------
    series : Series
        The values; unknown ones are passed over.
    ends : ndarray of int64, shape (n_periods,)
        Ends of the periods, nanoseconds since 1970 UTC, increasing.
    max_age : pandas.Timedelta or None
        Longest time from `known_at` to the end of the period; None for no limit.

    Examples
    --------
    >>> rate = Series(
    ...     time=np.array([0, 10]), known_at=np.array([5, 15]), values=np.array([1.0, 2.0])
    ... )
    >>> as_of(rate, np.array([4, 5, 14, 15]), max_age=None).values
    array([nan,  1.,  1.,  2.])
    """
    series = series.known()
    # Stable, so that of revisions known at one moment the one listed last wins.
    by_moment = series.take(np.lexsort((series.known_at, series.time)))
    arrival = np.argsort(by_moment.known_at, kind="stable")
    latest = np.maximum.accumulate(arrival) if len(arrival) else arrival
    n_known = np.searchsorted(by_moment.known_at[arrival], ends, side="right")
    found = np.flatnonzero(n_known > 0)
    chosen = latest[n_known[found] - 1]
    if max_age is not None:
        fresh = ends[found] - by_moment.known_at[chosen] <= max_age.as_unit("ns").value
        found, chosen = found[fresh], chosen[fresh]
    values, time = np.full(len(ends), np.nan), np.full(len(ends), _NEVER)
    values[found], time[found] = by_moment.values[chosen], by_moment.time[chosen]
    return Joined(values=values, time=time)


def within(
    series: Series, ends: NDArray[np.int64], *, period: int, rule: Rule
) -> NDArray[np.float64]:
    """Reduce the values that became known inside each period, ``end - period < known_at <= end``.

    Parameters
    ----------
    series : Series
        The values.
    ends : ndarray of int64, shape (n_periods,)
        Ends of the periods, nanoseconds since 1970 UTC, increasing.
    period : int
        Length of a period, nanoseconds.
    rule : Rule
        How they become one number; a sum is unknown if one of its values is unknown.

    Returns
    -------
    ndarray, shape (n_periods,)
        NaN where no value became known.
    """
    series = series.take(np.argsort(series.known_at, kind="stable"))
    row = np.searchsorted(ends, series.known_at, side="left")
    inside = row < len(ends)
    inside[inside] = series.known_at[inside] > ends[row[inside]] - period
    out = np.full(len(ends), np.nan)
    row, values = row[inside], series.values[inside]
    if len(row):
        heads = np.flatnonzero(np.diff(row, prepend=-1))
        out[row[heads]] = reduce_by(rule, values, heads)
    return out
