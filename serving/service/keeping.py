"""Snapshots of the service, so that a start need not read the whole journal."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from ...errors import ForemarginError
from ..journal import Snapshot, Snapshots
from .core import ServiceCore
from .log import Log
from .state import encode_state


class Keeping:
    """Takes a snapshot now and then, in a thread of its own; used in one event loop.

    Parameters
    ----------
    core : ServiceCore
        As far as the journal goes.
    log : Log
        The journal.
    snapshots : Snapshots
        Where they are kept.

    Attributes
    ----------
    fault : str
        Why the last one was not kept; empty if it was.
    """

    records, seconds = 20_000, 300.0
    """One is taken after so many records, or so many seconds with a new one."""

    def __init__(self, core: ServiceCore, log: Log, snapshots: Snapshots) -> None:
        self._core, self._log, self._snapshots = core, log, snapshots
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="snapshots")
        self._taking: asyncio.Task[None] | None = None
        self._last, self._at = core.last, asyncio.get_running_loop().time()
        self.fault = ""

    def consider(self) -> None:
        """Begin one if it is time."""
        new = self._core.last - self._last
        old = new > 0 and asyncio.get_running_loop().time() - self._at >= self.seconds
        running = self._taking is not None and not self._taking.done()
        if (new >= self.records or old) and not running:
            self._begin()

    async def finish(self) -> None:
        """Keep what is new, and end; nothing may be appended any more."""
        if self._core.last > self._last:
            self._begin()
        if self._taking is not None:
            await self._taking
        self._thread.shutdown()

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._last, self._at = self._core.last, loop.time()
        state = self._core.state()

        def keep() -> None:
            digest = self._log.digest_at(state.last)
            content = encode_state(state)
            self._snapshots.save(Snapshot(sequence=state.last, digest=digest, content=content))

        async def taken() -> None:
            try:
                await loop.run_in_executor(self._thread, keep)
                self.fault = ""
            except ForemarginError as error:  # the journal has everything; a start takes longer
                self.fault = str(error)

        self._taking = loop.create_task(taken())
