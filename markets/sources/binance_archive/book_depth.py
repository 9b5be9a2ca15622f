"""Depth of the order book in bands around the middle, every half minute or so."""

import numpy as np
import pandas as pd

from .archive_files import ArchiveFile, Market
from .dataset import Dataset, observed, text_times

_BASIS_POINTS_PER_PERCENT = 100
_BANDS = (20, 100, 200, 300, 400, 500)  # basis points; the narrowest in newer files only


def _depth(frame: pd.DataFrame, file: ArchiveFile) -> pd.DataFrame:
    band = (frame["percentage"] * _BASIS_POINTS_PER_PERCENT).round().astype(np.int64)
    side = np.where(band < 0, "bid", "ask")
    names = [f"depth_{s}_{n}bps" for s, n in zip(side, band.abs(), strict=True)]
    rows = pd.DataFrame({"time": frame["timestamp"], "name": names, "value": frame["notional"]})
    rows = rows.drop_duplicates(["time", "name"], keep="last")
    wide = rows.pivot(index="time", columns="name", values="value")
    time = text_times(wide.index.to_series())
    return observed(time, wide.rename_axis(columns=None))


BOOK_DEPTH = Dataset(
    name="bookDepth",
    markets=(Market.USD_FUTURES,),
    headers=(("timestamp", "percentage", "depth", "notional"),),
    types={"timestamp": str, "percentage": np.float64, "notional": np.float64},
    convert=_depth,
    gives=tuple(f"depth_{side}_{band}bps" for side in ("bid", "ask") for band in _BANDS),
    history="from 2023-01; daily, the day after",
    notes="value of orders within 1 to 5 % of mid (newer files also 0.2 %), about every 30 s",
    monthly=False,
)
"""`percentage` is negative for bids; `notional` counts every order up to that distance."""
