"""The network source of every exchange that ccxt knows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ....errors import InputError
from ...download.client import Client
from ...download.fetching import Capability, FetchedFile, FetchReport, FetchRequest, write_canonical
from ...findings import Finding, Severity
from ...listings import Kind, Listing
from ..naming import file_name
from .calls import Exchange, open_exchange
from .capabilities import capabilities_of, every_dataset
from .histories import bars, funding_history, open_interest_history
from .snapshots import order_book, ticker

Read = Callable[[Exchange, str, FetchRequest], pd.DataFrame]

_READERS: Mapping[str, Read] = {
    "bars": lambda exchange, symbol, request: bars(
        exchange, symbol, start=request.start, end=request.end, interval=str(request.interval)
    ),
    "funding": lambda exchange, symbol, request: funding_history(
        exchange, symbol, start=request.start, end=request.end
    ),
    "open-interest": lambda exchange, symbol, request: open_interest_history(
        exchange, symbol, start=request.start, end=request.end, interval=str(request.interval)
    ),
    "order-book": lambda exchange, symbol, _: order_book(exchange, symbol),
    "ticker": lambda exchange, symbol, _: ticker(exchange, symbol),
}
_KINDS: Mapping[str, Kind] = {
    "spot": Kind.SPOT,
    "swap": Kind.PERPETUAL,
    "future": Kind.FUTURE,
    "option": Kind.OPTION,
}
_HISTORIES = ("bars", "funding", "open-interest")
_LATE = pd.Timedelta(days=1)  # no step of these histories that matters is longer


@dataclass(frozen=True, kw_only=True)
class _Symbol:
    instrument: str  # name in the canonical file
    exchange: str  # id in ccxt
    symbol: str  # unified symbol of ccxt


@dataclass(frozen=True, kw_only=True)
class ExchangeFetcher:
    """Source ``exchange``: symbols such as ``binanceusdm:BTC/USDT:USDT``.

    ``BTCUSDT=binanceusdm:BTC/USDT:USDT`` also names the instrument; without a name it is the
    symbol itself, after the exchange.

    Attributes
    ----------
    open : callable
        Opens an exchange by its name in ccxt, with the patience of a client.
    """

    open: Callable[[str, Client], Exchange] = open_exchange

    @property
    def name(self) -> str:
        """The word that selects it."""
        return "exchange"

    @property
    def offers(self) -> tuple[Capability, ...]:
        """Data sets that exchanges may have; ``exchange_capabilities(id)`` tells which one has."""
        return every_dataset()

    @property
    def lacks(self) -> tuple[str, ...]:
        """What one might look for and will not find there."""
        return (
            "Not every exchange has every data set: exchange_capabilities(id) lists what one has.",
            "There are no past order books and no past liquidations.",
        )

    def fetch(self, request: FetchRequest, *, folder: Path, client: Client) -> FetchReport:
        """Write a canonical file per symbol to ``<folder>/<dataset>-<interval>``.

        Raises
        ------
        InputError
            If ccxt is not installed, or the exchange does not offer what is asked for.
        SourceError
            If the exchange fails or answers in another form.
        """
        wanted = [_symbol(text) for text in request.symbols]
        exchanges = {one.exchange: self.open(one.exchange, client) for one in wanted}
        for exchange in exchanges.values():
            capabilities_of(exchange).require(request.dataset, request.interval)
        files: list[FetchedFile] = []
        findings: list[Finding] = []
        for one in wanted:
            exchange = exchanges[one.exchange]
            frame = _READERS[request.dataset](exchange, one.symbol, request)
            findings += _findings(frame, one, exchange, request)
            if not frame.empty:
                path = folder / file_name(one.instrument, request.dataset, request.interval)
                listing = _listing(exchange.market(one.symbol), one)
                rows = frame.assign(instrument=one.instrument)
                files.append(
                    write_canonical(rows, path, instrument=one.instrument, listing=listing)
                )
        return FetchReport(files=tuple(files), findings=tuple(findings))


def _symbol(text: str) -> _Symbol:
    name, _, address = text.rpartition("=")
    exchange, colon, symbol = address.partition(":")
    if not (exchange and colon and symbol):
        raise InputError(
            "a symbol must name its exchange, was "
            f"{text!r}; write for example 'binanceusdm:BTC/USDT:USDT'"
        )
    return _Symbol(instrument=name or address, exchange=exchange, symbol=symbol)


def _listing(market: Mapping[str, Any], one: _Symbol) -> Listing:
    expiry = market.get("expiry")
    return Listing(
        instrument=one.instrument,
        kind=_KINDS.get(str(market.get("type")), Kind.UNKNOWN),
        underlying=str(market.get("base") or ""),
        quote=str(market.get("quote") or ""),
        venue=one.exchange,
        calendar="24/7",
        expiry=None if expiry is None else pd.Timestamp(expiry, unit="ms", tz="UTC"),
    )


def _findings(
    frame: pd.DataFrame, one: _Symbol, exchange: Exchange, request: FetchRequest
) -> list[Finding]:
    def finding(*, check: str, detail: str, severity: Severity = Severity.WARNING) -> Finding:
        return Finding(
            check=check,
            severity=severity,
            instrument=one.instrument,
            count=1,
            first=request.start,
            last=request.end,
            detail=f"{exchange.id} {one.symbol} {request.dataset}: {detail}",
        )

    if frame.empty:
        reason = "the exchange has nothing in that range; ask for a later one"
        return [finding(check="nothing-there", detail=reason, severity=Severity.ERROR)]
    found = []
    first = pd.Timestamp(pd.DatetimeIndex(frame.iloc[:, 0])[0])
    if request.dataset in _HISTORIES and first - request.start > _LATE:
        reason = f"the exchange has nothing before {first}; the range before that stays empty"
        found.append(finding(check="late-start", detail=reason))
    if request.dataset == "bars" and "volume" not in frame:
        reason = "ccxt does not say for sure in which unit volume is counted; it is left out"
        found.append(finding(check="volume-unit-unknown", detail=reason))
    return found
