"""Seconds and memory from bars to a panel, beside a plain pandas resample of the same files.

The baseline reads the files, resamples open, high, low, close and volume, and sums the squared
log returns: no checks, no calendar, no other measure. It is what one would write by hand.

Every run is a process of its own, so that its peak memory is its own; both columns of memory
contain what Python and the imports take, which the first line shows.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from foremargin.markets import load_panel

_KIB_PER_MIB = 1024.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """Files of a random walk, and the period that is made of them."""

    bar: str
    n_rows: int
    period: str
    n_files: int = 1
    repeats: int = 3

    @property
    def label(self) -> str:
        """Name of the line in the table."""
        files = f"{self.n_files} files of " if self.n_files > 1 else ""
        return f"{files}{self.n_rows:,} x {self.bar} to {self.period}"


CASES = (
    Case(bar="1min", n_rows=525_600, period="1D"),
    Case(bar="1min", n_rows=525_600, period="1h"),
    Case(bar="5min", n_rows=525_600, period="1D"),
    Case(bar="1min", n_rows=5_256_000, period="1D"),  # ten years
    Case(bar="1h", n_rows=35_040, period="1D", n_files=500, repeats=1),  # four years
    Case(bar="1h", n_rows=35_040, period="1h", n_files=500, repeats=1),
)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one way of loading took."""

    elapsed_s: float
    peak_mib: float


def main() -> None:
    """Print the table."""
    print(f"before any data: {_peak_mib():,.0f} MiB\n")
    print(f"{'bars':<40}{'s':>8}{'pandas s':>10}{'ratio':>8}", end="")
    print(f"{'rows/s':>14}{'MiB':>8}{'pandas MiB':>12}")
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            for k in range(case.n_files):
                write_bars(Path(folder), case=case, number=k)
            ours, plain = (measured(way, folder, case=case) for way in WAYS)
        print(
            f"{case.label:<40}{ours.elapsed_s:>8.2f}{plain.elapsed_s:>10.2f}"
            f"{ours.elapsed_s / plain.elapsed_s:>8.1f}"
            f"{case.n_files * case.n_rows / ours.elapsed_s:>14,.0f}"
            f"{ours.peak_mib:>8,.0f}{plain.peak_mib:>12,.0f}"
        )


def write_bars(folder: Path, *, case: Case, number: int) -> None:
    """Write a bar file of a random walk."""
    rng = np.random.default_rng(number)
    close = 100.0 * np.exp(np.cumsum(1e-3 * rng.normal(size=case.n_rows)))
    start = np.concatenate([[100.0], close[:-1]])
    frame = pd.DataFrame(
        {
            "open_time": pd.date_range("2015-01-01", periods=case.n_rows, freq=case.bar, tz="UTC"),
            "open": start,
            "high": np.maximum(start, close) * 1.0005,
            "low": np.minimum(start, close) * 0.9995,
            "close": close,
            "volume": rng.exponential(size=case.n_rows),
        }
    )
    frame.to_parquet(folder / f"COIN{number:03d}.parquet", index=False)


def load(folder: str, *, period: str) -> None:
    """Load a folder as a panel."""
    load_panel(folder, period=period)


def resample(folder: str, *, period: str) -> None:
    """Read and resample a folder with pandas alone, one table per field."""
    tables = [_resampled(path, period) for path in sorted(Path(folder).iterdir())]
    for name in tables[0]:
        pd.concat([table[name] for table in tables], axis=1)


def _resampled(path: Path, period: str) -> pd.DataFrame:
    bars = pd.read_parquet(path).set_index("open_time")
    squared = np.log(bars["close"]).diff().pow(2).rename("realized_variance")
    grouped = bars.resample(period)
    how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    return grouped.agg(how).join(squared.resample(period).sum())


WAYS: Mapping[str, Callable[..., None]] = {"foremargin": load, "pandas": resample}


def measured(way: str, folder: str, *, case: Case) -> Cost:
    """Return the median time and the largest peak of some runs, each in a fresh process."""
    command = [sys.executable, __file__, way, folder, case.period]
    runs = [
        json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        for _ in range(case.repeats)
    ]
    return Cost(
        elapsed_s=statistics.median(run["elapsed_s"] for run in runs),
        peak_mib=max(run["peak_mib"] for run in runs),
    )


def run_once(way: str, folder: str, period: str) -> None:
    """Load once and print what it took as JSON; imports on first use come before."""
    load_panel("arch")
    start = time.perf_counter()
    WAYS[way](folder, period=period)
    elapsed_s = time.perf_counter() - start
    print(json.dumps({"elapsed_s": elapsed_s, "peak_mib": _peak_mib()}))


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_PER_MIB


if __name__ == "__main__":
    if len(sys.argv) > 1:
        run_once(*sys.argv[1:])
    else:
        main()
