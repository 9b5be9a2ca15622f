"""The trailing mean."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit

from .arrays import Counts, Present, Values, dense


@njit(cache=True)
def _mean(
    x: Values,
    present: Present,
    window: Counts,
    needed: Counts,
    ring: Values,
    counts: Counts,
    sums: Values,
) -> Values:
    # counts[i]: periods seen, finite values in the window, equal values in a row.
    # sums[i]: the sum of the window, and the rounding error that it leaves out.
    seen, finite, same = counts[:, 0], counts[:, 1], counts[:, 2]
    total, slack = sums[:, 0], sums[:, 1]
    n_rows, n_columns = x.shape
    out = np.full((n_rows, n_columns), np.nan)
    for i in range(n_columns):
        w = window[i]
        for t in range(n_rows):
            if not present[t, i]:
                continue
            place = seen[i] % w
            value = x[t, i]
            if seen[i] >= w and np.isfinite(ring[i, place]):
                finite[i] -= 1
                _add(total, slack, i, -ring[i, place])
            if np.isfinite(value):
                finite[i] += 1
                _add(total, slack, i, value)
                last = ring[i, w]
                same[i] = same[i] + 1 if value == last else 1
                ring[i, w] = value
            ring[i, place] = value
            seen[i] += 1
            if finite[i] >= needed[i]:
                # Equal values have that value as their mean, not one off by a rounding residue.
                all_same = same[i] >= finite[i]
                out[t, i] = ring[i, w] if all_same else (total[i] + slack[i]) / finite[i]
    return out


@njit(cache=True)
def _add(total: Values, slack: Values, i: int, value: float) -> None:
    """Add with the rounding error kept apart (Neumaier 1974, ZAMM 54)."""
    bigger = total[i] + value
    if abs(total[i]) >= abs(value):
        slack[i] += (total[i] - bigger) + value
    else:
        slack[i] += (value - bigger) + total[i]
    total[i] = bigger


@dataclass(frozen=True, kw_only=True, eq=False)
class TrailingMean:
    """Mean of the finite values among the last `window` own periods, the current one included.

    Attributes
    ----------
    window, needed : ndarray of int64, shape (n_instruments,)
        Own periods of the window; how many of them must be finite.
    """

    window: Counts
    needed: Counts
    ring: Values
    counts: Counts
    sums: Values

    @classmethod
    def fresh(cls, window: Counts, needed: Counts) -> Self:
        """Return the part before its first period."""
        k = len(window)
        return cls(
            window=window,
            needed=needed,
            # One place more than the window: the last finite value.
            ring=np.full((k, int(window.max(initial=1)) + 1), np.nan),
            counts=np.zeros((k, 3), dtype=np.int64),
            sums=np.zeros((k, 2)),
        )

    def advance(self, x: Values, present: Present) -> Values:
        """Take further rows and return the mean at each; NaN where too few values are finite."""
        state = (self.ring, self.counts, self.sums)
        return np.asarray(_mean(dense(x), present, self.window, self.needed, *state))
