"""Clean bars: what is left of a raw table after the documented handling of its defects."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .calendars import trades_every_day
from .columns import COLUMNS, VOLUME_COLUMNS
from .findings import Finding, Severity
from .parsing import nanoseconds
from .quality import examine
from .schemas import is_unknown_volume
from .sources.tables import RawTable


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
        Whether the instrument trades on Saturdays and Sundays.
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
    order = np.flatnonzero(frame["close"].notna())
    every_day = trades_every_day(start[order])
    if (np.diff(start) < 0).any():
        order = order[np.argsort(start[order], kind="stable")]
    columns = {name: frame[name].to_numpy()[order] for name in COLUMNS if name in frame}
    _blank_impossible(columns)
    return Bars(
        instrument=table.instrument,
        origin=table.origin,
        start=start[order],
        length=length.value,
        every_day=every_day,
        columns=columns,
    )


def _blank_impossible(columns: dict[str, NDArray[np.float64]]) -> None:
    """Set to NaN, in place, what the findings call unknown."""
    for name, values in columns.items():
        if COLUMNS[name].non_negative:
            values[values < 0] = np.nan
    if "high" in columns:
        body = np.stack([columns["open"], columns["close"]])
        top, bottom = np.fmax(*body), np.fmin(*body)
        inside_out = (columns["high"] < top) | (columns["low"] > bottom)
        columns["high"][inside_out] = np.nan
        columns["low"][inside_out] = np.nan
    for name in VOLUME_COLUMNS:
        if name in columns and is_unknown_volume(pd.Series(columns[name])):
            columns[name][:] = np.nan
