"""Fitting again on a growing past, at moments that are known beforehand."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(kw_only=True, eq=False)
class GrowingHistory:
    """All rows seen so far, of any width, and when a model is to be fitted to them.

    The first fit is due after `first` rows; the next one when the past has doubled, and at the
    latest after `every` more rows. So a young history is soon looked at again.

    Attributes
    ----------
    first : int
        Rows before the first fit.
    every : int
        Most rows from one fit to the next.
    width : int
        Values per row.
    """

    first: int
    every: int
    width: int
    count: int = 0
    _next: int = field(init=False)
    _rows: Values = field(init=False)

    def __post_init__(self) -> None:
        self._next = self.first
        self._rows = np.empty((0, self.width))

    @property
    def rows(self) -> Values:
        """What was seen so far, shape (count, width)."""
        return self._rows[: self.count]

    @property
    def until_due(self) -> int:
        """Rows that may be taken before a fit to those before them is due; zero if it is."""
        return self._next - self.count

    def fitted(self) -> None:
        """Note that the fit that was due has been made."""
        self._next = self.count + min(self.every, self.count)

    def append(self, rows: Values) -> None:
        """Keep further rows, shape (n, width)."""
        room = self.count + len(rows)
        if room > len(self._rows):
            grown = np.empty((max(room, 2 * len(self._rows)), self.width))
            grown[: self.count] = self.rows
            self._rows = grown
        self._rows[self.count : room] = rows
        self.count = room
