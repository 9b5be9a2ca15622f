"""A closed row of 5,000 instruments through the whole service, to a signed batch that can be read.

Two processes, as in service: this one is the front, with journal, ladder, table, stream, monitor
and publisher; the calculator is its child. The market is that of ``calculator.py``, made in a third
process that ends before anything is measured. Of every row all bars but one are sent and settled;
the clock runs from the last one. Every stage has its elapsed time and the processor time of its
thread, middle and worst of the rows, side by side; what is wanted is printed beside what was
reached. Another number of instruments, and of rows, as arguments; about a minute.
"""

import asyncio
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from foremargin.errors import InputError
from foremargin.serving.assembly import Application, Deployment, PublishSettings, Settings
from foremargin.serving.assembly import publishing as publishing_module
from foremargin.serving.assembly.publishing import Publishing
from foremargin.serving.journal import Snapshots
from foremargin.serving.observations import Bar
from foremargin.serving.publish import Publisher
from foremargin.serving.quote import Calculation
from foremargin.serving.service import CalculatorProcess, Service, settle_memory
from foremargin.serving.service import process as process_module
from foremargin.serving.service.core import ServiceCore
from foremargin.serving.service.log import Log
from foremargin.serving.stream import Hub
from foremargin.serving.table import QuoteTable

SECOND = 10**9
ROWS, SETTLING = 30, 4  # rows that are fed; of those, first ones that are not counted
WANTED_MS, WANTED_MB, WANTED_GROWTH = 250, 150, 0.02
FACTORY = "foremargin.benchmarks.rows_live:served"
SHOWN, READABLE = "= all quotes shown", "= readable (processor: both processes)"
PUBLISH = {"chain_id": 1, "contract": "0x" + "11" * 20}


class Spans:
    """Elapsed and processor time of named stages, row by row."""

    def __init__(self) -> None:
        self.now: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self.rows: list[dict[str, list[float]]] = []

    def watch(self, owner: Any, name: str, label: str) -> None:
        """Have every call of a function counted."""
        inner = getattr(owner, name)

        def timed(*given: Any, **named: Any) -> Any:
            began, busy = time.perf_counter(), time.thread_time()
            try:
                return inner(*given, **named)
            finally:
                self.add(label, time.perf_counter() - began, time.thread_time() - busy)

        setattr(owner, name, timed)

    def add(self, label: str, elapsed_s: float, busy_s: float) -> None:
        """Count time into the row that is under way."""
        self.now[label][0] += elapsed_s
        self.now[label][1] += busy_s

    def row(self) -> None:
        """End a row."""
        self.rows.append(dict(self.now))
        self.now.clear()

    def table(self) -> None:
        """Print all stages in the order in which they were first seen."""
        labels = dict.fromkeys(label for row in self.rows for label in row)
        print(f"  {'stage, ms':<44}{'elapsed':>9}{'worst':>9}{'processor':>11}")
        for label in labels:
            found = [row.get(label, [0.0, 0.0]) for row in self.rows]
            elapsed, busy = ([1e3 * one[k] for one in found] for k in range(2))
            middle = statistics.median(elapsed), max(elapsed), statistics.median(busy)
            print(f"  {label:<44}{middle[0]:9.1f}{middle[1]:9.1f}{middle[2]:11.1f}")

    def worst_ms(self, label: str) -> float:
        """Return the longest that a stage took."""
        return max(1e3 * row.get(label, [0.0, 0.0])[0] for row in self.rows)


class Shifted:
    """The clock of the machine, moved to where the market is."""

    def __init__(self) -> None:
        self._shift = 0

    def now(self) -> int:
        """Return ns since 1970 UTC."""
        return time.time_ns() + self._shift

    def move_to(self, moment: int) -> None:
        """Let it be some moment now."""
        self._shift = moment - time.time_ns()


class Timed:
    """A calculator that writes down when it worked, and for how long on the processor."""

    def __init__(self, inner: Any, file: str) -> None:
        self._inner, self._file = inner, Path(file)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def apply(self, observations: list[Any]) -> list[Calculation]:
        """Take observations, as the calculator does."""
        began, busy = time.perf_counter(), time.process_time()
        said: list[Calculation] = self._inner.apply(observations)
        if said:
            line = [began, time.perf_counter(), time.process_time() - busy]
            with self._file.open("a") as file:
                file.write(json.dumps(line) + "\n")
        return said


