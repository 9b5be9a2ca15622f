"""Funding rates as they were paid."""

import numpy as np
import pandas as pd

from .archive_files import ArchiveFile, Market
from .dataset import Dataset, observed, utc_times


def _rates(frame: pd.DataFrame, file: ArchiveFile) -> pd.DataFrame:
    # Stamps are some milliseconds late: that of 08:00 belongs to the period that ends at 08:00.
    time = utc_times(frame["calc_time"].to_numpy()).floor("s")
    return observed(time, frame[["last_funding_rate"]].set_axis(["funding_rate"], axis=1))


FUNDING = Dataset(
    name="fundingRate",
    markets=(Market.USD_FUTURES, Market.COIN_FUTURES),
    headers=(("calc_time", "funding_interval_hours", "last_funding_rate"),),
    types={"calc_time": np.int64, "last_funding_rate": np.float64},
    convert=_rates,
    gives=("funding_rate",),
    history="from 2020-01; monthly files only, so the current month is missing",
    notes="decimal per funding interval, positive when longs pay; known when it is paid",
    daily=False,
)
"""Each rate is known at the moment at which it is paid."""
