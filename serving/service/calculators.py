"""Where a calculator runs: in a thread of this process, for tests and the demo."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeAlias

from ...errors import ForemarginError
from ..observations import Observation
from ..ports import CalculatorPort
from ..quote import Calculation
from .culprits import LeftOut
from .feed import Feed
from .log import Log
from .wire import Calculates

_Result: TypeAlias = tuple[int, list[Calculation], tuple[int, int], LeftOut | None]
_UNKNOWN = (0, 0)


class CalculatorHost(CalculatorPort, Protocol):
    """A calculator that the service starts and stops."""

    @property
    def worked(self) -> tuple[int, int]:
        """When the work on the last results that were yielded began and ended.

        Ns UTC by the clock of the machine; zeros where that is not known.
        """
        ...

    @property
    def left_out(self) -> LeftOut | None:
        """Record that the last results that were yielded are of, if it has changed no margin."""
        ...

    async def start(self, log: Log) -> None:
        """Begin with what is in the journal; returns before that is done."""
        ...

    async def stop(self) -> None:
        """End; ``calculations`` ends as well. May be called again."""
        ...

    async def reload(self) -> None:
        """Begin anew with the bundle that is active now; returns before that is done."""
        ...


class Results:
    """Results on their way to the service, with the sequence that they are up to.

    Attributes
    ----------
    applied : int
        Sequence of the last results that were yielded.
    worked : tuple of int
        When the work on them began and ended, ns UTC; zeros if that is not known.
    left_out : LeftOut or None
        Their record, if it has changed no margin.
    """

    def __init__(self) -> None:
        self.applied = 0
        self.left_out: LeftOut | None = None
        self.worked = _UNKNOWN
        self._queue: asyncio.Queue[_Result | None] = asyncio.Queue()

    def put(
        self,
        calculations: list[Calculation],
        *,
        sequence: int = 0,
        worked: tuple[int, int] = _UNKNOWN,
        left_out: LeftOut | None = None,
    ) -> None:
        """Add results; without any it only wakes the service up."""
        self._queue.put_nowait((sequence, calculations, worked, left_out))

    def end(self) -> None:
        """Let the iteration end."""
        self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[Sequence[Calculation]]:
        while (item := await self._queue.get()) is not None:
            sequence, calculations, self.worked, self.left_out = item
            self.applied = max(self.applied, sequence)
            yield calculations


class InProcessCalculator:
    """A calculator in a thread; it starts with everything that is in the journal.

    An exception that is no ForemarginError ends it: ``fault`` says so, and margins come of age.

    Parameters
    ----------
    calculator : Calculates
        Used by the thread alone.
    """

    def __init__(self, calculator: Calculates) -> None:
        self._calculator = calculator
        self._results = Results()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="calculator")
        self._feed: Feed | None = None
        self._task: asyncio.Task[None] | None = None
        self.fault = "the calculator has not been started"

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

    async def submit(self, observations: Sequence[Observation], *, sequence: int) -> None:
        """Take what was journalled."""
        if self._feed is not None:
            self._feed.offer(list(observations), sequence)

    def calculations(self) -> AsyncIterator[Sequence[Calculation]]:
        """Yield results as they come."""
        return aiter(self._results)

    async def start(self, log: Log) -> None:
        """Begin with the whole journal."""
        self._feed, self.fault = Feed(log, after=log.starts[0] - 1), ""
        self._task = asyncio.create_task(self._run(self._feed))

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            self._results.end()
        self._thread.shutdown()

    async def reload(self) -> None:
        """Do nothing: this calculator is the one that it was given."""

    async def _run(self, feed: Feed) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._results.put(self._calculator.current())
            while True:
                for sequence, observations in await feed.next():
                    calculations, refused, worked = await loop.run_in_executor(
                        self._thread, self._apply, observations
                    )
                    left_out = LeftOut(sequence, refused) if refused else None
                    self._results.put(
                        calculations, sequence=sequence, worked=worked, left_out=left_out
                    )
        except Exception as error:
            self.fault = f"the calculator stopped: {type(error).__name__}: {error}"
            self._results.put([])

    def _apply(
        self, observations: list[Observation]
    ) -> tuple[list[Calculation], str, tuple[int, int]]:
        began, calculations, refused = time.time_ns(), list[Calculation](), ""
        try:
            calculations = self._calculator.apply(observations)
        except ForemarginError as error:
            refused = str(error)
        return calculations, refused, (began, time.time_ns())
