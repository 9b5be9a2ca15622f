"""The journal: an append beside a bare write and fsync, groups of records, and reading it all.

Every append is on the disk when it returns. The baseline writes the same number of bytes to the end
of a file and calls fdatasync: no chain, no frame, no mark of what was acknowledged.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from foremargin.serving.journal import Entry, Journal
from foremargin.serving.observations import Tick
from foremargin.serving.service import ServiceCore
from foremargin.serving.service.records import OBSERVATIONS, Observed, encode

_PAYLOAD = encode(
    Observed([Tick(instrument="BTC-PERP", time=1_700_000_000 * 10**9, price=43210.5)])
)
_ENTRY = Entry(OBSERVATIONS, "feed", _PAYLOAD)
_N_APPENDS, _N_RECORDS = 2_000, 1_000_000


def main() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", ".")) as folder:
        root = Path(folder)
        bare, single = _bare(root / "bare"), _single(root / "single")
        print("| one record | p50, us | p99, us |\n| --- | ---: | ---: |")
        print(f"| write and fdatasync | {bare[0]:.0f} | {bare[1]:.0f} |")
        print(f"| `Journal.append` | {single[0]:.0f} | {single[1]:.0f} |")
        print("\n| records per append | records/s |\n| ---: | ---: |")
        for group in (1, 10, 100, 1_000):
            print(f"| {group:,} | {_rate(root / f'group-{group}', group):,.0f} |")
        _replay(root / "replay")


def _quantiles(step: Callable[[], object]) -> tuple[float, float]:
    """Return median and 99th percentile of many steps, microseconds."""
    taken = []
    for _ in range(_N_APPENDS):
        start = time.perf_counter()
        step()
        taken.append(time.perf_counter() - start)
    p50, p99 = np.quantile(taken, [0.5, 0.99]) * 1e6
    return float(p50), float(p99)


def _bare(path: Path) -> tuple[float, float]:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    content = bytes(len(_PAYLOAD) + 120)

    def step() -> None:
        os.write(handle, content)
        os.fdatasync(handle)

    try:
        return _quantiles(step)
    finally:
        os.close(handle)


def _single(folder: Path) -> tuple[float, float]:
    with Journal(folder) as journal:
        return _quantiles(lambda: journal.append([_ENTRY], time=0))


def _rate(folder: Path, group: int) -> float:
    with Journal(folder) as journal:
        start = time.perf_counter()
        n_appends = max(200 // group, 20)
        for _ in range(n_appends):
            journal.append([_ENTRY] * group, time=0)
        return n_appends * group / (time.perf_counter() - start)


def _replay(folder: Path) -> None:
    with Journal(folder) as journal:
        for _ in range(_N_RECORDS // 1_000):
            journal.append([_ENTRY] * 1_000, time=0)
    start = time.perf_counter()
    with Journal(folder) as journal:
        opened = time.perf_counter() - start
        verified = journal.verify()
        whole = time.perf_counter() - start
        print(
            f"\nopen {opened:.2f} s; open and check the chain of {verified.last:,}: {whole:.2f} s"
        )
        start, core, n_taken = time.perf_counter(), ServiceCore(["BTC-PERP"]), 100_000
        for record in journal.read(after=verified.last - n_taken):
            core.replay(record)
        print(f"state of the service from {n_taken:,}: {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    main()
