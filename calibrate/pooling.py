"""The tail that all instruments and both sides have in common, once volatility is divided out.

A quantile of 1 % from a thousand scores of one instrument rests on ten of them. What the others
have shown says more than it misleads (Bollerslev, Hood, Huss and Pedersen 2018, Review of Financial
Studies 31(7), find the same of variances); an instrument's own scores count the more the more of
them there are.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .empirical import pooled_levels

Values = NDArray[np.float64]

_LEVELS = 9
_MARGIN = 0.1  # of the smallest score read last time


@dataclass(frozen=True, kw_only=True, eq=False)
class PooledTail:
    """Quantiles of pooled scores at every row, by the tail probability that a margin aims at.

    Attributes
    ----------
    quantile : ndarray, shape (n, n_levels)
        In the unit of the scores, at :func:`.empirical.pooled_levels`; NaN before there are enough.
    weight : float
        Own scores that the pooled tail counts as.
    """

    quantile: Values
    weight: float

    def at(self, rows: NDArray[np.intp]) -> "PooledTail":
        """Return the rows of one instrument's own time."""
        return PooledTail(quantile=self.quantile[rows], weight=self.weight)

    @classmethod
    def none(cls, n: int) -> "PooledTail":
        """Return what leaves an instrument to its own scores."""
        return cls(quantile=np.empty((n, 0)), weight=0.0)


def pooled_tail(
    score: Values,
    known_at: NDArray[np.intp],
    *,
    tail_probability: float,
    window: int,
    step: int,
    weight: float,
) -> PooledTail:
    """Read the tail of all scores that were known, anew every `step` rows.

    Parameters
    ----------
    score : ndarray, shape (n_periods, n_instruments, n_sides)
        Loss over volatility; NaN where not known.
    known_at : ndarray of int, shape (n_periods, n_instruments)
        Panel row at whose close the score of an origin is known.
    tail_probability : float
        Breach rate that margins aim at.
    window : int
        Last panel rows whose scores count.
    step : int
        Panel rows between two readings.
    weight : float
        See :class:`PooledTail`.
    """
    levels = pooled_levels(tail_probability, _LEVELS)
    needed = 1.0 / levels[0]  # so that the rarest level lies inside the sample
    out = np.full((len(score), _LEVELS), np.nan)
    room = np.empty(score[:window].size)
    threshold = -np.inf
    for row in range(0, len(score), step):
        window_of = slice(max(0, row - window + 1), row + 1)
        n, found = _collect(score[window_of], known_at[window_of], row, threshold, room)
        if n < needed:
            continue
        depth = _depth(n, levels)
        if found < depth:  # the tail has come down: look at all of it
            n, found = _collect(score[window_of], known_at[window_of], row, -np.inf, room)
        upper = np.sort(np.partition(room[:found], found - depth)[found - depth :])
        out[row : row + step] = _upper_quantiles(upper, n, levels)
        # The next tail is looked for from a little below this one: scores change slowly.
        threshold = float(upper[0]) - _MARGIN * abs(float(upper[0]))
    return PooledTail(quantile=out, weight=weight)


@njit(cache=True)
def _collect(
    score: Values, known_at: NDArray[np.intp], row: int, threshold: float, room: Values
) -> tuple[int, int]:
    """Count the scores known by a row, and put those from a threshold up into `room`."""
    n, found = 0, 0
    for t in range(score.shape[0]):
        for i in range(score.shape[1]):
            if known_at[t, i] > row:
                continue
            for s in range(score.shape[2]):
                value = score[t, i, s]
                if np.isfinite(value):
                    n += 1
                    if value >= threshold:
                        room[found] = value
                        found += 1
    return n, found


def _depth(n: int, levels: Values) -> int:
    """Return how many of the largest of `n` scores the quantiles are read from."""
    first = int(np.clip((n + 1.0) * (1.0 - levels) - 1.0, 0.0, n - 1.0).min())
    return n - first


def _upper_quantiles(upper: Values, n: int, levels: Values) -> Values:
    """Quantiles at (n + 1)(1 - level), interpolated, within the sample; the largest are given."""
    position = np.clip((n + 1.0) * (1.0 - levels) - 1.0, 0.0, n - 1.0)
    return np.interp(position - (n - len(upper)), np.arange(len(upper)), upper)


@dataclass(kw_only=True, eq=False)
class RunningPool:
    """The pooled tail one panel row at a time; says what :func:`pooled_tail` says of each row.

    Attributes
    ----------
    tail_probability : float
        Breach rate that margins aim at.
    step : int
        Panel rows between two readings.
    ring : ndarray, shape (window, n_instruments, n_sides)
        Scores by the panel row of their origin, modulo the window; NaN where not known yet.
    quantile : ndarray, shape (n_levels,)
        As last read; NaN before there are enough.
    row : int
        Panel row that comes next.
    threshold : float
        Where the last reading began; it changes how fast the next one is and no number.
    """

    tail_probability: float
    step: int
    ring: Values
    quantile: Values
    row: int = 0
    threshold: float = -np.inf

    @classmethod
    def fresh(
        cls, *, tail_probability: float, window: int, step: int, n_instruments: int
    ) -> "RunningPool":
        """Return the pool before the first row; see :func:`pooled_tail`."""
        return cls(
            tail_probability=tail_probability,
            step=step,
            ring=np.full((window, n_instruments, 2), np.nan),
            quantile=np.full(_LEVELS, np.nan),
        )

    def advance(self, origin: NDArray[np.int64], score: Values) -> Values:
        """Take the scores that became known at the next row.

        Parameters
        ----------
        origin : ndarray of int, shape (n_instruments,)
            Panel row of the origin of each; any where the score is NaN.
        score : ndarray, shape (n_instruments, n_sides)
            NaN where none became known.

        Returns
        -------
        ndarray, shape (n_levels,)
            Pooled quantiles in force at the row.
        """
        window = len(self.ring)
        self.ring[self.row % window] = np.nan  # the origin that leaves
        known = np.isfinite(score).any(axis=1) & (origin > self.row - window)
        self.ring[origin[known] % window, np.flatnonzero(known)] = score[known]
        if self.row % self.step == 0:
            self._read()
        self.row += 1
        return self.quantile

    def _read(self) -> None:
        levels = pooled_levels(self.tail_probability, _LEVELS)
        self.quantile = np.full(_LEVELS, np.nan)
        n, found = _among(self.ring.ravel(), self.threshold)
        if n < 1.0 / levels[0]:
            return
        depth = _depth(n, levels)
        if len(found) < depth:
            n, found = _among(self.ring.ravel(), -np.inf)
        upper = np.sort(np.partition(found, len(found) - depth)[len(found) - depth :])
        self.quantile = _upper_quantiles(upper, n, levels)
        self.threshold = float(upper[0]) - _MARGIN * abs(float(upper[0]))


def _among(score: Values, threshold: float) -> tuple[int, Values]:
    """Count the known scores, and return those from a threshold up."""
    n, found = _count(score, threshold)
    room = np.empty(found)
    _fill(score, threshold, room)
    return n, room


@njit(cache=True)
def _count(score: Values, threshold: float) -> tuple[int, int]:
    n, found = 0, 0
    for value in score:
        if np.isfinite(value):
            n += 1
            if value >= threshold:
                found += 1
    return n, found


@njit(cache=True)
def _fill(score: Values, threshold: float, room: Values) -> None:
    found = 0
    for value in score:
        if np.isfinite(value) and value >= threshold:
            room[found] = value
            found += 1
