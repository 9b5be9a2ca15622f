"""The market that a market file describes: every file it names, under the name it gives."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from glob import glob
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..observations import Observations
from ..parsing import HOUR_NS, MINUTE_NS
from ..rules import some_of
from .bar_files import READERS, BarFiles
from .forms import FileTable, Form, Refusal, Table, unreadable
from .forms.observing import Seen, jittered, lasting, observations, usual_step
from .forms.units import PERCENT
from .forms.values import days, instants, numbers, origin_of, require_rows, rows_by
from .market_file import (
    SUFFIX,
    BarsEntry,
    ContextEntry,
    ObservationsEntry,
    read_market_file,
)
from .tables import RawTable, Source

_Timed = ObservationsEntry | ContextEntry


@dataclass(frozen=True, kw_only=True)
class DescribedMarket:
    """Source of a market file, a ``.toml``.

    Attributes
    ----------
    embedded : tuple of Source
        Sources that a market file may name by a word.
    """

    embedded: tuple[Source, ...] = ()

    @property
    def name(self) -> str:
        """Name of the source, for people."""
        return "market file"

    def claims(self, target: str | Path) -> bool:
        """Whether `target` ends in ``.toml``."""
        return Path(target).suffix.lower() == SUFFIX

    def read(self, target: str | Path) -> Iterator[Table]:
        """Yield the bars, then the observations, then the context, in the order of the file.

        Raises
        ------
        InputError
            If there is no such file, a value in it is not allowed, or a path in it fits nothing.
        """
        market, folder = read_market_file(target), Path(target).parent
        for k, bars in enumerate(market.bars):
            with _named(f"{target}: bars[{k}]"):
                yield from _bars(bars, self._tables(bars, folder))
        for k, values in enumerate(market.observations):
            with _named(f"{target}: observations[{k}]"):
                yield from _timed(values, folder, _observations_form(values))
        for k, series in enumerate(market.context):
            with _named(f"{target}: context[{k}]"):
                yield from _timed(series, folder, _context_form(series))

    def _tables(self, entry: BarsEntry, folder: Path) -> Iterator[Table]:
        if entry.path is not None:
            return BarFiles().read(folder / entry.path)
        for source in self.embedded:
            if source.claims(entry.source or ""):
                return source.read(entry.source or "")
        names = [source.name for source in self.embedded]
        raise InputError(f"source must be one of {names}, was {entry.source!r}")


@contextmanager
def _named(key: str) -> Iterator[None]:
    """Put the key of the market file before what is wrong with it."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{key}: {error}") from error


def _bars(entry: BarsEntry, tables: Iterator[Table]) -> Iterator[Table]:
    for table in tables:
        if isinstance(table, RawTable):
            name = entry.instrument or table.instrument
            yield replace(table, instrument=name, listing=entry.listing(name, known=table.listing))
        else:
            yield replace(table, instrument=_qualified(entry.venue, table.instrument))


def _qualified(venue: str, name: str | None) -> str | None:
    return f"{venue}:{name}" if venue and name is not None else name


def _timed(entry: _Timed, folder: Path, form: Form) -> Iterator[Table]:
    whole = folder / entry.path
    paths = [whole] if whole.is_file() else [Path(one) for one in sorted(glob(str(whole)))]
    if not paths:
        raise InputError(f"path must fit at least one file, and none fits {whole}; correct it")
    for path in paths:
        yield from _read(path, form)


def _read(path: Path, form: Form) -> Iterator[Table]:
    """Yield what a file holds by the form that is given; whatever is wrong with it is a finding."""
    stem = path.name.split(".")[0]
    reader = next((one for end, one in READERS.items() if path.name.lower().endswith(end)), None)
    try:
        if reader is None:
            raise ValueError(f"its name must end in {some_of(list(READERS))}")
        names = reader.names(path)
        frame = reader.rows(path, form.wanted(names))
        yield from form.read(FileTable(path=path, stem=stem, names=tuple(names), frame=frame))
    except Refusal as refusal:
        yield unreadable(path, refusal.check, refusal.reason, instrument=stem)
    # An Arrow, parser or unicode error is a ValueError; a damaged file may be any of them.
    except (ValueError, OSError, EOFError, BadZipFile) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        detail = f"a data file must be readable, and reading it failed ({reason}); write it again"
        yield unreadable(path, "unreadable-file", detail, instrument=stem)


def _observations_form(entry: ObservationsEntry) -> Form:
    needed = _present(entry.time, entry.known_at, entry.instrument_column, *entry.fields.values())

    def read(file: FileTable) -> Iterator[Table]:
        for name, rows in rows_by(_whole(file, needed), entry.instrument_column):
            own = entry.instrument or name
            scale = PERCENT if entry.unit == "percent" else 1.0
            values = {field: numbers(rows, name) / scale for field, name in entry.fields.items()}
            yield _seen(entry, rows, _qualified(entry.venue, own), own, values)

    return _form(needed, read)


def _context_form(entry: ContextEntry) -> Form:
    long = entry.series_column is not None
    named = () if long else tuple(entry.names.values())
    needed = _present(entry.time, entry.known_at, entry.series_column, entry.value_column, *named)

    def read(file: FileTable) -> Iterator[Table]:
        file = _whole(file, needed)
        if not long:
            values = {name: numbers(file, column) for name, column in entry.names.items()}
            yield _seen(entry, file, None, file.stem, values)
            return
        series = dict(rows_by(file, entry.series_column))
        for name, one in entry.names.items():
            if one not in series:
                raise Refusal(
                    check="missing-series",
                    reason=f"column {entry.series_column!r} must hold the series {one!r}, found "
                    f"{some_of(sorted(series), most=20)}; correct 'names'",
                )
            values = {name: numbers(series[one], entry.value_column or "")}
            yield _seen(entry, series[one], None, one, values)

    return _form(needed, read)


def _present(*columns: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(column for column in columns if column is not None))


def _form(needed: Sequence[str], read: Callable[[FileTable], Iterator[Table]]) -> Form:
    return Form(
        name="as the market file says",
        columns=", ".join(needed),
        claims=lambda names: True,
        wanted=lambda names: [name for name in names if name in needed],
        read=read,
    )


def _whole(file: FileTable, needed: Sequence[str]) -> FileTable:
    """Return the file if it has rows and the columns that the market file names."""
    require_rows(file)
    missing = [name for name in needed if name not in file.frame]
    if missing:
        raise Refusal(
            check="missing-column",
            reason=f"the file must have the columns that the market file names, found no "
            f"{some_of(missing)} among {some_of(file.names, most=20)}; correct the market file",
        )
    return file


def _seen(
    entry: _Timed,
    rows: FileTable,
    instrument: str | None,
    label: str,
    values: Mapping[str, NDArray[np.float64]],
) -> Observations:
    time = days(rows, entry.time)
    step = usual_step(time)
    grid = HOUR_NS if step >= HOUR_NS else MINUTE_NS
    time, findings = jittered(time, grid=grid, label=label, origin=origin_of(rows, label))
    known_at = entry.delay.known_at(time)
    if entry.known_at is not None:
        known_at = instants(rows, entry.known_at)
    seen = Seen(
        file=rows,
        instrument=instrument,
        label=label,
        time=time,
        known_at=known_at,
        values=values,
    )
    max_age = entry.max_age or lasting(known_at)
    return observations(seen, findings=findings, max_age=max_age, rare=tuple(values))
