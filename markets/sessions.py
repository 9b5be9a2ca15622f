"""Exchange calendars by name: sessions, holidays and early closes, from `exchange_calendars`."""

import warnings
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..errors import InputError
from .parsing import DAY_NS

ALWAYS_OPEN = "24/7"
"""The calendar of a market that never closes."""

# Ten whole years in which every calendar is recorded: the year of an instrument must not depend
# on how much of it has been loaded.
_CALENDAR_DAYS_PER_YEAR = 365.25  # leap years included
_USUAL_YEARS = (2010, 2019)

_NEVER = np.iinfo(np.int64).max - DAY_NS


@dataclass(frozen=True, kw_only=True, eq=False)
class Sessions:
    """The sessions of an exchange over some years.

    Attributes
    ----------
    name : str
        Name of the calendar.
    first, last : int
        Start of the first day and end of the last day that is known, nanoseconds since 1970 UTC.
    day : ndarray of int64, shape (n_sessions,)
        UTC midnight of the date of each session, increasing.
    opens, closes : ndarray of int64, shape (n_spans,)
        Spans of trading, nanoseconds; a session with a break at noon has two.
    surprises : ndarray of int64, shape (n_closures,)
        Days of closures that no rule foresaw, UTC midnights: they cannot be counted on before.
    """

    name: str
    first: int
    last: int
    day: NDArray[np.int64]
    opens: NDArray[np.int64]
    closes: NDArray[np.int64]
    surprises: NDArray[np.int64]

    def known(self, starts: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the calendar covers the periods that start then."""
        return np.asarray((starts >= self.first) & (starts < self.last))

    def open_periods(
        self, starts: NDArray[np.int64], *, period: int, by_day: bool
    ) -> NDArray[np.bool_]:
        """Whether the exchange trades in each period.

        Parameters
        ----------
        starts : ndarray of int64, shape (n_periods,)
            Starts of the periods, nanoseconds since 1970 UTC.
        period : int
            Length of a period, nanoseconds.
        by_day : bool
            True for bars of a session, which are dated by its day; False for bars inside it,
            which are dated by the clock (a session in Sydney begins on the UTC day before).
        """
        if by_day:
            return _overlaps(starts, period, self.day, self.day + 1)
        return _overlaps(starts, period, self.opens, self.closes)

    def next_open(self, ends: NDArray[np.int64], *, period: int) -> NDArray[np.int64]:
        """Return the start of the next period of trading, as foreseen at the end of each.

        A day that was closed by surprise counts as one of trading: nobody knew.

        Parameters
        ----------
        ends : ndarray of int64, shape (n_periods,)
            Ends of periods, nanoseconds since 1970 UTC.
        period : int
            Length of a period, nanoseconds.
        """
        if period >= DAY_NS:
            days = np.union1d(self.day, self.surprises)
            upcoming = np.searchsorted(days, ends)
            return np.maximum(ends, _at(days, upcoming, ends))
        upcoming = np.searchsorted(self.closes, ends, side="right")
        opens = np.maximum(ends, _at(self.opens, upcoming, ends))
        place = np.searchsorted(self.surprises, ends)
        surprise = _at(self.surprises, place, np.full(len(ends), _NEVER))
        # The session of that day would have opened at the time of day of the one after it.
        expected = surprise + opens % DAY_NS
        return np.where(expected < opens, expected, opens) // period * period

    def periods_per_year(self, *, period: int) -> float:
        """Return how many periods the exchange trades in a year, early closes included.

        Parameters
        ----------
        period : int
            Length of a period, at most a day, nanoseconds.
        """
        n_years = (self.last - self.first) / DAY_NS / _CALENDAR_DAYS_PER_YEAR
        if period == DAY_NS:
            return len(self.day) / n_years
        touched = (self.closes - 1) // period - self.opens // period + 1
        return float(touched.sum()) / n_years


def _overlaps(
    starts: NDArray[np.int64], period: int, begin: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.bool_]:
    following = np.searchsorted(end, starts, side="right")
    found = following < len(begin)
    found[found] = begin[following[found]] < starts[found] + period
    return np.asarray(found)


def _at(
    values: NDArray[np.int64], places: NDArray[np.intp], otherwise: NDArray[np.int64]
) -> NDArray[np.int64]:
    out = otherwise.copy()
    inside = places < len(values)
    out[inside] = values[places[inside]]
    return out


def sessions_of(name: str, *, first: int, last: int) -> Sessions:
    """Return the sessions of all years from that of `first` to the year after that of `last`.

    Parameters
    ----------
    name : str
        Name of an exchange as `exchange_calendars` knows it: ``XNYS``, ``XLON``, ``CMES``.
    first, last : int
        Nanoseconds since 1970 UTC.

    Raises
    ------
    InputError
        If there is no such calendar.
    """
    years = [pd.Timestamp(time, unit="ns").year for time in (first, last)]
    return _sessions(name, years[0], years[1] + 1)


def usual_sessions(name: str) -> Sessions:
    """Return the sessions of ten fixed years, which tell how long a year is.

    Raises
    ------
    InputError
        If there is no such calendar.
    """
    return _sessions(name, *_USUAL_YEARS)


@lru_cache(maxsize=64)
def _sessions(name: str, first_year: int, last_year: int) -> Sessions:
    # The library speaks to an older pandas; what it is warned of is not ours to repair.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return _read(name, pd.Timestamp(first_year, 1, 1), pd.Timestamp(last_year, 12, 31))


def _read(name: str, start: pd.Timestamp, end: pd.Timestamp) -> Sessions:
    import exchange_calendars  # a fifth of a second that only those pay who name a calendar
    from exchange_calendars.errors import InvalidCalendarName

    try:
        known = exchange_calendars.get_calendar(name)
    except InvalidCalendarName as error:
        raise InputError(
            f"calendar must be '{ALWAYS_OPEN}' or the name of an exchange such as 'XNYS', was "
            f"{name!r}; see exchange_calendars.get_calendar_names()"
        ) from error
    start = max(start, known.bound_min() or start)
    # At least a year, also of a calendar that is recorded only from later on.
    end = max(min(end, known.bound_max() or end), start + pd.DateOffset(years=1))
    calendar = exchange_calendars.get_calendar(name, start=start, end=end)
    spans = _spans(calendar.schedule)
    surprises = pd.DatetimeIndex(calendar.adhoc_holidays)
    return Sessions(
        name=name,
        first=_ns(start),
        last=_ns(end + pd.Timedelta(days=1)),
        day=_all_ns(pd.DatetimeIndex(calendar.schedule.index)),
        opens=_all_ns(pd.DatetimeIndex(spans["open"])),
        closes=_all_ns(pd.DatetimeIndex(spans["close"])),
        surprises=_all_ns(surprises[(surprises >= start) & (surprises <= end)].sort_values()),
    )


def _spans(schedule: pd.DataFrame) -> pd.DataFrame:
    """Return spans of trading: a session with a break is two of them."""
    broken = schedule["break_start"].notna()
    first_end = schedule["break_start"].where(broken, schedule["close"])
    first = pd.DataFrame({"open": schedule["open"], "close": first_end})
    second = schedule.loc[broken, ["break_end", "close"]].rename(columns={"break_end": "open"})
    return pd.concat([first, second]).sort_values("open")


def _ns(time: pd.Timestamp) -> int:
    return int(time.as_unit("ns").value)


def _all_ns(times: pd.DatetimeIndex) -> NDArray[np.int64]:
    return np.asarray(times.as_unit("ns").asi8, dtype=np.int64)
