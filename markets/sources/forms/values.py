"""From the cells of a file to UTC nanoseconds and float64, or a sentence why not."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...parsing import DAY_NS, has_zone, is_instant, nanoseconds, to_utc
from .form import FileTable, Refusal

_ADVICE = "write UTC times such as 2024-01-01T00:00:00Z"


def instants(file: FileTable, column: str) -> NDArray[np.int64]:
    """Return zoned times as nanoseconds since 1970 UTC, shape (n_rows,).

    Raises
    ------
    Refusal
        If a value is no time, or has no time zone.
    """
    values = file.frame[column]
    zoned, readable = has_zone(values), is_instant(values)
    if not readable.all():
        raise Refusal(
            check="unparsable-time",
            reason=f"column {column!r} must hold timestamps, found "
            f"{_otherwise(values, readable)}; {_ADVICE}",
        )
    if not zoned.all():
        raise Refusal(
            check="naive-time",
            reason=f"column {column!r} must carry a time zone, found "
            f"{_otherwise(values, zoned)}; {_ADVICE}",
        )
    return nanoseconds(to_utc(values))


def days(file: FileTable, column: str) -> NDArray[np.int64]:
    """Return calendar days as the UTC midnights at which they start, shape (n_rows,).

    A day without a time of day needs no time zone: a session date becomes the UTC day.

    Raises
    ------
    Refusal
        If a value is no date, or is a time of day without a time zone.
    """
    values = file.frame[column]
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return nanoseconds(to_utc(values))
    parsed = pd.to_datetime(values.astype(str).str.strip(), errors="coerce", format="ISO8601")
    if pd.api.types.is_numeric_dtype(values) or parsed.dtype == object or parsed.isna().any():
        return instants(file, column)
    if parsed.dt.tz is None and (nanoseconds(parsed.dt.as_unit("ns")) % DAY_NS).any():
        return instants(file, column)
    return nanoseconds(parsed.dt.as_unit("ns"))


def numbers(file: FileTable, column: str) -> NDArray[np.float64]:
    """Return a column as float64, NaN where empty, shape (n_rows,).

    Raises
    ------
    Refusal
        If a cell holds text or an infinite number.
    """
    values = file.frame[column]
    parsed = pd.to_numeric(values, errors="coerce").astype(np.float64)
    known = parsed.notna() | values.isna()
    if not known.all():
        raise Refusal(
            check="text-in-number",
            reason=f"column {column!r} must hold numbers only, found "
            f"{_otherwise(values, known)}; correct or empty these cells",
        )
    finite = parsed.abs() != np.inf
    if not finite.all():
        raise Refusal(
            check="infinite-value",
            reason=f"column {column!r} must be finite, found {_otherwise(values, finite)}; "
            "correct or empty these cells",
        )
    return np.array(parsed, dtype=np.float64)


def rows_by(file: FileTable, column: str | None) -> Iterator[tuple[str, FileTable]]:
    """Yield the rows of each name in a column; the whole file under its own name for None.

    Raises
    ------
    Refusal
        If a row has no name.
    """
    if column is None:
        yield file.stem, file
        return
    unnamed = int(file.frame[column].isna().sum())
    if unnamed:
        raise Refusal(
            check="missing-instrument",
            reason=f"the column {column!r} must name one in every row, found {unnamed} rows "
            "without; fill it or leave the column out",
        )
    for name, rows in file.frame.groupby(column, sort=True):
        yield (
            str(name),
            FileTable(
                path=file.path,
                stem=str(name),
                names=file.names,
                frame=rows.drop(columns=column),
            ),
        )


def require_rows(file: FileTable) -> None:
    """Raise a refusal if a file has no rows."""
    if file.frame.empty:
        raise Refusal(
            check="empty-file", reason="a data file must have rows, found none; write it again"
        )


def origin_of(file: FileTable, name: str) -> str:
    """Return how messages call the rows of one instrument in a file."""
    alone = file.path.name.split(".")[0] == name
    return str(file.path) if alone else f"{file.path} ({name})"


def _otherwise(values: pd.Series, holds: pd.Series) -> str:
    bad = values[~holds.to_numpy(dtype=bool)]
    noun = "cell" if len(bad) == 1 else "cells"
    return f"{len(bad):,} {noun} otherwise (first: row {int(bad.index[0]) + 1}, {bad.iloc[0]!r})"
