"""The publisher at work: what is quoted is written down, signed and kept ready to be read."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

import msgspec

from ...errors import ForemarginError
from ..ports import Clock
from ..publish import Plan, Publisher, Report, SignedBatch, batch_json, updates_json
from ..quote import Quote
from ..table import QuoteTable

_logger = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_FEW = 64  # updates that are signed in the loop; more are in a thread


class Publishing:
    """Signs what is due, one plan at a time; an :class:`~foremargin.serving.http.UpdatesPort`.

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
        self._wake = asyncio.Event()
        self._answers: dict[str, bytes] = {}
        self._batch: bytes | None = None
        self._busy = False
        self.reports: Mapping[str, Report] = {}

    @property
    def busy(self) -> bool:
        """Whether there is something to sign, or something is being signed."""
        return self._busy or self._wake.is_set()

    def quoted(self, quotes: Iterable[Quote]) -> None:
        """Take new quotes; they are looked at as soon as the plan before is through."""
        self._waiting.update((quote.instrument, quote) for quote in quotes)
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
        looked_at = {name: one for name, one in self.reports.items() if name not in quotes}
        self.reports = {**looked_at, **{report.instrument: report for report in plan.reports}}
        if not plan.record:
            return
        batch = await (self._signed_many(plan) if many else self._signed_few(plan))
        for name in plan.updates:
            self._answers.pop(name, None)
        if batch is not None:
            self._signed(batch)

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
