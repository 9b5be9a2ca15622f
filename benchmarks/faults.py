"""A million reads while everything is broken in turn, and what must have held all the while.

``python benchmarks/faults.py [--requests N] [--only FAULT]``. A service of half-hourly bars that
pass at one a second, stale after two and at the fixed margin after ten, is read by ``wrk`` through
16 connections while: the feed is dead, the disk is full, the calculator is killed, its best rung is
silent, the service is killed and started again, its bundle is damaged, its clock is twelve hours
ahead and behind. Every one of the answers is looked at (by a script of wrk); beside them all
margins are looked at 25 times a second and ticks are sent. Afterwards the journal and everything
seen are checked by ``under_faults/checks.py``, which asks none of the service's code. It exits with
1 if anything is wrong. Each fault comes at least once. Needs ``wrk``; the disk is a small one of
its own where ``unshare`` is allowed to mount it, else a limit on the size of files.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from foremargin.benchmarks.common.server import Server, free_port, wrk
from foremargin.benchmarks.under_faults import checks, market
from foremargin.benchmarks.under_faults.beside import Beside, Sender, Watcher
from foremargin.benchmarks.under_faults.journal import ChainError, read_journal
from foremargin.serving.security import Rate, Scope, create_key

RUNGS = {
    *("ok/linear", "degraded/garch", "stale/last-good"),
    *("fallback/last-good", "fallback/fixed"),
}
"""What a run must have seen, so that what was never tried is not called good."""

SKEW_S, DISK_MB = 43_200.0, 192
LATE_S = 3_600.0 + 3.0 * market.SPEED
"""When something late must be called so: after ``stale_after_s``, and three seconds of now."""

SCRIPT = """
threads = {}
function setup(thread) table.insert(threads, thread) end
function init() wrong = 0 end
function response(status, headers, body)
  if status ~= 200 or not (headers["age"] or headers["Age"]) or
     not body:find('"status":"%l+"') or not body:find('"basis":"[%l-]+"') or
     not body:find('"observed_at":%d+') then wrong = wrong + 1 end
end
function done()
  local total = 0
  for _, thread in ipairs(threads) do total = total + thread:get("wrong") end
  print("incomplete=" .. total)
