"""When an instrument trades, read off its own bars: no holiday table, no assumption by name."""

import numpy as np
from numpy.typing import NDArray

from .panel import DAYS_PER_YEAR, SESSIONS_PER_YEAR, Missing
from .parsing import DAY_NS

# 1970-01-01, day 0, was a Thursday.
_THURSDAY = 3
_SATURDAY, _SUNDAY = 5, 6

# For periods longer than a day: five trading days in a calendar week of seven.
_EXCHANGE_DAYS_PER_CALENDAR_DAY = 5.0 / 7.0


def weekday(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the UTC weekday of nanoseconds since 1970: 0 is Monday, 6 is Sunday."""
    return (times // DAY_NS + _THURSDAY) % 7


def trades_every_day(starts: NDArray[np.int64]) -> bool:
    """Whether bars start on Saturdays and on Sundays (UTC): a market that never closes.

    Futures and currencies, which reopen on Sunday evening, have no Saturday bars.
    """
    days = weekday(starts)
    return bool((days == _SATURDAY).any() and (days == _SUNDAY).any())


def periods_per_year(starts: NDArray[np.int64], *, period: int, every_day: bool) -> float:
    """Return how many periods of an instrument make a year.

    365 days for an instrument that trades every day, else 252 trading days, times the median
    number of periods per trading day (6.5 hours of a stock exchange touch 7 hourly periods).

    Parameters
    ----------
    starts : ndarray of int64, shape (n_present,)
        Starts of the periods with a price, nanoseconds since 1970 UTC.
    period : int
        Length of a period, nanoseconds.
    every_day : bool
        Whether the instrument trades every day.
    """
    per_day = DAY_NS / period
    if every_day:
        return DAYS_PER_YEAR * per_day
    if period > DAY_NS:
        return SESSIONS_PER_YEAR * per_day / _EXCHANGE_DAYS_PER_CALENDAR_DAY
    if not len(starts):
        return SESSIONS_PER_YEAR * per_day
    _, counts = np.unique(starts // DAY_NS, return_counts=True)
    return SESSIONS_PER_YEAR * float(np.median(counts))


def missing_codes(
    axis: NDArray[np.int64],
    *,
    starts: NDArray[np.int64],
    traded: NDArray[np.bool_],
    period: int,
    every_day: bool,
) -> NDArray[np.int8]:
    """Say for every period of the panel whether an instrument has a price, and why not.

    Parameters
    ----------
    axis : ndarray of int64, shape (n_periods,)
        Starts of the panel's periods, nanoseconds since 1970 UTC, increasing.
    starts : ndarray of int64, shape (n_known,)
        Starts of the periods for which the source has bars; a subset of `axis`.
    traded : ndarray of bool, shape (n_known,)
        Whether anything traded in them; False is a halt.
    period : int
        Length of a period, nanoseconds.
    every_day : bool
        Whether the instrument trades every day and so is never closed.

    Returns
    -------
    ndarray of int8, shape (n_periods,)
        :class:`Missing` codes.
    """
    codes = np.full(len(axis), Missing.NO_DATA, dtype=np.int8)
    if not every_day and period <= DAY_NS:
        open_slots = np.unique(_slot_of_week(starts))
        codes[~np.isin(_slot_of_week(axis), open_slots)] = Missing.CLOSED
    codes[np.searchsorted(axis, starts)] = np.where(traded, Missing.PRESENT, Missing.HALTED)
    present = np.flatnonzero(codes == Missing.PRESENT)
    if not len(present):
        codes[:] = Missing.NOT_LISTED
        return codes
    codes[: present[0]] = Missing.NOT_LISTED
    codes[present[-1] + 1 :] = Missing.NOT_LISTED
    return codes


def _slot_of_week(starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the time of day, kept apart for weekdays, Saturdays and Sundays.

    Monday to Friday share their slots: a weekday without bars is a holiday or a hole in the data,
    which nothing but a holiday table could tell apart, so it is not called closed.
    """
    kind_of_day = np.maximum(weekday(starts) - 4, 0)
    return kind_of_day * DAY_NS + starts % DAY_NS
