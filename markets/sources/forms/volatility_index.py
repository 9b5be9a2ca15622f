"""Volatility indices such as Deribit's DVOL: what options say about the next thirty days."""

import re
from collections.abc import Iterator

import numpy as np

from ...findings import Finding, Severity
from ...rules import plural, span
from .form import FileTable, Form, Refusal, Table, all_of, first_of
from .observing import Seen, lasting, observations, usual_step
from .units import IMPLIED_VOL, PERCENT, is_percent
from .values import instants, numbers, require_rows

_TIMES = ("time", "timestamp", "open_time", "date")
_CLOSES = ("dvol_close_decimal", "dvol_close", "dvol")
_PARTS = ("dvol_open", "dvol_high", "dvol_low", "dvol_close")


def _claims(names: frozenset[str]) -> bool:
    return first_of(names, _TIMES) is not None and first_of(names, _CLOSES) is not None


def _read(file: FileTable) -> Iterator[Table]:
    require_rows(file)
    time, column = (first_of(file.names, one) or one[0] for one in (_TIMES, _CLOSES))
    if len(file.frame) < 2:
        raise Refusal(
            check="single-bar",
            reason="a volatility index must have two rows to show how long one lasts, found one; "
            "add more history",
        )
    start = instants(file, time)
    values = numbers(file, column)
    percent = is_percent(values, IMPLIED_VOL, column=column)
    end = start + usual_step(start)
    seen = Seen(
        file=file,
        instrument=None,
        label=_index_name(file),
        time=end,
        known_at=end,
        values={_index_name(file): values / PERCENT if percent else values},
    )
    findings = [
        seen.finding(
            check="unit-read",
            severity=Severity.INFO,
            found=f"{column!r} is read as {_unit(percent)}; "
            f"each value is known at the end of its {span(usual_step(start))}",
        ),
        *_incomplete(file, seen),
    ]
    yield observations(
        seen, findings=findings, max_age=lasting(end, steps=24, least_days=1), rare=()
    )


def _incomplete(file: FileTable, seen: Seen) -> Iterator[Finding]:
    parts = [name for name in _PARTS if name in file.frame]
    if not parts:
        return
    empty = np.any([np.isnan(numbers(file, name)) for name in parts], axis=0)
    if empty.any() and not np.isnan(next(iter(seen.values.values()))[empty]).any():
        yield seen.finding(
            check="missing-value",
            severity=Severity.WARNING,
            found=f"{parts[0]!r} to {parts[-1]!r} should have a value in every row, found "
            f"{plural(int(empty.sum()), 'row')} without; the complete column is used",
            rows=empty,
        )


def _unit(percent: bool) -> str:
    return "points, converted to decimals" if percent else "decimals"


def _index_name(file: FileTable) -> str:
    coin = re.search(r"(btc|eth|sol|xrp)", file.stem.lower())
    return f"DVOL_{coin[0].upper()}" if coin else "DVOL"


VOLATILITY_INDEX = Form(
    name="volatility index",
    columns="`time`, `dvol_close` or `dvol_close_decimal`",
    claims=_claims,
    wanted=all_of,
    read=_read,
)
"""One series of the market, decimal per year, named after the coin in the file's name."""
