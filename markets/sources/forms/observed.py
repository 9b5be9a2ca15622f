"""Canonical observations: values with the moment they speak of and the one they were known."""

from collections.abc import Iterator, Sequence

from ...fields import field_named
from ...findings import Severity
from ...rules import plural, some_of
from .form import FileTable, Form, Refusal, Table, all_of
from .observing import Seen, lasting, observations
from .values import instants, numbers, require_rows, rows_by

_KEYS = ("time", "known_at", "instrument")


def _claims(names: frozenset[str]) -> bool:
    return {"time", "known_at"} <= names


def _read(file: FileTable) -> Iterator[Table]:
    require_rows(file)
    named = "instrument" in file.frame
    columns = [name for name in file.frame.columns if name not in _KEYS]
    columns = [name for name in columns if not str(name).startswith("__index_level_")]
    known = [name for name in columns if field_named(name) is not None] if named else columns
    if not known:
        raise Refusal(
            check="missing-column",
            reason="an observation file must have a value column"
            + (" named as a panel field" if named else "")
            + f", found {some_of(columns)}; add or rename it",
        )
    for name, rows in rows_by(file, "instrument" if named else None):
        yield _table(rows, name, named=named, columns=known, ignored=_rest(columns, known))


def _table(
    rows: FileTable, name: str, *, named: bool, columns: Sequence[str], ignored: Sequence[str]
) -> Table:
    seen = Seen(
        file=rows,
        instrument=name if named else None,
        label=name,
        time=instants(rows, "time"),
        known_at=instants(rows, "known_at"),
        values={column: numbers(rows, column) for column in columns},
    )
    findings = [
        seen.finding(
            check="unknown-column",
            severity=Severity.INFO,
            found=f"{plural(len(ignored), 'column')} that are no panel fields ignored "
            f"({some_of(ignored)})",
            count=len(ignored),
        )
    ] * bool(ignored)
    # Values of one file need not come together: a fetch of several fields leaves holes.
    return observations(
        seen, findings=findings, max_age=lasting(seen.known_at, least_days=1), rare=columns
    )


def _rest(columns: Sequence[str], known: Sequence[str]) -> list[str]:
    return [name for name in columns if name not in known]


OBSERVED = Form(
    name="observations",
    columns="`time`, `known_at`, perhaps `instrument`, and panel fields",
    claims=_claims,
    wanted=all_of,
    read=_read,
)
"""What the fetchers write for everything that is not a bar."""