def served(folder: str, log: str) -> Timed:
    """Return the calculator of a folder; named by :data:`FACTORY` in the child."""
    from foremargin.serving.calculator import Calculator

    return Timed(Calculator.load(Path(folder), bundle="ab" * 32, model="rows/1"), log)


def prepare(folder: Path, n: int) -> None:
    """Write the serving files and the bars of a market whose moves admission believes."""
    from foremargin.benchmarks.calculator import WARM, Market
    from foremargin.benchmarks.calculator import served as serving_files

    market = Market(n)
    for name, content in serving_files(market).items():
        (folder / name).write_bytes(content)
    rows = slice(WARM + 1, WARM + 1 + ROWS)
    columns = [market.open, market.high, market.low, market.close]
    np.save(folder / "bars.npy", np.stack([column[rows] for column in columns]))
    np.save(folder / "times.npy", market.time[rows])


def bars_of(columns: Any, moment: int) -> list[Bar]:
    """Return the bars of one row."""
    return [
        Bar(instrument=f"I{i:04d}", time=moment, open=o, high=h, low=low, close=c)
        for i, (o, h, low, c) in enumerate(zip(*columns.tolist(), strict=True))
    ]


def watch(spans: Spans, application: Application) -> None:
    """Have the stages of the front counted."""
    publishing = application.publishing
    assert publishing is not None
    stages: list[tuple[Any, str, str]] = [
        (process_module, "decode_answer", "hand-back: messages read"),
        (ServiceCore, "calculated", "ladder, and quotes encoded"),
        (Log, "append", "journal (a thread)"),
        (ServiceCore, "appended", "quotes followed"),
        (QuoteTable, "take", "table"),
        (Service, "_remember", "history"),
        (Hub, "publish", "stream"),
        (application.scenarios, "quoted", "what-if"),
        (publishing, "quoted", "publisher told"),
        (Publisher, "plan", "drafts, digests, tree, record"),
        (Publisher, "commit", "ledger, signature"),
        (publishing_module, "updates_json", "updates as JSON (a thread)"),
        (publishing_module, "batch_json", "batch as JSON (a thread)"),
    ]
    for owner, name, label in stages:
        spans.watch(owner, name, label)


async def settled(application: Application, sequence: int) -> None:
    """Wait until the calculator has applied a record, and nothing waits to be appended."""
    core = application.service.core
    while core.waiting.applied < sequence or application.backlog._waiting:
        await asyncio.sleep(0.002)


