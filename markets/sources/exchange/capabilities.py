"""What an exchange offers through ccxt: unified does not mean uniform."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from ....errors import InputError
from ...download.client import Client
from ...download.fetching import Capability
from .calls import Exchange, open_exchange

DEPTHS_BPS = (10, 25, 50, 100)
"""Distances from mid within which the value of an order book is summed, basis points."""

SIZES = (1_000, 10_000, 100_000, 1_000_000)
"""Sizes of the market orders whose cost is read off an order book, quote currency."""

_BOOK_FIELDS = (
    *("bid", "ask", "spread_bps"),
    *(f"depth_{side}_{bps}bps" for side in ("bid", "ask") for bps in DEPTHS_BPS),
    *(f"slippage_{side}_{size}" for side in ("buy", "sell") for size in SIZES),
)


@dataclass(frozen=True, kw_only=True)
class _Dataset:
    method: str  # in ccxt's table `has`
    capability: Capability


# What exchanges offer between them; each says no to those that it lacks.
_USUAL_INTERVALS = (
    *("1s", "1m", "3m", "5m", "10m", "15m", "30m", "1h", "2h", "3h", "4h", "6h", "8h", "12h"),
    *("1d", "2d", "3d", "1w", "2w"),
)

_DATASETS: tuple[_Dataset, ...] = (
    _Dataset(
        method="fetchOHLCV",
        capability=Capability(
            dataset="bars",
            gives=("open", "high", "low", "close", "volume"),
            history="as far back as the exchange keeps bars of that length",
            intervals=_USUAL_INTERVALS,
            notes="volume only where its unit is the base currency for sure: spot, and linear "
            "contracts of one unit",
        ),
    ),
    _Dataset(
        method="fetchFundingRateHistory",
        capability=Capability(
            dataset="funding",
            gives=("funding_rate",),
            history="as far back as the exchange keeps it, one row per payment",
        ),
    ),
    _Dataset(
        method="fetchOpenInterestHistory",
        capability=Capability(
            dataset="open-interest",
            gives=("open_interest", "open_interest_value"),
            history="as far back as the exchange keeps it, often 30 days",
            intervals=_USUAL_INTERVALS,
            notes="linear contracts only; known one interval after its time",
        ),
    ),
    _Dataset(
        method="fetchOrderBook",
        capability=Capability(
            dataset="order-book",
            gives=_BOOK_FIELDS,
            history="a snapshot of now, whatever the range; fetch again to gather a history",
            notes="a depth or a size beyond the levels that the exchange sends is unknown",
        ),
    ),
    _Dataset(
        method="fetchTicker",
        capability=Capability(
            dataset="ticker",
            gives=("bid", "ask", "mark_price", "index_price"),
            history="a snapshot of now, whatever the range; fetch again to gather a history",
        ),
    ),
)
_WITH_INTERVAL = ("bars", "open-interest")
_UNEVEN = ("M", "y")  # months and years have no fixed length


@dataclass(frozen=True, kw_only=True)
class ExchangeCapabilities:
    """What one exchange offers.

    Attributes
    ----------
    exchange : str
        Its name in ccxt.
    offers : tuple of Capability
        Data sets that it has, with the bar lengths to choose from.
    lacks : tuple of str
        One sentence for each of the others.
    """

    exchange: str
    offers: tuple[Capability, ...]
    lacks: tuple[str, ...]

    def frame(self) -> pd.DataFrame:
        """Return a row per data set: ``dataset``, ``offered`` (bool), ``gives``, ``intervals``."""
        offered = {one.dataset: one for one in self.offers}
        rows = [
            [
                one.capability.dataset,
                one.capability.dataset in offered,
                ", ".join(one.capability.gives),
                ", ".join(offered.get(one.capability.dataset, one.capability).intervals),
            ]
            for one in _DATASETS
        ]
        return pd.DataFrame(rows, columns=["dataset", "offered", "gives", "intervals"])

    def require(self, dataset: str, interval: str | None) -> None:
        """Refuse what the exchange does not have.

        Raises
        ------
        InputError
            If it lacks the data set, or does not have it at that interval.
        """
        chosen = next((one for one in self.offers if one.dataset == dataset), None)
        if chosen is None:
            names = ", ".join(one.dataset for one in self.offers) or "nothing"
            raise InputError(
                f"dataset must be one that {self.exchange} offers ({names}), was {dataset!r}; "
                "choose one of them or another exchange"
            )
        allowed: tuple[str | None, ...] = chosen.intervals or (None,)
        if interval not in allowed:
            choice = f"one of {', '.join(chosen.intervals)}" if chosen.intervals else "left out"
            raise InputError(
                f"interval of {self.exchange} {dataset} must be {choice}, was {interval!r}; "
                "change it"
            )


def every_dataset() -> tuple[Capability, ...]:
    """Return the data sets that exchanges may have; which one has which is another question."""
    return tuple(one.capability for one in _DATASETS)


def exchange_capabilities(exchange_id: str) -> ExchangeCapabilities:
    """Return what an exchange offers by ccxt's own table; nothing is asked of the exchange.

    Parameters
    ----------
    exchange_id : str
        Name in ccxt, for example ``binanceusdm``.

    Raises
    ------
    InputError
        If ccxt is not installed or knows no such exchange.
    """
    return capabilities_of(open_exchange(exchange_id, Client()))


def capabilities_of(exchange: Exchange) -> ExchangeCapabilities:
    """Return what an open exchange offers by ccxt's own table."""
    has: Mapping[str, object] = exchange.api.has
    offers, lacks = [], []
    for one in _DATASETS:
        if has.get(one.method):
            offers.append(_with_intervals(one.capability, exchange))
        else:
            lacks.append(f"{exchange.id} has no {one.capability.dataset} ({one.method} of ccxt).")
    return ExchangeCapabilities(exchange=exchange.id, offers=tuple(offers), lacks=tuple(lacks))


def _with_intervals(capability: Capability, exchange: Exchange) -> Capability:
    if capability.dataset not in _WITH_INTERVAL:
        return capability
    words = tuple(one for one in exchange.api.timeframes or () if not one.endswith(_UNEVEN))
    return Capability(
        dataset=capability.dataset,
        gives=capability.gives,
        history=capability.history,
        intervals=words,
        notes=capability.notes,
    )
