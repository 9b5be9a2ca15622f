"""When an instrument trades: by the calendar that its listing names, else read off its own bars."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from .panel import DAYS_PER_YEAR, SESSIONS_PER_YEAR, Missing, Panel
from .parsing import DAY_NS
from .sessions import ALWAYS_OPEN, Sessions, sessions_of, usual_sessions

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
    day = starts // DAY_NS
    days = weekday(day[np.flatnonzero(np.diff(day, prepend=day[:1] - 1))] * DAY_NS)
    return bool((days == _SATURDAY).any() and (days == _SUNDAY).any())


@dataclass(frozen=True, kw_only=True, eq=False)
class Calendar:
    """When one instrument trades.

    Attributes
    ----------
    name : str
        ``24/7``, the name of an exchange, or empty: then its bars tell.
    every_day : bool
        Whether it trades on Saturdays and Sundays.
    period : int
        Length of a period, nanoseconds.
    by_day : bool
        Whether its bars are whole sessions dated by their day, rather than by the clock.
    starts : ndarray of int64, shape (n_known,)
        Starts of the periods for which there are bars, nanoseconds since 1970 UTC, increasing.
    """

    name: str
    every_day: bool
    period: int
    by_day: bool
    starts: NDArray[np.int64]

    @cached_property
    def sessions(self) -> Sessions | None:
        """The sessions of the exchange that is named, if one is."""
        if self.name in ("", ALWAYS_OPEN) or not len(self.starts):
            return None
        return sessions_of(self.name, first=int(self.starts[0]), last=int(self.starts[-1]))

    def expected(self) -> NDArray[np.int64]:
        """Return the starts of the periods from first to last in which it is known to trade."""
        if not len(self.starts) or (self.sessions is None and not self.every_day):
            return self.starts
        axis = np.arange(self.starts[0], self.starts[-1] + self.period, self.period)
        return axis if self.sessions is None else axis[~self.closed(axis)]

    def closed(self, axis: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether its market is closed in the periods that start then, shape of `axis`.

        Where no calendar covers a period, closed is a time of day or a weekend in which there are
        never bars.
        """
        if self.every_day:
            return np.zeros(len(axis), dtype=np.bool_)
        closed = np.zeros(len(axis), dtype=np.bool_)
        if self.period <= DAY_NS:
            closed = ~np.isin(_slot_of_week(axis), np.unique(_slot_of_week(self.starts)))
        if self.sessions is not None:
            known = self.sessions.known(axis)
            opened = self.sessions.open_periods(axis[known], period=self.period, by_day=self.by_day)
            closed[known] = ~opened
        return closed

    def periods_per_year(self, traded: NDArray[np.bool_]) -> float:
        """Return how many periods of the instrument make a year.

        365 days for an instrument that trades every day, 252 trading days for one that does not,
        times the median number of periods per trading day (6.5 hours of a stock exchange touch 7
        hourly periods). With a calendar, the periods that its sessions touch, early closes
        included, as a mean over ten years.

        Parameters
        ----------
        traded : ndarray of bool, shape (n_known,)
            Which of the periods with bars have a price.
        """
        per_day = DAY_NS / self.period
        if self.every_day:
            return DAYS_PER_YEAR * per_day
        usual = None if self.sessions is None else usual_sessions(self.name)
        if self.period > DAY_NS:
            days = SESSIONS_PER_YEAR if usual is None else usual.periods_per_year(period=DAY_NS)
            return days * per_day / _EXCHANGE_DAYS_PER_CALENDAR_DAY
        if usual is not None:
            return usual.periods_per_year(period=self.period)
        if not traded.any():
            return SESSIONS_PER_YEAR * per_day
        _, counts = np.unique(self.starts[traded] // DAY_NS, return_counts=True)
        return SESSIONS_PER_YEAR * float(np.median(counts))


def missing_codes(
    axis: NDArray[np.int64], *, calendar: Calendar, traded: NDArray[np.bool_]
) -> NDArray[np.int8]:
    """Say for every period of the panel whether an instrument has a price, and why not.

    Parameters
    ----------
    axis : ndarray of int64, shape (n_periods,)
        Starts of the panel's periods, nanoseconds since 1970 UTC, increasing; those of the
        calendar are among them.
    calendar : Calendar
        When it trades, and for which periods there are bars.
    traded : ndarray of bool, shape (n_known,)
        Whether anything traded in the periods with bars; False is a halt.

    Returns
    -------
    ndarray of int8, shape (n_periods,)
        :class:`Missing` codes.
    """
    codes = np.full(len(axis), Missing.NO_DATA, dtype=np.int8)
    codes[calendar.closed(axis)] = Missing.CLOSED
    places = np.searchsorted(axis, calendar.starts)
    codes[places] = np.where(traded, Missing.PRESENT, Missing.HALTED)
    present = places[traded]
    if not len(present):
        codes[:] = Missing.NOT_LISTED
        return codes
    codes[: present[0]] = Missing.NOT_LISTED
    codes[present[-1] + 1 :] = Missing.NOT_LISTED
    return codes


def next_session(panel: Panel, column: int) -> NDArray[np.datetime64]:
    """Return when each instrument's next period of trading starts, as foreseen at every row.

    A market that never closes goes on at once. An exchange goes on at the same time of the next
    weekday, or by its calendar if its listing names one: then Tuesday follows the Friday before a
    holiday. Holidays that no rule foresaw are not known in advance.

    Parameters
    ----------
    panel : Panel
        The market.
    column : int
        Which instrument.

    Returns
    -------
    ndarray of datetime64[ns], shape (n_periods,)
        UTC, never before the end of the row's period.
    """
    name = panel.listings[column].calendar
    ends = panel.time.view(np.int64)
    if panel.trades_every_day[column] or not len(ends):
        return panel.time
    upcoming = ends + np.array([0, 0, 0, 0, 0, 2, 1])[weekday(ends)] * DAY_NS
    if name not in ("", ALWAYS_OPEN):
        sessions = sessions_of(name, first=int(ends[0]), last=int(ends[-1]))
        known = sessions.known(ends)
        upcoming[known] = sessions.next_open(ends[known], period=panel.period.value)
    return np.asarray(upcoming.view("datetime64[ns]"))


def _slot_of_week(starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the time of day, kept apart for weekdays, Saturdays and Sundays.

    Monday to Friday share their slots: a weekday without bars is a holiday or a hole in the data,
    which nothing but a holiday table could tell apart, so it is not called closed.
    """
    kind_of_day = np.maximum(weekday(starts) - 4, 0)
    return kind_of_day * DAY_NS + starts % DAY_NS
