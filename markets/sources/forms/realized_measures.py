"""Realised-measure files: a day's variance as somebody else measured it, with a return or a close.

The names of the Oxford-Man Institute's Realized Library [1]_ and of files derived from it are
known beside the canonical ones.

References
----------
.. [1] Heber, Lunde, Shephard and Sheppard (2009), "Oxford-Man Institute's Realized Library",
   version 0.1, Oxford-Man Institute, University of Oxford.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...findings import Finding, Severity
from ...rules import some_of
from .bars import bar_table, day_bars
from .form import FileTable, Form, Refusal, Table, all_of, first_of
from .units import DAILY_RETURN, DAILY_VOL, PERCENT, Sizes, is_percent
from .values import numbers, origin_of, require_rows, rows_by

_DATES = ("date", "time", "Date")
_NAMES = ("instrument", "series", "symbol")
_RETURNS = ("log_return", "ret", "ret_pct", "open_to_close_logret", "open_to_close")
_CLOSES = ("close", "close_price")
_SESSION_RETURNS = frozenset({"open_to_close_logret", "open_to_close"})
_MEASURES: Mapping[str, tuple[str, ...]] = {
    "realized_variance": ("realized_variance", "rv5", "rv", "rv10", "rv10_pct2"),
    "bipower_variance": ("bipower_variance", "bv", "bpv", "bpv5", "bv_pct2"),
    "semivariance_negative": ("semivariance_negative", "rsv", "rvn"),
    "semivariance_positive": ("semivariance_positive", "rvp"),
    "median_variance": ("median_variance", "medrv", "medrv5"),
    "realized_kernel": ("realized_kernel", "rk_parzen"),
    "realized_quarticity": ("realized_quarticity",),
    "implied_vol": ("implied_vol",),
}
_POWER = {"implied_vol": 1, "realized_quarticity": 4}  # of a return; the others are squared
_BASE = 100.0


@dataclass(frozen=True, kw_only=True)
class _Column:
    """One column that was read, and the percent that it came in, if it did."""

    name: str
    values: NDArray[np.float64]
    percent: bool


def _claims(names: frozenset[str]) -> bool:
    timed = first_of(names, _DATES) is not None
    return timed and first_of(names, _MEASURES["realized_variance"]) is not None


def _read(file: FileTable) -> Iterator[Table]:
    require_rows(file)
    for name, rows in rows_by(file, first_of(file.names, _NAMES)):
        yield _table(rows, name)


def _table(file: FileTable, name: str) -> Table:
    date = first_of(file.names, _DATES) or _DATES[0]
    measures = {field: _measure(file, field, names) for field, names in _MEASURES.items()}
    read = {field: one for field, one in measures.items() if one is not None}
    close, used = _close(file)
    frame = pd.DataFrame({"open_time": day_bars(file, date), "close": close})
    for field, one in read.items():
        scale = PERCENT ** _POWER.get(field, 2) if one.percent else 1.0
        frame[field] = one.values / scale
    if "semivariance_negative" in frame and "semivariance_positive" not in frame:
        # Squares of falls and of rises add up to the whole.
        rest = frame["realized_variance"] - frame["semivariance_negative"]
        frame["semivariance_positive"] = rest.where(rest >= 0.0)
    notes = [(one.name, field) for field, one in read.items() if one.name != field]
    notes += [(date, "open_time"), *((column, "close") for column in used if column != "close")]
    table = bar_table(
        file, frame, instrument=name, origin=origin_of(file, name), notes=notes, apart=_NAMES
    )
    more = (*_units(file, name, list(read.values())), *_price(file, name, used))
    return type(table)(
        instrument=table.instrument,
        origin=table.origin,
        frame=table.frame,
        findings=(*table.findings, *more),
    )


def _measure(file: FileTable, field: str, names: Sequence[str]) -> _Column | None:
    name = first_of(file.names, names)
    if name is None:
        return None
    values = numbers(file, name)
    if field == "realized_variance":
        return _Column(name=name, values=values, percent=_percent(name, np.sqrt(values), DAILY_VOL))
    if field in _POWER:
        return _Column(name=name, values=values, percent=False)
    # The parts of a variance are in the unit of the whole.
    whole = first_of(file.names, _MEASURES["realized_variance"]) or name
    roots = np.sqrt(np.abs(numbers(file, whole)))
    return _Column(name=name, values=values, percent=_percent(whole, roots, DAILY_VOL))


def _close(file: FileTable) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return prices, or an index made from returns, and the column they come from."""
    priced = first_of(file.names, _CLOSES)
    if priced is not None:
        return numbers(file, priced), (priced,)
    name = first_of(file.names, _RETURNS)
    if name is None:
        raise Refusal(
            check="no-price",
            reason=f"a realised-measure file must have a return ({some_of(_RETURNS)}) or a close "
            f"({some_of(_CLOSES)}), found {some_of(file.names, most=20)}; join them from the "
            "prices of these days",
        )
    values = numbers(file, name)
    scale = PERCENT if _percent(name, values, DAILY_RETURN) else 1.0
    level = np.cumsum(np.where(np.isnan(values), 0.0, values / scale))
    return np.where(np.isnan(values), np.nan, _BASE * np.exp(level)), (name,)


def _percent(name: str, values: NDArray[np.float64], sizes: Sizes) -> bool:
    return "_pct" in name or is_percent(values, sizes, column=name)


def _units(file: FileTable, name: str, read: Sequence[_Column]) -> Iterator[Finding]:
    percent = [one.name for one in read if one.percent]
    if percent:
        yield Finding(
            check="unit-converted",
            severity=Severity.INFO,
            instrument=name,
            count=len(percent),
            detail=f"{origin_of(file, name)}: {some_of(percent)} in percent squared, converted to "
            "decimal squared",
        )


def _price(file: FileTable, name: str, used: Sequence[str]) -> Iterator[Finding]:
    """Say that there is no price in the file, and what a return leaves out."""
    if used[0] in _CLOSES:
        return
    session = (
        "; it is the return of the session, so that nights are missing from it"
        if used[0] in _SESSION_RETURNS
        else ""
    )
    yield Finding(
        check="rebuilt-price",
        severity=Severity.INFO,
        instrument=name,
        count=len(file.frame),
        detail=f"{origin_of(file, name)}: there is no price; close is an index rebuilt from "
        f"{used[0]!r}, {_BASE:g} before the first day, good for returns only{session}",
    )


REALIZED = Form(
    name="realised measures",
    columns="`date` or `time`, `log_return` or `close`, `realized_variance`",
    claims=_claims,
    wanted=all_of,
    read=_read,
    holds_bars=True,
)
"""A row per day; the fields of the panel come from the file and not from its closes."""
