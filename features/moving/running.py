"""Parts that remember everything: the decayed mean and the running total."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit

from .arrays import Present, Values, dense


@njit(cache=True)
def _decayed(
    x: Values, present: Present, decay: Values, weighted: Values, weight: Values
) -> Values:
    n_rows, n_columns = x.shape
    out = np.full((n_rows, n_columns), np.nan)
    for i in range(n_columns):
        for t in range(n_rows):
            if not present[t, i]:
                continue
            weighted[i] *= decay[i]
            weight[i] *= decay[i]
            if np.isfinite(x[t, i]):
                weighted[i] += x[t, i]
                weight[i] += 1.0
            if weight[i] > 0.0:
                out[t, i] = weighted[i] / weight[i]
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class DecayedMean:
    """Mean of all finite values so far, each weighing `decay` times the one after it.

    Attributes
    ----------
    decay : ndarray, shape (n_instruments,)
        Weight ratio of neighbouring own periods, in (0, 1]; one gives the expanding mean.
    """

    decay: Values
    weighted: Values
    weight: Values

    @classmethod
    def fresh(cls, decay: Values) -> Self:
        """Return the part before its first period."""
        return cls(decay=decay, weighted=np.zeros(len(decay)), weight=np.zeros(len(decay)))

    def advance(self, x: Values, present: Present) -> Values:
        """Take further rows and return the mean at each; NaN before the first finite value."""
        return np.asarray(_decayed(dense(x), present, self.decay, self.weighted, self.weight))


@njit(cache=True)
def _total(x: Values, present: Present, total: Values) -> Values:
    n_rows, n_columns = x.shape
    out = np.full((n_rows, n_columns), np.nan)
    for i in range(n_columns):
        for t in range(n_rows):
            if present[t, i]:
                if np.isfinite(x[t, i]):
                    total[i] += x[t, i]
                out[t, i] = total[i]
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class RunningTotal:
    """Sum of all finite values so far."""

    total: Values

    @classmethod
    def fresh(cls, n_instruments: int) -> Self:
        """Return the part before its first period."""
        return cls(total=np.zeros(n_instruments))

    def advance(self, x: Values, present: Present) -> Values:
        """Take further rows and return the sum at each."""
        return np.asarray(_total(dense(x), present, self.total))
