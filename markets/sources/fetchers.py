"""The sources on the network, by the word that selects them."""

from ..download.fetching import Fetcher
from .binance_archive import BINANCE_ARCHIVES
from .deribit import DeribitFetcher
from .exchange import ExchangeFetcher
from .oracle import PythFetcher

FETCHERS: tuple[Fetcher, ...] = (
    *BINANCE_ARCHIVES,
    DeribitFetcher(),
    ExchangeFetcher(),
    PythFetcher(),
)
"""What ``foremargin data fetch`` can ask."""
