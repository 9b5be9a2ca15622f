"""The trailing covariance."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit

from .arrays import Counts, Present, Values, dense


@njit(cache=True)
def _covariance(
    x: Values,
    y: Values,
    present: Present,
    window: Counts,
    needed: Counts,
    ring: Values,
    seen: Counts,
    sums: Values,
) -> Values:
    # sums[i] holds: count, shift of x, shift of y, and the sums of x, y and xy after the shifts;
    # then the last finite pair and how often in a row its x and its y have come.
    n_rows, n_columns = x.shape
    ring_x, ring_y = ring[0], ring[1]
    out = np.full((n_rows, n_columns), np.nan)
    for i in range(n_columns):
        w = window[i]
        s = sums[i]
        for t in range(n_rows):
            if not present[t, i]:
                continue
            place = seen[i] % w
            if seen[i] >= w:
                _shifted(s, ring_x[i, place], ring_y[i, place], -1.0)
            ring_x[i, place], ring_y[i, place] = x[t, i], y[t, i]
            if s[0] == 0.0 and np.isfinite(x[t, i] + y[t, i]):
                s[:6] = 0.0
                s[1], s[2] = x[t, i], y[t, i]
            _shifted(s, x[t, i], y[t, i], 1.0)
            if np.isfinite(x[t, i] + y[t, i]):
                s[8] = s[8] + 1.0 if x[t, i] == s[6] else 1.0
                s[9] = s[9] + 1.0 if y[t, i] == s[7] else 1.0
                s[6], s[7] = x[t, i], y[t, i]
            seen[i] += 1
            if place == w - 1 and s[0] > 0.0:
                # Summed afresh around the current means, so that rounding never builds up.
                shift_x, shift_y = s[1] + s[3] / s[0], s[2] + s[4] / s[0]
                s[:6] = 0.0
                s[1], s[2] = shift_x, shift_y
                for j in range(w):
                    _shifted(s, ring_x[i, j], ring_y[i, j], 1.0)
            if s[0] >= needed[i] and s[0] > 1.0:
                # What does not vary has no covariance, not one of a rounding residue.
                flat = s[8] >= s[0] or s[9] >= s[0]
                out[t, i] = 0.0 if flat else (s[5] - s[3] * s[4] / s[0]) / (s[0] - 1.0)
    return out


@njit(cache=True)
def _shifted(s: Values, x: float, y: float, sign: float) -> None:
    if np.isfinite(x + y):
        dx, dy = x - s[1], y - s[2]
        s[0] += sign
        s[3] += sign * dx
        s[4] += sign * dy
        s[5] += sign * (dx * dy)


@dataclass(frozen=True, kw_only=True, eq=False)
class TrailingCovariance:
    """Sample covariance of the pairs that are finite among the last `window` own periods.

    Attributes
    ----------
    window, needed : ndarray of int64, shape (n_instruments,)
        Own periods of the window; how many pairs must be finite, at least two.
    """

    window: Counts
    needed: Counts
    ring: Values
    seen: Counts
    sums: Values

    @classmethod
    def fresh(cls, window: Counts, needed: Counts) -> Self:
        """Return the part before its first period."""
        k, longest = len(window), int(window.max(initial=1))
        return cls(
            window=window,
            needed=needed,
            ring=np.full((2, k, longest), np.nan),
            seen=np.zeros(k, dtype=np.int64),
            sums=np.zeros((k, 10)),
        )

    def advance(self, x: Values, y: Values, present: Present) -> Values:
        """Take further rows and return the covariance at each; NaN on too few pairs."""
        state = (self.ring, self.seen, self.sums)
        return np.asarray(
            _covariance(dense(x), dense(y), present, self.window, self.needed, *state)
        )
