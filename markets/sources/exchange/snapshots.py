"""An exchange as it stands now, as rows of observation files: order book and ticker."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ....errors import SourceError
from ..answers import as_number, item, number, rows
from .book import OrderBook, Side
from .calls import Exchange
from .capabilities import DEPTHS_BPS, SIZES

_MS_NS = 1_000_000
_LEVELS = 500  # asked for where the exchange does not say how many it sends at most
_TICKER = {"bid": "bid", "ask": "ask", "markPrice": "mark_price", "indexPrice": "index_price"}


def order_book(
    exchange: Exchange,
    symbol: str,
    *,
    depths_bps: Sequence[int] = DEPTHS_BPS,
    sizes: Sequence[int] = SIZES,
) -> pd.DataFrame:
    """Return the liquidity of an order book as it stands now, as a row of an observation file.

    Parameters
    ----------
    exchange : Exchange
        Asks once.
    symbol : str
        Unified symbol of ccxt, for example ``BTC/USDT:USDT``.
    depths_bps : sequence of int
        Distances from mid, basis points.
    sizes : sequence of int
        Sizes of market orders, quote currency.

    Returns
    -------
    pandas.DataFrame
        ``time`` (the exchange's, or that of the answer where it sends none), ``known_at`` (that
        of the answer) and the fields of :meth:`.book.OrderBook.liquidity`.

    Raises
    ------
    InputError
        If the exchange does not list the symbol, or its book has an empty side or is crossed.
    SourceError
        If the exchange fails or answers in another form.
    """
    market = exchange.market(symbol)
    limit = exchange.call("feature_value", symbol, "fetchOrderBook", "limit") or _LEVELS
    answer = exchange.call("fetch_order_book", symbol, limit)
    endpoint = f"{exchange.id} fetch_order_book({symbol})"
    book = OrderBook(
        bids=_side(item(answer, "bids", endpoint), market, limit, endpoint),
        asks=_side(item(answer, "asks", endpoint), market, limit, endpoint),
    )
    values = book.liquidity(depths_bps=depths_bps, sizes=sizes)
    return _row(exchange, item(answer, "timestamp", endpoint), values)


def ticker(exchange: Exchange, symbol: str) -> pd.DataFrame:
    """Return one instrument as it stands now, as a row of an observation file.

    Parameters
    ----------
    exchange : Exchange
        Asks once.
    symbol : str
        Unified symbol of ccxt, for example ``BTC/USDT:USDT``.

    Returns
    -------
    pandas.DataFrame
        ``time``, ``known_at``, ``bid``, ``ask``, ``mark_price``, ``index_price``, quote currency;
        NaN where the exchange sends none.

    Raises
    ------
    InputError
        If the exchange does not list the symbol.
    SourceError
        If the exchange fails or answers in another form.
    """
    exchange.market(symbol)
    answer = exchange.call("fetch_ticker", symbol)
    endpoint = f"{exchange.id} fetch_ticker({symbol})"
    values = {ours: number(answer, theirs, endpoint) for theirs, ours in _TICKER.items()}
    return _row(exchange, item(answer, "timestamp", endpoint), values)


def _side(levels: Any, market: Mapping[str, Any], limit: int, endpoint: str) -> Side:
    found = rows(levels, endpoint)
    if any(len(rows(level, endpoint)) < 2 for level in found):
        raise SourceError(
            f"{endpoint}: a level must have a price and an amount, found one without; the exchange "
            "may have changed its form: update ccxt",
            damaged=True,
        )
    price = np.array([as_number(level[0], "price", endpoint) for level in found], dtype=np.float64)
    amount = np.array([as_number(level[1], "amount", endpoint) for level in found], np.float64)
    # ccxt counts the book of a contract in contracts; an inverse one is worth a fixed value.
    units = amount * float((market.get("contract") and market.get("contractSize")) or 1.0)
    value = units if market.get("inverse") else units * price
    return Side(price=price, value=value, complete=len(found) < limit)


def _row(exchange: Exchange, timestamp: Any, values: Mapping[str, float]) -> pd.DataFrame:
    now = exchange.now()
    time = now if timestamp is None else int(timestamp)
    stamps = {
        "time": pd.Timestamp(time * _MS_NS, tz="UTC"),
        # The clocks of the exchange and of this machine may disagree.
        "known_at": pd.Timestamp(max(now, time) * _MS_NS, tz="UTC"),
    }
    return pd.DataFrame([stamps | dict(values)])
