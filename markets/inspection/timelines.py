"""Timelines: every row of a table with its state, and how much of the time rows cover."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ..bars.cleaning import Bars
from ..calendars import trades_every_day, weekday
from ..checks.series import Series
from ..findings import Finding
from ..observations import Observations
from ..parsing import DAY_NS

_MONDAY_TO_FRIDAY = 5


class State(IntEnum):
    """What a row says about the time that it stands for."""

    PRESENT = 0
    """There is a value, and something traded where that is known."""
    HALTED = 1
    """Nothing traded, in a market that otherwise trades all the time."""
    FLAT = 2
    """Nothing traded, in a market where that is usual; the price before was carried on."""
    UNKNOWN = 3
    """There is a row without a value."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Timeline:
    """Rows of one table in order of time.

    Attributes
    ----------
    start : ndarray of int64, shape (n,)
        Start of each bar, or time of each value, nanoseconds since 1970 UTC.
    length : int
        Usual step between rows, nanoseconds.
    state : ndarray of int8, shape (n,)
        A :class:`State` per row.
    value : ndarray, shape (n,)
        Close of the bar, or the first of the observed values; NaN where unknown.
    name : str
        What `value` is.
    every_day : bool
        Whether there are rows on Saturdays and on Sundays.
    """

    start: NDArray[np.int64]
    length: int
    state: NDArray[np.int8]
    value: NDArray[np.float64]
    name: str
    every_day: bool


def timeline_of_bars(bars: Bars, findings: Sequence[Finding]) -> Timeline:
    """Return the timeline of clean bars; what was found tells a halt from a quiet market."""
    close = bars.columns["close"]
    state = np.full(len(close), State.PRESENT, dtype=np.int8)
    quiet = any(finding.check == "flat-bars" for finding in findings)
    if "volume" in bars.columns:
        state[bars.columns["volume"] == 0] = State.FLAT if quiet else State.HALTED
    if quiet:
        state[_series(bars).carried] = State.FLAT
    return Timeline(
        start=bars.start,
        length=bars.length,
        state=state,
        value=close,
        name="close",
        every_day=bars.every_day,
    )


def timeline_of_values(table: Observations) -> Timeline | None:
    """Return the timeline of observations; None if there are none."""
    if not len(table.time) or not table.values:
        return None
    name, value = next(iter(table.values.items()))
    known = np.any([np.isfinite(column) for column in table.values.values()], axis=0)
    steps = np.diff(table.time)
    return Timeline(
        start=table.time,
        length=int(np.median(steps)) if len(steps) else DAY_NS,
        state=np.where(known, State.PRESENT, State.UNKNOWN).astype(np.int8),
        value=value,
        name=name,
        # Samples of less than a week show no weekend, and their source never closes.
        every_day=bool(trades_every_day(table.time) or np.ptp(table.time) < 7 * DAY_NS),
    )


def coverage_of(timeline: Timeline | None) -> float:
    """Return rows with a value as a share of those that would leave no hole, in [0, 1].

    Of a market with weekends, a weekday has the median number of rows of its weekdays.
    """
    if timeline is None or len(timeline.start) < 2 or timeline.length <= 0:
        return float("nan")
    n_known = int((timeline.state != State.UNKNOWN).sum())
    first, last = int(timeline.start[0]), int(timeline.start[-1])
    if timeline.every_day or timeline.length > DAY_NS:
        expected = (last - first) / timeline.length + 1
    else:
        days = np.arange(first // DAY_NS, last // DAY_NS + 1)
        n_weekdays = int((weekday(days * DAY_NS) < _MONDAY_TO_FRIDAY).sum())
        _, per_day = np.unique(timeline.start // DAY_NS, return_counts=True)
        expected = max(n_weekdays, 1) * float(np.median(per_day))
    return min(1.0, n_known / max(expected, 1.0))


def _series(bars: Bars) -> Series:
    return Series(
        instrument=bars.instrument,
        origin=bars.origin,
        start=bars.start,
        length=bars.length,
        every_day=bars.every_day,
        close=bars.columns["close"],
        log_return=np.zeros(len(bars.start)),
        columns=bars.columns,
    )
