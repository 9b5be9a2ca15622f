"""Open interest and the ratios of long to short, every five minutes."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from .archive_files import ArchiveFile, Market, contract_usd
from .dataset import Dataset, observed, text_times

# Nothing says whether the ratios of a row count the five minutes before its time or those after
# it; they are known for certain when both are over.
_PUBLISHED_AFTER = pd.Timedelta(minutes=5)

_FIELDS: Mapping[str, str] = {
    "sum_open_interest": "open_interest",
    "sum_open_interest_value": "open_interest_value",
    "count_toptrader_long_short_ratio": "long_short_ratio_top_accounts",
    "sum_toptrader_long_short_ratio": "long_short_ratio_top_positions",
    "count_long_short_ratio": "long_short_ratio",
    "sum_taker_long_short_vol_ratio": "taker_long_short_ratio",
}


def _metrics(frame: pd.DataFrame, file: ArchiveFile) -> pd.DataFrame:
    values = frame[list(_FIELDS)].rename(columns=_FIELDS)
    size = contract_usd(file.symbol) if file.market is Market.COIN_FUTURES else None
    if size is not None:  # the archive gives the value in coin
        values["open_interest_value"] = values["open_interest"] * size
    time = text_times(frame["create_time"])
    return observed(time, values, known_at=time + _PUBLISHED_AFTER)


METRICS = Dataset(
    name="metrics",
    markets=(Market.USD_FUTURES, Market.COIN_FUTURES),
    headers=(("create_time", "symbol", *_FIELDS),),
    types={"create_time": str, **dict.fromkeys(_FIELDS, np.float64)},
    convert=_metrics,
    gives=tuple(_FIELDS.values()),
    history="from 2020-09 (a few symbols) and 2021-12 (most); daily, the day after",
    notes="every 5 minutes; counted as known 5 minutes after the time that they carry",
    monthly=False,
)
"""Open interest in coin, of coin-margined futures in contracts; values in quote currency."""
