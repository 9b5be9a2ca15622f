"""Assembly: instruments, each with periods of its own, on the one time axis of a panel."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError
from ..bars.aggregation import Periods, with_covariation
from ..bars.cleaning import Bars
from ..calendars import Calendar, missing_codes
from ..checks.instruments import calendar_guessed, outside_calendar, reused_name
from ..fields import FIELDS
from ..findings import Finding
from ..listings import Listing
from ..observations import Observations
from ..panel import Panel
from ..parsing import DAY_NS
from ..rules import span
from .attaching import Axis, attach

# Columns that are written side by side: rows of a panel are contiguous, those of an instrument
# are not, and one at a time would fetch every cache line once per instrument.
_BLOCK = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Instrument:
    """What was read of one instrument.

    Attributes
    ----------
    listing : Listing
        What it is.
    periods : Periods
        Its periods.
    closes : Bars
        Its bars inside the periods, with no other column than the close; no bars if they are as
        long as the period.
    """

    listing: Listing
    periods: Periods
    closes: Bars


@dataclass(frozen=True, kw_only=True, eq=False)
class Extras:
    """What a panel has beside the bars.

    Attributes
    ----------
    observations : tuple of Observations
        Values that arrive at their own times.
    findings : tuple of Finding
        What was found so far.
    source : str
        Where everything came from, for people.
    """

    observations: tuple[Observations, ...] = ()
    findings: tuple[Finding, ...] = ()
    source: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Column:
    calendar: Calendar
    traded: NDArray[np.bool_]
    values: Mapping[str, NDArray[np.float64]]


def assemble(instruments: Sequence[Instrument], extras: Extras, *, period: int) -> Panel:
    """Put instruments on one time axis and join the observations to them.

    Parameters
    ----------
    instruments : sequence of Instrument
        In the order of the panel's columns.
    extras : Extras
        Observations, and what was found so far.
    period : int
        Length of a period, nanoseconds.

    Raises
    ------
    InputError
        If the bars cover no whole period, or observations cannot be told whose they are.
    """
    listings = tuple(one.listing for one in instruments)
    findings = [*extras.findings, *_findings(instruments, period)]
    columns = _columns(instruments, period)
    starts = _time_axis([one.calendar for one in columns], period)
    if not len(starts):
        raise InputError(
            f"{extras.source}: the bars must cover at least one whole period of "
            f"{span(period)}, found none; add history or shorten the period"
        )
    missing = np.stack(
        [missing_codes(starts, calendar=c.calendar, traded=c.traded) for c in columns], axis=1
    )
    years = [one.calendar.periods_per_year(one.traded) for one in columns]
    fields = _gathered(columns, starts)
    close, log_return = fields.pop("close"), fields.pop("log_return")
    axis = Axis(ends=starts + period, period=period, missing=missing, listings=listings)
    context, more = attach(extras.observations, fields, axis=axis)
    return Panel(
        time=axis.ends.view("datetime64[ns]"),
        period=pd.Timedelta(period, unit="ns"),
        instruments=tuple(one.instrument for one in listings),
        close=close,
        log_return=log_return,
        missing=missing,
        periods_per_year=np.array(years),
        fields=fields,
        context=context,
        listings=listings,
        findings=(*findings, *more),
        source=extras.source,
    )


def _findings(instruments: Iterable[Instrument], period: int) -> Iterator[Finding]:
    for one in instruments:
        yield from one.periods.findings
    for one in instruments:
        calendar = _calendar(one, period)
        name = one.listing.instrument
        yield from calendar_guessed(calendar, name)
        yield from outside_calendar(calendar, name)
        yield from reused_name(one.periods, name)


def _calendar(one: Instrument, period: int) -> Calendar:
    return Calendar(
        name=one.listing.calendar,
        every_day=one.periods.every_day,
        period=period,
        by_day=one.closes.length >= DAY_NS,
        starts=one.periods.start,
    )


def _columns(instruments: Sequence[Instrument], period: int) -> list[_Column]:
    periods = with_covariation(
        [one.periods for one in instruments], [one.closes for one in instruments], period=period
    )
    return [
        _Column(calendar=_calendar(one, period), traded=own.traded, values=own.values)
        for one, own in zip(instruments, periods, strict=True)
    ]


def _time_axis(calendars: Sequence[Calendar], period: int) -> NDArray[np.int64]:
    """Return the starts of all rows: known periods, and holes in which a market is known to trade.

    All starts are multiples of the period, so that they are marked on a grid instead of sorted.
    """
    ends = [time for one in calendars if len(one.starts) for time in one.starts[[0, -1]]]
    if not ends:
        return np.zeros(0, dtype=np.int64)
    first = min(ends)
    marked = np.zeros((max(ends) - first) // period + 1, dtype=np.bool_)
    for one in calendars:
        for starts in (one.starts, one.expected()):
            marked[(starts - first) // period] = True
    return np.asarray(np.flatnonzero(marked) * period + first, dtype=np.int64)


def _gathered(
    columns: Sequence[_Column], starts: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return fields of shape (n_periods, n_instruments), close and log return among them."""
    rows = [_rows(starts, one.calendar.starts) for one in columns]
    known = {name for one in columns for name in one.values}
    fields = {}
    for name in ("close", "log_return", *(name for name in FIELDS if name in known)):
        fields[name] = np.empty((len(starts), len(columns)))
        for left in range(0, len(columns), _BLOCK):
            block = columns[left : left + _BLOCK]
            buffer = np.full((len(block), len(starts)), np.nan)
            for own, one, place in zip(buffer, block, rows[left : left + _BLOCK], strict=True):
                if name in one.values:
                    own[place] = one.values[name]
            fields[name][:, left : left + _BLOCK] = buffer.T
    return fields


def _rows(axis: NDArray[np.int64], starts: NDArray[np.int64]) -> slice | NDArray[np.intp]:
    """Return where an instrument's periods are on the axis: a slice if it has no holes there."""
    if not len(starts):
        return slice(0)
    first, last = np.searchsorted(axis, starts[[0, -1]])
    if last - first + 1 == len(starts):
        return slice(int(first), int(last) + 1)
    return np.searchsorted(axis, starts)
