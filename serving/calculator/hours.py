"""When the instruments of a bundle trade: by their calendars, else by what their rows tell.

An exchange whose listing names a calendar is closed on its holidays and, for bars inside a day,
outside its sessions, early closes included. Without a calendar an exchange is closed on Saturdays
and Sundays (UTC) of daily rows; nothing is known of its nights and holidays. A price is due on a
day whose closure no rule foresaw, and at a time that the calendar does not cover: late rather than
silent.
"""

import numpy as np
from numpy.typing import NDArray

from ...calibrate.served import ServingState
from ...errors import InputError
from ...markets.sessions import ALWAYS_OPEN, Sessions, sessions_of

Mask = NDArray[np.bool_]
Times = NDArray[np.int64]

_DAY_NS = 86_400_000_000_000
_THURSDAY = 3  # 1970-01-01, with Monday as 0
_SATURDAY = 5
_GONE_PERIODS = 10  # without a price, until an instrument is no longer waited for
_LONGEST_CLOSURE = 60 * _DAY_NS  # after which it is gone whatever the calendar says


class TradingTimes:
    """The trading times of all instruments of a bundle.

    Parameters
    ----------
    state : ServingState
        Names instruments, period and calendars.

    Attributes
    ----------
    every_day : ndarray of bool, shape (n_instruments,)
        Whether an instrument trades always.

    Raises
    ------
    InputError
        If a calendar is not known here.
    """

    def __init__(self, state: ServingState) -> None:
        self._period = state.period_ns
        names = np.array([one.calendar for one in state.listings], dtype=np.str_)
        self.every_day: Mask = state.last_row.trades_every_day
        # A calendar tells days and hours; of longer rows every one has a session.
        named = ~np.isin(names, ["", ALWAYS_OPEN]) & ~self.every_day & (self._period <= _DAY_NS)
        self._members: dict[str, NDArray[np.intp]] = {
            str(name): np.flatnonzero(named & (names == name)) for name in np.unique(names[named])
        }
        self._unnamed: Mask = ~named & ~self.every_day
        for name in self._members:  # a name that is not known must be told at the start
            _sessions(name, int(state.row["time_ns"]))

    def due(self, observed_at: Times, places: NDArray[np.intp]) -> Times:
        """Return when the next period of trading of some instruments closes, ns UTC.

        Parameters
        ----------
        observed_at : ndarray of int64, shape (n,)
            Close of the last period that each has a price of.
        places : ndarray of intp, shape (n,)
            Which instruments.
        """
        starts = np.array(observed_at, dtype=np.int64)
        if self._period >= _DAY_NS:
            for _ in range(2):
                closed = _weekend(starts) & self._unnamed[places]
                starts = starts + np.where(closed, self._period, 0)
        for name, members in self._members.items():
            own = np.flatnonzero(np.isin(places, members))
            starts[own] = _next_open(name, starts[own], period=self._period)
        return starts + self._period

    def open(self, time: int) -> Mask:
        """Return who trades in the period that closes then, shape (n_instruments,)."""
        start = time - self._period
        out = np.ones(len(self.every_day), dtype=np.bool_)
        if self._period >= _DAY_NS and _weekend(np.array([start]))[0]:
            out[self._unnamed] = False
        for name, members in self._members.items():
            sessions = _sessions(name, start)
            if sessions is not None:
                out[members] = sessions.open_periods(
                    np.array([start]), period=self._period, by_day=self._period == _DAY_NS
                )
        return out

    def there(self, last_seen: Times, time: int) -> Mask:
        """Return who had a price in one of the last ten of its periods before a close.

        Parameters
        ----------
        last_seen : ndarray of int64, shape (n_instruments,)
            Close of the last period with a price, ns UTC; 0 where there was none.
        time : int
            The close, ns UTC.
        """
        # An exchange is closed on weekends and some holidays: ten of its periods are two weeks.
        patience = _GONE_PERIODS * np.where(self.every_day, 1.0, 1.5) * self._period
        out = np.asarray((time - last_seen) <= patience)
        for name, members in self._members.items():
            sessions = _sessions(name, time - self._period)
            if sessions is None:
                continue
            since = np.maximum(last_seen[members], max(time - _LONGEST_CLOSURE, sessions.first))
            now = _held(sessions, np.array([time]), period=self._period)
            missed = now - _held(sessions, since, period=self._period)
            recent = (time - last_seen[members]) <= _LONGEST_CLOSURE
            out[members] = recent & (missed <= _GONE_PERIODS)
        return out


def _sessions(name: str, start: int) -> Sessions | None:
    """Return the sessions from the year before a period to the year after it.

    None if the calendar does not cover it.
    """
    try:
        found = sessions_of(name, first=start - 366 * _DAY_NS, last=start)
    except InputError:
        raise
    except ValueError:  # the library refuses years beyond those that a calendar is recorded for
        return None
    return found if found.known(np.array([start]))[0] else None


def _next_open(name: str, ends: Times, *, period: int) -> Times:
    """Return when the period of trading begins that follows some closes, ns UTC."""
    out = ends.copy()
    for end in np.unique(ends).tolist():  # mostly one: all of an exchange close together
        sessions = _sessions(name, end)
        if sessions is not None:
            out[ends == end] = sessions.next_open(np.array([end]), period=period)
    return out


def _held(sessions: Sessions, times: Times, *, period: int) -> Times:
    """Return how many periods of trading have closed by some times, from the first one known."""
    if period == _DAY_NS:
        return np.searchsorted(sessions.day + _DAY_NS, times, side="right")
    first = sessions.opens // period
    touched = -(-sessions.closes // period) - first
    before = np.concatenate([[0], np.cumsum(touched)])
    place = np.searchsorted(sessions.closes, times, side="right")
    inside = np.minimum(place, len(first) - 1)
    begun = np.where(
        place < len(first), np.clip(times // period - first[inside], 0, touched[inside]), 0
    )
    return np.asarray(before[place] + begun)


def _weekend(starts: Times) -> Mask:
    return np.asarray((starts // _DAY_NS + _THURSDAY) % 7 >= _SATURDAY)
