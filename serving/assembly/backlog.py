"""Work that may wait a little: done in order, in small pieces, between the answers to others."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

_logger = logging.getLogger(__name__)

_PIECE = 20  # items of some 150 microseconds each
_LOOK_S, _LOOKS = 0.005, 50  # a quarter of a second: work must go on under any load


class Backlog:
    """Pieces of work in the order in which they came; lives in one event loop.

    Parameters
    ----------
    gives_way : callable, optional
        Whether something that is waited for is under way; a piece waits for its end, for a moment
        at most.
    """

    def __init__(self, gives_way: Callable[[], bool] = lambda: False) -> None:
        self._gives_way = gives_way
        self._waiting: deque[Callable[[], bool]] = deque()
        self._news = asyncio.Event()

    def put(self, take: Callable[[list[T]], object], items: Iterable[T]) -> None:
        """Let `take` have items, some at a time, after everything that came before."""
        left = iter(items)

        def step() -> bool:
            piece = list(islice(left, _PIECE))
            if piece:
                take(piece)
            return len(piece) == _PIECE

        self._waiting.append(step)
        self._news.set()

    def drop(self) -> None:
        """Forget all that waits."""
        self._waiting.clear()

    def finish(self) -> None:
        """Do everything that waits, now."""
        while self._waiting:
            self._step()

    async def run(self) -> None:
        """Work for ever; an exception of one piece ends neither the others nor this."""
        while True:
            await self._news.wait()
            while self._waiting:
                self._step()
                await self._turn()
            self._news.clear()

    async def _turn(self) -> None:
        """Let the others go on, and what is waited for come to its end."""
        await asyncio.sleep(0)
        for _ in range(_LOOKS):
            if not self._gives_way():
                return
            await asyncio.sleep(_LOOK_S)

    def _step(self) -> None:
        try:
            more = self._waiting[0]()
        except Exception:
            _logger.exception("a piece of work failed and is left out")
            more = True  # its items are gone; the rest is as good as it was
        if not more:
            self._waiting.popleft()
