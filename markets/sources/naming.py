"""Names of the files that fetchers write."""

import re


def file_name(instrument: str, dataset: str, interval: str | None = None) -> str:
    """Return the name of an instrument's Parquet file; what a file system may refuse becomes -.

    All files lie in one folder: the reader puts the folder before names that two of them share.

    Examples
    --------
    >>> file_name("kraken:BTC/USD", "bars", "1h")
    'kraken-BTC-USD_bars_1h.parquet'
    """
    stem = "_".join(part for part in (instrument, dataset, interval) if part)
    return re.sub(r"[^\w.-]+", "-", stem).strip("-.") + ".parquet"
