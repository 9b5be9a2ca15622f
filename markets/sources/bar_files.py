"""Files: Parquet or CSV of any known form, one file, a folder of them, or a pattern."""

import glob
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
from pyarrow import parquet

from ...errors import InputError
from ..columns import TIME_COLUMNS
from ..rules import some_of
from .forms import FORMS, FileTable, Form, Refusal, Table, form_of, unreadable
from .tables import RawTable

_WILDCARDS = frozenset("*?[")
_INDEX = "__index_level_"

# An Arrow, parser or unicode error is a ValueError; a damaged file may raise any of them.
_DAMAGE = (ValueError, OSError, EOFError, zipfile.BadZipFile)

# Read as text from CSV, so that neither a zone nor a leading zero is lost.
_TEXT = (
    *(*TIME_COLUMNS, "time", "known_at", "date", "Date", "DATE", "observation_date", "timestamp"),
    *("funding_time", "ts_minute_utc", "instrument", "symbol", "series", "coin", "ticker"),
    *("exchange", "venue", "pair", "error"),
)


class BarFiles:
    """Source of any path: a Parquet or CSV file, a folder of such files, or a pattern."""

    @property
    def name(self) -> str:
        """Name of the source, for people."""
        return "files"

    def claims(self, target: str | Path) -> bool:
        """Whether `target` is a path; every string is, so this source comes last."""
        return True

    def read(self, target: str | Path) -> Iterator[Table]:
        """Yield tables and observations, files in alphabetical order, sub-folders included.

        Bars of one name in two folders are told apart by the folder: ``binance:BTCUSDT``.

        Raises
        ------
        InputError
            If there is no such file or folder, or no file fits the pattern.
        """
        path = Path(target)
        if path.is_file():
            yield from read_file(path)
            return
        if path.is_dir():
            files = _data_files(path)
        elif _WILDCARDS & set(str(target)):
            files = _matching(str(target))
        else:
            raise InputError(
                f"a data path must be a data file, a folder of data files, a pattern or 'arch', "
                f"and there is no {path}; check the spelling"
            )
        if not files:
            yield unreadable(
                path,
                "no-bar-files",
                "a data folder must hold .parquet or .csv files, found none; "
                "give the folder that holds the files themselves",
                instrument=path.name,
            )
        clashing = _clashing(files)
        for file in files:
            for table in read_file(file):
                yield _named_apart(table, file, clashing)


def _matching(pattern: str) -> list[Path]:
    """Return the data files that a pattern fits, and those in folders that it fits."""
    found = [Path(one) for one in sorted(glob.glob(pattern, recursive=True))]
    files = [file for one in found for file in (_data_files(one) if one.is_dir() else [one])]
    if not files:
        raise InputError(
            f"a pattern must fit at least one data file, and none fits {pattern}; check the "
            "spelling"
        )
    return list(dict.fromkeys(files))


