"""Mark-price bars: what a venue values positions at, per contract."""

from collections.abc import Iterator

from ...findings import Severity
from ...rules import span
from .form import FileTable, Form, Table, all_of, first_of
from .observing import Seen, lasting, observations, usual_step
from .values import instants, numbers, require_rows, rows_by

_NAMES = ("instrument", "symbol")


def _claims(names: frozenset[str]) -> bool:
    return {"open_time", "mark_close"} <= names and "close" not in names


def _read(file: FileTable) -> Iterator[Table]:
    require_rows(file)
    for name, rows in rows_by(file, first_of(file.names, _NAMES)):
        yield _table(rows, name)


def _table(file: FileTable, name: str) -> Table:
    start = instants(file, "open_time")
    length = usual_step(start)
    end = start + length
    seen = Seen(
        file=file,
        instrument=name,
        label=name,
        time=end,
        known_at=end,
        values={"mark_price": numbers(file, "mark_close")},
    )
    used = seen.finding(
        check="last-of-bar",
        severity=Severity.INFO,
        found=f"the last mark price of each bar of {span(length)} is used, known at its end",
    )
    return observations(seen, findings=[used], max_age=lasting(end, steps=2, least_days=0))


MARK_PRICES = Form(
    name="mark prices",
    columns="`open_time`, `mark_close`, perhaps `symbol` or `instrument`",
    claims=_claims,
    wanted=all_of,
    read=_read,
)
"""Bars of a price that nobody traded at: no returns are made from it."""
