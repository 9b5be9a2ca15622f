"""Published series: macro-economic tables, long (``series, date, value``) or one column each."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...findings import Finding, Severity
from ...observations import Observations
from ...rules import plural, some_of
from .form import FileTable, Form, Refusal, Table, all_of, first_of
from .observing import Seen, lasting, observations
from .publication import LAGS, Lag, assumed_lag, known_from
from .values import days, numbers, require_rows, rows_by

_FRED_DATES = ("observation_date", "DATE")
_DATES = (*_FRED_DATES, "date", "Date")
_NO_SERIES = frozenset({"open", "high", "low", "close", "instrument", "symbol"})


def _claims_long(names: frozenset[str]) -> bool:
    return {"series", "value"} <= names and first_of(names, _DATES) is not None


def _claims_wide(names: frozenset[str]) -> bool:
    date = first_of(names, _DATES)
    if date is None or names & _NO_SERIES or len(names) < 2:
        return False
    # Any table may have a column `date`; one of published series has a known series in it.
    return date in _FRED_DATES or any(name.upper() in LAGS for name in names)


def _read_long(file: FileTable) -> Iterator[Table]:
    require_rows(file)
    for name, rows in rows_by(file, "series"):
        yield _series(rows, name, column="value")


def _read_wide(file: FileTable) -> Iterator[Table]:
    require_rows(file)
    date = first_of(file.names, _DATES)
    cells = {name: _without_dots(file, name) for name in file.names if name != date}
    empty = [name for name, rows in cells.items() if rows.frame[name].isna().all()]
    named = [name for name in cells if name not in empty]
    if not named:
        raise Refusal(
            check="no-value",
            reason=f"the series of the file must have values, found none in {some_of(empty)}; "
            "write it again",
        )
    for name in named:
        table = _series(cells[name], name, column=name)
        yield replace(table, findings=(*table.findings, *_about_empty(file, name, empty)))
        empty = []  # said once


def _about_empty(file: FileTable, name: str, empty: list[str]) -> Iterator[Finding]:
    if empty:
        yield Finding(
            check="empty-column",
            severity=Severity.INFO,
            instrument=name,
            count=len(empty),
            detail=f"{file.path}: {plural(len(empty), 'column')} without a value left out "
            f"({some_of(empty)})",
        )


def _series(file: FileTable, name: str, *, column: str) -> Observations:
    date = days(file, first_of(file.names, _DATES) or _DATES[0])
    values = numbers(_without_dots(file, column), column)
    kept = np.isfinite(values)
    if not kept.any():
        raise Refusal(
            check="no-value",
            reason=f"the series {name!r} must have values, found none; leave it out",
        )
    known = LAGS.get(name.upper())
    lag = assumed_lag(date[kept]) if known is None else known
    seen = Seen(
        file=file,
        instrument=None,
        label=name,
        time=date[kept],
        known_at=known_from(date[kept], lag),
        values={name: values[kept]},
    )
    findings = [*_about_lag(seen, lag, assumed=known is None), *_about_holes(seen, date, kept)]
    return observations(seen, findings=findings, max_age=lasting(seen.known_at))


def _without_dots(file: FileTable, column: str) -> FileTable:
    """Read a lone dot as an empty cell: FRED writes holidays so."""
    values = file.frame[column]
    if pd.api.types.is_numeric_dtype(values):
        return file
    empty = values.astype(str).str.strip().isin([".", "", "nan", "None"])
    frame = file.frame.assign(**{column: values.mask(empty)})
    return FileTable(path=file.path, stem=file.stem, names=file.names, frame=frame)


def _about_lag(seen: Seen, lag: Lag, *, assumed: bool) -> Iterator[Finding]:
    if assumed:
        yield seen.finding(
            check="assumed-lag",
            severity=Severity.INFO,
            found=f"nobody has written down when {seen.label!r} is published; it is taken as known "
            f"{lag.days} days after its date",
        )
    if lag.revised:
        yield seen.finding(
            check="revised-series",
            severity=Severity.WARNING,
            found=f"the history of {seen.label!r} is revised after it was published; these values "
            "are not what was known then, so a backtest on them looks ahead",
        )


def _about_holes(seen: Seen, date: NDArray[np.int64], kept: NDArray[np.bool_]) -> Iterator[Finding]:
    """Count empty cells inside the life of a series; before and after it there are none."""
    inside = (date >= seen.time.min()) & (date <= seen.time.max()) & ~kept
    if inside.any():
        yield seen.finding(
            check="empty-date",
            severity=Severity.INFO,
            found=f"{plural(int(inside.sum()), 'date')} without a value, as on holidays; the value "
            "before stands",
            count=int(inside.sum()),
        )


SERIES_TABLE = Form(
    name="published series",
    columns="`series`, `date`, `value`",
    claims=_claims_long,
    wanted=all_of,
    read=_read_long,
)
"""One row per series and date."""

SERIES_COLUMNS = Form(
    name="published series, one column each",
    columns="`observation_date`, `DATE` or `date`, and a column per series",
    claims=_claims_wide,
    wanted=all_of,
    read=_read_wide,
)
"""What FRED's download button gives."""
