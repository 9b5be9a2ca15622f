"""The moving parts of features: trailing statistics that carry on where they stopped.

Each part advances one period at a time in compiled code and keeps all that it needs in arrays of
its own. A backtest feeds it the whole history at once, a live stream one row at a time; both run
the same steps in the same order, so they agree to the last bit, and neither can look ahead.

Every part works in an instrument's own time: rows in which the instrument is not present are
passed over, as if they were not there. Arrays have shape (n_periods, n_instruments), windows
shape (n_instruments,) in own periods.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

Values = NDArray[np.float64]
Present = NDArray[np.bool_]
Counts = NDArray[np.int64]


@njit(cache=True)
def _mean(x, present, window, needed, ring, seen, finite, same, total, slack):  # type: ignore[no-untyped-def]
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
            if place == w - 1:
                # Summed afresh once per window, so that rounding never builds up.
                total[i], slack[i] = 0.0, 0.0
                for j in range(w):
                    if np.isfinite(ring[i, j]):
                        _add(total, slack, i, ring[i, j])
            if finite[i] >= needed[i]:
                # Equal values have that value as their mean, not one off by a rounding residue.
                all_same = same[i] >= finite[i]
                out[t, i] = ring[i, w] if all_same else (total[i] + slack[i]) / finite[i]
    return out


@njit(cache=True)
def _add(total, slack, i, value):  # type: ignore[no-untyped-def]
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
    seen: Counts
    finite: Counts
    same: Counts
    total: Values
    slack: Values

    @classmethod
    def fresh(cls, window: Counts, needed: Counts) -> Self:
        """Return the part before its first period."""
        k = len(window)
        return cls(
            window=window,
            needed=needed,
            # One place more than the window: the last finite value.
            ring=np.full((k, int(window.max(initial=1)) + 1), np.nan),
            seen=np.zeros(k, dtype=np.int64),
            finite=np.zeros(k, dtype=np.int64),
            same=np.zeros(k, dtype=np.int64),
            total=np.zeros(k),
            slack=np.zeros(k),
        )

    def advance(self, x: Values, present: Present) -> Values:
        """Take further rows and return the mean at each; NaN where too few values are finite."""
        state = (self.ring, self.seen, self.finite, self.same, self.total, self.slack)
        return np.asarray(_mean(x, present, self.window, self.needed, *state))


@njit(cache=True)
def _covariance(x, y, present, window, needed, ring_x, ring_y, seen, sums):  # type: ignore[no-untyped-def]
    # sums[i] holds: count, shift of x, shift of y, and the sums of x, y and xy after the shifts;
    # then the last finite pair and how often in a row its x and its y have come.
    n_rows, n_columns = x.shape
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
def _shifted(s, x, y, sign):  # type: ignore[no-untyped-def]
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
    ring_x: Values
    ring_y: Values
    seen: Counts
    sums: Values

    @classmethod
    def fresh(cls, window: Counts, needed: Counts) -> Self:
        """Return the part before its first period."""
        k, longest = len(window), int(window.max(initial=1))
        return cls(
            window=window,
            needed=needed,
            ring_x=np.full((k, longest), np.nan),
            ring_y=np.full((k, longest), np.nan),
            seen=np.zeros(k, dtype=np.int64),
            sums=np.zeros((k, 10)),
        )

    def advance(self, x: Values, y: Values, present: Present) -> Values:
        """Take further rows and return the covariance at each; NaN on too few pairs."""
        state = (self.ring_x, self.ring_y, self.seen, self.sums)
        return np.asarray(_covariance(x, y, present, self.window, self.needed, *state))


@njit(cache=True)
def _quantile(x, present, window, needed, probability, ring, ordered, seen, count):  # type: ignore[no-untyped-def]
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
                at = np.searchsorted(line[: count[i]], x[t, i])
                for j in range(count[i], at, -1):
                    line[j] = line[j - 1]
                line[at] = x[t, i]
                count[i] += 1
            if count[i] >= needed[i]:
                position = probability * (count[i] - 1)
                low = int(position)
                high = min(low + 1, count[i] - 1)
                out[t, i] = line[low] + (line[high] - line[low]) * (position - low)
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
    seen: Counts
    count: Counts

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
            seen=np.zeros(k, dtype=np.int64),
            count=np.zeros(k, dtype=np.int64),
        )

    def advance(self, x: Values, present: Present) -> Values:
        """Take further rows and return the quantile at each; NaN where too few are finite."""
        state = (self.ring, self.ordered, self.seen, self.count)
        return np.asarray(_quantile(x, present, self.window, self.needed, self.probability, *state))


@njit(cache=True)
def _decayed(x, present, decay, weighted, weight):  # type: ignore[no-untyped-def]
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
        return np.asarray(_decayed(x, present, self.decay, self.weighted, self.weight))


@njit(cache=True)
def _lag(x, present, periods, ring, seen):  # type: ignore[no-untyped-def]
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
        return np.asarray(_lag(x, present, self.periods, self.ring, self.seen))


@njit(cache=True)
def _total(x, present, total):  # type: ignore[no-untyped-def]
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
        return np.asarray(_total(x, present, self.total))


@njit(cache=True)
def _expanding_quantile(x, present, needed, probability, ordered, count):  # type: ignore[no-untyped-def]
    n_rows, n_columns = x.shape
    out = np.full((n_rows, n_columns), np.nan)
    for i in range(n_columns):
        line = ordered[i]
        for t in range(n_rows):
            if not present[t, i]:
                continue
            if np.isfinite(x[t, i]):
                at = np.searchsorted(line[: count[i]], x[t, i])
                for j in range(count[i], at, -1):
                    line[j] = line[j - 1]
                line[at] = x[t, i]
                count[i] += 1
            if count[i] >= needed[i]:
                position = probability * (count[i] - 1)
                low = int(position)
                high = min(low + 1, count[i] - 1)
                out[t, i] = line[low] + (line[high] - line[low]) * (position - low)
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
            _expanding_quantile(x, present, self.needed, self.probability, self.ordered, self.count)
        )
