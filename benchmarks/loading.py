"""Rows per second from bars to a panel, beside a plain pandas resample of the same file.

The baseline reads the file, resamples open, high, low, close and volume, and sums the squared
log returns: no checks, no calendar, no other measure. It is what one would write by hand.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from foremargin.markets import load_panel

REPEATS = 3
CASES = (("1min", 525_600, "1D"), ("1min", 525_600, "1h"), ("5min", 525_600, "1D"))
"""Bar length, number of bars, period."""


def main() -> None:
    """Print the table."""
    print(f"{'bars':<8}{'rows':>10}{'period':>8}{'rows/s':>14}{'pandas rows/s':>16}{'ratio':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for bar, n_rows, period in CASES:
            path = write_bars(Path(folder), bar=bar, n_rows=n_rows)
            ours = n_rows / median_seconds(partial(load_panel, path, period=period))
            plain = n_rows / median_seconds(partial(resample, path, period=period))
            print(
                f"{bar:<8}{n_rows:>10,}{period:>8}{ours:>14,.0f}{plain:>16,.0f}{ours / plain:>8.2f}"
            )


def write_bars(folder: Path, *, bar: str, n_rows: int) -> Path:
    """Write a bar file of a random walk and return its path."""
    rng = np.random.default_rng(0)
    close = 100.0 * np.exp(np.cumsum(1e-3 * rng.normal(size=n_rows)))
    start = np.concatenate([[100.0], close[:-1]])
    frame = pd.DataFrame(
        {
            "open_time": pd.date_range("2023-01-01", periods=n_rows, freq=bar, tz="UTC"),
            "open": start,
            "high": np.maximum(start, close) * 1.0005,
            "low": np.minimum(start, close) * 0.9995,
            "close": close,
            "volume": rng.exponential(size=n_rows),
        }
    )
    path = folder / f"COIN-{bar}.parquet"
    frame.to_parquet(path, index=False)
    return path


def resample(path: Path, *, period: str) -> pd.DataFrame:
    """Read and resample with pandas alone."""
    bars = pd.read_parquet(path).set_index("open_time")
    squared = np.log(bars["close"]).diff().pow(2).rename("realized_variance")
    grouped = bars.resample(period)
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    return grouped.agg(how).join(squared.resample(period).sum())


def median_seconds(work: Callable[[], object]) -> float:
    """Return the median wall-clock time of some runs."""
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


if __name__ == "__main__":
    main()
