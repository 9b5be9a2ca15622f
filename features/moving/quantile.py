"""Trailing and expanding quantiles."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit

from .arrays import Counts, Present, Values, dense


@njit(cache=True)
def _insert(line: Values, count: int, value: float) -> None:
    """Put a value into its place among the first `count`, which are in order."""
    at = np.searchsorted(line[:count], value)
    for j in range(count, at, -1):
        line[j] = line[j - 1]
    line[at] = value


@njit(cache=True)
def _between_ranks(line: Values, count: int, probability: float) -> float:
    position = probability * (count - 1)
    low = int(position)
    high = min(low + 1, count - 1)
    return float(line[low] + (line[high] - line[low]) * (position - low))


@njit(cache=True)
def _quantile(
    x: Values,
    present: Present,
    window: Counts,
    needed: Counts,
    probability: float,
    ring: Values,
    ordered: Values,
    counts: Counts,
) -> Values:
    # counts[i]: periods seen, finite values in the window.
    seen, count = counts[:, 0], counts[:, 1]
    n_rows, n_columns = x.shape
    out = np.full((n_rows, n_columns), np.nan)
    for i in range(n_columns):
        w = window[i]
        line = ordered[i]
        for t in range(n_rows):
            if not present[t, i]:
                continue
            place = seen[i] % w
            if seen[i] >= w and np.isfinite(ring[i, place]):
                at = np.searchsorted(line[: count[i]], ring[i, place])
                for j in range(at, count[i] - 1):
                    line[j] = line[j + 1]
                count[i] -= 1
            ring[i, place] = x[t, i]
            seen[i] += 1
            if np.isfinite(x[t, i]):
                _insert(line, count[i], x[t, i])
                count[i] += 1
            if count[i] >= needed[i]:
                out[t, i] = _between_ranks(line, count[i], probability)
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class TrailingQuantile:
    """Quantile of the finite values among the last `window` own periods, linear between ranks.

    Attributes
    ----------
    window, needed : ndarray of int64, shape (n_instruments,)
        Own periods of the window; how many of them must be finite.
    probability : float
        Which quantile, in [0, 1].
    """

    window: Counts
    needed: Counts
    probability: float
    ring: Values
    ordered: Values
    counts: Counts

    @classmethod
    def fresh(cls, window: Counts, needed: Counts, probability: float) -> Self:
        """Return the part before its first period."""
        k, longest = len(window), int(window.max(initial=1))
        return cls(
            window=window,
            needed=needed,
            probability=probability,
            ring=np.full((k, longest), np.nan),
            ordered=np.full((k, longest), np.nan),
            counts=np.zeros((k, 2), dtype=np.int64),
        )

    def advance(self, x: Values, present: Present) -> Values:
        """Take further rows and return the quantile at each; NaN where too few are finite."""
        state = (self.ring, self.ordered, self.counts)
        return np.asarray(
            _quantile(dense(x), present, self.window, self.needed, self.probability, *state)
        )


@njit(cache=True)
def _expanding_quantile(
    x: Values, present: Present, needed: Counts, probability: float, ordered: Values, count: Counts
) -> Values:
    n_rows, n_columns = x.shape
    out = np.full((n_rows, n_columns), np.nan)
    for i in range(n_columns):
        line = ordered[i]
        for t in range(n_rows):
            if not present[t, i]:
                continue
            if np.isfinite(x[t, i]):
                _insert(line, count[i], x[t, i])
                count[i] += 1
            if count[i] >= needed[i]:
                out[t, i] = _between_ranks(line, count[i], probability)
    return out


@dataclass(kw_only=True, eq=False)
class ExpandingQuantile:
    """Quantile of all finite values so far, linear between ranks.

    Attributes
    ----------
    needed : ndarray of int64, shape (n_instruments,)
        How many values must be finite.
    probability : float
        Which quantile, in [0, 1].
    """

    needed: Counts
    probability: float
    ordered: Values
    count: Counts

    @classmethod
    def fresh(cls, needed: Counts, probability: float) -> Self:
        """Return the part before its first period."""
        k = len(needed)
        return cls(
            needed=needed,
            probability=probability,
            ordered=np.full((k, 0), np.nan),
            count=np.zeros(k, dtype=np.int64),
        )

    def advance(self, x: Values, present: Present) -> Values:
        """Take further rows and return the quantile at each; NaN where too few are finite."""
        room = int(self.count.max(initial=0)) + len(x)
        if room > self.ordered.shape[1]:
            grown = np.full((len(self.count), max(room, 2 * self.ordered.shape[1])), np.nan)
            grown[:, : self.ordered.shape[1]] = self.ordered
            self.ordered = grown
        return np.asarray(
            _expanding_quantile(
                dense(x), present, self.needed, self.probability, self.ordered, self.count
            )
        )
