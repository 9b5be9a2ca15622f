"""The journal: an append beside a bare write and fsync, groups of records, and reading it all.

Every append is on the disk when it returns. The baseline writes the same number of bytes to the end
of a file and calls fdatasync: no chain, no frame, no mark of what was acknowledged.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
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
    print("\n| what | records | elapsed, s | processor, s |\n| --- | ---: | ---: | ---: |")
    with _timed("SHA-256 of each alone", _N_RECORDS):
        chain = bytes(32)
        for _ in range(_N_RECORDS):
            chain = sha256(chain + _PAYLOAD).digest()
    with Journal(folder) as journal:
        with _timed("read and check the chain", _N_RECORDS):
            last = journal.verify().last
        core, n_taken = ServiceCore(["BTC-PERP"]), 100_000
        with _timed("state of the service", n_taken):
            for record in journal.read(after=last - n_taken):
                core.replay(record)


@contextmanager
def _timed(what: str, n_records: int) -> Iterator[None]:
    """Print a row; on a machine that is shared, processor time says more than elapsed time."""
    elapsed, processor = time.perf_counter(), time.process_time()
    yield
    elapsed, processor = time.perf_counter() - elapsed, time.process_time() - processor
    print(f"| {what} | {n_records:,} | {elapsed:.2f} | {processor:.2f} |")


if __name__ == "__main__":
    main()
