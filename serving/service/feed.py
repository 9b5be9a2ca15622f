"""What a calculator gets next: from memory while it keeps up, from the journal when it does not."""

import asyncio
from collections import deque
from typing import Protocol

from ..observations import Observation

Batch = tuple[int, list[Observation]]
"""Sequence of a record of the journal, and its observations."""

_KEPT = 1_000  # batches in memory; a calculator further behind is fed from the journal
_CHUNK = 2_000  # records


class Backlog(Protocol):
    """Where observations of the past are read from; :class:`.log.Log` is one."""

    def backlog(self, after: int, limit: int) -> tuple[int, list[Batch]]:
        """Read up to `limit` records; return the last one read and the observations in them."""
        ...


class Feed:
    """Every record once, in order, however often a calculator starts anew.

    Parameters
    ----------
    source : Backlog
        The journal.
    after : int
        Last record that the calculator has applied.
    """

    def __init__(self, source: Backlog, *, after: int) -> None:
        self._source = source
        self._queue: deque[tuple[int, int, list[Observation]]] = deque(maxlen=_KEPT)
        self._arrived = asyncio.Event()
        self._offered = after
        self.restart(after)

    def restart(self, after: int) -> None:
        """Begin again behind a record."""
        self._handed = self._read = after
        self._behind = True

    def offer(self, observations: list[Observation], sequence: int) -> None:
        """Take what was journalled just now."""
        self._queue.append((self._offered, sequence, observations))
        self._offered = sequence
        self._arrived.set()

    async def next(self) -> list[Batch]:
        """Wait for the next batches; never empty."""
        while True:
            batches = await self._from_journal() if self._behind else self._from_memory()
            if batches:
                self._handed = batches[-1][0]
                return batches
            if not self._behind and not self._queue:
                self._arrived.clear()
                await self._arrived.wait()

    async def _from_journal(self) -> list[Batch]:
        before, loop = self._read, asyncio.get_running_loop()
        self._read, batches = await loop.run_in_executor(None, self._source.backlog, before, _CHUNK)
        self._behind = self._read > before
        return batches

    def _from_memory(self) -> list[Batch]:
        """Return what follows on what was handed over; a gap is read from the journal."""
        batches: list[Batch] = []
        handed = self._handed
        while self._queue:
            previous, sequence, observations = self._queue[0]
            if sequence > handed:
                if previous != handed:
                    self._behind, self._read = not batches, handed
                    break
                batches.append((sequence, observations))
                handed = sequence
            self._queue.popleft()
        return batches
