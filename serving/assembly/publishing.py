"""The publisher at work: what is quoted is written down, signed and kept ready to be read.

Of few quotes the plan is made before they are shown, so that its record goes to the disk with
theirs. Of many it is made in a thread once they are shown, and its record follows.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import msgspec

from ...errors import ForemarginError
from ..journal import Entry
from ..ports import Clock
from ..publish import Plan, Publisher, Report, SignedBatch, batch_json, updates_json
from ..quote import Quote
from ..table import QuoteTable

_logger = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_FEW = 64  # quotes that are planned and signed in the loop; more are in a thread

PUBLISHED = "published"
"""Kind of the ledger's records in the journal."""


class Publishing:
    """Signs what is due, one plan at a time.

    An :class:`~foremargin.serving.http.UpdatesPort`, and the quotes'
    :class:`~foremargin.serving.ports.Companion`.

    Parameters
    ----------
    publisher : Publisher
        Used by one task alone.
    table : QuoteTable
        Looked through for heartbeats.
    write : callable
        Makes a record durable; the journal's sequence when it is.
    clock : Clock
        Wall clock.
    signed : callable, optional
        Told of every batch.
    look_s, retry_s : float
        Seconds between two looks for heartbeats, and before a record is written again.
    """

    def __init__(
        self,
        publisher: Publisher,
        *,
        table: QuoteTable,
        write: Callable[[bytes], Awaitable[int]],
        clock: Clock,
        signed: Callable[[SignedBatch], object] = lambda batch: None,
        look_s: float = 5.0,
        retry_s: float = 0.5,
    ) -> None:
        self._publisher, self._table, self._clock = publisher, table, clock
        self._write, self._signed = write, signed
        self._look_s, self._retry_s = look_s, retry_s
        self._waiting: dict[str, Quote] = {}
        self._looked_at: dict[str, Quote] = {}
        self._wake, self._told = asyncio.Event(), asyncio.Event()
        self._beside: Plan | None = None
        self._answers: dict[str, bytes] = {}
        self._batch: bytes | None = None
        self._busy = self._closed = False
        self._changed: asyncio.Future[None] | None = None
        self.reports: Mapping[str, Report] = {}

    @property
    def busy(self) -> bool:
        """Whether there is something to sign, or something is being signed."""
        return self._busy or self._beside is not None or self._wake.is_set()

    def beside(self, quotes: Sequence[Quote], *, now: int) -> Entry | None:
        """Plan what is due of quotes that are about to be shown; return its record.

        None if nothing is, if a plan is under way or if there are many of them: the last two are
        looked at when they are shown.
        """
        if self.busy or len(quotes) > _FEW:
            return None
        try:
            plan = self._publisher.plan(quotes, now=now)
        except Exception:  # whatever it is, the quotes must be shown
            _logger.exception("nothing could be planned; it is tried again when they are shown")
            return None
        self._report(plan, quotes)
        self._looked_at = {quote.instrument: quote for quote in quotes}
        if not plan.record:
            return None
        self._beside = plan
        self._told.clear()
        return Entry(PUBLISHED, "", plan.record)

    def settled(self, *, on_disk: bool) -> None:
        """Sign what :meth:`beside` has planned, or have its record written again."""
        self._told.set()
        if not on_disk:
            self._wake.set()
            return
        try:
            self._sign_beside()
        except Exception:  # it is in the ledger: whoever reads it has it signed
            _logger.exception("what is on the disk could not be signed")

    def quoted(self, quotes: Iterable[Quote]) -> None:
        """Take new quotes; they are looked at as soon as the plan before is through."""
        seen, self._looked_at = self._looked_at, {}
        new = {one.instrument: one for one in quotes if seen.get(one.instrument) is not one}
        if new:
            self._waiting.update(new)
            self._wake.set()

    def latest(self, instrument: str) -> bytes | None:
        """Return the last signed update of an instrument as JSON; None if there is none."""
        if instrument not in self._answers:
            signed = self._publisher.signed(instrument)
            if signed is None:
                return None
            self._answers[instrument] = _encode(signed.plain())
        return self._answers[instrument]

    def batch(self) -> bytes | None:
        """Return the last batch with its proofs as JSON; None if there is none."""
        if self._batch is None and (signed := self._publisher.batch()) is not None:
            self._batch = batch_json(signed)
        return self._batch

    def changed(self) -> asyncio.Future[None] | None:
        """Return what is done when another update can be read; None if this was closed."""
        if self._closed:
            return None
        if self._changed is None:
            self._changed = asyncio.get_running_loop().create_future()
        return self._changed

    def close(self) -> None:
        """Let nobody wait any more."""
        self._closed = True
        self._tell()

    def snapshot(self) -> bytes:
        """Return the ledger, as :meth:`Publisher.snapshot`."""
        return self._publisher.snapshot()

    async def run(self) -> None:
        """Sign for ever."""
        while True:
            try:
                async with asyncio.timeout(self._look_s):
                    await self._wake.wait()
                quotes, self._waiting = self._waiting, {}
            except TimeoutError:
                quotes = {name: row.quote for name, row in self._table.rows.items()}
                self._waiting.clear()
            self._wake.clear()
            self._busy = True
            try:
                await self._finish_beside()
                await self._publish(quotes)
            except ForemarginError:
                _logger.exception("nothing could be signed; what is due is tried again")
            finally:
                self._busy = False

    async def _publish(self, quotes: Mapping[str, Quote]) -> None:
        now, many = self._clock.now(), len(quotes) > _FEW
        if many:
            plan = await asyncio.to_thread(self._publisher.plan, quotes.values(), now=now)
        else:
            plan = self._publisher.plan(quotes.values(), now=now)
        self._report(plan, quotes.values())
        if plan.record:
            self._ready(plan, await (self._signed_many(plan) if many else self._signed_few(plan)))

    async def _finish_beside(self) -> None:
        """See through what was planned for quotes that were about to be shown."""
        if self._beside is None:
            return
        await self._told.wait()
        if self._beside is not None:
            await self._durable(self._beside.record)
            self._sign_beside()

    def _sign_beside(self) -> None:
        plan, self._beside = self._beside, None
        assert plan is not None
        self._batch = None
        self._ready(plan, self._publisher.commit(plan))

    def _report(self, plan: Plan, quotes: Iterable[Quote]) -> None:
        names = {quote.instrument for quote in quotes}
        others = {name: one for name, one in self.reports.items() if name not in names}
        self.reports = {**others, **{report.instrument: report for report in plan.reports}}

    def _ready(self, plan: Plan, batch: SignedBatch | None) -> None:
        """Let the new updates be read."""
        for name in plan.updates:
            self._answers.pop(name, None)
        if batch is not None:
            self._signed(batch)
        self._tell()

    def _tell(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.set_result(None)

    async def _signed_few(self, plan: Plan) -> SignedBatch | None:
        await self._durable(plan.record)
        batch = self._publisher.commit(plan)
        self._batch = None  # not before: whoever reads meanwhile has the old one kept again
        return batch

    async def _signed_many(self, plan: Plan) -> SignedBatch | None:
        """Write the text of the batch while its record is on its way to the disk."""
        writing = asyncio.create_task(asyncio.to_thread(updates_json, plan.updates, plan.levels))
        try:
            await self._durable(plan.record)
            updates = await writing
        finally:
            writing.cancel()

        def finish() -> tuple[SignedBatch | None, bytes | None]:
            batch = self._publisher.commit(plan)
            return batch, None if batch is None else batch_json(batch, updates)

        batch, self._batch = await asyncio.to_thread(finish)
        return batch

    async def _durable(self, record: bytes) -> None:
        while not await self._written(record):
            await asyncio.sleep(self._retry_s)

    async def _written(self, record: bytes) -> bool:
        """Write a record that cannot be taken back: it may be on the disk after a failure."""
        try:
            await self._write(record)
        except ForemarginError as error:
            _logger.warning("a record of updates is not on the disk yet: %s", error)
            return False
        return True
