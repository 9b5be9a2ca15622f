"""Canonical bars: prices and quantities of one instrument per file, or per value of a column."""

from collections.abc import Iterator, Sequence

import pandas as pd

from ...columns import KNOWN_COLUMNS, TIME_COLUMNS, UNKNOWN_COLUMNS
from ...findings import Finding, Severity
from ...rules import plural, some_of
from ..tables import RawTable
from .form import FileTable, Form, Refusal, Table, first_of, unreadable
from .values import days

DAY_COLUMNS = ("date", "Date")
"""Names of a column of calendar days; a bar of such a file is the UTC day."""

_SAME = {"volume_usd": "quote_asset_volume"}  # other names of a canonical column
_INDEX = "__index_level_"


def _claims(names: frozenset[str]) -> bool:
    return bool(names & {*TIME_COLUMNS, "close"})


def _wanted(names: Sequence[str]) -> list[str]:
    dated = DAY_COLUMNS if first_of(names, TIME_COLUMNS) is None else ()
    same = [] if "volume" in names else [o for o, name in _SAME.items() if name not in names]
    return [name for name in names if name in KNOWN_COLUMNS or name in (*dated, *same)]


def _read(file: FileTable) -> Iterator[Table]:
    frame, renamed = _renamed(file)
    file = FileTable(path=file.path, stem=file.stem, names=file.names, frame=frame)
    if "instrument" not in frame or frame.empty:
        yield bar_table(file, frame, instrument=file.stem, origin=str(file.path), notes=renamed)
        return
    unnamed = int(frame["instrument"].isna().sum())
    if unnamed:
        yield unreadable(
            file.path,
            "missing-instrument",
            f"the column 'instrument' must name one in every row, found {unnamed} rows without; "
            "fill it or leave the column out",
            instrument=file.stem,
        )
        return
    for name, rows in frame.groupby("instrument", sort=True):
        yield bar_table(
            file,
            rows.drop(columns="instrument"),
            instrument=str(name),
            origin=f"{file.path} ({name})",
            notes=renamed,
        )


def bar_table(
    file: FileTable,
    frame: pd.DataFrame,
    *,
    instrument: str,
    origin: str,
    notes: Sequence[tuple[str, str]] = (),
    apart: Sequence[str] = (),
) -> RawTable:
    """Return bars of one instrument, with a finding for what the file has and bars do not.

    Parameters
    ----------
    file : FileTable
        The file; its names tell which columns were not read.
    frame : pandas.DataFrame
        The bars.
    instrument, origin : str
        Whose bars, and how messages call them.
    notes : sequence of (str, str)
        Columns that were read under another name: theirs, and the canonical one.
    apart : sequence of str
        Columns that were used otherwise, such as the one that names the instrument.
    """
    read = {*frame.columns, *(name for name, _ in notes), *DAY_COLUMNS, *KNOWN_COLUMNS, *apart}
    unknown = [name for name in file.names if name not in read and not name.startswith(_INDEX)]
    frame.attrs[UNKNOWN_COLUMNS] = unknown
    return RawTable(
        instrument=instrument,
        origin=origin,
        frame=frame,
        findings=(*_other_names(file, instrument, notes), *_ignored(file, instrument, unknown)),
    )


def day_bars(file: FileTable, column: str) -> pd.Series:
    """Return calendar days as starts of daily bars, datetime64[ns, UTC]."""
    return pd.Series(
        pd.DatetimeIndex(days(file, column), tz="UTC"), index=file.frame.index, name="open_time"
    )


def _renamed(file: FileTable) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    """Give columns with another name the canonical one."""
    frame = file.frame
    notes = [(other, canonical) for other, canonical in _SAME.items() if other in frame]
    frame = frame.rename(columns=dict(notes))
    dated = first_of([str(name) for name in frame], DAY_COLUMNS)
    if dated is None or frame.empty:
        return frame, notes
    try:
        frame = frame.assign(open_time=day_bars(file, dated))
    except Refusal:  # the checks of bars say what is wrong with its times
        frame = frame.assign(open_time=frame[dated])
    return frame.drop(columns=dated), [*notes, (dated, "open_time")]


def _other_names(
    file: FileTable, instrument: str, notes: Sequence[tuple[str, str]]
) -> Iterator[Finding]:
    if notes:
        shown = ", ".join(f"{name!r} as {canonical!r}" for name, canonical in notes)
        yield Finding(
            check="renamed-column",
            severity=Severity.INFO,
            instrument=instrument,
            count=len(notes),
            detail=f"{file.path}: read under another name: {shown}",
        )


def _ignored(file: FileTable, instrument: str, unknown: Sequence[str]) -> Iterator[Finding]:
    if unknown:
        yield Finding(
            check="unknown-column",
            severity=Severity.INFO,
            instrument=instrument,
            count=len(unknown),
            detail=f"{file.path}: {plural(len(unknown), 'column')} unknown to a bar file ignored "
            f"({some_of(unknown)})",
        )


BARS = Form(
    name="bars",
    columns="`open_time` or `close_time` or `date`, `close`, and others of the bar file",
    claims=_claims,
    wanted=_wanted,
    read=_read,
    holds_bars=True,
)
"""Bars of any length, or of a calendar day."""
