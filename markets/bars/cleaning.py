"""Clean bars: what is left of a raw table after the documented handling of its defects."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..calendars import trades_every_day
from ..checks.quality import examine
from ..columns import COLUMNS, VOLUME_COLUMNS
from ..findings import Finding, Severity
from ..parsing import nanoseconds
from ..sessions import ALWAYS_OPEN
from ..sources.tables import RawTable


@dataclass(frozen=True, kw_only=True, eq=False)
class Bars:
    """Checked bars of one instrument, sorted by time, every one with a close.

    Attributes
    ----------
    instrument, origin : str
        Whose bars, and where they came from.
    start : ndarray of int64, shape (n_bars,)
        Start of each bar, nanoseconds since 1970 UTC, strictly increasing.
    length : int
        Bar length, nanoseconds.
    every_day : bool
        Whether the instrument trades on Saturdays and Sundays: by the calendar that its listing
        names, else by the bars.
    columns : mapping of str to ndarray, shape (n_bars,)
        Numeric columns of the bar file by name, float64, NaN where unknown.
    """

    instrument: str
    origin: str
    start: NDArray[np.int64]
    length: int
    every_day: bool
    columns: Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckedTable:
    """A raw table after its checks.

    Attributes
    ----------
    table : RawTable
        The table as the source gave it.
    bars : Bars or None
        Clean bars; None if an error leaves none that can be trusted.
    findings : tuple of Finding
        Those of the source and those of the checks.
    first, last : pandas.Timestamp or None
        Start of the first and end of the last bar, UTC; None where times cannot be read.
    bar_length : pandas.Timedelta or None
        Most common step between bars.
    """

    table: RawTable
    bars: Bars | None
    findings: tuple[Finding, ...]
    first: pd.Timestamp | None = None
    last: pd.Timestamp | None = None
    bar_length: pd.Timedelta | None = None

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings that stop loading."""
        return tuple(f for f in self.findings if f.severity is Severity.ERROR)


def check_table(table: RawTable) -> CheckedTable:
    """Check a raw table and clean it.

    Rows are sorted; a bar without close is dropped; high and low that do not enclose open and
    close become unknown, as do negative quantities and a volume that is zero throughout.
    """
    if table.frame is None:
        return CheckedTable(table=table, bars=None, findings=table.findings)
    seen = examine(table.frame, instrument=table.instrument, origin=table.origin)
    findings = (*table.findings, *seen.findings)
    if seen.frame is None:
        return CheckedTable(table=table, bars=None, findings=findings)
    broken = any(f.severity is Severity.ERROR for f in findings)
    length = seen.bar_length or pd.Timedelta(0)
    return CheckedTable(
        table=table,
        bars=None if broken else _clean(table, seen.frame, length),
        findings=findings,
        first=seen.frame["time"].min(),
        last=seen.frame["time"].max() + length,
        bar_length=seen.bar_length,
    )


def _clean(table: RawTable, frame: pd.DataFrame, length: pd.Timedelta) -> Bars:
    start = nanoseconds(frame["time"])
    rows = _rows(frame["close"].notna().to_numpy(), start)
    columns = {name: frame[name].to_numpy()[rows] for name in COLUMNS if name in frame}
    calendar = "" if table.listing is None else table.listing.calendar
    start = start[rows]
    return Bars(
        instrument=table.instrument,
        origin=table.origin,
        start=start,
        length=length.value,
        every_day=calendar == ALWAYS_OPEN or (not calendar and trades_every_day(start)),
        columns={**columns, **_blanked(columns)},
    )


def _rows(priced: NDArray[np.bool_], start: NDArray[np.int64]) -> slice | NDArray[np.intp]:
    """Return the rows with a price in order of time; a slice, which copies nothing, if all are."""
    ordered = bool((start[1:] >= start[:-1]).all())
    if ordered and priced.all():
        return slice(None)
    rows = np.flatnonzero(priced)
    return rows if ordered else rows[np.argsort(start[rows], kind="stable")]


def _blanked(columns: Mapping[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Return the columns that have values which the findings call unknown, with NaN there."""
    unknown: dict[str, NDArray[np.bool_]] = {}
    for name, values in columns.items():
        if COLUMNS[name].non_negative:
            unknown[name] = values < 0
    if "high" in columns:
        body = columns["open"], columns["close"]
        inside_out = columns["high"] < np.fmax(*body)
        inside_out |= columns["low"] > np.fmin(*body)
        unknown["high"] = unknown["low"] = inside_out
    for name in VOLUME_COLUMNS:
        if name in columns and not (columns[name] > 0).any():
            unknown[name] = np.ones(len(columns[name]), dtype=np.bool_)
    return {
        name: np.where(rows, np.nan, columns[name]) for name, rows in unknown.items() if rows.any()
    }
