"""Feeds as programs: each line that one prints is a JSON list of observations."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import msgspec

from ...errors import ForemarginError
from ..observations import Observation, decode_observations
from ..ports import Receipt

_logger = logging.getLogger(__name__)
_LONGEST_LINE = 16 * 2**20  # bytes; 100,000 bars
_END_S, _PIECE = 5.0, 2**16  # for a killed program, whose children may hold its pipe; bytes
_BACKOFF_S, _LONGEST_BACKOFF_S = 1.0, 60.0

Accept = Callable[[Sequence[Observation]], Awaitable[list[Receipt]]]


class Feed:
    """A program that is started, listened to, and started again when it ends.

    What it prints on standard error goes to the service's. A line that is no list of observations,
    or that the disk does not take, is logged and the next one is read: a feed sends what is new,
    and what was missed shows as data that are old.

    Parameters
    ----------
    command : sequence of str
        Program and arguments; no shell reads them.
    accept : callable
        Takes observations.
    """

    def __init__(self, command: Sequence[str], *, accept: Accept) -> None:
        self._command, self._accept = tuple(command), accept
        self.fault = "it has not been started"

    async def run(self) -> None:
        """Listen for ever."""
        backoff, loop = _BACKOFF_S, asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                self.fault = await self._listen()
            except (OSError, ValueError) as error:
                self.fault = f"{self._command[0]}: {error}"
            _logger.warning("a feed ended and is started again: %s", self.fault)
            if loop.time() - began > _LONGEST_BACKOFF_S:
                backoff = _BACKOFF_S
            await asyncio.sleep(backoff)
            backoff = min(2.0 * backoff, _LONGEST_BACKOFF_S)

    async def _listen(self) -> str:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )
        self.fault = ""
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                await self._take(line)
            return f"{self._command[0]} ended with status {await process.wait()}"
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            # The wait is for the end of the pipe as well, and a full one ends only when it is read.
            with suppress(TimeoutError):
                async with asyncio.timeout(_END_S):
                    while await process.stdout.read(_PIECE):
                        pass
                    await process.wait()

    async def _take(self, line: bytes) -> None:
        try:
            await self._accept(decode_observations(line))
        except (msgspec.MsgspecError, ForemarginError) as error:
            _logger.warning("a line of the feed %s was not taken: %s", self._command[0], error)
