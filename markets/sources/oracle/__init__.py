"""Oracles: feeds of published prices, from Pyth-like and Chainlink-like files and servers."""

from .chainlink import ChainlinkFeed, Round, chainlink_feed, read_chainlink
from .chainlink_contract import ContractCall, contract_call, fetch_rounds
from .feed import OracleFeed, OracleState, Promise
from .fetcher import PythFetcher
from .pyth import HERMES, PythFeed, fetch_pyth, pyth_feeds, read_pyth

__all__ = [
    "HERMES",
    "ChainlinkFeed",
    "ContractCall",
    "OracleFeed",
    "OracleState",
    "Promise",
    "PythFeed",
    "PythFetcher",
    "Round",
    "chainlink_feed",
    "contract_call",
    "fetch_pyth",
    "fetch_rounds",
    "pyth_feeds",
    "read_chainlink",
    "read_pyth",
]
