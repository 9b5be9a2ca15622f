"""Histories of an exchange as canonical tables: bars, funding, open interest, page by page."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ....errors import InputError, SourceError
from ...parsing import HOUR_NS
from ..answers import number, rows, whole_number
from .calls import Exchange

_MS_NS = 1_000_000
_MS_PER_SECOND = 1000
_HOUR_MS = HOUR_NS // _MS_NS
_ROWS_PER_PAGE = 100  # every exchange sends that many
_OHLCV = ("timestamp", "open", "high", "low", "close", "volume")

_Page = Callable[[int], Sequence[Any]]


def bars(
    exchange: Exchange, symbol: str, *, start: pd.Timestamp, end: pd.Timestamp, interval: str
) -> pd.DataFrame:
    """Return price bars as rows of a bar file.

    Parameters
    ----------
    exchange : Exchange
        Asks, a page after the other.
    symbol : str
        Unified symbol of ccxt, for example ``BTC/USDT:USDT``.
    start, end : pandas.Timestamp
        First (inclusive) and last (exclusive) start of a bar.
    interval : str
        Bar length as ccxt writes it, for example ``1h``.

    Returns
    -------
    pandas.DataFrame
        ``open_time``, open, high, low, close, and ``volume`` in the base currency where that is
        its unit for sure (see :func:`counts_in_base`). A bar that still forms by the clock of
        this machine is left out.

    Raises
    ------
    InputError
        If the exchange does not list the symbol.
    SourceError
        If the exchange fails or answers in another form.
    """
    in_base = counts_in_base(exchange.market(symbol))
    length = exchange.api.parse_timeframe(interval) * _MS_PER_SECOND
    limit = exchange.call("feature_value", symbol, "fetchOHLCV", "limit")
    endpoint = f"{exchange.id} fetch_ohlcv({symbol})"

    def page(since: int) -> Sequence[Any]:
        found = exchange.call("fetch_ohlcv", symbol, interval, since, limit)
        return [_named(row, endpoint) for row in rows(found, endpoint)]

    found = _walk(
        page,
        first=_milliseconds(start),
        last=min(_milliseconds(end) - 1, exchange.now() - length),
        step=length,
        endpoint=endpoint,
    )
    names = _OHLCV[1:] if in_base else _OHLCV[1:-1]
    columns = {name: _numbers(found, name, endpoint) for name in names}
    return pd.DataFrame({"open_time": _utc(found)} | columns)


def funding_history(
    exchange: Exchange, symbol: str, *, start: pd.Timestamp, end: pd.Timestamp
) -> pd.DataFrame:
    """Return the funding of a perpetual as rows of an observation file.

    Parameters
    ----------
    exchange : Exchange
        Asks, a page after the other.
    symbol : str
        Unified symbol of ccxt, for example ``BTC/USDT:USDT``.
    start, end : pandas.Timestamp
        From when (inclusive) to when (exclusive).

    Returns
    -------
    pandas.DataFrame
        ``time`` and ``known_at``, both the time of payment; ``funding_rate``, paid by longs,
        decimal.

    Raises
    ------
    InputError
        If the exchange does not list the symbol.
    SourceError
        If the exchange fails or answers in another form.
    """
    exchange.market(symbol)
    endpoint = f"{exchange.id} fetch_funding_rate_history({symbol})"

    def page(since: int) -> Sequence[Any]:
        found = exchange.call("fetch_funding_rate_history", symbol, since, _ROWS_PER_PAGE)
        return rows(found, endpoint)

    found = _walk(
        page,
        first=_milliseconds(start),
        last=min(_milliseconds(end) - 1, exchange.now()),
        step=_HOUR_MS,
        endpoint=endpoint,
    )
    times = _utc(found)
    rates = _numbers(found, "fundingRate", endpoint)
    return pd.DataFrame({"time": times, "known_at": times, "funding_rate": rates})


def open_interest_history(
    exchange: Exchange, symbol: str, *, start: pd.Timestamp, end: pd.Timestamp, interval: str
) -> pd.DataFrame:
    """Return the open interest of a linear contract as rows of an observation file.

    Parameters
    ----------
    exchange : Exchange
        Asks, a page after the other.
    symbol : str
        Unified symbol of ccxt, for example ``BTC/USDT:USDT``.
    start, end : pandas.Timestamp
        From when (inclusive) to when (exclusive).
    interval : str
        Time between two values as ccxt writes it, for example ``1h``.

    Returns
    -------
    pandas.DataFrame
        ``time``; ``known_at``, one interval later, since exchanges do not say when they publish;
        ``open_interest`` in units of the instrument where that is its unit for sure (see
        :func:`counts_in_base`), ``open_interest_value`` in quote currency; NaN where the
        exchange sends none.

    Raises
    ------
    InputError
        If the exchange does not list the symbol, or it is no linear contract.
    SourceError
        If the exchange fails or answers in another form.
    """
    market = exchange.market(symbol)
    if not market.get("linear"):
        raise InputError(
            f"{exchange.id} {symbol}: open interest must be that of a linear contract, because "
            "exchanges count others in units of their own; choose a linear one"
        )
    length = exchange.api.parse_timeframe(interval) * _MS_PER_SECOND
    endpoint = f"{exchange.id} fetch_open_interest_history({symbol})"

    def page(since: int) -> Sequence[Any]:
        method = "fetch_open_interest_history"
        return rows(exchange.call(method, symbol, interval, since, _ROWS_PER_PAGE), endpoint)

    found = _walk(
        page,
        first=_milliseconds(start),
        last=min(_milliseconds(end) - 1, exchange.now()),
        step=length,
        endpoint=endpoint,
    )
    times = _utc(found)
    columns = {"open_interest_value": _numbers(found, "openInterestValue", endpoint)}
    if counts_in_base(market):
        columns["open_interest"] = _numbers(found, "openInterestAmount", endpoint)
    known_at = times + pd.Timedelta(length, unit="ms")
    return pd.DataFrame({"time": times, "known_at": known_at} | columns)


def counts_in_base(market: Mapping[str, Any]) -> bool:
    """Whether quantities of a market are in its base currency for sure.

    They are for spot, and for a linear contract of one unit. Of other contracts some exchanges
    count contracts, some the coin, some the currency of settlement, and ccxt passes that on.

    Parameters
    ----------
    market : mapping
        ccxt's description of the market.
    """
    return bool(market.get("spot") or (market.get("linear") and market.get("contractSize") == 1))


def _walk(page: _Page, *, first: int, last: int, step: int, endpoint: str) -> dict[int, Any]:
    """Return rows by their time, from `first` to `last` inclusive, milliseconds.

    Some exchanges answer a page without rows before the market was listed; then the next one
    begins a page's length later.
    """
    found: dict[int, Any] = {}
    since = first
    while since <= last:
        times = []
        for row in page(since):
            time = whole_number(row, "timestamp", endpoint)
            times.append(time)
            found[time] = row
        newest = max(times, default=since - 1)
        since = newest + 1 if newest >= since else since + _ROWS_PER_PAGE * step
    return {time: found[time] for time in sorted(found) if first <= time <= last}


def _named(row: Any, endpoint: str) -> dict[str, Any]:
    values = rows(row, endpoint)
    if len(values) < len(_OHLCV):
        raise SourceError(
            f"{endpoint}: a bar must have {len(_OHLCV)} values, found {len(values)}; the exchange "
            "may have changed its form: update ccxt",
            damaged=True,
        )
    return dict(zip(_OHLCV, values, strict=False))


def _numbers(found: Mapping[int, Any], key: str, endpoint: str) -> np.ndarray[Any, Any]:
    return np.array([number(row, key, endpoint) for row in found.values()], dtype=np.float64)


def _milliseconds(time: pd.Timestamp) -> int:
    return int(time.value // _MS_NS)


def _utc(times: Mapping[int, Any]) -> pd.DatetimeIndex:
    stamps = np.fromiter(times, dtype=np.int64, count=len(times)) * _MS_NS
    return pd.DatetimeIndex(stamps).tz_localize("UTC")
