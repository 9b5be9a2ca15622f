"""Liquidated positions, summed by minute."""

import numpy as np
import pandas as pd

from .archive_files import ArchiveFile, Market, contract_usd
from .dataset import Dataset, observed, utc_times

_SUMMED = pd.Timedelta(minutes=1)
_FIELD_OF_SIDE = {"SELL": "liquidation_long", "BUY": "liquidation_short"}
_UNFINISHED = ("NEW", "PARTIALLY_FILLED")  # the finished order comes later, with all of its fills

_ORDER = (
    *("side", "order_type", "time_in_force", "original_quantity", "price", "average_price"),
    *("order_status", "last_fill_quantity", "accumulated_fill_quantity"),
)


def _by_minute(frame: pd.DataFrame, file: ArchiveFile) -> pd.DataFrame:
    unknown = sorted(set(frame["side"]) - set(_FIELD_OF_SIDE))
    if unknown:
        raise ValueError(f"side must be SELL or BUY, found {', '.join(unknown)}")
    orders = _values(frame[~frame["order_status"].isin(_UNFINISHED)], file)
    sums = orders.groupby(["minute", "field"])["value"].sum().unstack("field", fill_value=0)
    # The file stands for its whole day: a minute without an order is a minute without liquidation.
    day = pd.date_range(file.start, file.end, freq=_SUMMED, inclusive="left").as_unit("ns")
    minutes = day.union(pd.DatetimeIndex(sums.index))
    sums = sums.reindex(index=minutes, columns=list(_FIELD_OF_SIDE.values()), fill_value=0.0)
    return observed(minutes + _SUMMED, sums)


def _values(orders: pd.DataFrame, file: ArchiveFile) -> pd.DataFrame:
    size = contract_usd(file.symbol) if file.market is Market.COIN_FUTURES else None
    value = orders["accumulated_fill_quantity"] * (
        orders["average_price"] if size is None else size
    )
    if not np.isfinite(value).all():
        raise ValueError("price and quantity of every order must be known")
    return pd.DataFrame(
        {
            "minute": utc_times(orders["time"].to_numpy()).floor(_SUMMED),
            "field": orders["side"].map(_FIELD_OF_SIDE).to_numpy(),
            "value": value.to_numpy(),
        }
    )


LIQUIDATIONS = Dataset(
    name="liquidationSnapshot",
    markets=(Market.USD_FUTURES, Market.COIN_FUTURES),
    headers=(("time", *_ORDER), ("time", "symbol", *_ORDER)),
    types={
        "time": np.int64,
        "side": str,
        "average_price": np.float64,
        "order_status": str,
        "accumulated_fill_quantity": np.float64,
    },
    convert=_by_minute,
    gives=tuple(_FIELD_OF_SIDE.values()),
    history="daily; ends in 2024 for futures margined in stable coins",
    notes="sums by minute; at most one order a second is recorded, so values are lower bounds",
    monthly=False,
)
"""A SELL order closes a long; values are average price times filled quantity, in quote currency."""
