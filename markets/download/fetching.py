"""Fetching: what a network source offers, what is asked of it, and the files that it leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd

from ...errors import InputError
from ..findings import Finding
from ..listings import Listing
from ..rules import some_of
from .client import Client

_KEY_COLUMNS = ("open_time", "time", "instrument")  # what makes a row one of its kind


@dataclass(frozen=True, kw_only=True)
class Capability:
    """One data set of a source.

    Attributes
    ----------
    dataset : str
        The word that asks for it.
    gives : tuple of str
        Panel fields that it fills, or market-wide series.
    history : str
        How far back it goes, and how often it is published, for people.
    intervals : tuple of str
        Bar lengths to choose from; empty where there is nothing to choose.
    notes : str
        What else a reader must know: units, sampling, from when a value is known.
    """

    dataset: str
    gives: tuple[str, ...]
    history: str
    intervals: tuple[str, ...] = ()
    notes: str = ""


@dataclass(frozen=True, kw_only=True)
class FetchRequest:
    """What is wanted of a source.

    Attributes
    ----------
    symbols : tuple of str
        Instruments, or market-wide series, as the source spells them; at least one.
    dataset : str
        One of the source's data sets, for example ``klines``.
    start, end : pandas.Timestamp
        From when (inclusive) to when (exclusive), timezone-aware; kept as UTC.
    interval : str or None
        Bar length as the source spells it; None where the data set has none to choose.

    Raises
    ------
    InputError
        If there is no symbol, a time has no time zone, or the end is not after the start.
    """

    symbols: tuple[str, ...]
    dataset: str
    start: pd.Timestamp
    end: pd.Timestamp
    interval: str | None = None

    def __post_init__(self) -> None:
        if not self.symbols:
            raise InputError("there must be at least one symbol, found none; name what to fetch")
        for name in ("start", "end"):
            time = getattr(self, name)
            if time.tzinfo is None:
                raise InputError(
                    f"{name} must carry a time zone, was {time}; write for example "
                    f"{time:%Y-%m-%d}T00:00:00Z"
                )
            object.__setattr__(self, name, time.tz_convert("UTC"))
        if self.end <= self.start:
            raise InputError(
                f"end must be after start, was {self.end} with start {self.start}; swap them"
            )


@dataclass(frozen=True, kw_only=True)
class FetchedFile:
    """One canonical file that a fetch wrote.

    Attributes
    ----------
    path : Path
        Where it lies.
    instrument : str
        Whose values it holds.
    rows : int
        How many rows it has in all, those of earlier fetches included.
    first, last : pandas.Timestamp
        Time of the first and of the last row, UTC.
    listing : Listing or None
        What the instrument is, where the source knows.
    """

    path: Path
    instrument: str
    rows: int
    first: pd.Timestamp
    last: pd.Timestamp
    listing: Listing | None = None


@dataclass(frozen=True, kw_only=True)
class FetchReport:
    """What a fetch did.

    Attributes
    ----------
    files : tuple of FetchedFile
        Files that were written; each whole.
    transferred_bytes : int
        What was received; 0 if everything was there already or the source does not count.
    findings : tuple of Finding
        Missing days, gaps, files that could not be used. An instrument with a finding of severity
        ERROR has no new file.
    """

    files: tuple[FetchedFile, ...]
    transferred_bytes: int = 0
    findings: tuple[Finding, ...] = ()

    @property
    def rows(self) -> int:
        """Rows of all files together."""
        return sum(file.rows for file in self.files)

    @property
    def first(self) -> pd.Timestamp | None:
        """Time of the earliest row, UTC; None if nothing was written."""
        return min((file.first for file in self.files), default=None)

    @property
    def last(self) -> pd.Timestamp | None:
        """Time of the latest row, UTC; None if nothing was written."""
        return max((file.last for file in self.files), default=None)


class Fetcher(Protocol):
    """A source on the network. A new one is a file and a line in :data:`.fetchers.FETCHERS`."""

    @property
    def name(self) -> str:
        """The word that selects it."""
        ...

    @property
    def offers(self) -> tuple[Capability, ...]:
        """Its data sets."""
        ...

    @property
    def lacks(self) -> tuple[str, ...]:
        """What one might look for and will not find there, one sentence each."""
        ...

    def fetch(self, request: FetchRequest, *, folder: Path, client: Client) -> FetchReport:
        """Write what is asked for to canonical files in `folder`.

        Raises
        ------
        InputError
            If the source does not offer what is asked for.
        SourceError
            If the source does not answer as it should.
        """
        ...


def offered(fetcher: Fetcher, request: FetchRequest) -> Capability:
    """Return the data set that is asked for.

    Raises
    ------
    InputError
        If the source has no such data set, or not at that interval.
    """
    chosen = next((one for one in fetcher.offers if one.dataset == request.dataset), None)
    if chosen is None:
        names = some_of([one.dataset for one in fetcher.offers], most=20)
        raise InputError(
            f"dataset must be one of those that {fetcher.name} offers ({names}), "
            f"was {request.dataset!r}; choose one of them"
        )
    allowed: tuple[str | None, ...] = chosen.intervals or (None,)
    if request.interval not in allowed:
        raise InputError(
            f"interval of {fetcher.name} {chosen.dataset} must be "
            f"{some_of(chosen.intervals, most=20) if chosen.intervals else 'left out'}, "
            f"was {request.interval!r}; "
            f"{'choose one of them' if chosen.intervals else 'leave it out'}"
        )
    return chosen


def write_canonical(
    frame: pd.DataFrame, path: Path, *, instrument: str, listing: Listing | None = None
) -> FetchedFile:
    """Write rows to a Parquet file that is either whole or as it was before.

    Rows of an earlier fetch stay in the file where `frame` has none at their times.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns of a canonical bar file (``open_time``) or observation file (``time``,
        ``known_at``), times UTC; at least one row.
    path : Path
        Where to; missing folders are made.
    instrument : str
        Whose rows, for the report; not added as a column.
    listing : Listing or None
        What it is, for the report.

    Raises
    ------
    InputError
        If there is no row.
    """
    if frame.empty:
        raise InputError(f"{path}: a canonical file must have rows, found none; ask for more time")
    rows = merged_rows([*([pd.read_parquet(path)] if path.exists() else []), frame])
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    rows.to_parquet(unfinished, index=False, compression="zstd")
    unfinished.replace(path)
    times = rows["open_time" if "open_time" in rows else "time"]
    return FetchedFile(
        path=path,
        instrument=instrument,
        rows=len(rows),
        first=times.min(),
        last=times.max(),
        listing=listing,
    )


def merged_rows(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of canonical tables by time, each time once per instrument.

    Of rows for one time, that of the later table stands, and in a table that of the later row.
    """
    rows = pd.concat(frames, ignore_index=True)
    keys = [name for name in _KEY_COLUMNS if name in rows]
    return rows.drop_duplicates(keys, keep="last").sort_values(keys, ignore_index=True)
