"""Funding tables: what longs paid at each settlement, per contract."""

from collections.abc import Iterator

from ...findings import Severity
from ...parsing import HOUR_NS
from .form import FileTable, Form, Table, all_of, first_of
from .observing import Seen, jittered, observations
from .units import FUNDING, PERCENT, is_percent
from .values import instants, numbers, origin_of, require_rows, rows_by

_TIMES = ("funding_time", "fundingTime")
_RATES = ("funding_rate", "fundingRate")
_NAMES = ("instrument", "symbol")


def _claims(names: frozenset[str]) -> bool:
    return first_of(names, _TIMES) is not None and first_of(names, _RATES) is not None


def _read(file: FileTable) -> Iterator[Table]:
    require_rows(file)
    for name, rows in rows_by(file, first_of(file.names, _NAMES)):
        yield _table(rows, name)


def _table(file: FileTable, name: str) -> Table:
    column = first_of(file.names, _RATES) or _RATES[0]
    time, findings = jittered(
        instants(file, first_of(file.names, _TIMES) or _TIMES[0]),
        grid=HOUR_NS,
        label=name,
        origin=origin_of(file, name),
    )
    rate = numbers(file, column)
    percent = is_percent(rate, FUNDING, column=column)
    seen = Seen(
        file=file,
        instrument=name,
        label=name,
        time=time,
        known_at=time,
        values={"funding_rate": rate / PERCENT if percent else rate},
    )
    if percent:
        findings = (
            *findings,
            seen.finding(
                check="unit-converted",
                severity=Severity.INFO,
                found=f"{column!r} in percent by its size, converted to decimals",
            ),
        )
    return observations(seen, findings=findings)


FUNDING_TABLE = Form(
    name="funding table",
    columns="`funding_time`, `funding_rate`, perhaps `symbol` or `instrument`",
    claims=_claims,
    wanted=all_of,
    read=_read,
)
"""Rates are known when they are settled."""