def _data_files(folder: Path) -> list[Path]:
    """Return the data files in a folder and below it, hidden ones left out."""
    return [
        path
        for path in sorted(folder.rglob("*"))
        if _suffix(path) in READERS
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def _clashing(files: Sequence[Path]) -> frozenset[str]:
    """Return the instruments that have bars in a file of their name in more than one folder."""
    by_name: dict[str, list[Path]] = {}
    for path in files:
        by_name.setdefault(_stem(path), []).append(path)
    return frozenset(
        name
        for name, paths in by_name.items()
        if len(paths) > 1 and len({path.parent for path in paths if _holds_bars(path)}) > 1
    )


def _holds_bars(path: Path) -> bool:
    reader = READERS.get(_suffix(path))
    try:
        form = None if reader is None else form_of(reader.names(path))
    except _DAMAGE:
        return False  # reading it says what is wrong
    return form is not None and form.holds_bars


def _named_apart(table: Table, path: Path, clashing: frozenset[str]) -> Table:
    """Put the folder before a name that several folders have a file for.

    What other files of that folder say about the instrument goes with it.
    """
    name = table.instrument
    if name not in clashing:
        return table
    return replace(table, instrument=f"{path.resolve().parent.name}:{name}")


def read_file(path: Path) -> Iterator[Table]:
    """Yield the tables of one file; whatever is wrong with it is a finding."""
    reader = READERS.get(_suffix(path))
    if reader is None:
        yield unreadable(
            path,
            "unsupported-suffix",
            f"a data file must end in .parquet or .csv, found {path.suffix or 'no suffix'!r}; "
            "convert it",
            instrument=_stem(path),
        )
    elif path.stat().st_size == 0:
        yield unreadable(
            path,
            "empty-file",
            "a data file must have rows, found 0 bytes; write it again",
            instrument=_stem(path),
        )
    else:
        yield from _read_form(path, reader)


def _read_form(path: Path, reader: "_Reader") -> Iterator[Table]:
    try:
        names = reader.names(path)
        form = form_of(names)
        if form is None:
            yield _of_no_form(path, names)
            return
        frame = reader.rows(path, form.wanted(names))
        kept = tuple(name for name in names if not name.startswith(_INDEX))
        file = FileTable(path=path, stem=_stem(path), names=kept, frame=frame)
        yield from _tables(form, file)
    except _DAMAGE as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        yield unreadable(
            path,
            "unreadable-file",
            f"a data file must be valid {_suffix(path)[1:]}, and reading it failed ({reason}); "
            "write it again",
            instrument=_stem(path),
        )


def _tables(form: Form, file: FileTable) -> Iterator[Table]:
    try:
        yield from form.read(file)
    except Refusal as refusal:
        yield unreadable(file.path, refusal.check, refusal.reason, instrument=file.stem)


def _of_no_form(path: Path, names: Sequence[str]) -> RawTable:
    forms = "; ".join(f"{form.name}: {form.columns}" for form in FORMS)
    return unreadable(
        path,
        "unknown-form",
        f"a data file must be of a known form, found the columns {some_of(names, most=12)}; "
        f"rename them to one of these forms, or leave the file out ({forms.replace('`', '')})",
        instrument=_stem(path),
    )


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """How the files of a suffix are read: first the names of the columns, then some of them."""

    names: Callable[[Path], list[str]]
    rows: Callable[[Path, Sequence[str]], pd.DataFrame]


def _parquet_names(path: Path) -> list[str]:
    return [str(name) for name in parquet.read_schema(path).names]


def _parquet_rows(path: Path, names: Sequence[str]) -> pd.DataFrame:
    # Columns are handed over one by one, so that a large file is not in memory twice.
    frame = pd.read_parquet(
        path,
        engine="pyarrow",
        columns=list(names),
        pre_buffer=False,
        to_pandas_kwargs={"split_blocks": True, "self_destruct": True},
    )
    # A time column may have been written as the index; any other index is no part of the data.
    return frame.reset_index(drop=frame.index.name not in _TEXT)


def _csv_names(path: Path) -> list[str]:
    return [str(name) for name in pd.read_csv(path, nrows=0).columns]


def _csv_rows(path: Path, names: Sequence[str]) -> pd.DataFrame:
    text = {name: str for name in names if name in _TEXT}
    return pd.read_csv(path, dtype=text, usecols=list(names), low_memory=False)


_PARQUET = _Reader(names=_parquet_names, rows=_parquet_rows)
_CSV = _Reader(names=_csv_names, rows=_csv_rows)

READERS: Mapping[str, _Reader] = {
    ".parquet": _PARQUET,
    ".csv": _CSV,
    ".csv.gz": _CSV,
    ".zip": _CSV,
}
"""How a file is read, by its suffix in lower case; a ``.zip`` holds one CSV."""


def _suffix(path: Path) -> str:
    name = path.name.lower()
    return ".csv.gz" if name.endswith(".csv.gz") else path.suffix.lower()


def _stem(path: Path) -> str:
    name = path.name
    for ending in (".csv.gz", ".csv.zip", path.suffix):
        if ending and name.lower().endswith(ending.lower()):
            return name[: -len(ending)]
    return name