end
"""


class Run:
    """A service, what looks at it, and what breaks it."""

    def __init__(self, folder: Path, *, own_disk: bool) -> None:
        self.folder, self.own_disk = folder, own_disk
        self.port = free_port()
        scopes = (Scope.READ, Scope.PUBLISH, Scope.ADMIN)
        _, token = create_key(folder / "keys.json", scopes, now=0, rate=Rate(1e6, 1_000_000))
        self.headers = {"Authorization": f"Bearer {token}"}
        replay = json.loads((folder / "replay.json").read_text())
        self.service = self._started()
        self.watcher = Watcher(self.service.url, self.headers, replay)
        self.sender = Sender(self.service.url, self.headers, replay, folder / "bars.jsonl")
        self.requests = 0
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    def _started(self) -> Server:
        module = "foremargin.benchmarks.under_faults.service"
        return Server(
            [sys.executable, "-m", module, str(self.folder), str(self.port)],
            port=self.port,
            log=self.folder / "log",
            headers=self.headers,
        )

    def answering(self) -> float:
        """Wait until margins are answered."""
        return self.service.until(lambda server: bool(server.get("/v1/margins")["quotes"]))

    def calculated(self) -> float:
        """Wait until every margin is on the best rung."""

        def well(server: Server) -> bool:
            quotes = server.get("/v1/margins")["quotes"]
            return bool(quotes) and all(quote["status"] == "ok" for quote in quotes)

        return self.service.until(well)

    def load(self, seconds: int, *, fault: str) -> None:
        """Read for a while."""
        made = wrk(
            f"{self.service.url}/v1/margins/SYN1",
            connections=16,
            seconds=seconds,
            headers=self.headers,
            script=SCRIPT,
        )
        self.requests += made.requests
        self.counts["no success"] += made.not_2xx
        self.counts["without status, basis or age"] += made.said["incomplete"]
        self.counts[f"unanswered: {fault or 'no fault'}"] += made.unanswered

    @contextmanager
    def faulty(self, name: str) -> Iterator[None]:
        """Say what is broken to those who look."""
        beside: tuple[Beside, ...] = (self.watcher, self.sender)
        for one in beside:
            one.fault = name
        try:
            yield
        finally:
            for one in beside:
                one.fault = ""

    @contextmanager
    def flag(self, name: str, content: str = "") -> Iterator[None]:
        """Have a file there for a while."""
        (self.folder / name).write_text(content)
        yield
        (self.folder / name).unlink()

    def kill(self, word: str) -> None:
        """Kill -9 what the service started."""
        for pid in self.service.children(word):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    # ------------------------------------------------------------ faults

    def feed_dead(self) -> None:
        """Let the feed end, and end again whenever it is started."""
        with self.flag("feed-dead"):
            self.kill("under_faults.market")
            self.load(14, fault="feed dead")

    def disk_full(self) -> None:
        """Leave no room for another byte."""
        with self._full():
            self.load(5, fault="disk full")

    @contextmanager
    def _full(self) -> Iterator[None]:
        if not self.own_disk:
            pid, (_, hard) = self.service.process.pid, resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, hard))
            yield
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
            return
        filler = self.folder / "disk" / "filler"
        with suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(65_536)):
                pass
        with suppress(OSError), filler.open("ab", buffering=0) as file:
            while file.write(b"0"):
                pass
        if shutil.disk_usage(filler.parent).free:
            self.wrong.append("the disk was not full when it should have been")
        yield
        filler.unlink()

    def calculator_killed(self) -> None:
        """Kill it -9 three times."""
        for _ in range(3):
            self.kill("service.host")
            self.load(5, fault="calculator killed")

    def rung_silent(self) -> None:
        """Let the log-HAR say nothing."""
        with self.flag("rung-silent"):
            self.load(5, fault="rung silent")

    def service_killed(self) -> None:
        """Kill it -9 in the middle of writes, and start it again."""
        self.service.kill()
        self.service = self._started()
        self.answering()

    def bundle_broken(self) -> None:
        """Damage a file; have it loaded, activated, and the service started with it."""
        path = self.folder / "bundle" / "serving.safetensors"
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] + b"damaged" + whole[len(whole) // 2 + 7 :])
        self.kill("service.host")
        try:
            body = {"folder": str(path.parent)}
            self.watcher.ask("/v1/commands/activate", body, **{"Idempotency-Key": str(time.time())})
            self.wrong.append("a damaged bundle was activated")
        except urllib.error.HTTPError as error:
            if not 400 <= error.code < 500:
                self.wrong.append(f"a damaged bundle was refused with {error.code}")
        self.load(5, fault="bundle broken")
        self.service.kill()
        self.service = self._started()
        try:
            if self.service.process.wait(30) == 0:
                self.wrong.append("the service left with status 0 for want of a whole bundle")
        except subprocess.TimeoutExpired:
            pass  # it serves what it knew; what it said is checked like everything
        path.write_bytes(whole)
        if self.service.process.poll() is not None:
            self.service = self._started()
        self.answering()

    def clock_ahead(self) -> None:
        """Set it twelve hours ahead."""
        with self.flag("skew", str(SKEW_S)):
            self.load(5, fault="clock ahead")

    def clock_behind(self) -> None:
        """Set it back by twelve hours."""
        with self.flag("skew", str(-SKEW_S)):
            self.load(8, fault="clock behind")


FAULTS: dict[str, Callable[[Run], None]] = {
    "feed dead": Run.feed_dead,
    "disk full": Run.disk_full,
    "rung silent": Run.rung_silent,
    "service killed": Run.service_killed,
    "calculator killed": Run.calculator_killed,
    "bundle broken": Run.bundle_broken,
    "clock ahead": Run.clock_ahead,
    "clock behind": Run.clock_behind,
}
DOWN = {"service killed", "bundle broken"}
"""Faults in which nothing listens for a while."""


def broken_in_turn(run: Run, *, requests: int, only: str) -> None:
    """Break one thing after the other until enough was read, and everything was broken once."""
    run.answering()
    run.calculated()
    for one in (run.watcher, run.sender):
        one.start()
    while run.requests < requests:
        for name, breaks in FAULTS.items():
            if only not in name:
                continue
            began, before = time.perf_counter(), run.requests
            with run.faulty(name):
                breaks(run)
            with run.faulty(f"after {name}"):
                run.load(2, fault=name)
                run.calculated()
            taken = time.perf_counter() - began
            print(f"  {name:18s} {run.requests - before:9,} reads  {taken:5.1f} s", flush=True)
    for one in (run.watcher, run.sender):
        one.end()


def verdict(run: Run) -> list[str]:
    """Return everything that is wrong."""
    from foremargin.benchmarks.under_faults.service import FALLBACK as f

    rules = checks.Rules(
        stale_after_s=f.stale_after_s,
        fixed_after_s=f.fixed_after_s,
        add_on_per_hour=f.add_on_per_hour,
        largest_add_on=f.largest_add_on,
        fixed=(f.fixed_initial_bps, f.fixed_maintenance_bps),
    )
    try:
        lines = read_journal(run.folder / "disk" / "state" / "journal")
    except ChainError as error:
        return [*run.wrong, str(error)]
    made = checks.journalled(lines)
    written = [one["quote"] for one in made]
    seen = [quote for look in run.watcher.looks for quote in look.quotes]
    wrong = [*run.wrong, *_answers(run), *_rungs(seen)]
    bars = checks.applied_bars(lines)
    for quotes in (seen, written):
        wrong += [*checks.complete(quotes), *checks.held(quotes)]
        wrong += checks.never_lower(quotes, bars)
    wrong += [*checks.told(made, rules), *checks.kept(run.sender.acknowledged, lines)]
    wrong += checks.numbered([*seen, *written])
    back = [look for look in run.watcher.looks if look.fault.endswith("clock behind")]
    others = [look for look in run.watcher.looks if not look.fault.endswith("clock behind")]
    wrong += checks.late(others, period_s=market.PERIOD_S, within_s=LATE_S)
    # Known and told on the page: a clock that was set back cannot show that data are late.
    known = len(list(checks.late(back, period_s=market.PERIOD_S, within_s=LATE_S)))
    print(f"late and not called so while the clock was set back: {known:,} of {len(back) * 4:,}")
    for who, one in (("looks", run.watcher), ("ticks", run.sender)):
        for (fault, answer), count in sorted(one.answers.items()):
            if answer != "200":
                print(f"{who} answered by {answer}: {count:,} ({fault or 'no fault'})")
    print(f"ticks: {dict(run.sender.outcomes)}")
    print(
        f"checked: {run.requests:,} reads, {len(run.watcher.looks):,} looks at all margins, "
        f"{len(written):,} quotes and {len(lines):,} records of the journal, "
        f"{len(run.sender.acknowledged):,} acknowledged ticks"
    )
    return wrong


def _answers(run: Run) -> Iterator[str]:
    for name in ("no success", "without status, basis or age"):
        if run.counts[name]:
            yield f"{run.counts[name]:,} reads were {name}"
    for (fault, answer), count in run.watcher.answers.items():
        if answer != "200" and not (answer == "nothing" and fault in DOWN):
            yield f"{count} looks at the margins got {answer} ({fault or 'no fault'})"
    for (fault, answer), count in run.sender.answers.items():
        if answer[0] == "5" and fault != "disk full":
            yield f"{count} ticks got {answer} ({fault or 'no fault'})"
    if not run.sender.acknowledged:
        yield "no tick was acknowledged, so that none could be lost"
    if not any(answer[0] == "5" for fault, answer in run.sender.answers if fault == "disk full"):
        yield "no write was refused while the disk was full"


def _rungs(quotes: list[dict[str, str]]) -> Iterator[str]:
    seen = Counter(f"{quote['status']}/{quote['basis']}" for quote in quotes)
    print("seen: " + ", ".join(f"{name} {count:,}" for name, count in sorted(seen.items())))
    if missing := RUNGS - seen.keys():
        yield f"never seen, so never checked: {', '.join(sorted(missing))}"


def main(requests: int, *, only: str, own_disk: bool) -> int:
    """Run, print, and return the exit status."""
    folder = Path(tempfile.mkdtemp(prefix="foremargin-faults-"))
    (folder / "disk").mkdir()
    if own_disk:
        options = ["-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder / "disk")]
        subprocess.run(["mount", *options], check=True)
    market.prepare(folder)
    run = Run(folder, own_disk=own_disk)
    try:
        broken_in_turn(run, requests=requests, only=only)
    finally:
        run.service.stop()
    wrong = verdict(run)
    for sentence in wrong[:20]:
        print(f"WRONG: {sentence[:600]}")
    print(f"{len(wrong)} wrong" if wrong else "nothing wrong")
    for name, count in sorted(run.counts.items()):
        print(f"  {name}: {count:,}")
    if wrong:  # a disk of its own goes away with this process
        shutil.copytree(folder / "disk" / "state", folder / "kept", dirs_exist_ok=True)
        print(f"what the service left: {folder / 'kept'}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--only", default="", help="faults with this in their name, for a look")
    parser.add_argument("--own-disk", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        print("needs wrk, which is not on the path: nothing was measured")
        sys.exit(0)
    alone = ["unshare", "--mount", "--map-root-user"]
    if not given.own_disk and shutil.which("unshare"):
        probe = subprocess.run([*alone, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], check=False)
        if probe.returncode == 0:
            again = [*alone, sys.executable, __file__, "--own-disk"]
            os.execvp(again[0], [*again, "--requests", str(given.requests), "--only", given.only])
    sys.exit(main(given.requests, only=given.only, own_disk=given.own_disk))
