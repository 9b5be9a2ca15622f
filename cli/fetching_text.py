"""Fetching from the network, with a line of progress and a table of what was written."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from ..errors import InputError
from ..markets import Severity
from ..markets.download.client import Client
from ..markets.download.fetching import FetchedFile, Fetcher, FetchReport, FetchRequest, offered
from ..markets.rules import some_of
from ..markets.sources.fetchers import FETCHERS

_BYTES_PER_MB = 1e6


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the command line asks for.

    Attributes
    ----------
    source, dataset : str
        Of which source, and which of its data sets.
    symbols : tuple of str
        Instruments as the source spells them.
    start, end : datetime
        From when (inclusive) to when (exclusive), UTC without a zone.
    interval : str or None
        Bar length as the source spells it.
    """

    source: str
    dataset: str
    symbols: tuple[str, ...]
    start: datetime
    end: datetime
    interval: str | None


def fetch_all(wanted: Wanted, *, folder: Path, console: Console) -> bool:
    """Fetch symbol by symbol, print what was written, and say whether everything was had.

    Raises
    ------
    InputError
        If there is no such source, or it does not offer what is asked for.
    SourceError
        If the source does not answer as it should; what was written before stays.
    """
    fetcher = fetcher_named(wanted.source)
    whole = _request(wanted, wanted.symbols)
    offered(fetcher, whole)  # before the first byte
    client = Client()
    reports: list[FetchReport] = []
    try:
        with console.status("") as status:
            for i, symbol in enumerate(wanted.symbols, start=1):
                status.update(
                    f"{fetcher.name} {wanted.dataset} {symbol} ({i} of {len(wanted.symbols)}), "
                    f"{_megabytes(reports)} MB so far"
                )
                request = _request(wanted, (symbol,))
                reports.append(fetcher.fetch(request, folder=folder, client=client))
    finally:
        _print(reports, console)
    return not any(f.severity is Severity.ERROR for one in reports for f in one.findings)


def fetcher_named(name: str) -> Fetcher:
    """Return a source on the network.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    for fetcher in FETCHERS:
        if fetcher.name == name:
            return fetcher
    names = some_of([fetcher.name for fetcher in FETCHERS], most=20)
    raise InputError(f"source must be one of {names}, was {name!r}; see `foremargin data sources`")


def _request(wanted: Wanted, symbols: tuple[str, ...]) -> FetchRequest:
    return FetchRequest(
        symbols=symbols,
        dataset=wanted.dataset,
        start=pd.Timestamp(wanted.start, tz="UTC"),
        end=pd.Timestamp(wanted.end, tz="UTC"),
        interval=wanted.interval,
    )


def _megabytes(reports: Sequence[FetchReport]) -> str:
    return f"{sum(one.transferred_bytes for one in reports) / _BYTES_PER_MB:,.1f}"


def _print(reports: Sequence[FetchReport], console: Console) -> None:
    files = [file for one in reports for file in one.files]
    if files:
        console.print(_table(files))
    for finding in (finding for one in reports for finding in one.findings):
        console.print(f"{finding.severity.value}: {finding.check}: {finding.detail}")
    console.print(f"{len(files)} files written, {_megabytes(reports)} MB received")


def _table(files: Sequence[FetchedFile]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for name in ("instrument", "rows", "from (UTC)", "to (UTC)", "file"):
        table.add_column(name, justify="right" if name == "rows" else "left", overflow="fold")
    for file in files:
        first, last = (f"{time:%Y-%m-%d %H:%M}" for time in (file.first, file.last))
        table.add_row(file.instrument, f"{file.rows:,}", first, last, str(file.path))
    return table
