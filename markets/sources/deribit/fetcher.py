"""The network source Deribit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ...download.client import Client
from ...download.fetching import (
    Capability,
    FetchedFile,
    FetchReport,
    FetchRequest,
    offered,
    write_canonical,
)
from ...findings import Finding, Severity
from ..naming import file_name
from .api import DERIBIT, DeribitApi
from .option_chain import OptionChain
from .series import (
    BAR_INTERVALS,
    VOLATILITY_INTERVALS,
    funding_history,
    price_bars,
    volatility_index,
)
from .snapshots import index_price, option_chain, ticker

CHAIN_DAYS = 30.0
"""Maturity of the volatility that is read off a chain, calendar days, as that of DVOL."""

_CHAINS = ".chains"  # hidden, so that whoever reads the folder leaves the chains alone
_SNAPSHOT = "a snapshot of now, whatever the range; fetch again to gather a history"

_OFFERS = (
    Capability(
        dataset="volatility-index",
        gives=("implied_vol",),
        history="DVOL of BTC and ETH from 2021-03-24",
        intervals=tuple(VOLATILITY_INTERVALS),
        notes="symbols are currencies; a value is known at the end of its candle",
    ),
    Capability(
        dataset="bars",
        gives=("open", "high", "low", "close", "volume", "quote_volume"),
        history="from the listing of the instrument",
        intervals=tuple(BAR_INTERVALS),
        notes="where nothing traded the last price is repeated with a volume of zero",
    ),
    Capability(
        dataset="funding",
        gives=("funding_rate", "index_price"),
        history="perpetuals, hourly from April 2019",
    ),
    Capability(
        dataset="option-chain",
        gives=("implied_vol",),
        history=_SNAPSHOT,
        notes="symbols are BTC and ETH; the file holds the at-the-money volatility at 30 days, "
        "the chain itself is kept in the hidden folder .chains beside it",
    ),
    Capability(
        dataset="ticker",
        gives=("bid", "ask", "mark_price", "index_price", "open_interest", "implied_vol"),
        history=_SNAPSHOT,
    ),
    Capability(
        dataset="index",
        gives=("index_price",),
        history=_SNAPSHOT,
        notes="symbols are names of indices, for example btc_usd",
    ),
)

Read = Callable[[DeribitApi, str, FetchRequest], pd.DataFrame]

_READERS: Mapping[str, Read] = {
    "volatility-index": lambda api, symbol, request: volatility_index(
        api, symbol, start=request.start, end=request.end, interval=str(request.interval)
    ),
    "bars": lambda api, symbol, request: price_bars(
        api, symbol, start=request.start, end=request.end, interval=str(request.interval)
    ),
    "funding": lambda api, symbol, request: funding_history(
        api, symbol, start=request.start, end=request.end
    ),
    "ticker": lambda api, symbol, _: ticker(api, symbol),
    "index": lambda api, symbol, _: index_price(api, symbol),
}


@dataclass(frozen=True, kw_only=True)
class DeribitFetcher:
    """Source ``deribit``: symbols as Deribit writes them, for example ``BTC-PERPETUAL``.

    ``BTCUSDT=BTC`` gives the values of BTC to the instrument BTCUSDT.

    Attributes
    ----------
    url : str
        Address of the exchange, or of its test network.
    """

    url: str = DERIBIT

    @property
    def name(self) -> str:
        """The word that selects it."""
        return "deribit"

    @property
    def offers(self) -> tuple[Capability, ...]:
        """Its data sets."""
        return _OFFERS

    @property
    def lacks(self) -> tuple[str, ...]:
        """What one might look for and will not find there."""
        return ("There are no past option chains: only the one of now is public.",)

    def fetch(self, request: FetchRequest, *, folder: Path, client: Client) -> FetchReport:
        """Write a canonical file per symbol to ``<folder>/<dataset>-<interval>``.

        Raises
        ------
        InputError
            If Deribit does not offer what is asked for.
        SourceError
            If it fails or answers in another form.
        """
        offered(self, request)
        api = DeribitApi(client=client, url=self.url)
        files: list[FetchedFile] = []
        findings: list[Finding] = []
        for text in request.symbols:
            name, _, symbol = text.rpartition("=")
            name = name or symbol
            path = folder / file_name(name, request.dataset, request.interval)
            if request.dataset == "option-chain":
                frame = _chain_row(option_chain(api, symbol), folder / _CHAINS / name)
            else:
                frame = _READERS[request.dataset](api, symbol, request)
            if frame.empty:
                findings.append(_nothing(name, request))
            else:
                files.append(write_canonical(frame.assign(instrument=name), path, instrument=name))
        return FetchReport(files=tuple(files), findings=tuple(findings))


def _chain_row(chain: OptionChain, folder: Path) -> pd.DataFrame:
    """Write the chain into a folder of its own, and return its volatility as a row."""
    as_of = pd.Timestamp(chain.as_of, tz="UTC")
    folder.mkdir(parents=True, exist_ok=True)
    chain.frame().to_parquet(folder / f"{as_of:%Y%m%dT%H%M%SZ}.parquet", index=False)
    volatility = chain.atm_implied_vol(CHAIN_DAYS)
    return pd.DataFrame({"time": [as_of], "known_at": [as_of], "implied_vol": [volatility]})


def _nothing(name: str, request: FetchRequest) -> Finding:
    return Finding(
        check="nothing-there",
        severity=Severity.ERROR,
        instrument=name,
        count=1,
        first=request.start,
        last=request.end,
        detail=f"deribit {name} {request.dataset}: the exchange has nothing in that range; ask for "
        "a later one",
    )
