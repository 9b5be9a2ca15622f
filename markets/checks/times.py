"""Checks of times in a row: clocks that shift, bars of several lengths, times to come."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..calendars import weekday
from ..findings import Finding
from ..parsing import DAY_NS, HOUR_NS
from ..rules import plural, some_of, span, stamp
from .series import Series, longest_runs

_RUN = 5  # equal steps in a row that make a stretch of another bar length
_SUNDAY = 6
_NIGHT_HOURS = 4  # clocks are changed between midnight and four in the morning


def shifted_clock(series: Series) -> Iterator[Finding]:
    """List bars that start beside the grid of the others, and hours that summer time ate.

    Bars of a market that never closes start at multiples of their length. A file that was written
    in local time has, after the change of the clocks, bars an hour off, or a missing hour on a
    Sunday of March and a repeated one in autumn.
    """
    if not series.every_day or not series.length:
        return
    phase = series.start % series.length
    usual = phase[0]
    if (phase != usual).any():
        values, counts = np.unique(phase, return_counts=True)
        usual = values[counts.argmax()]
    off = np.setdiff1d(np.flatnonzero(phase != usual), _other_lengths(series))
    if len(off):
        moves = np.flatnonzero(np.diff(phase)) + 1
        yield series.finding(
            check="clock-shift",
            rows=off,
            found=f"bars of {span(series.length)} should start on one grid, found "
            f"{plural(len(off), 'bar')} beside it (the grid moves {plural(len(moves), 'time')}, "
            f"first: {stamp(series.at(moves[0]))}), as when clocks change; a bar belongs to the "
            "period in which it starts",
        )
        return
    lost = _lost_hours(series)
    if len(lost):
        yield series.finding(
            check="clock-shift",
            rows=lost,
            found=f"exactly one hour is missing or repeated on {plural(len(lost), 'Sunday')} on "
            f"which clocks are changed (first: {stamp(series.at(lost[0]))}); times in local time "
            "look so: write them in UTC",
        )


def _lost_hours(series: Series) -> NDArray[np.intp]:
    """Return the bars after an hour that is missing in spring or repeated in autumn."""
    if series.length > HOUR_NS:
        return np.array([], dtype=np.intp)
    steps = np.diff(series.start)
    spring = np.flatnonzero(steps == HOUR_NS + series.length)
    spring = spring[_changes_clocks(series.start[spring], months=(3,))]
    # In order of time, a repeated hour is a stretch in which every time comes twice.
    again = np.flatnonzero(steps == 0)
    again = again[_changes_clocks(series.start[again], months=(10, 11))]
    _, first, n_again = np.unique(
        series.start[again] // DAY_NS, return_index=True, return_counts=True
    )
    autumn = again[first[n_again == HOUR_NS // series.length]]
    return np.sort(np.concatenate([spring, autumn])) + 1


def _changes_clocks(times: NDArray[np.int64], *, months: Sequence[int]) -> NDArray[np.bool_]:
    """Whether times lie in the first hours of a Sunday of some months."""
    month = times.astype("datetime64[ns]").astype("datetime64[M]").astype(np.int64) % 12 + 1
    night = times % DAY_NS < _NIGHT_HOURS * HOUR_NS
    return np.asarray(np.isin(month, months) & (weekday(times) == _SUNDAY) & night)


def mixed_lengths(series: Series) -> Iterator[Finding]:
    """List stretches in which bars follow each other at another step than elsewhere."""
    rows = _other_lengths(series)
    if not len(rows):
        return
    steps = np.diff(series.start)
    lengths = np.unique(steps[rows[1:] - 1])
    found = [int(step) for step in lengths if step not in (0, series.length)]
    yield series.finding(
        check="mixed-lengths",
        rows=rows,
        found=f"bars should have one length, found {plural(len(rows), 'bar')} of "
        f"{some_of([span(step) for step in found])} beside those of {span(series.length)} (first: "
        f"{stamp(series.at(rows[0]))}); split the file, as their realised measures differ",
    )


def _other_lengths(series: Series) -> NDArray[np.intp]:
    """Return bars in stretches of another step; of such a stretch, each is like the one before."""
    if not series.length:
        return np.array([], dtype=np.intp)
    steps = np.diff(series.start)
    other = (steps != series.length) & (steps > 0)
    if not other.any():
        return np.array([], dtype=np.intp)
    same = other & np.concatenate([[False], steps[1:] == steps[:-1]])
    begins, lengths = longest_runs(same)
    long = lengths >= _RUN - 1
    runs = [np.arange(b, b + n + 1) for b, n in zip(begins[long], lengths[long], strict=True)]
    return np.concatenate(runs) if runs else np.array([], dtype=np.intp)


def times_to_come(series: Series) -> Iterator[Finding]:
    """List bars that start after now."""
    now = pd.Timestamp.now("UTC").as_unit("ns").value
    rows = np.arange(int(np.searchsorted(series.start, now + HOUR_NS)), len(series.start))
    if len(rows):
        yield series.finding(
            check="future-time",
            rows=rows,
            found=f"times should be in the past, found {plural(len(rows), 'bar')} otherwise "
            f"(last: {stamp(series.at(rows[-1]))}); check the unit and the time zone of the times",
        )
