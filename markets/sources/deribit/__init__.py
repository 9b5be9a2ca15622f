"""Deribit: the volatility index DVOL, option chains, bars, funding and tickers, all public."""

from .api import DERIBIT, DeribitApi
from .fetcher import DeribitFetcher
from .option_chain import OptionChain
from .series import funding_history, price_bars, volatility_index
from .snapshots import index_price, listings, option_chain, ticker

__all__ = [
    "DERIBIT",
    "DeribitApi",
    "DeribitFetcher",
    "OptionChain",
    "funding_history",
    "index_price",
    "listings",
    "option_chain",
    "price_bars",
    "ticker",
    "volatility_index",
]
