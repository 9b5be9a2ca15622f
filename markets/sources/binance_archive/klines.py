"""Bars of trades, and bars of the mark price, the index and the premium between them."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd

from .archive_files import ArchiveFile, Market, contract_usd
from .dataset import Dataset, observed, utc_times

# The archive also has 3d, 1w and 1mo, which start on days of their own.
_INTERVALS = ("1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d")

_HEADER = (
    *("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume"),
    *("count", "taker_buy_volume", "taker_buy_quote_volume", "ignore"),
)
_CANONICAL: Mapping[str, str] = {
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "volume": "volume",
    "quote_volume": "quote_asset_volume",
    "count": "number_of_trades",
    "taker_buy_volume": "taker_buy_base_asset_volume",
    "taker_buy_quote_volume": "taker_buy_quote_asset_volume",
}
_FUTURES = (Market.USD_FUTURES, Market.COIN_FUTURES)


def _bars(frame: pd.DataFrame, file: ArchiveFile) -> pd.DataFrame:
    bars = frame[list(_CANONICAL)].rename(columns=_CANONICAL)
    bars.insert(0, "open_time", utc_times(frame["open_time"].to_numpy()))
    size = contract_usd(file.symbol) if file.market is Market.COIN_FUTURES else None
    if size is not None:
        # Coin-margined files count contracts, and give the value in coin instead of USD.
        bars["quote_asset_volume"] = bars["volume"] * size
        bars["taker_buy_quote_asset_volume"] = bars["taker_buy_base_asset_volume"] * size
    return bars


def _closes(frame: pd.DataFrame, file: ArchiveFile, *, field: str) -> pd.DataFrame:
    """Date the close of each bar at its end, which is when it is known."""
    end = utc_times(frame["open_time"].to_numpy()) + pd.Timedelta(str(file.interval))
    return observed(end, frame[["close"]].set_axis([field], axis=1))


def _of_a_price(name: str, field: str, *, of_pairs: bool = False) -> Dataset:
    return Dataset(
        name=name,
        markets=_FUTURES,
        headers=(_HEADER,),
        types={"open_time": np.int64, "close": np.float64},
        convert=partial(_closes, field=field),
        gives=(field,),
        history="from 2020-01; monthly, and the day after",
        of_pairs=of_pairs,
        notes="the close of each bar, known at its end",
        intervals=dict.fromkeys(_FUTURES, _INTERVALS),
    )


KLINES = Dataset(
    name="klines",
    markets=(Market.SPOT, *_FUTURES),
    headers=(_HEADER,),
    types={"open_time": np.int64, **dict.fromkeys(_CANONICAL, np.float64)},
    convert=_bars,
    gives=(
        *("open", "high", "low", "close", "volume", "quote_volume", "number_of_trades"),
        "taker_buy_volume",
    ),
    history="spot from 2017-08, futures from 2020-01; monthly, and the day after",
    notes="quantities of coin-margined futures are contracts (100 USD for BTC, else 10 USD)",
    intervals={Market.SPOT: ("1s", *_INTERVALS), **dict.fromkeys(_FUTURES, _INTERVALS)},
    bars=True,
)
MARK_PRICE = _of_a_price("markPriceKlines", "mark_price")
INDEX_PRICE = _of_a_price("indexPriceKlines", "index_price", of_pairs=True)
PREMIUM_INDEX = _of_a_price("premiumIndexKlines", "premium_index")
