"""Best bid and ask, reduced to the last quote of each minute."""

import numpy as np
import pandas as pd

from .archive_files import ArchiveFile, Market
from .dataset import Dataset, observed, utc_times

_SAMPLED = pd.Timedelta(minutes=1)
_BASIS_POINTS = 1e4


def _quotes(frame: pd.DataFrame, file: ArchiveFile) -> pd.DataFrame:
    # A quote is known when it was sent out, a little after it came about.
    sent = utc_times(frame[["transaction_time", "event_time"]].max(axis=1).to_numpy())
    minute_end = sent.floor(_SAMPLED) + _SAMPLED
    last = ~minute_end.duplicated(keep="last")
    quotes = frame.loc[last, ["best_bid_price", "best_ask_price"]].set_axis(["bid", "ask"], axis=1)
    spread = quotes["ask"] - quotes["bid"]
    quotes["spread_bps"] = spread / quotes.mean(axis=1) * _BASIS_POINTS
    return observed(minute_end[last], quotes)


BOOK_TICKER = Dataset(
    name="bookTicker",
    markets=(Market.USD_FUTURES, Market.COIN_FUTURES),
    headers=(
        (
            *("update_id", "best_bid_price", "best_bid_qty", "best_ask_price", "best_ask_qty"),
            *("transaction_time", "event_time"),
        ),
    ),
    types={
        "best_bid_price": np.float64,
        "best_ask_price": np.float64,
        "transaction_time": np.int64,
        "event_time": np.int64,
    },
    convert=_quotes,
    gives=("bid", "ask", "spread_bps"),
    history="2023-05 to 2024-03, then no more; up to 1 GB a day",
    notes="the last quote of each minute, dated at the end of the minute",
    # The monthly files are too large to be read, and the days are the same.
    monthly=False,
    rows_at_once=2_000_000,
)
"""Files hold every change of the best quote; a chunk that ends inside a minute is no harm,
since of two rows for one minute the later one stands."""
