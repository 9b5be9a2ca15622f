"""Trades to bars: the one thing that a bar file and a live stream of trades have in common."""

import numpy as np
import pandas as pd

from ...errors import InputError

TICK_COLUMNS = ("time", "price", "quantity")
"""Columns of a table of trades; `taker_buys` (bool) may come with them."""


def bars_from_ticks(ticks: pd.DataFrame, *, length: pd.Timedelta) -> pd.DataFrame:
    """Turn trades into canonical bars; a stretch without trades has no bar.

    Parameters
    ----------
    ticks : pandas.DataFrame, one row per trade
        ``time`` (zoned, in the order of the trades), ``price`` (quote currency, positive),
        ``quantity`` (units of the instrument, positive), and optionally ``taker_buys`` (bool:
        the buyer took liquidity).
    length : pandas.Timedelta
        Bar length; bars start at its multiples (UTC).

    Returns
    -------
    pandas.DataFrame
        ``open_time, open, high, low, close, volume, quote_asset_volume, number_of_trades`` and,
        where sides are known, ``taker_buy_base_asset_volume``.

    Raises
    ------
    InputError
        If a column is missing, times decrease or have no zone, or a price or quantity is not a
        positive number.

    Examples
    --------
    >>> time = pd.to_datetime(["2024-01-01T00:00:01Z", "2024-01-01T00:00:59Z"])
    >>> ticks = pd.DataFrame({"time": time, "price": [10.0, 11.0], "quantity": [2.0, 1.0]})
    >>> bars_from_ticks(ticks, length=pd.Timedelta("1min"))[["open", "close", "volume"]].to_numpy()
    array([[10., 11.,  3.]])
    """
    _check(ticks)
    value = ticks["price"] * ticks["quantity"]
    columns = {"price": ticks["price"], "quantity": ticks["quantity"], "value": value}
    if "taker_buys" in ticks:
        columns["bought"] = ticks["quantity"].where(ticks["taker_buys"].astype(bool), 0.0)
    groups = pd.DataFrame(columns).groupby(ticks["time"].dt.floor(length), sort=False)
    bars = groups["price"].agg(["first", "max", "min", "last"])
    bars.columns = pd.Index(["open", "high", "low", "close"])
    bars["volume"] = groups["quantity"].sum()
    bars["quote_asset_volume"] = groups["value"].sum()
    bars["number_of_trades"] = groups.size().astype(np.float64)
    if "taker_buys" in ticks:
        bars["taker_buy_base_asset_volume"] = groups["bought"].sum()
    return bars.rename_axis("open_time").reset_index()


def _check(ticks: pd.DataFrame) -> None:
    missing = [name for name in TICK_COLUMNS if name not in ticks]
    if missing:
        raise InputError(
            f"trades must have the columns {list(TICK_COLUMNS)}, found {list(ticks.columns)}; "
            "rename or add them"
        )
    if not isinstance(ticks["time"].dtype, pd.DatetimeTZDtype):
        raise InputError(
            f"times of trades must carry a time zone, were {ticks['time'].dtype}; "
            "localise them to UTC"
        )
    if not ticks["time"].is_monotonic_increasing:
        raise InputError("trades must come in the order of their times; sort them, ties as traded")
    for name in ("price", "quantity"):
        good = np.isfinite(ticks[name]) & (ticks[name] > 0.0)
        if not good.all():
            raise InputError(
                f"every {name} must be a positive number, found {ticks[name][~good].iloc[0]!r} "
                f"in {int((~good).sum())} trades; remove or correct them"
            )
