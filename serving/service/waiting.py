"""Which observations the calculator has not applied yet, and since when."""

from collections import deque

_MOST = 4_096


class Waiting:
    """Sequences handed over, oldest first; beyond some thousand only the newest is kept.

    Attributes
    ----------
    applied : int
        Sequence up to which the calculator has applied everything.
    newest : int
        Last sequence that was handed over.
    """

    def __init__(self) -> None:
        self.applied = self.newest = 0
        self._times: deque[tuple[int, int]] = deque()
        self._last_time = 0

    def submitted(self, sequence: int, time: int) -> None:
        """Note that a record was handed over."""
        if sequence > self.newest:
            self.newest = sequence
            if len(self._times) < _MOST:
                self._times.append((sequence, time))

    def done(self, sequence: int) -> None:
        """Note that everything up to a record was applied."""
        self.applied = max(self.applied, sequence)
        while self._times and self._times[0][0] <= self.applied:
            self._last_time = self._times.popleft()[1]

    def restarted(self, sequence: int, times: list[tuple[int, int]]) -> None:
        """Start from a snapshot."""
        self.applied = sequence
        self._times = deque(times)
        self.newest = times[-1][0] if times else sequence

    @property
    def since(self) -> int | None:
        """When the oldest that was not applied came, or earlier, ns UTC; None if all were."""
        if self._times:
            return self._times[0][1]
        return self._last_time if self.applied < self.newest else None

    @property
    def times(self) -> list[tuple[int, int]]:
        """(sequence, time) of those that wait."""
        return list(self._times)
