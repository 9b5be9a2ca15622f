"""Names of the files that fetchers write."""

import re

from ..fetching import FetchRequest


def file_name(instrument: str) -> str:
    """Return the name of an instrument's Parquet file; what a file system may refuse becomes -.

    Examples
    --------
    >>> file_name("kraken:BTC/USD")
    'kraken-BTC-USD.parquet'
    """
    return re.sub(r"[^\w.-]+", "-", instrument).strip("-.") + ".parquet"


def folder_name(request: FetchRequest) -> str:
    """Return the name of the folder of a data set, bars of each length apart."""
    return request.dataset if request.interval is None else f"{request.dataset}-{request.interval}"
