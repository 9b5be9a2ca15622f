"""What a form of file is: the columns that it is known by, and how it is read."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ...findings import Finding, Severity
from ...observations import Observations
from ..tables import RawTable

Table = RawTable | Observations
"""What reading yields: bars of an instrument, or values that arrive at their own times."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FileTable:
    """A file as it was read, before its form gives it a meaning.

    Attributes
    ----------
    path : Path
        Where it lies; messages name it.
    stem : str
        File name without its suffixes: the instrument, where no column names one.
    names : tuple of str
        All columns of the file, those not read included.
    frame : pandas.DataFrame
        The columns that the form wants, one row per line of the file, counted from 0.
    """

    path: Path
    stem: str
    names: tuple[str, ...]
    frame: pd.DataFrame


@dataclass(frozen=True, kw_only=True)
class Form:
    """One form of file. A new one is a file and a line in :data:`.FORMS`.

    Attributes
    ----------
    name : str
        What people call it.
    columns : str
        The columns by which it is known, for people.
    claims : callable
        Whether a file with these columns is of this form.
    wanted : callable
        The columns to read, given all of them.
    read : callable
        From a file to tables; a defect that leaves nothing to read raises :class:`Refusal`.
    holds_bars : bool
        Whether it makes instruments, rather than saying more about those that other files make.
    """

    name: str
    columns: str
    claims: Callable[[frozenset[str]], bool]
    wanted: Callable[[Sequence[str]], Sequence[str]]
    read: Callable[[FileTable], Iterator[Table]]
    holds_bars: bool = False


class Refusal(Exception):
    """Nothing of a file can be used; the reader of files turns it into a finding.

    Attributes
    ----------
    check : str
        Name of the finding.
    reason : str
        What must hold, what was found, what to do.
    """

    def __init__(self, *, check: str, reason: str) -> None:
        super().__init__(reason)
        self.check = check
        self.reason = reason


def unreadable(path: Path, check: str, reason: str, *, instrument: str) -> RawTable:
    """Return a table without rows whose one finding says why."""
    finding = Finding(
        check=check,
        severity=Severity.ERROR,
        instrument=instrument,
        count=1,
        detail=f"{path}: {reason}",
    )
    return RawTable(instrument=instrument, origin=str(path), frame=None, findings=(finding,))


def all_of(names: Sequence[str]) -> Sequence[str]:
    """Want every column."""
    return names


def first_of(names: Sequence[str] | frozenset[str], choices: Sequence[str]) -> str | None:
    """Return the first of `choices` that is among `names`; None if none is."""
    return next((choice for choice in choices if choice in names), None)
