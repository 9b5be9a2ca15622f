"""Bar files: Parquet or CSV in the canonical form, one file or a folder of them."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pandas as pd
from pyarrow import parquet

from ...errors import InputError
from ..columns import KNOWN_COLUMNS, TIME_COLUMNS, UNKNOWN_COLUMNS
from ..findings import Finding, Severity
from ..rules import plural, some_of
from .tables import RawTable


class BarFiles:
    """Source of any path: a ``.parquet`` or ``.csv`` file, or a folder of such files."""

    @property
    def name(self) -> str:
        """Name of the source, for people."""
        return "bar files"

    def claims(self, target: str | Path) -> bool:
        """Whether `target` is a path; every string is, so this source comes last."""
        return True

    def read(self, target: str | Path) -> Iterator[RawTable]:
        """Yield a table per instrument, files in alphabetical order.

        Raises
        ------
        InputError
            If there is no such file or folder.
        """
        path = Path(target)
        if path.is_dir():
            yield from _read_folder(path)
        elif path.exists():
            yield from _read_file(path)
        else:
            raise InputError(
                f"a data path must be a bar file, a folder of bar files or 'arch', and there is "
                f"no {path}; check the spelling"
            )


def _read_folder(folder: Path) -> Iterator[RawTable]:
    files = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in READERS and path.is_file() and not path.name.startswith(".")
    ]
    if not files:
        yield _unreadable(
            folder,
            "no-bar-files",
            "a data folder must hold .parquet or .csv files, found none; "
            "give the folder that holds the files themselves",
        )
    for path in files:
        yield from _read_file(path)


def _read_file(path: Path) -> Iterator[RawTable]:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        yield _unreadable(
            path,
            "unsupported-suffix",
            f"a bar file must end in .parquet or .csv, found {path.suffix or 'no suffix'!r}; "
            "convert it",
        )
    elif path.stat().st_size == 0:
        yield _unreadable(
            path, "empty-file", "a bar file must have rows, found 0 bytes; write it again"
        )
    else:
        try:
            frame = reader(path)
        # An Arrow, parser or unicode error is a ValueError; a damaged file may be any of them.
        except (ValueError, OSError) as error:
            reason = str(error).strip().splitlines()[0].rstrip(".")
            yield _unreadable(
                path,
                "unreadable-file",
                f"a bar file must be valid {path.suffix.lower()[1:]}, and reading it failed "
                f"({reason}); write it again",
            )
            return
        yield from _split(path, frame)


def _read_parquet(path: Path) -> pd.DataFrame:
    """Read the columns that are known; the others are kept as names without values."""
    names = parquet.read_schema(path).names
    frame = pd.read_parquet(path, columns=[name for name in names if name in KNOWN_COLUMNS])
    # A time column may have been written as the index; any other index is no part of the bars.
    frame = frame.reset_index(drop=frame.index.name not in TIME_COLUMNS)
    frame.attrs[UNKNOWN_COLUMNS] = [name for name in names if _is_unknown(name)]
    return frame


def _read_csv(path: Path) -> pd.DataFrame:
    text = dict.fromkeys((*TIME_COLUMNS, "instrument"), str)
    frame = pd.read_csv(path, dtype=text, low_memory=False)
    unknown = [name for name in frame.columns if _is_unknown(str(name))]
    frame = frame.drop(columns=unknown)
    frame.attrs[UNKNOWN_COLUMNS] = unknown
    return frame


READERS: Mapping[str, Callable[[Path], pd.DataFrame]] = {
    ".parquet": _read_parquet,
    ".csv": _read_csv,
}
"""How a file is read, by its suffix in lower case."""


def _is_unknown(name: str) -> bool:
    return name not in KNOWN_COLUMNS and not name.startswith("__index_level_")


def _split(path: Path, frame: pd.DataFrame) -> Iterator[RawTable]:
    unknown = [str(name) for name in frame.attrs[UNKNOWN_COLUMNS]]
    if "instrument" not in frame or frame.empty:
        yield RawTable(
            instrument=path.stem,
            origin=str(path),
            frame=frame,
            findings=_unknown_columns(path, path.stem, unknown),
        )
        return
    unnamed = int(frame["instrument"].isna().sum())
    if unnamed:
        yield _unreadable(
            path,
            "missing-instrument",
            f"the column 'instrument' must name one in every row, found {unnamed} rows without; "
            "fill it or leave the column out",
        )
        return
    for instrument, rows in frame.groupby("instrument", sort=True):
        yield RawTable(
            instrument=str(instrument),
            origin=f"{path} ({instrument})",
            frame=rows.drop(columns="instrument"),
            findings=_unknown_columns(path, str(instrument), unknown),
        )


def _unknown_columns(path: Path, instrument: str, unknown: list[str]) -> tuple[Finding, ...]:
    if not unknown:
        return ()
    return (
        Finding(
            check="unknown-column",
            severity=Severity.INFO,
            instrument=instrument,
            count=len(unknown),
            detail=f"{path}: {plural(len(unknown), 'column')} unknown to a bar file ignored "
            f"({some_of(unknown)})",
        ),
    )


def _unreadable(path: Path, check: str, reason: str) -> RawTable:
    finding = Finding(
        check=check,
        severity=Severity.ERROR,
        instrument=path.stem,
        count=1,
        detail=f"{path}: {reason}",
    )
    return RawTable(instrument=path.stem, origin=str(path), frame=None, findings=(finding,))
