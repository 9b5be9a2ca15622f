"""Where a market-wide series stands: its change, its score against its past, its shift.

Made of the moving parts of :mod:`..moving` with a single column. Windows count every row; rows in
which the series is not known leave a window shorter, and have no value themselves.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from ..moving import Lag, TrailingCovariance, TrailingMean, Values


def _column(series: Values) -> Values:
    return np.ascontiguousarray(series[:, None])


def _always(x: Values) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    return np.ones(x.shape, dtype=np.bool_)


def _deviation(variance: Values, x: Values) -> Values:
    # What rounding leaves of the variance of a series that stands still is not a variance.
    return np.sqrt(np.where(variance > 1e-20 * x * x, variance, np.nan))


def _one(n: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([n], dtype=np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Shift:
    """Standardised shift: short mean minus long mean, in long standard deviations.

    Attributes
    ----------
    recent, usual : TrailingMean
        Means over the short and the long window, the current row included.
    spread : TrailingCovariance
        Variance over the long window.

    Examples
    --------
    >>> part = Shift.fresh(short=2, long=100, needed=10)
    >>> series = np.r_[np.tile([0.0, 1.0], 50), 5.0, 5.0]
    >>> bool(part.advance(series)[-1] > 4.0)
    True
    """

    recent: TrailingMean
    usual: TrailingMean
    spread: TrailingCovariance

    @classmethod
    def fresh(cls, *, short: int, long: int, needed: int) -> Self:
        """Return the part before its first row; `needed` known rows make a long window."""
        return cls(
            recent=TrailingMean.fresh(_one(short), _one(1)),
            usual=TrailingMean.fresh(_one(long), _one(needed)),
            spread=TrailingCovariance.fresh(_one(long), _one(needed)),
        )

    def advance(self, series: Values) -> Values:
        """Take further rows, shape (n_periods,), NaN where unknown; return the shift at each."""
        x = _column(series)
        rows = _always(x)
        gap = self.recent.advance(x, rows) - self.usual.advance(x, rows)
        variance = self.spread.advance(x, x, rows)
        out: Values = (gap / _deviation(variance, x))[:, 0]
        return out

    def update(self, value: float) -> float:
        """Take one row; the same as a chunk of one row."""
        return float(self.advance(np.array([value]))[0])


@dataclass(frozen=True, kw_only=True, eq=False)
class Score:
    """How many standard deviations a value lies above the mean of the rows *before* it.

    Attributes
    ----------
    mean, mean_before : TrailingMean, Lag
        Mean of the window and of the window one row earlier.
    spread, spread_before : TrailingCovariance, Lag
        The same for the variance.
    """

    mean: TrailingMean
    mean_before: Lag
    spread: TrailingCovariance
    spread_before: Lag

    @classmethod
    def fresh(cls, *, window: int, needed: int) -> Self:
        """Return the part before its first row."""
        return cls(
            mean=TrailingMean.fresh(_one(window), _one(needed)),
            mean_before=Lag.fresh(_one(1)),
            spread=TrailingCovariance.fresh(_one(window), _one(needed)),
            spread_before=Lag.fresh(_one(1)),
        )

    def advance(self, series: Values) -> Values:
        """Take further rows, shape (n_periods,), NaN where unknown; return the score at each.

        NaN where too little came before, or where what came before did not vary.
        """
        x = _column(series)
        rows = _always(x)
        mean = self.mean_before.advance(self.mean.advance(x, rows), rows)
        variance = self.spread_before.advance(self.spread.advance(x, x, rows), rows)
        out: Values = ((x - mean) / _deviation(variance, x))[:, 0]
        return out

    def update(self, value: float) -> float:
        """Take one row; the same as a chunk of one row."""
        return float(self.advance(np.array([value]))[0])


@dataclass(frozen=True, kw_only=True, eq=False)
class Change:
    """Difference to the value some rows ago; NaN where one of the two is not known.

    Attributes
    ----------
    before : Lag
        The earlier value.
    """

    before: Lag

    @classmethod
    def fresh(cls, *, rows: int) -> Self:
        """Return the part before its first row."""
        return cls(before=Lag.fresh(_one(rows)))

    def advance(self, series: Values) -> Values:
        """Take further rows, shape (n_periods,), NaN where unknown; return the change at each."""
        x = _column(series)
        out: Values = (x - self.before.advance(x, _always(x)))[:, 0]
        return out

    def update(self, value: float) -> float:
        """Take one row; the same as a chunk of one row."""
        return float(self.advance(np.array([value]))[0])
