"""A calculator in a process of its own: started, watched, fed, and started again."""

import asyncio
import os
import socket
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from msgspec import MsgspecError, Struct

from ...errors import ForemarginError, InputError
from ..journal import Snapshot, Snapshots
from ..observations import Observation
from ..quote import Calculation
from .calculators import Results
from .culprits import Culprits, LeftOut
from .feed import Feed
from .log import Log
from .wire import (
    LENGTH,
    Apply,
    Beat,
    Done,
    Failed,
    FromCalculator,
    Ready,
    Snapped,
    Start,
    TakeSnapshot,
    decode_answer,
    encode_message,
)


class ProcessSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How patient the front is.

    Attributes
    ----------
    start_s : float
        Until a calculator is made; it loads compiled code and a bundle.
    silence_s : float
        Without a sign of life; it beats once a second.
    apply_s : float
        For the observations of one record.
    backoff_s, longest_backoff_s : float
        Before it is started again; doubles with every death up to the longest, and is the
        first again after a life longer than the longest.
    snapshot_records, snapshot_s : int, float
        A snapshot is asked for after so many records, or so many seconds with a new one.
    ahead : int
        Records that are sent before the first of them is answered.
    deaths : int
        Over the same record, until it is left out.
    """

    start_s: float = 120.0
    silence_s: float = 10.0
    apply_s: float = 60.0
    backoff_s: float = 0.5
    longest_backoff_s: float = 30.0
    snapshot_records: int = 5_000
    snapshot_s: float = 300.0
    ahead: int = 8
    deaths: int = 3

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if not 0 < getattr(self, name) < 1e9:
                raise InputError(f"{name} must be positive, was {getattr(self, name)}")
        if self.backoff_s > self.longest_backoff_s:
            raise InputError(
                "backoff_s must be at most longest_backoff_s, were "
                f"{self.backoff_s} and {self.longest_backoff_s}"
            )


_LAST_LOOK_S = 0.5
_SNAPSHOT = 0  # in the place of a sequence


class _DiedError(Exception):
    """The calculator is no more; says why."""


class _Life:
    """One process, and what was sent to it."""

    def __init__(
        self, process: asyncio.subprocess.Process, streams: tuple[Any, Any], ahead: int
    ) -> None:
        self.process = process
        self.reader: asyncio.StreamReader = streams[0]
        self.writer: asyncio.StreamWriter = streams[1]
        self.room = asyncio.Semaphore(ahead)
        self.began = self.progress = self.snapped_at = time.monotonic()
        self.sent = self.answered = self.snapped = 0
        self.asked = deque[int]()

    async def send(self, message: Struct) -> None:
        self.writer.write(encode_message(message))
        await self.writer.drain()

    async def receive(self, *, within_s: float) -> FromCalculator:
        try:
            head = await self._exactly(LENGTH.size, within_s)
            content = await self._exactly(LENGTH.unpack(head)[0], within_s)
            answer: FromCalculator = decode_answer(content)
            return answer
        except TimeoutError as error:
            raise _DiedError(f"it gave no sign of life for {within_s:g} s") from error
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise _DiedError("its process ended") from error
        except MsgspecError as error:
            raise _DiedError(f"it sent what cannot be read: {error}") from error

    async def _exactly(self, n: int, within_s: float) -> bytes:
        """Read bytes; what came while this process was too busy to look is no silence."""
        try:
            async with asyncio.timeout(within_s):
                return await self.reader.readexactly(n)
        except TimeoutError:
            async with asyncio.timeout(min(within_s, _LAST_LOOK_S)):
                return await self.reader.readexactly(n)

    async def end(self) -> None:
        """Kill the process, and wait until it is gone."""
        self.writer.close()
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


class CalculatorProcess:
    """A calculator in a child process, fed every record of observations once and in order.

    A process that dies, falls silent or takes too long for a record is killed and started again.
    It gets its last snapshot, if the journal has that record with that chain, and all that was
    journalled since; the front ignores what it has had already. A record that ends it again and
    again is left out (:class:`.culprits.Culprits`), and the results say so.

    Parameters
    ----------
    factory : str
        ``package.module:function`` that returns the calculator (:class:`.wire.Calculates`).
    arguments : callable
        Returns the keyword arguments of the factory, plain data; asked at every start.
    snapshots : Snapshots
        Where states of the calculator are kept.
    settings : ProcessSettings, optional
        Patience.
    """

    def __init__(
        self,
        factory: str,
        *,
        arguments: Callable[[], Mapping[str, Any]],
        snapshots: Snapshots,
        settings: ProcessSettings | None = None,
    ) -> None:
        self._factory, self._arguments, self._snapshots = factory, arguments, snapshots
        self._settings = ProcessSettings() if settings is None else settings
        self._culprits = Culprits(self._settings.deaths)
        self._results = Results()
        self._feed: Feed | None = None
        self._task: asyncio.Task[None] | None = None
        self._life: _Life | None = None
        self._suspect = 0
        self._reloading = False
        self.fault = "the calculator has not been started"
        self.deaths = 0

    @property
    def applied(self) -> int:
        """Sequence up to which everything was applied, and its results yielded."""
        return self._results.applied

    @property
    def worked(self) -> tuple[int, int]:
        """When the work on the last results began and ended, ns UTC; zeros if not known."""
        return self._results.worked

    @property
    def left_out(self) -> LeftOut | None:
        """Record that the last results are of, if it has changed no margin."""
        return self._results.left_out

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return None if self._life is None else self._life.process.pid

    async def submit(self, observations: Sequence[Observation], *, sequence: int) -> None:
        """Take what was journalled."""
        if self._feed is not None:
            self._feed.offer(list(observations), sequence)

    def calculations(self) -> AsyncIterator[Sequence[Calculation]]:
        """Yield results as they come, over all lives of the process."""
        return aiter(self._results)

    async def start(self, log: Log) -> None:
        """Begin with the last snapshot and what was journalled since."""
        self._feed = Feed(log, after=log.starts[0] - 1)
        self._task = asyncio.create_task(self._supervise(log, self._feed))

    async def stop(self) -> None:
        """End the process."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            self.fault = "the calculator was stopped"
            self._results.end()

    async def reload(self) -> None:
        """Start another process with the arguments of now."""
        self._reloading = True
        if self._life is not None:
            with suppress(ProcessLookupError):
                self._life.process.kill()

    async def _supervise(self, log: Log, feed: Feed) -> None:
        s = self._settings
        backoff = s.backoff_s
        while True:
            began, self._suspect = time.monotonic(), 0
            try:
                await self._live(log, feed)
            except (_DiedError, ForemarginError, OSError) as error:
                reason = str(error)
            except Exception as error:  # a fault of ours must not end the watch
                reason = f"{type(error).__name__}: {error}"
            if time.monotonic() - began > s.longest_backoff_s:
                backoff = s.backoff_s
            if self._reloading:
                self._culprits = Culprits(s.deaths)  # another bundle may bear what this one did not
                self._reloading, self.fault = False, "the calculator is loading another bundle"
                self._results.put([])
                continue
            self.deaths += 1
            told = self._culprits.died(self._suspect, reason)
            self.fault = f"the calculator is starting again: {reason}{told}"
            self._results.put([])
            await asyncio.sleep(backoff)
            backoff = min(2.0 * backoff, s.longest_backoff_s)

    async def _live(self, log: Log, feed: Feed) -> None:
        life = self._life = await _spawned(self._settings.ahead)
        try:
            await self._made(life, log, feed)
            self.fault = ""
            self._results.put([])
            await _first_error(self._send(life, feed), self._receive(life, log), self._watch(life))
        finally:
            self._life = None
            self._suspect = life.asked[0] if life.asked else 0
            await life.end()

    async def _made(self, life: _Life, log: Log, feed: Feed) -> None:
        """Have the calculator made and find out where it goes on from."""
        loop = asyncio.get_running_loop()
        snapshot = await loop.run_in_executor(None, self._usable, log)
        content = None if snapshot is None else snapshot.content
        await life.send(Start(self._factory, dict(self._arguments()), content))
        deadline = time.monotonic() + self._settings.start_s
        while True:
            message = await life.receive(within_s=self._settings.silence_s)
            if isinstance(message, Ready):
                break
            if isinstance(message, Failed):
                raise _DiedError(message.reason)
            if time.monotonic() > deadline:
                raise _DiedError(f"it was not ready after {self._settings.start_s:g} s")
        after = log.starts[0] - 1
        if snapshot is not None and message.restored:
            after = snapshot.sequence
        life.sent = life.answered = life.snapped = after
        feed.restart(after)
        self._results.put(message.calculations)

    def _usable(self, log: Log) -> Snapshot | None:
        snapshot = self._snapshots.latest()
        if snapshot is None or not log.holds(snapshot.sequence, snapshot.digest):
            return None
        return snapshot

    async def _send(self, life: _Life, feed: Feed) -> None:
        while True:
            for sequence, observations in await feed.next():
                await life.room.acquire()
                if life.sent == life.answered:
                    life.progress = time.monotonic()
                life.sent = sequence
                life.asked.append(sequence)
                left_out = sequence in self._culprits.left_out
                await life.send(Apply(sequence, [] if left_out else observations))
                if left_out or self._snapshot_due(life, sequence):
                    life.snapped, life.snapped_at = sequence, time.monotonic()
                    life.asked.append(_SNAPSHOT)
                    await life.send(TakeSnapshot())

    def _snapshot_due(self, life: _Life, sequence: int) -> bool:
        s = self._settings
        records, seconds = sequence - life.snapped, time.monotonic() - life.snapped_at
        return records >= s.snapshot_records or seconds >= s.snapshot_s

    async def _receive(self, life: _Life, log: Log) -> None:
        while True:
            message = await life.receive(within_s=self._settings.silence_s)
            if isinstance(message, Done):
                life.answered, life.progress = message.sequence, time.monotonic()
                life.room.release()
                life.asked.popleft()
                self._culprits.applied(message.sequence)
                reason = self._culprits.left_out.get(message.sequence, message.refused)
                self._results.put(
                    message.calculations,
                    sequence=message.sequence,
                    worked=(message.began, message.ended),
                    left_out=LeftOut(message.sequence, reason) if reason else None,
                )
            elif isinstance(message, Snapped):
                life.asked.popleft()
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(None, self._keep, log, message)
            elif isinstance(message, Failed):
                raise _DiedError(message.reason)
            elif not isinstance(message, Beat):
                raise _DiedError(f"it sent {type(message).__name__} unasked")

    def _keep(self, log: Log, message: Snapped) -> None:
        digest = log.digest_at(message.sequence)
        snapshot = Snapshot(sequence=message.sequence, digest=digest, content=message.content)
        with suppress(ForemarginError):  # the last one is good, only older
            self._snapshots.save(snapshot)

    async def _watch(self, life: _Life) -> None:
        """Die when a record takes too long."""
        limit = self._settings.apply_s
        while True:
            await asyncio.sleep(min(limit / 4.0, 1.0))
            if life.sent > life.answered and time.monotonic() - life.progress > limit:
                raise _DiedError(f"record {life.answered} is followed by one of over {limit:g} s")


async def _spawned(ahead: int) -> _Life:
    own, other = socket.socketpair()
    with other:
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", f"{__package__}.host", str(other.fileno())),
                pass_fds=[other.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                env=dict(os.environ),  # uvloop takes nothing else
            )
        except BaseException:
            own.close()
            raise
    own.setblocking(False)
    return _Life(process, await asyncio.open_connection(sock=own), ahead)


async def _first_error(*parts: Any) -> None:
    """Run coroutines until one of them fails; the others are cancelled."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
