"""What the files of the archive are called, and what their names say."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pandas as pd

from ...listings import Kind, Listing

_NAME = re.compile(
    r"(?P<symbol>[^-/]+)-(?P<what>[A-Za-z0-9]+)-(?P<month>\d{4}-\d{2})(?P<day>-\d{2})?\.zip"
)
_PAIR = re.compile(
    r"(?P<underlying>.+?)(?P<quote>USDT|USDC|FDUSD|TUSD|BUSD|USD1|USDS|USDP|PAX|USD|DAI|EUR|GBP|TRY"
    r"|BRL|JPY|AUD|BTC|ETH|BNB)"
)
_CONTRACT_USD = {"BTC": 100.0}  # coin-margined contracts; all others are of 10 USD
_USUAL_CONTRACT_USD = 10.0


class Market(StrEnum):
    """A market of the venue; the value is its folder in the archive."""

    SPOT = "spot"
    USD_FUTURES = "futures/um"
    """Futures and perpetuals margined in a stable coin."""
    COIN_FUTURES = "futures/cm"
    """Futures and perpetuals margined in the coin itself; quantities are contracts."""


@dataclass(frozen=True, kw_only=True)
class ArchiveFile:
    """One file of the archive.

    Attributes
    ----------
    market : Market or None
        None for a file outside the archive's folders, whose name does not say.
    dataset : str
        Its folder, for example ``klines``.
    symbol : str
        As the archive spells it.
    interval : str or None
        Bar length, for example ``1h``; None for data sets without bars.
    span : str
        The month (``2024-01``) or the day (``2024-01-31``) that it holds, UTC.
    """

    market: Market | None
    dataset: str
    symbol: str
    interval: str | None
    span: str

    @property
    def path(self) -> str:
        """Address below the root of the archive."""
        pace = "monthly" if self.is_month else "daily"
        interval = "" if self.interval is None else f"{self.interval}/"
        return (
            f"data/{self.market}/{pace}/{self.dataset}/{self.symbol}/{interval}"
            f"{self.symbol}-{self.interval or self.dataset}-{self.span}.zip"
        )

    @property
    def is_month(self) -> bool:
        """Whether it holds a month rather than a day."""
        return self.span.count("-") == 1

    @property
    def start(self) -> pd.Timestamp:
        """Start of its first day, UTC."""
        return pd.Timestamp(self.span, tz="UTC")

    @property
    def end(self) -> pd.Timestamp:
        """End of its last day, UTC."""
        return self.start + (pd.DateOffset(months=1) if self.is_month else pd.Timedelta(days=1))

    @property
    def instrument(self) -> str:
        """Name in a panel; see :func:`instrument_of`."""
        if self.market is Market.COIN_FUTURES and self.dataset == "indexPriceKlines":
            return f"{self.symbol}_PERP"  # the archive keeps the index under the pair
        return instrument_of(self.market, self.symbol)


def archive_file(path: Path, *, datasets: tuple[str, ...]) -> ArchiveFile | None:
    """Return what a path says; None if it is no file of the archive.

    Without the archive's folders around it, a file with a bar length in its name is read as
    ``klines`` of an unknown market: names of price and index bars look the same.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    what = match["what"]
    folder = f"/{path.parent.as_posix()}/"
    bars = what not in datasets
    if bars and not re.fullmatch(r"\d+(s|m|h|d|w|mo)", what):
        return None
    named = [name for name in datasets if f"/{name}/" in folder]
    return ArchiveFile(
        market=next((market for market in Market if f"/{market}/" in folder), None),
        dataset=(named[0] if named else "klines") if bars else what,
        symbol=match["symbol"],
        interval=what if bars else None,
        span=match["month"] + (match["day"] or ""),
    )


def instrument_of(market: Market | None, symbol: str) -> str:
    """Return the name of a symbol in a panel: ``BTCUSDT-PERP`` for a stable-coin perpetual.

    The venue calls its spot pair and its perpetual the same; in a panel they must not clash. A
    dated future (``BTCUSDT_240329``) and a coin-margined one (``BTCUSD_PERP``) have names of
    their own.
    """
    shared = market is Market.USD_FUTURES and "_" not in symbol
    return f"{symbol}-PERP" if shared else symbol


def listing_of(market: Market, symbol: str) -> Listing:
    """Return what the name of a symbol says about the instrument."""
    pair, _, expiry = symbol.partition("_")
    match = _PAIR.fullmatch(pair)
    dated = expiry.isdigit()
    kind = Kind.FUTURE if dated else Kind.PERPETUAL
    return Listing(
        instrument=instrument_of(market, symbol),
        kind=Kind.SPOT if market is Market.SPOT else kind,
        underlying=match["underlying"] if match else "",
        quote=match["quote"] if match else "",
        venue="binance",
        calendar="24/7",
        # Delivery is at 08:00 UTC.
        expiry=pd.to_datetime(expiry + "08", format="%y%m%d%H", utc=True) if dated else None,
    )


def contract_usd(symbol: str) -> float | None:
    """Return the size of a coin-margined contract, USD; None if `symbol` is no such contract."""
    pair = symbol.partition("_")[0]
    if not pair.endswith("USD"):
        return None
    return _CONTRACT_USD.get(pair.removesuffix("USD"), _USUAL_CONTRACT_USD)


def months(start: pd.Timestamp, end: pd.Timestamp) -> Iterator[str]:
    """Yield every month that a span touches, as ``2024-01``."""
    for month in pd.period_range(
        start.strftime("%Y-%m"), _last_instant(end).strftime("%Y-%m"), freq="M"
    ):
        yield str(month)


def days(start: pd.Timestamp, end: pd.Timestamp) -> Iterator[str]:
    """Yield every day that a span touches, as ``2024-01-31``."""
    for day in pd.date_range(start.normalize(), _last_instant(end).normalize(), freq="D"):
        yield day.strftime("%Y-%m-%d")


def _last_instant(end: pd.Timestamp) -> pd.Timestamp:
    return end - pd.Timedelta(1, unit="ns")
