"""Zip files of the archive on this machine, read without the network."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ....errors import InputError, SourceError
from ...download.fetching import merged_rows
from ...findings import Finding, Severity
from ..forms.bars import BARS
from ..forms.form import FileTable, Refusal, Table, unreadable
from ..forms.observed import OBSERVED
from ..tables import RawTable
from .archive_files import ArchiveFile, archive_file, listing_of
from .datasets import DATASET_NAMES, dataset_named
from .reading import check_beside, read_zip

_OWN_SUFFIXES = (".parquet", ".csv")

_Member = tuple[ArchiveFile, Path]


class BinanceZips:
    """Source of any zip file of the archive, or of a folder that holds such files.

    Folders inside the folder are searched as well: the archive's own tree tells spot from futures
    and prices of trades from mark and index prices. A folder that itself holds Parquet or CSV
    files is left to the reader of those.
    """

    @property
    def name(self) -> str:
        """Name of the source, for people."""
        return "Binance archive"

    def claims(self, target: str | Path) -> bool:
        """Whether `target` is such a file or folder."""
        return next(_files(Path(target)), None) is not None

    def read(self, target: str | Path) -> Iterator[Table]:
        """Yield bars and observations, a table for each symbol and data set.

        A damaged file is a finding, and then nothing is read of its instrument.

        Raises
        ------
        InputError
            If there is no such file or folder.
        """
        if not Path(target).exists():
            raise InputError(f"there must be a file or folder {target}, found none; check the path")
        groups: dict[str, list[_Member]] = defaultdict(list)
        for file, path in _files(Path(target)):
            groups[file.instrument].append((file, path))
        for instrument in sorted(groups):
            yield from _read_instrument(instrument, groups[instrument], origin=str(target))


def _files(target: Path) -> Iterator[_Member]:
    for path in _walk(target) if target.is_dir() else (target,):
        file = archive_file(path, datasets=DATASET_NAMES)
        if file is not None and path.is_file():
            yield file, path


def _walk(folder: Path) -> Iterator[Path]:
    if any(path.suffix.lower() in _OWN_SUFFIXES for path in folder.iterdir()):
        return
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root, name) for name in sorted(names))


def _read_instrument(
    instrument: str, members: Sequence[_Member], *, origin: str
) -> Iterator[Table]:
    kinds: dict[ArchiveFile, list[_Member]] = defaultdict(list)
    for file, path in sorted(members, key=_by_name):
        kinds[replace(file, span="")].append((file, path))
    tables: list[Table] = []
    damages: list[str] = []
    for kind, files in kinds.items():
        parts = [_rows(file, path) for file, path in files]
        whole = [part for part in parts if isinstance(part, pd.DataFrame)]
        damages += [part for part in parts if isinstance(part, str)]
        folder = files[0][1] if len(files) == 1 else files[0][1].parent
        if len(whole) == len(parts):
            tables += _tables(kind, merged_rows(whole).assign(instrument=instrument), folder)
    if damages:
        findings = tuple(_finding(instrument, damage) for damage in damages)
        tables = [RawTable(instrument=instrument, origin=origin, frame=None, findings=findings)]
    yield from tables


def _by_name(member: _Member) -> tuple[str, ...]:
    file, path = member
    return (file.dataset, file.span, str(path))


def _rows(file: ArchiveFile, path: Path) -> pd.DataFrame | str:
    """Return the rows of a file, or the sentence that says why there are none."""
    try:
        check_beside(path)
        return read_zip(path, dataset=dataset_named(file.dataset), file=file)
    except SourceError as error:
        return str(error)


def _tables(kind: ArchiveFile, rows: pd.DataFrame, path: Path) -> list[Table]:
    """Return what a canonical file with these rows would be read as."""
    form = BARS if dataset_named(kind.dataset).bars else OBSERVED
    names = tuple(str(name) for name in rows.columns)
    try:
        tables = list(
            form.read(FileTable(path=path, stem=kind.instrument, names=names, frame=rows))
        )
    except Refusal as refusal:
        return [unreadable(path, refusal.check, refusal.reason, instrument=kind.instrument)]
    if kind.market is None:
        return tables
    listing = listing_of(kind.market, kind.symbol)
    return [replace(one, listing=listing) if isinstance(one, RawTable) else one for one in tables]


def _finding(instrument: str, damage: str) -> Finding:
    return Finding(
        check="damaged-file",
        severity=Severity.ERROR,
        instrument=instrument,
        count=1,
        detail=damage,
    )
