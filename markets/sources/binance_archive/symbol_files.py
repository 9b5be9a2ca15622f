"""The files of one symbol: which of them hold what is asked for, and getting them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ....errors import SourceError
from ...download.client import Client
from ...download.fetching import FetchedFile, FetchRequest, write_canonical
from ...findings import Finding, Severity
from ...rules import plural, some_of
from ..naming import file_name
from .archive_files import ArchiveFile, Market, days, instrument_of, listing_of, months
from .dataset import Dataset
from .reading import CHECKSUM_SUFFIX, checksum_in, read_zip

_NOT_FOUND = 404
_KEPT_IN = ".archive"  # hidden, so that whoever reads the folder leaves the zip files alone


@dataclass(kw_only=True)
class Haul:
    """What was got of one symbol."""

    rows: list[pd.DataFrame] = field(default_factory=list)
    missing: list[ArchiveFile] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    transferred_bytes: int = 0

    @property
    def is_good(self) -> bool:
        """Whether there is nothing that forbids to write it."""
        return all(finding.severity is not Severity.ERROR for finding in self.findings)


@dataclass(frozen=True, kw_only=True)
class SymbolFiles:
    """The part of a request that is about one symbol.

    Attributes
    ----------
    market, dataset, symbol : Market, Dataset, str
        Whose files.
    request : FetchRequest
        From when to when, and the bar length.
    base_url, folder : str, Path
        Where from, where to.
    """

    market: Market
    dataset: Dataset
    symbol: str
    request: FetchRequest
    base_url: str
    folder: Path

    @property
    def instrument(self) -> str:
        """Name in a panel."""
        return instrument_of(self.market, self.symbol)

    def collect(self, client: Client) -> Haul:
        """Get every file and read it; missing and damaged ones become findings.

        Raises
        ------
        SourceError
            If the archive does not answer as it should.
        """
        haul = Haul()
        for month, days_of_it in self._parts():
            if month is not None and self._take(month, haul, client):
                continue
            haul.missing += [day for day in days_of_it if not self._take(day, haul, client)]
            if month is not None and not days_of_it:
                haul.missing.append(month)
        rows = pd.concat(haul.rows, ignore_index=True) if haul.rows else pd.DataFrame()
        haul.rows = [rows] if len(rows) else []
        haul.findings += self._absence(haul)
        return haul

    def write(self, haul: Haul) -> FetchedFile:
        """Write what was got to the canonical file."""
        name = file_name(self.instrument, self.dataset.name, self.request.interval)
        return write_canonical(
            pd.concat(haul.rows, ignore_index=True).assign(instrument=self.instrument),
            self.folder / name,
            instrument=self.instrument,
            listing=listing_of(self.market, self.symbol),
        )

    def _parts(self) -> Iterator[tuple[ArchiveFile | None, list[ArchiveFile]]]:
        """Yield, month by month, the file of all of it if it will do, and those of its days."""
        start, end = self.request.start, self.request.end
        for span in months(start, end):
            month = self._file(span)
            whole = start <= month.start and month.end <= end
            will_do = self.dataset.monthly and (whole or not self.dataset.daily)
            asked = days(max(start, month.start), min(end, month.end))
            yield (
                month if will_do else None,
                [self._file(day) for day in asked] if self.dataset.daily else [],
            )

    def _file(self, span: str) -> ArchiveFile:
        symbol = self.symbol
        if self.dataset.of_pairs and self.market is Market.COIN_FUTURES:
            symbol = symbol.partition("_")[0]
        return ArchiveFile(
            market=self.market,
            dataset=self.dataset.name,
            symbol=symbol,
            interval=self.request.interval,
            span=span,
        )

    def _take(self, file: ArchiveFile, haul: Haul, client: Client) -> bool:
        """Get a file and read it; False if the archive does not have it."""
        url = f"{self.base_url}/{file.path}"
        path = self.folder / _KEPT_IN / file.path
        try:
            checksum = client.get_bytes(url + CHECKSUM_SUFFIX).decode(errors="replace")
            sha256 = checksum_in(checksum, origin=url + CHECKSUM_SUFFIX)
            done = client.download(url, path, sha256=sha256)
            path.with_name(path.name + CHECKSUM_SUFFIX).write_text(checksum)
            haul.transferred_bytes += done.transferred_bytes
            haul.rows.append(self._asked_for(read_zip(path, dataset=self.dataset, file=file)))
        except SourceError as error:
            if error.status == _NOT_FOUND:
                return False
            if not error.damaged:
                raise
            haul.findings.append(self._finding("damaged-file", Severity.ERROR, [file], str(error)))
        return True

    def _asked_for(self, rows: pd.DataFrame) -> pd.DataFrame:
        start, end = self.request.start, self.request.end
        if self.dataset.bars:
            return rows[(rows["open_time"] >= start) & (rows["open_time"] < end)]
        return rows[(rows["time"] >= start) & (rows["time"] <= end)]

    def _absence(self, haul: Haul) -> Iterator[Finding]:
        wanted = f"{self.base_url}: {self.dataset.name} of {self.symbol}"
        if not haul.rows and haul.is_good:
            yield self._finding(
                "no-data",
                Severity.ERROR,
                haul.missing,
                f"{wanted} must be there for some time from {self.request.start} to "
                f"{self.request.end}, found none; check the symbol and the dates",
            )
        elif haul.missing:
            spans = some_of([file.span for file in haul.missing])
            yield self._finding(
                "missing-file",
                Severity.WARNING,
                haul.missing,
                f"{wanted} should be there for every day, found "
                f"{plural(len(haul.missing), 'file')} missing ({spans}); these days have no data",
            )

    def _finding(
        self, check: str, severity: Severity, files: list[ArchiveFile], detail: str
    ) -> Finding:
        return Finding(
            check=check,
            severity=severity,
            instrument=self.instrument,
            count=len(files),
            first=min((file.start for file in files), default=None),
            last=max((file.end for file in files), default=None),
            detail=detail,
        )