class Run:
    """One service, fed row after row."""

    def __init__(self, folder: Path, n: int) -> None:
        self.folder, self.clock, self.spans = folder, Shifted(), Spans()
        self.names = tuple(f"I{i:04d}" for i in range(n))
        self.columns, self.times = np.load(folder / "bars.npy"), np.load(folder / "times.npy")
        key, self.log = folder / "key", folder / "calculator.log"
        key.write_text("07" * 32)
        key.chmod(0o600)
        self.host = CalculatorProcess(
            FACTORY,
            arguments=lambda: {"folder": str(folder), "log": str(self.log)},
            snapshots=Snapshots(folder / "calculator"),
        )
        self.application = Application(
            Settings(
                state_dir=str(folder / "state"),
                publish=PublishSettings(key_file=str(key), **PUBLISH),  # type: ignore[arg-type]
            ),
            Deployment(instruments=self.names, calculator=self.host),
            clock=self.clock,
        )
        self.pause = self.settled_mb = 0.0
        gc.callbacks.append(self._collected)

    def _collected(self, phase: str, _: object) -> None:
        if phase == "start":
            self.pause = time.perf_counter()
        else:
            took = time.perf_counter() - self.pause
            self.spans.add("garbage collection of the front", took, took)

    async def rows(self) -> None:
        """Feed all rows."""
        self.clock.move_to(int(self.times[0]) - SECOND)
        async with self.application._lifespan():
            assert isinstance(self.application.publishing, Publishing)
            self.publishing = self.application.publishing
            while self.host.fault or self.application.service.core.calculator_fault:
                await asyncio.sleep(0.05)
            await asyncio.sleep(2.0)
            settle_memory()
            watch(self.spans, self.application)
            for row in range(ROWS):
                await self.one(row)
                if row == SETTLING:
                    self.spans.rows.clear()
                    self.settled_mb = memory_mb(os.getpid())

    async def one(self, row: int) -> None:
        """Feed one row, and note what its last bar costs."""
        service, spans, moment = self.application.service, self.spans, int(self.times[row])
        bars = bars_of(self.columns[:, row], moment)
        self.clock.move_to(moment + SECOND)
        receipts = await service.accept(bars[:-1], by="")
        wrong = [one for one in receipts if one.outcome != "accepted"]
        assert not wrong, wrong[0]
        await settled(self.application, receipts[-1].sequence)
        await asyncio.sleep(0.2)
        spans.now.clear()
        shown: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        signed: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.hook(shown, signed)
        busy, child = time.process_time(), busy_s(self.host.pid)
        began = time.perf_counter()
        last = await service.accept(bars[-1:], by="")
        spans.add("last bar admitted and on the disk", time.perf_counter() - began, 0.0)
        first = await shown
        done = await signed
        answer = self.publishing.batch()
        read = time.perf_counter()
        assert answer is not None
        line = json.loads(self.log.read_text().splitlines()[-1])
        spans.add("calculator, from begin to end", line[1] - line[0], line[2])
        spans.add("= calculator begins", line[0] - began, 0.0)
        spans.add("= calculator ends", line[1] - began, 0.0)
        spans.add(SHOWN, first - began, time.process_time() - busy)
        spans.add("= signed", done - began, 0.0)
        spans.add(READABLE, read - began,
                  time.process_time() - busy + busy_s(self.host.pid) - child)  # fmt: skip
        spans.add("bytes of the batch / 1e3", len(answer) / 1e3, 0.0)
        spans.row()
        await settled(self.application, last[-1].sequence)

    def hook(self, shown: "asyncio.Future[float]", signed: "asyncio.Future[float]") -> None:
        """Have the moments noted at which the whole row is shown, and signed."""
        names = set(self.names)

        def listen(quotes: Any) -> None:
            names.difference_update(quote.instrument for quote in quotes)
            if not names:
                stop()
                shown.set_result(time.perf_counter())

        waiting, measure = set(self.names), self.application._measure

        def told(batch: Any) -> None:
            measure(batch)
            waiting.difference_update(batch.updates)
            if not waiting:
                signed.set_result(time.perf_counter())

        stop = self.application.service.subscribe(listen)
        self.publishing._signed = told


def busy_s(pid: int | None) -> float:
    """Return how long a process has kept processors so far, seconds."""
    if pid is None:
        raise InputError(
            "the calculator must live through a row, it is starting again; repeat the run on a "
            "machine that has time for it"
        )
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int | None) -> float:
    """Return the resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024.0


async def main(n: int) -> None:
    """Run and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([sys.executable, __file__, "--prepare", name, str(n)], check=True)
        run = Run(folder, n)
        print(
            f"{n} instruments, {ROWS} rows; front before it starts {memory_mb(os.getpid()):.0f} MB"
        )
        await run.rows()
        run.spans.table()
        shown, read = run.spans.worst_ms(SHOWN), run.spans.worst_ms(READABLE)
        print(f"  worst row: shown {shown:.0f} ms, readable {read:.0f} ms (wanted {WANTED_MS} ms)")
        end = memory_mb(os.getpid())
        growth = end / run.settled_mb - 1.0
        print(f"  front at the end {end:.0f} MB (wanted {WANTED_MB} MB), {growth:+.1%} since the")
        print(f"    first counted row (wanted below {WANTED_GROWTH:.0%})")


def start(arguments: list[str]) -> Callable[[], object]:
    """Return what was asked for."""
    if arguments[:1] == ["--prepare"]:
        return lambda: prepare(Path(arguments[1]), int(arguments[2]))
    return lambda: asyncio.run(main(int(arguments[0]) if arguments else 5_000))


if __name__ == "__main__":
    start(sys.argv[1:])()
