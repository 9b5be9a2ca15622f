"""What a source hands over: raw bar tables, one per instrument."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd

from ..findings import Finding
from ..listings import Listing
from ..observations import Observations


@dataclass(frozen=True, kw_only=True, eq=False)
class RawTable:
    """Bars of one instrument as the source has them, not checked yet.

    Attributes
    ----------
    instrument : str
        Whose bars.
    origin : str
        Where they came from, as the caller wrote it; messages name it.
    frame : pandas.DataFrame or None
        Columns of :mod:`foremargin.markets.columns`, one row per bar, the index counting rows of
        the file from 0; None if nothing could be read, and then `findings` says why.
    findings : tuple of Finding
        What was found while reading.
    listing : Listing or None
        What the instrument is, where the source knows.
    """

    instrument: str
    origin: str
    frame: pd.DataFrame | None
    findings: tuple[Finding, ...] = ()
    listing: Listing | None = None


class Source(Protocol):
    """A way to get bars. A new source is one file and one line in :data:`.registry.SOURCES`."""

    @property
    def name(self) -> str:
        """Name of the source, for people."""
        ...

    def claims(self, target: str | Path) -> bool:
        """Whether this source reads `target`, a source name or a path."""
        ...

    def read(self, target: str | Path) -> Iterator[RawTable | Observations]:
        """Yield a table per instrument; defects are findings, never exceptions.

        Raises
        ------
        InputError
            If there is no such target.
        """
        ...
