"""The monitor goes on where it was: from its memory, and from the journal after it.

Its memory is kept beside the snapshots of the service, every five minutes and at the end. After a
start it is taken up, and the records since are replayed while the service answers already; what
happens meanwhile waits behind them. Without a memory of use the last records are replayed, and if
those are not all there ever were, the monitor says from when on it knows everything.
"""

import asyncio
import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from ...errors import ForemarginError, InputError
from ..journal import Record, Snapshot, Snapshots
from ..monitor import Monitor
from ..observations import Observation
from ..quote import Quote
from ..service import Service
from ..service.records import OBSERVATIONS, QUOTES, decode_observed, decode_quoted
from .backlog import Backlog

_logger = logging.getLogger(__name__)

REPLAYED = 100_000
"""Records that are replayed where there is no memory of use."""

_CHUNK, _PIECE = 500, 10  # records read at a time in a thread, and taken between two answers


class Remembering:
    """Keeps what a monitor knows, and gives it back.

    Parameters
    ----------
    monitor : Monitor
        New, or it keeps nothing that it knew.
    service : Service
        Running, when anything is asked of this.
    backlog : Backlog
        Through which the monitor is told everything; it must not run before :meth:`recall` is over.
    folder : Path
        Of the memories.
    """

    def __init__(
        self, monitor: Monitor, *, service: Service, backlog: Backlog, folder: Path
    ) -> None:
        self._monitor, self._service, self._backlog = monitor, service, backlog
        self._snapshots = Snapshots(folder)
        self._keeping: asyncio.Task[None] | None = None

    async def recall(self) -> None:
        """Bring the monitor to where the journal is."""
        monitor, last = self._monitor, self._service.core.last
        monitor.catching_up = True
        self._backlog.drop()  # it is in the journal up to `last`, and will be read there
        try:
            after = await asyncio.to_thread(self._recalled, last)
            records = islice(self._service.records(after=after), max(last - after, 0))
            while chunk := await asyncio.to_thread(_decoded, records):
                for start in range(0, len(chunk), _PIECE):
                    for first, taken in chunk[start : start + _PIECE]:
                        self._take(first, taken)
                    await asyncio.sleep(0)
        except Exception as error:  # without a past it watches all the same
            monitor.anew = f"the journal could not be replayed: {error}"
            _logger.warning("the journal could not be replayed", exc_info=error)
        finally:
            monitor.catching_up = False
            if monitor.anew:
                _logger.warning("the monitor began anew: %s", monitor.anew)

    def keep(self) -> None:
        """Have what the monitor knows kept, after all that it is to be told before."""
        if self._keeping is None or self._keeping.done():
            sequence, rows = self._service.core.last, list[bytes]()
            names = self._monitor.names()
            self._backlog.put(lambda some: rows.extend(self._monitor.remember(some)), names)
            self._backlog.put(lambda _: self._start(sequence, self._monitor.memory(rows)), [0])

    async def close(self) -> None:
        """Keep what the monitor knows now; the backlog must have stopped."""
        if self._keeping is not None:
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._monitor.catching_up:  # the memory before is good, only older
            return
        self._backlog.finish()
        names = self._monitor.names()
        content = self._monitor.memory(self._monitor.remember(names))
        await self._save(self._service.core.last, content)

    def _start(self, sequence: int, content: bytes) -> None:
        self._keeping = asyncio.create_task(self._save(sequence, content))

    async def _save(self, sequence: int, content: bytes) -> None:
        def save() -> None:
            digest = self._service.digest_at(sequence)
            self._snapshots.save(Snapshot(sequence=sequence, digest=digest, content=content))

        try:
            await asyncio.to_thread(save)
        except ForemarginError as error:  # the journal has everything
            _logger.warning("what the monitor knows was not kept: %s", error)

    def _recalled(self, last: int) -> int:
        """Take up the last memory; return the record after which to replay."""
        snapshot, why = self._snapshots.latest(), ""
        if snapshot is None:
            damaged = ", ".join(self._snapshots.damaged)
            why = f"its memory is damaged ({damaged})" if damaged else "it had no memory"
        elif not self._service.holds(snapshot.sequence, snapshot.digest):
            why = "its memory is of another journal"
        else:
            try:
                self._monitor.recall(snapshot.content)
            except InputError as error:
                why = str(error)
            else:
                return snapshot.sequence
        first = next(self._service.records(after=0), None)
        if first is None or (first.sequence == 1 and last <= REPLAYED):
            return 0  # all that ever happened is replayed: nothing is lost
        self._monitor.anew = why
        return max(last - REPLAYED, first.sequence - 1)

    def _take(self, quotes: list[Quote], observations: list[Observation]) -> None:
        try:
            self._monitor.observed(observations)
            self._monitor.quoted(quotes)
        except Exception:
            _logger.exception("a record could not be taken by the monitor and is left out")


def _decoded(records: Iterator[Record]) -> list[tuple[list[Quote], list[Observation]]]:
    out: list[tuple[list[Quote], list[Observation]]] = []
    for record in islice(records, _CHUNK):
        quotes = decode_quoted(record.payload).quotes if record.kind == QUOTES else []
        taken = decode_observed(record.payload).observations if record.kind == OBSERVATIONS else []
        out.append(([made.quote for made in quotes], taken))
    return out
