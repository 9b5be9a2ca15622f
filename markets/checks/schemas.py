"""The pandera schemas of a bar table, before and after it was read as numbers."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors

from ..columns import COLUMNS, DENSE_COLUMNS, OHLC_COLUMNS
from ..parsing import has_zone, is_instant, is_number, time_column_of
from ..rules import Failure

MISSING_COLUMN = "missing-column"


def failures(schema: pa.DataFrameSchema, frame: pd.DataFrame) -> Iterator[Failure]:
    """Validate a table and yield each check that some rows failed, in the schema's order."""
    try:
        schema.validate(frame, lazy=True, inplace=True)
    except SchemaErrors as errors:
        for error in errors.schema_errors:
            yield _failure(error)


def _failure(error: SchemaError) -> Failure:
    if error.reason_code is SchemaErrorReason.COLUMN_NOT_IN_DATAFRAME:
        none = np.array([], dtype=np.int64)
        return Failure(check=MISSING_COLUMN, column=str(error.failure_cases), rows=none)
    if error.check_output is None:  # a check itself broke: a fault of ours, not of the data
        raise error
    output = error.check_output.astype(bool)
    rows = output.index[~output].to_numpy(dtype=np.int64)
    return Failure(check=error.check.name, column=error.schema.name, rows=rows)


def _check(name: str, holds: Callable[..., pd.Series], *, ignore_na: bool = True) -> pa.Check:
    # One failure case is enough: the findings are made from the whole check output, and listing
    # two million bars without volume would take longer than loading them.
    return pa.Check(holds, name=name, ignore_na=ignore_na, n_failure_cases=1)


def raw_schema(frame: pd.DataFrame) -> pa.DataFrameSchema:
    """Build the schema of the table as it was read: columns are there and can be parsed."""
    priced = any(name in frame for name in OHLC_COLUMNS[:3])
    needed = OHLC_COLUMNS if priced else ("close",)
    columns = {
        time_column_of(frame): pa.Column(
            nullable=True,
            checks=[
                _check("naive-time", has_zone, ignore_na=False),
                _check("unparsable-time", is_instant, ignore_na=False),
            ],
        )
    }
    for name in COLUMNS:
        columns[name] = pa.Column(
            nullable=True,
            required=name in needed,
            checks=[_check("text-in-number", is_number)],
        )
    return pa.DataFrameSchema(columns)


def bar_schema(bars: pd.DataFrame) -> pa.DataFrameSchema:
    """Build the schema of the parsed table: values make sense."""
    columns = {name: _value_column(name, bars[name]) for name in COLUMNS if name in bars}
    columns["time"] = pa.Column(
        checks=[
            _check("duplicate-time", _is_first),
            _check("out-of-order", lambda t: t.astype(np.int64) >= t.astype(np.int64).cummax()),
        ]
    )
    if "high" in bars:
        body = bars[["open", "close"]]
        top, bottom = body.max(axis=1), body.min(axis=1)
        columns["high"].checks.append(_check("ohlc-inconsistent", lambda high: ~(high < top)))
        columns["low"].checks.append(_check("ohlc-inconsistent", lambda low: ~(low > bottom)))
    return pa.DataFrameSchema(columns)


def _is_first(times: pd.Series) -> pd.Series:
    """Return False where a time has come before; hashing is left out where times increase."""
    stamps = times.astype(np.int64)
    if (np.diff(stamps.to_numpy()) > 0).all():
        return pd.Series(True, index=times.index)
    return ~stamps.duplicated()


def _value_column(name: str, values: pd.Series) -> pa.Column:
    checks = [_check("infinite-value", lambda x: ~np.isinf(x))]
    if name == "close":
        checks.append(_check("nan-close", lambda x: x.notna(), ignore_na=False))
    if name in DENSE_COLUMNS:
        checks.append(_check("missing-value", lambda x: x.notna(), ignore_na=False))
    if COLUMNS[name].positive:
        checks.append(_check("non-positive-price", lambda x: x > 0))
    if COLUMNS[name].non_negative:
        checks.append(_check("negative-value", lambda x: x >= 0))
    if name == "volume" and not is_unknown_volume(values):
        checks.append(_check("zero-volume", lambda x: x != 0))
    return pa.Column(nullable=True, checks=checks)


def is_unknown_volume(values: pd.Series) -> bool:
    """Whether a volume column is zero throughout: the source does not know, it is no halt."""
    return bool((values.fillna(0.0) == 0).all())
