"""The checks of a bar file as a table: how bad a failure is, what must hold, what follows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .findings import Finding, Severity
from .parsing import DAY_NS, HOUR_NS, MINUTE_NS, SECOND_NS


@dataclass(frozen=True, kw_only=True)
class CheckRule:
    """What a failed check means.

    Attributes
    ----------
    severity : Severity
        Whether loading stops.
    must : str
        What holds in a healthy file; it follows the name of the column in the sentence.
    action : str
        What was done about it, or what the reader has to do.
    """

    severity: Severity
    must: str
    action: str


def _error(must: str, action: str) -> CheckRule:
    return CheckRule(severity=Severity.ERROR, must=must, action=action)


def _warning(must: str, action: str) -> CheckRule:
    return CheckRule(severity=Severity.WARNING, must=must, action=action)


RULES: Mapping[str, CheckRule] = {
    "text-in-number": _error("must hold numbers only", "correct or empty these cells"),
    "naive-time": _error("must carry a time zone", "write UTC times such as 2024-01-01T00:00:00Z"),
    "unparsable-time": _error(
        "must hold timestamps", "write UTC times such as 2024-01-01T00:00:00Z"
    ),
    "duplicate-time": _error("must name each bar once", "remove the repeated bars"),
    "non-positive-price": _error("must be positive", "correct or remove these bars"),
    "infinite-value": _error("must be finite", "correct or empty these cells"),
    "out-of-order": _warning("should increase", "the bars were sorted"),
    "nan-close": _warning("should have a value", "these bars count as no data"),
    "missing-value": _warning("should have a value", "these values stay unknown"),
    "ohlc-inconsistent": _warning(
        "should enclose the other prices of the bar",
        "high and low of these bars count as unknown, and so does the range of their periods",
    ),
    "zero-volume": _warning(
        "should be above zero", "a period without any other bars counts as halted"
    ),
    "negative-value": _warning("should not be negative", "these values count as unknown"),
}
"""Checks that a bar passes or fails; the key is the name of the finding."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Failure:
    """One check that some bars failed.

    Attributes
    ----------
    check : str
        A key of :data:`RULES`.
    column : str
        The column that was checked.
    rows : ndarray of int64, shape (n_failed,)
        Labels of the failed rows in the checked table.
    """

    check: str
    column: str
    rows: NDArray[np.int64]


def finding_of(
    failure: Failure,
    *,
    instrument: str,
    origin: str,
    times: pd.Series | None,
    values: pd.Series,
) -> Finding:
    """Put a failure into a sentence.

    Parameters
    ----------
    failure : Failure
        What failed.
    instrument, origin : str
        Whose bars, and where they are.
    times : pandas.Series of datetime64[ns, UTC] or None
        Start of each bar by row label; None if the times themselves could not be read.
    values : pandas.Series
        The checked column by row label.
    """
    rule = RULES[failure.check]
    count, first_row = len(failure.rows), int(failure.rows[0])
    failed_times = None if times is None else times[times.index.isin(failure.rows)]
    when = "" if failed_times is None else f", {stamp(failed_times.iloc[0])}"
    detail = (
        f"{origin}: column {failure.column!r} {rule.must}, found {plural(count, 'bar')} otherwise "
        f"(first: row {first_row + 1}{when}, value {_shown(values.loc[first_row])}); {rule.action}"
    )
    return Finding(
        check=failure.check,
        severity=rule.severity,
        instrument=instrument,
        count=count,
        first=None if failed_times is None else failed_times.min(),
        last=None if failed_times is None else failed_times.max(),
        detail=detail,
    )


def stamp(time: pd.Timestamp) -> str:
    """Write a UTC time as people read it: to the minute, or finer where it is finer."""
    whole_minute = time == time.floor("min")
    return f"{time:%Y-%m-%d %H:%M}" + ("" if whole_minute else f":{time:%S.%f}") + " UTC"


def span(nanoseconds: int) -> str:
    """Write a length of time as a period is written: 1D, 8h, 5min, 30s."""
    for unit, name in ((DAY_NS, "D"), (HOUR_NS, "h"), (MINUTE_NS, "min"), (SECOND_NS, "s")):
        if nanoseconds % unit == 0:
            return f"{nanoseconds // unit}{name}"
    return f"{nanoseconds}ns"


def some_of(names: Sequence[str], *, most: int = 8) -> str:
    """Write names in a row, and the number of those left out."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + rest


def plural(count: int, noun: str) -> str:
    """Write a count with its noun: 1 bar, 3 bars."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _shown(value: object) -> str:
    if isinstance(value, pd.Timestamp):
        return repr(str(value))
    if isinstance(value, float | int | np.number):
        return f"{float(value):g}"
    return repr(value)
