"""What there is to say about an instrument as a whole: its calendar, and whether it is one."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..bars.aggregation import Periods
from ..calendars import Calendar, weekday
from ..findings import Finding, Severity
from ..parsing import DAY_NS
from ..rules import plural, span, stamp

_WEEKENDS_NEEDED = 2
_SATURDAY = 5

# Prices do not move by a factor of ten while nobody trades; another coin with the name of a dead
# one starts anywhere.
_REUSE_LOG_RETURN = np.log(10.0)


def calendar_guessed(calendar: Calendar, name: str) -> Iterator[Finding]:
    """Say that there are too few weekends to tell an exchange from a market that never closes."""
    starts = calendar.starts
    if calendar.name or calendar.every_day or not len(starts) or calendar.period > DAY_NS:
        return
    days = np.arange(starts[0] // DAY_NS, starts[-1] // DAY_NS + 1) * DAY_NS
    n_weekends = int((weekday(days[:-1]) == _SATURDAY).sum())
    if n_weekends < _WEEKENDS_NEEDED:
        yield Finding(
            check="calendar-guessed",
            severity=Severity.INFO,
            instrument=name,
            count=n_weekends,
            first=_time(starts[0]),
            last=_time(starts[-1]),
            detail=f"{name}: its calendar should be read off two weekends or more, found "
            f"{n_weekends} and no bars there; it counts as an exchange of 252 days a year, unless "
            "a market file names its calendar ('24/7', 'XNYS')",
        )


def outside_calendar(calendar: Calendar, name: str) -> Iterator[Finding]:
    """List periods with bars in which the calendar that was named is closed."""
    if calendar.sessions is None:
        return
    outside = calendar.starts[calendar.closed(calendar.starts)]
    if len(outside):
        yield Finding(
            check="outside-calendar",
            severity=Severity.WARNING,
            instrument=name,
            count=len(outside),
            first=_time(outside[0]),
            last=_time(outside[-1]),
            detail=f"{name}: bars should lie inside the sessions of {calendar.name}, found "
            f"{plural(len(outside), 'period')} of {span(calendar.period)} otherwise (first: "
            f"{stamp(_time(outside[0]))}), kept; check the name of the calendar",
        )


def reused_name(periods: Periods, name: str) -> Iterator[Finding]:
    """List jumps by a factor of ten or more across a gap of more than a day."""
    start, move = _moves(periods)
    if len(start) < 2:
        return
    step = max(float(np.median(np.diff(start))), DAY_NS)
    jumped = (np.diff(start) > step) & (np.abs(move[1:]) > _REUSE_LOG_RETURN)
    for k in np.flatnonzero(jumped):
        before, after = _time(start[k]), _time(start[k + 1])
        yield Finding(
            check="possible-reuse",
            severity=Severity.WARNING,
            instrument=name,
            count=1,
            first=before,
            last=after,
            detail=f"{name}: a price should not jump while nothing trades, found a factor of "
            f"{np.exp(abs(move[k + 1])):,.3g} from {stamp(before)} to {stamp(after)}; the name may "
            "have been given to another instrument: cut the file there and name them apart",
        )


def _moves(periods: Periods) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the starts of the periods with a price, and their log returns."""
    priced = np.isfinite(periods.values["close"])
    return periods.start[priced], periods.values["log_return"][priced]


def _time(nanoseconds: np.int64) -> pd.Timestamp:
    return pd.Timestamp(int(nanoseconds), tz="UTC")
