"""The service: the core, its journal, its calculator, and whoever asks."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from ...errors import ForemarginError, InputError
from ..journal import (
    Disk,
    Entry,
    JournalDamagedError,
    JournalError,
    Record,
    Snapshots,
)
from ..observations import Observation
from ..ports import AuditEntry, Clock, Companion, Receipt
from ..quote import Quote
from ..settings import ServeSettings
from ..table import QuoteTable
from .calculators import CalculatorHost
from .commands import Bundles, Commands
from .core import ServiceCore
from .culprits import LeftOut
from .keeping import Keeping
from .log import Log
from .records import (
    LEFT_OUT,
    QUOTES,
    SHADOW,
    Accompanied,
    Append,
    Effect,
    Refuse,
    Reply,
    Show,
    Submit,
    audit_entry,
    decode_quoted,
    encode,
)
from .state import decode_state

T = TypeVar("T")

Listener = Callable[[Sequence[Quote]], None]
"""Told of new quotes, in order, after the table has them."""

Taker = Callable[[Sequence[Observation]], None]
"""Told of observations that were let in, in the order of the journal."""

_logger = logging.getLogger(__name__)


class SystemClock:
    """The clock of the machine."""

    def now(self) -> int:
        """Return ns since 1970-01-01T00:00Z."""
        return time.time_ns()


class Service:
    """Takes observations, shows quotes; a :class:`~foremargin.serving.ports.ServicePort`.

    Files of `folder`: ``journal/``, ``snapshots/``. Appends and snapshots have a thread each, so
    that no read waits for the disk.

    Parameters
    ----------
    folder : Path
        State of the service; made if there is none.
    instruments : iterable of str
        Names.
    calculator : CalculatorHost
        Started and stopped with the service.
    settings : ServeSettings, optional
        Its fallback settings are used here.
    core : ServiceCore, optional
        One with other limits, in its first state.
    bundles : Bundles, optional
        What ``activate``, ``rollback`` and ``shadow`` ask.
    clock, disk
        The machine's, unless a test says otherwise.
    """

    sweep_s = 1.0
    """Seconds between looks at what has come of age."""
    history_length, history_budget = 500, 20_000
    """Quotes kept of one instrument, and of all."""

    def __init__(
        self,
        folder: Path,
        instruments: Iterable[str],
        *,
        calculator: CalculatorHost,
        settings: ServeSettings | None = None,
        core: ServiceCore | None = None,
        bundles: Bundles | None = None,
        clock: Clock | None = None,
        disk: Disk | None = None,
    ) -> None:
        fallback = (ServeSettings() if settings is None else settings).fallback
        self.core = ServiceCore(instruments, fallback=fallback) if core is None else core
        self._folder, self._disk = folder, disk
        self._clock: Clock = SystemClock() if clock is None else clock
        self._calculator = calculator
        self._commands = Commands(self, self.core, calculator, bundles)
        self._table = QuoteTable()
        length = max(self.history_budget // max(len(self.core.standings), 1), 2)
        self._history: dict[str, deque[Quote]] = {
            name: deque(maxlen=min(length, self.history_length)) for name in self.core.standings
        }
        self._listeners: list[Listener] = []
        self._takers: list[Taker] = []
        self._tickets: dict[int, asyncio.Future[list[Receipt]]] = {}
        self._ticket = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._submissions: asyncio.Queue[Submit] = asyncio.Queue()
        self._appending: asyncio.Task[None] | None = None
        self._keeping: Keeping | None = None
        self._running = False

    @property
    def table(self) -> QuoteTable:
        """Last quotes."""
        return self._table

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every batch of new quotes, in the loop; return how to stop that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def follow(self, taker: Taker) -> None:
        """Call `taker` with observations that were let in, in the loop.

        Observations and quotes reach those who follow in the order of the journal.
        """
        self._takers.append(taker)

    def accompany(self, companion: Companion) -> None:
        """Ask `companion` from now on what it has to write with new quotes."""
        self.core.companion = companion

    async def start(self) -> None:
        """Recover, and begin; returns when every instrument has a quote.

        Raises
        ------
        JournalError
            If the journal cannot be opened, or has lost what was acknowledged.
        """
        loop = asyncio.get_running_loop()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="journal")
        try:
            await loop.run_in_executor(self._writer, self._recover)
        except BaseException:
            self._shut()
            raise
        self._keeping = Keeping(self.core, self._log, self._snapshots)
        self._table.write(self.core.quotes())
        self._running = True
        self._run(self.core.ticked(self._clock.now()))
        await self._settled()
        await self._calculator.start(self._log)
        for part in (self._sweep(), self._submit(), self._listen()):
            self._tasks.append(asyncio.create_task(part))

    async def stop(self) -> None:
        """Stop taking observations, finish what was begun, and keep a snapshot."""
        if not self._running:
            return
        self._running = False
        await self._calculator.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self._settled()
        for ticket in list(self._tickets):
            self._run([Refuse(ticket, "the service was stopped; send it again when it runs")])
        if self._keeping is not None:
            await self._keeping.finish()
        self._shut()

    async def accept(self, observations: Sequence[Observation], *, by: str) -> list[Receipt]:
        """Take observations; returns when those let in are on the disk.

        Raises
        ------
        JournalError
            If the disk does not take them; nothing was let in, and they may be sent again.
        InputError
            If the service is not running.
        """
        future = self._new_ticket()
        self._run(
            self.core.observed(
                list(observations), by=by, ticket=self._ticket, now=self._clock.now()
            )
        )
        return await future

    async def note(self, kind: str, what: object, *, by: str = "") -> int:
        """Journal something else as JSON, such as ``published``; return its sequence.

        Raises
        ------
        JournalError
            If it is not on the disk.
        """
        future = self._new_ticket()
        entry = Entry(kind, by, encode(what))
        self._run(self.core.noted(entry, ticket=self._ticket, now=self._clock.now()))
        return (await future)[0].sequence

    def audit(self, *, after: int, limit: int) -> Sequence[AuditEntry]:
        """Return entries with a sequence above `after`, oldest first, at most `limit`."""
        if not 0 <= limit <= 10_000 or after < 0:
            raise InputError(
                f"after must be at least 0 and limit in 0 to 10,000, were {after} and {limit}"
            )
        return [audit_entry(record) for record in islice(self._log.read(after=after), limit)]

    def payloads(self, kind: str, *, after: int) -> Iterator[bytes]:
        """Yield the content of the records of a kind above a sequence, oldest first."""
        for record in self._log.read(after=max(after, self._log.starts[0] - 1)):
            if record.kind == kind:
                yield record.payload

    def records(self, *, after: int) -> Iterator[Record]:
        """Yield the records above a sequence, or from the first that is there, oldest first."""
        return self._log.read(after=max(after, self._log.starts[0] - 1))

    def holds(self, sequence: int, digest: bytes) -> bool:
        """Whether a record is in the journal, with this chain up to it."""
        return self._log.holds(sequence, digest)

    def digest_at(self, sequence: int) -> bytes:
        """Return the chain of the journal up to a record."""
        return self._log.digest_at(sequence)

    def history(self, instrument: str, *, limit: int) -> Sequence[Quote]:
        """Return the last quotes of an instrument, oldest first; none of one that is unknown."""
        quotes = list(self._history.get(instrument, ()))
        return quotes[-limit:] if limit > 0 else []

    def health(self) -> Mapping[str, Any]:
        """Return plain JSON; ``ready`` is whether every instrument has an answer."""
        health = self.core.health(self._clock.now())
        rows = self._table.rows
        health["ready"] = self._running and all(name in rows for name in self.core.standings)
        health["bundle"] = self._commands.bundle()
        health["disk"]["snapshot_fault"] = "" if self._keeping is None else self._keeping.fault
        return health

    async def command(self, name: str, arguments: Mapping[str, Any], *, by: str) -> dict[str, Any]:
        """Carry out a command; it is journalled before and after."""
        result = await self._commands.run(name, arguments, by=by)
        self._run(self.core.ticked(self._clock.now()))
        return result

    def _new_ticket(self) -> "asyncio.Future[list[Receipt]]":
        if not self._running:
            raise InputError("the service must be running, it is not; start it first")
        self._ticket += 1
        future: asyncio.Future[list[Receipt]] = asyncio.get_running_loop().create_future()
        self._tickets[self._ticket] = future
        return future

    def _recover(self) -> None:
        """Bring the core to where the journal is."""
        self._snapshots = Snapshots(self._folder / "snapshots", disk=self._disk)
        snapshot = self._snapshots.latest()
        self._log = Log(self._folder / "journal", disk=self._disk)
        after = self._log.starts[0] - 1
        if snapshot is not None:
            if not self._log.holds(snapshot.sequence, snapshot.digest):
                raise JournalDamagedError(
                    f"record {snapshot.sequence} must be in the journal, since a snapshot follows "
                    f"it; the last is {self._log.last}, or the chain is another; bring the journal "
                    f"in {self._folder} back from a copy, or start with another state_dir"
                )
            try:
                self.core.restore(decode_state(snapshot.content))
                after = snapshot.sequence
            except InputError as error:
                _logger.warning("the snapshot is of no use, all records are read: %s", error)
        if self._log.starts[0] > 1 and self.core.last < self._log.starts[0] - 1:
            raise JournalError(
                f"the journal in {self._folder} must start with record 1, or a snapshot must be of "
                f"use; it starts with {self._log.starts[0]}; put its older segments back"
            )
        recent = self._log.starts[-2:][0] - 1
        for record in self._log.read(after=min(after, recent)):
            if record.sequence > after:
                self.core.replay(record)
            if record.sequence > recent and record.kind == QUOTES:
                self._remember(made.quote for made in decode_quoted(record.payload).quotes)

    def _remember(self, quotes: Iterable[Quote]) -> None:
        for quote in quotes:
            if quote.instrument in self._history:
                self._history[quote.instrument].append(quote)

    def _run(self, effects: Iterable[Effect]) -> None:
        """Carry out effects; never waits."""
        for effect in effects:
            if isinstance(effect, Append):
                self._appending = asyncio.get_running_loop().create_task(self._append(effect))
            elif isinstance(effect, Submit):
                self._submissions.put_nowait(effect)
                self._tell(self._takers, effect.observations)
            elif isinstance(effect, Show):
                self._show(effect)
            elif isinstance(effect, Accompanied):
                assert self.core.companion is not None
                self.core.companion.settled(on_disk=effect.on_disk)
            elif isinstance(effect, Reply):
                future = self._tickets.pop(effect.ticket, None)  # none waits for a shadow
                if future is not None and not future.done():
                    future.set_result(effect.receipts)
            elif isinstance(effect, Refuse):
                future = self._tickets.pop(effect.ticket, None)
                if future is not None and not future.done():
                    future.set_exception(JournalError(effect.reason))

    def _show(self, effect: Show) -> None:
        self._table.take(effect.rows)
        quotes = effect.quotes
        self._remember(quotes)
        self._tell(self._listeners, quotes)

    def _tell(self, told: Iterable[Callable[[Sequence[T]], None]], items: Sequence[T]) -> None:
        for one in list(told):
            try:
                one(items)
            except Exception:
                _logger.exception("a listener failed; quotes go on")

    async def _append(self, effect: Append) -> None:
        loop = asyncio.get_running_loop()
        try:
            first = await loop.run_in_executor(
                self._writer, self._log.append, effect.entries, effect.time
            )
        except Exception as error:
            if not isinstance(error, JournalError):
                _logger.exception("an append failed")
            self._run(self.core.append_failed(str(error), now=self._clock.now()))
            if self._log.fault:
                await self._reopen()
        else:
            self._run(self.core.appended(first, now=self._clock.now()))
            if self._keeping is not None:
                self._keeping.consider()

    async def _reopen(self) -> None:
        """Open the journal again; records of the failed append that are there after all count."""
        loop, after = asyncio.get_running_loop(), self.core.last
        self.core.on_hold = True
        try:
            records = await loop.run_in_executor(
                self._writer, lambda: self._log.reopen(after=after)
            )
        except ForemarginError as error:
            self.core.disk_fault = str(error)
        else:
            for record in records:
                self._run(self.core.replay(record))
        finally:
            # The next sweep starts what waits: at once could turn in circles on a bad disk.
            self.core.on_hold = False

    async def _settled(self) -> None:
        """Wait until no append is under way."""
        while (task := self._appending) is not None and not task.done():
            await asyncio.wait([task])

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self.sweep_s)
            if self._log.fault and (self._appending is None or self._appending.done()):
                await self._reopen()
            self._run(self.core.ticked(self._clock.now()))

    async def _submit(self) -> None:
        while True:
            effect = await self._submissions.get()
            await self._calculator.submit(effect.observations, sequence=effect.sequence)

    async def _listen(self) -> None:
        async for calculations in self._calculator.calculations():
            now = self._clock.now()
            self._run(self.core.calculator_is(self._calculator.fault, now=now))
            left_out = self._calculator.left_out
            if left_out is not None:
                self._leave_out(left_out, now)
            shadows = [one for one in calculations if one.shadow]
            if shadows:
                self._run(self.core.noted(Entry(SHADOW, "", encode(shadows)), ticket=0, now=now))
            believed = [one for one in calculations if not one.shadow] if shadows else calculations
            applied = self._calculator.applied
            self._run(self.core.calculated(believed, applied=applied, now=now))

    def _leave_out(self, left_out: LeftOut, now: int) -> None:
        known = self.core.left_out
        self.core.left_out = known.plus(left_out, now=now)
        if self.core.left_out is not known:
            _logger.error("left out: %s", self.core.left_out.told())
            self._run(self.core.noted(Entry(LEFT_OUT, "", encode(left_out)), ticket=0, now=now))

    def _shut(self) -> None:
        self._writer.shutdown()
        if hasattr(self, "_log"):
            self._log.close()
