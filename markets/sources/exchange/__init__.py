"""Any exchange that ccxt knows: bars, funding, open interest, order books and tickers.

ccxt is an extra: ``pip install foremargin[exchange]``.
"""

from .book import OrderBook, Side
from .calls import Exchange, open_exchange
from .capabilities import ExchangeCapabilities, exchange_capabilities
from .fetcher import ExchangeFetcher
from .histories import bars, funding_history, open_interest_history
from .snapshots import order_book, ticker

__all__ = [
    "Exchange",
    "ExchangeCapabilities",
    "ExchangeFetcher",
    "OrderBook",
    "Side",
    "bars",
    "exchange_capabilities",
    "funding_history",
    "open_exchange",
    "open_interest_history",
    "order_book",
    "ticker",
]
