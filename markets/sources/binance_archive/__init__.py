"""Binance's public archive of zip files: on the network, and on this machine."""

from .fetcher import BINANCE_ARCHIVES, BinanceArchive
from .zips import BinanceZips

__all__ = ["BINANCE_ARCHIVES", "BinanceArchive", "BinanceZips"]
