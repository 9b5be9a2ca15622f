"""The registry of sources, and the one way to read from them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...errors import InputError
from ..findings import Finding, Severity
from .arch_data import ArchData
from .bar_files import BarFiles
from .tables import RawTable, Source

SOURCES: tuple[Source, ...] = (ArchData(), BarFiles())
"""Asked in this order; the first that claims a target reads it."""

Targets = str | Path | Sequence[str | Path]
"""A source name, a path, or several of them."""


def targets_of(paths_or_source: Targets) -> tuple[str | Path, ...]:
    """Return what was asked for as a tuple.

    Raises
    ------
    InputError
        If nothing was asked for.
    """
    if isinstance(paths_or_source, str | Path):
        return (paths_or_source,)
    targets = tuple(paths_or_source)
    if not targets:
        raise InputError(
            "there must be at least one data path or source name, found none; pass a path or 'arch'"
        )
    return targets


def read_tables(paths_or_source: Targets) -> list[RawTable]:
    """Read every table; an instrument that comes twice is an error finding of both tables.

    Raises
    ------
    InputError
        If a path does not exist or nothing was asked for.
    """
    tables = [
        table
        for target in targets_of(paths_or_source)
        for table in next(source for source in SOURCES if source.claims(target)).read(target)
    ]
    times_seen = Counter(table.instrument for table in tables)
    return [
        table if times_seen[table.instrument] == 1 else _with_clash(table, tables)
        for table in tables
    ]


def _with_clash(table: RawTable, tables: Sequence[RawTable]) -> RawTable:
    origins = [other.origin for other in tables if other.instrument == table.instrument]
    clash = Finding(
        check="duplicate-instrument",
        severity=Severity.ERROR,
        instrument=table.instrument,
        count=len(origins),
        detail=f"an instrument must come from one file, found {table.instrument!r} in "
        f"{' and '.join(origins)}; leave one out, or name them apart",
    )
    return replace(table, findings=(*table.findings, clash))
