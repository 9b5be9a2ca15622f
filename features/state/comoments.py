"""Exponentially weighted second moments of returns that need not be there on the same days.

Two instruments are compared over the same span only: both returns run from the last row in which
both traded to the next one. A coin that trades through the weekend meets an index on Monday with
the coin's return since Friday; no weekend return of the index is made up, and a halted instrument
comes back with one return over the halt, set against what the others did meanwhile.

The weights decay with the observations of each pair, not with the calendar, so that an instrument
that vanishes keeps what was known of it.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..moving import Values, dense

PAIR = np.dtype(
    [
        ("count", np.int64),  # joint observations
        ("weight", np.float64),  # sum of their weights, and of the squares of the weights
        ("weight_squared", np.float64),
        ("base_x", np.float64),  # log levels at the last joint row, NaN before the first
        ("base_y", np.float64),
        ("mean_x", np.float64),
        ("mean_y", np.float64),
        ("variance_x", np.float64),
        ("variance_y", np.float64),
        ("covariance", np.float64),
    ]
)
"""What is remembered of two series: weighted moments about the weighted means."""

Pairs = NDArray[np.void]


def decay_of(half_life: float) -> float:
    """Return the weight ratio of neighbouring observations that halves over `half_life`."""
    return float(0.5 ** (1.0 / half_life))


def fresh_pairs(*shape: int) -> Pairs:
    """Return pairs that have seen nothing yet."""
    pairs = np.zeros(shape, dtype=PAIR)
    pairs["base_x"] = np.nan
    pairs["base_y"] = np.nan
    return pairs


@njit(cache=True)
def meet(pair, level_x, level_y, decay):  # type: ignore[no-untyped-def]
    """Let two log levels that are both known now add their changes since they last met."""
    x, y = level_x - pair.base_x, level_y - pair.base_y
    pair.base_x, pair.base_y = level_x, level_y
    if np.isnan(x + y):
        return
    pair.count += 1
    pair.weight = decay * pair.weight + 1.0
    pair.weight_squared = decay * decay * pair.weight_squared + 1.0
    share = 1.0 / pair.weight
    gap_x, gap_y = x - pair.mean_x, y - pair.mean_y
    pair.mean_x += share * gap_x
    pair.mean_y += share * gap_y
    # West (1979), Communications of the ACM 22(9): moments about the moving mean.
    pair.variance_x = (1.0 - share) * (pair.variance_x + share * gap_x * gap_x)
    pair.variance_y = (1.0 - share) * (pair.variance_y + share * gap_y * gap_y)
    pair.covariance = (1.0 - share) * (pair.covariance + share * gap_x * gap_y)


@njit(cache=True)
def correlation_of(pair, needed):  # type: ignore[no-untyped-def]
    """Return the weighted correlation; NaN before `needed` meetings or where one stands still."""
    spread = np.sqrt(pair.variance_x * pair.variance_y)
    if pair.count < needed or not spread > 0.0:
        return np.nan
    return min(1.0, max(-1.0, pair.covariance / spread))


@njit(cache=True)
def variance_of(pair):  # type: ignore[no-untyped-def]
    """Return the weighted variance of x, corrected for its estimated mean; zero on nothing."""
    spare = 1.0 - pair.weight_squared / (pair.weight * pair.weight) if pair.count > 1 else 0.0
    return pair.variance_x / spare if spare > 0.0 else 0.0


@njit(cache=True)
def take_row(log_return, pairs, level, decay):  # type: ignore[no-untyped-def]
    """Add one row of returns, NaN where an instrument did not trade."""
    n = len(log_return)
    for i in range(n):
        if np.isfinite(log_return[i]):
            if np.isnan(pairs[i, i].base_x):
                pairs[i, i].base_x, pairs[i, i].base_y = 0.0, 0.0
            level[i] += log_return[i]
    for i in range(n):
        if np.isfinite(log_return[i]):
            for j in range(i, n):
                if np.isfinite(log_return[j]):
                    meet(pairs[i, j], level[i], level[j], decay)


@njit(cache=True)
def usable(log_return, pairs, needed):  # type: ignore[no-untyped-def]
    """Return the columns that trade in this row and whose variance is known."""
    chosen = np.empty(len(log_return), dtype=np.int64)
    k = 0
    for i in range(len(log_return)):
        known = pairs[i, i].count >= needed and variance_of(pairs[i, i]) > 0.0
        if np.isfinite(log_return[i]) and known:
            chosen[k] = i
            k += 1
    return chosen[:k]


@njit(cache=True)
def shrunk_correlation(pairs, chosen):  # type: ignore[no-untyped-def]
    """Return the correlations of some columns, shrunk to their mean.

    A pair that met T (effective) times keeps T / (T + k) of its own correlation among k columns;
    the rest is the mean of all. The target is that of Ledoit and Wolf (2004), "Honey, I Shrunk
    the Sample Covariance Matrix", Journal of Portfolio Management 30(4).
    """
    k = len(chosen)
    out = np.eye(k)
    total, count = 0.0, 0
    for a in range(k):
        for b in range(a + 1, k):
            out[a, b] = correlation_of(pairs[chosen[a], chosen[b]], 2)
            if np.isfinite(out[a, b]):
                total += out[a, b]
                count += 1
    mean = total / count if count else 0.0
    for a in range(k):
        for b in range(a + 1, k):
            pair = pairs[chosen[a], chosen[b]]
            own = 0.0
            if np.isfinite(out[a, b]):
                times = pair.weight * pair.weight / pair.weight_squared
                own = times / (times + k)
            else:
                out[a, b] = 0.0
            out[a, b] = own * out[a, b] + (1.0 - own) * mean
            out[b, a] = out[a, b]
    return out


@njit(cache=True)
def _averages(log_return, pairs, level, decay, needed):  # type: ignore[no-untyped-def]
    out = np.full(len(log_return), np.nan)
    for t in range(len(log_return)):
        row = log_return[t]
        take_row(row, pairs, level, decay)
        total, count = 0.0, 0
        for i in range(len(row)):
            for j in range(i + 1, len(row)):
                if np.isfinite(row[i]) and np.isfinite(row[j]):
                    rho = correlation_of(pairs[i, j], needed)
                    if np.isfinite(rho):
                        total += rho
                        count += 1
        if count:
            out[t] = total / count
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class Comoments:
    """Exponentially weighted correlations among the columns of a panel, row by row.

    Attributes
    ----------
    half_life : float
        Joint observations after which a weight has halved.
    needed : int
        Joint observations before a correlation is called known.
    pairs : ndarray of :data:`PAIR`, shape (n_instruments, n_instruments)
        The moments; the upper triangle is used.
    level : ndarray, shape (n_instruments,)
        Sum of the log returns seen so far, decimal.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(200, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    >>> part = Comoments.fresh(2, half_life=60.0)
    >>> mean_correlation = part.advance(rows)
    >>> bool(abs(mean_correlation[-1] - 0.8) < 0.1)
    True
    """

    half_life: float
    needed: int
    pairs: Pairs
    level: Values

    @classmethod
    def fresh(cls, n_instruments: int, *, half_life: float, needed: int = 30) -> Self:
        """Return the part before its first row."""
        return cls(
            half_life=half_life,
            needed=needed,
            pairs=fresh_pairs(n_instruments, n_instruments),
            level=np.zeros(n_instruments),
        )

    def advance(self, log_return: Values) -> Values:
        """Take rows of decimal log returns, NaN where absent; return the mean correlation.

        Parameters
        ----------
        log_return : ndarray, shape (n_periods, n_instruments)
            The rows that follow those seen before.

        Returns
        -------
        ndarray, shape (n_periods,)
            Mean over the pairs that trade in the row, in [-1, 1], the row included; NaN where
            no pair is known.
        """
        decay = decay_of(self.half_life)
        return np.asarray(_averages(dense(log_return), self.pairs, self.level, decay, self.needed))

    def update(self, log_return: Values) -> float:
        """Take one row, shape (n_instruments,); the same as a chunk of one row."""
        return float(self.advance(log_return[None])[0])

    def correlation(self) -> Values:
        """Return the correlations as they stand, shape (n, n); NaN where not yet known."""
        n = len(self.level)
        out = np.ones((n, n))
        for i in range(n):
            for j in range(i + 1, n):
                out[i, j] = out[j, i] = correlation_of(self.pairs[i, j], self.needed)
        return out
