"""Liquidations per day: the value of positions that a venue closed by force."""

from collections.abc import Iterator

from ...findings import Severity
from ...parsing import DAY_NS
from ...rules import span
from .form import FileTable, Form, Table, all_of, first_of
from .observing import Seen, observations
from .values import days, numbers, require_rows, rows_by

_DATES = ("time", "date")
_NAMES = ("instrument", "symbol", "coin")
_TOTAL = "daily_notional_liquidated"


def _claims(names: frozenset[str]) -> bool:
    return first_of(names, _DATES) is not None and _TOTAL in names


def _read(file: FileTable) -> Iterator[Table]:
    require_rows(file)
    for name, rows in rows_by(file, first_of(file.names, _NAMES)):
        yield _table(rows, name)


def _table(file: FileTable, name: str) -> Table:
    start = days(file, first_of(file.names, _DATES) or _DATES[0])
    seen = Seen(
        file=file,
        instrument=name,
        label=name,
        time=start + DAY_NS,
        known_at=start + DAY_NS,
        values={"liquidation_value": numbers(file, _TOTAL)},
    )
    known = seen.finding(
        check="assumed-lag",
        severity=Severity.INFO,
        found=f"the sum of a day is taken as known at its end, {span(DAY_NS)} after its date; "
        "a day without a row has none reported",
    )
    return observations(seen, findings=[known])


LIQUIDATIONS = Form(
    name="liquidations",
    columns=f"`time` (a day), `coin`, `{_TOTAL}`",
    claims=_claims,
    wanted=all_of,
    read=_read,
)
"""Longs and shorts are not told apart."""
