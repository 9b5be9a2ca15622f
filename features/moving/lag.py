"""The value some periods ago."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit

from .arrays import Counts, Present, Values, dense


@njit(cache=True)
def _lag(x: Values, present: Present, periods: Counts, ring: Values, seen: Counts) -> Values:
    n_rows, n_columns = x.shape
    out = np.full((n_rows, n_columns), np.nan)
    for i in range(n_columns):
        for t in range(n_rows):
            if present[t, i]:
                if periods[i] == 0:
                    out[t, i] = x[t, i]
                    continue
                place = seen[i] % periods[i]
                out[t, i] = ring[i, place]
                ring[i, place] = x[t, i]
                seen[i] += 1
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class Lag:
    """The value some own periods ago.

    Attributes
    ----------
    periods : ndarray of int64, shape (n_instruments,)
        How many own periods, zero or more.
    """

    periods: Counts
    ring: Values
    seen: Counts

    @classmethod
    def fresh(cls, periods: Counts) -> Self:
        """Return the part before its first period."""
        k = len(periods)
        return cls(
            periods=periods,
            ring=np.full((k, max(1, int(periods.max(initial=1)))), np.nan),
            seen=np.zeros(k, dtype=np.int64),
        )

    def advance(self, x: Values, present: Present) -> Values:
        """Take further rows and return the earlier value at each; NaN at the start."""
        return np.asarray(_lag(dense(x), present, self.periods, self.ring, self.seen))
