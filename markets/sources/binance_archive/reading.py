"""From a zip file of the archive to rows of a canonical file; strict about what it must hold."""

import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import pandas as pd

from ....errors import SourceError
from ...download.partial_file import sha256_of
from .archive_files import ArchiveFile
from .dataset import Dataset

CHECKSUM_SUFFIX = ".CHECKSUM"
"""What the name of a checksum file has after that of its zip file."""

_CHECKSUM = re.compile(r"\s*([0-9a-fA-F]{64})\b.*", flags=re.DOTALL)
_SHOWN_CHARACTERS = 200


def read_zip(path: Path, *, dataset: Dataset, file: ArchiveFile) -> pd.DataFrame:
    """Return the rows of a file, in the columns of a canonical file, in the order of the file.

    Raises
    ------
    SourceError
        If it is not a whole zip file with one table of a known form.
    """
    try:
        with ZipFile(path) as archive:
            return _read(archive, path, dataset=dataset, file=file)
    # A damaged file may raise any of them; text where a number must be is a ValueError.
    except (BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise SourceError(
            f"{path}: must be a whole zip file with one {dataset.name} table, and reading it "
            f"failed ({reason}); remove it and fetch it again",
            damaged=True,
        ) from error


def checksum_in(text: str, *, origin: str) -> str:
    """Return the SHA-256 checksum of a ``.CHECKSUM`` file (``<checksum>  <name>``).

    Raises
    ------
    SourceError
        If it does not begin with one.
    """
    match = _CHECKSUM.fullmatch(text)
    if match is None:
        raise SourceError(
            f"{origin}: must begin with a SHA-256 checksum, was {text[:_SHOWN_CHARACTERS]!r}; "
            "try again later",
            damaged=True,
        )
    return match[1].lower()


def check_beside(path: Path) -> None:
    """Compare a file with the checksum file beside it, if there is one.

    Raises
    ------
    SourceError
        If they do not fit.
    """
    beside = path.with_name(path.name + CHECKSUM_SUFFIX)
    if not beside.exists():
        return
    wanted = checksum_in(beside.read_text(errors="replace"), origin=str(beside))
    found = sha256_of(path)
    if found != wanted:
        raise SourceError(
            f"{path}: must have the SHA-256 checksum {wanted} of {beside.name}, was {found}; "
            "remove both and fetch them again",
            damaged=True,
        )


def _read(archive: ZipFile, path: Path, *, dataset: Dataset, file: ArchiveFile) -> pd.DataFrame:
    members = archive.namelist()
    if len(members) != 1:
        raise ValueError(f"it holds {len(members)} files")
    with archive.open(members[0]) as stream:
        first = stream.readline().decode().strip().split(",")
    headed = first[0][:1].isalpha()
    columns = _columns(first, path=path, dataset=dataset, headed=headed)
    with (
        archive.open(members[0]) as stream,
        pd.read_csv(
            stream,
            names=list(columns),
            header=0 if headed else None,
            usecols=list(dataset.types),
            dtype=dict(dataset.types),
            index_col=False,
            chunksize=dataset.rows_at_once or 10**9,
        ) as chunks,
    ):
        return pd.concat([dataset.convert(chunk, file) for chunk in chunks], ignore_index=True)


def _columns(
    first: Sequence[str], *, path: Path, dataset: Dataset, headed: bool
) -> tuple[str, ...]:
    """Return the columns, by the header row or else by their number."""
    for header in dataset.headers:
        if tuple(first) == header or (not headed and len(first) == len(header)):
            return header
    known = " or ".join(",".join(header) for header in dataset.headers)
    found = ",".join(first) if headed else f"{len(first)} columns without a header"
    raise SourceError(
        f"{path}: a {dataset.name} table must have the columns {known}, found "
        f"{found[:_SHOWN_CHARACTERS]}; the archive has changed its form, and reading it must be "
        "adapted",
        damaged=True,
    )
