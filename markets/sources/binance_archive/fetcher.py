"""The archive on the network, a fetcher per market."""

from dataclasses import dataclass
from pathlib import Path

from ...download.client import Client
from ...download.fetching import Capability, FetchedFile, FetchReport, FetchRequest, offered
from ...findings import Finding
from .archive_files import Market
from .datasets import DATASETS, dataset_named
from .symbol_files import SymbolFiles

_NAMES = {
    Market.SPOT: "binance-spot",
    Market.USD_FUTURES: "binance-um",
    Market.COIN_FUTURES: "binance-cm",
}
_LACKS = (
    "There are no single trades and orders: bars of one minute hold their sums.",
    "There is nothing of the current day: files are published on the day after.",
    "There are no contract specifications and no margin tiers.",
)
_LACKS_BY_MARKET = {
    Market.SPOT: ("There is no best bid and ask, and no depth of the order book.",),
    Market.USD_FUTURES: (
        "Best bid and ask, and liquidations, end in 2024.",
        "The order book is known no nearer to mid than 1 % (0.2 % in newer files).",
    ),
    Market.COIN_FUTURES: ("There is no depth of the order book.",),
}


@dataclass(frozen=True, kw_only=True)
class BinanceArchive:
    """One market of Binance's public archive.

    Whole months come from monthly files where there are any, the rest from daily files. Zip files
    are kept in a hidden folder beside the canonical files, and are not transferred again while
    the archive names the same checksum.

    Attributes
    ----------
    market : Market
        Which market.
    base_url : str
        Where the archive is; a mirror has the same folders below another address.
    """

    market: Market
    base_url: str = "https://data.binance.vision"

    @property
    def name(self) -> str:
        """The word that selects it."""
        return _NAMES[self.market]

    @property
    def offers(self) -> tuple[Capability, ...]:
        """Its data sets."""
        return tuple(
            Capability(
                dataset=dataset.name,
                gives=dataset.gives,
                history=dataset.history,
                intervals=dataset.intervals.get(self.market, ()),
                notes=dataset.notes,
            )
            for dataset in DATASETS
            if self.market in dataset.markets
        )

    @property
    def lacks(self) -> tuple[str, ...]:
        """What one might look for and will not find there."""
        return (*_LACKS_BY_MARKET[self.market], *_LACKS)

    def fetch(self, request: FetchRequest, *, folder: Path, client: Client) -> FetchReport:
        """Write one canonical file per symbol.

        A day that the archive does not have is a warning. A damaged file is an error finding, as
        is a symbol without any file; then nothing is written for it.

        Raises
        ------
        InputError
            If this market does not offer what is asked for.
        SourceError
            If the archive does not answer as it should.
        """
        dataset = dataset_named(offered(self, request).dataset)
        written: list[FetchedFile] = []
        findings: list[Finding] = []
        transferred_bytes = 0
        for symbol in dict.fromkeys(request.symbols):
            files = SymbolFiles(
                market=self.market,
                dataset=dataset,
                symbol=symbol,
                request=request,
                base_url=self.base_url,
                folder=folder,
            )
            haul = files.collect(client)
            transferred_bytes += haul.transferred_bytes
            findings += haul.findings
            if haul.is_good:
                written.append(files.write(haul))
        return FetchReport(
            files=tuple(written), transferred_bytes=transferred_bytes, findings=tuple(findings)
        )


BINANCE_ARCHIVES = tuple(BinanceArchive(market=market) for market in Market)
"""Spot, futures margined in stable coins, futures margined in coin."""
