"""The few statistics that the audit is made of: residuals, scores, and a robust t."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Array = NDArray[np.float64]

_FEWEST_MORE_THAN_COLUMNS = 30  # rows beyond the number of columns that a regression needs


@dataclass(frozen=True, kw_only=True)
class Mean:
    """Mean of a dependent series with its standard error."""

    mean: float
    standard_error: float

    @property
    def t(self) -> float:
        """Mean over its standard error."""
        return self.mean / self.standard_error if self.standard_error > 0.0 else 0.0

    def p_above(self, bound: float) -> float:
        """One-sided p-value against a true mean of at most `bound`."""
        if self.standard_error <= 0.0:
            return 1.0
        return float(ndtr((bound - self.mean) / self.standard_error))


def shifted(values: Array, periods: int) -> Array:
    """Return the values `periods` rows earlier (negative: later) in each row; NaN outside."""
    out = np.full(values.shape, np.nan)
    if periods == 0:
        out[:] = values
    elif periods > 0:
        out[periods:] = values[:-periods]
    else:
        out[:periods] = values[-periods:]
    return out


def residual(values: Array, columns: Array) -> Array:
    """Return what a least-squares fit on `columns` and a constant leaves, shape (n,).

    NaN where a column is, and everywhere if there are too few rows for the columns.
    """
    rows = np.isfinite(values) & np.isfinite(columns).all(axis=1)
    out = np.full(len(values), np.nan)
    n = int(rows.sum())
    if n < columns.shape[1] + _FEWEST_MORE_THAN_COLUMNS:
        return out
    design = columns[rows] - columns[rows].mean(axis=0)
    scale = design.std(axis=0)
    # A column that does not move explains nothing and would only be noise divided by noise.
    moving = scale > 1e-12 * (1.0 + np.abs(columns[rows]).max(axis=0))
    design = design[:, moving] / scale[moving]
    centred = values[rows] - values[rows].mean()
    weights = np.linalg.lstsq(design, centred, rcond=1e-9)[0]
    out[rows] = centred - design @ weights
    return out


def scores(values: Array) -> Array:
    """Return normal scores of the ranks, mean zero and variance one; NaN stays NaN.

    Ranks keep one crash from deciding a correlation.
    """
    out = np.full(len(values), np.nan)
    known = np.isfinite(values)
    n = int(known.sum())
    if n < 2:
        return out
    score = ndtri((pd.Series(values[known]).rank().to_numpy() - 0.5) / n)
    spread = score.std()
    out[known] = (score - score.mean()) / spread if spread > 0.0 else 0.0
    return out


def mean_of(series: Array, *, overlap: int = 1) -> Mean:
    """Return the mean with a Newey-West standard error; NaN are left out.

    Parameters
    ----------
    series : ndarray, shape (n,)
        A dependent series.
    overlap : int
        Neighbouring rows that share outcomes; lags up to it are always counted.

    References
    ----------
    Newey and West (1987), Econometrica 55(3); bandwidth of Newey and West (1994), Review of
    Economic Studies 61(4).
    """
    known = series[np.isfinite(series)]
    n = len(known)
    if n < 10:
        return Mean(mean=0.0, standard_error=0.0)
    centred = known - known.mean()
    lags = int(4 * (n / 100) ** (2 / 9)) + overlap - 1
    variance = centred @ centred / n
    for lag in range(1, min(lags, n - 1) + 1):
        variance += 2 * (1 - lag / (lags + 1)) * (centred[lag:] @ centred[:-lag]) / n
    return Mean(mean=float(known.mean()), standard_error=float(np.sqrt(max(variance, 0.0) / n)))


def without_season(values: Array, slots: NDArray[np.intp]) -> Array:
    """Return the values less the mean of their slot, one column of `slots` after the other."""
    out = values - np.nanmean(values)
    for slot in slots.T:
        known = np.isfinite(out)
        count = np.bincount(slot[known], minlength=slot.max() + 1)
        total = np.bincount(slot[known], weights=out[known], minlength=slot.max() + 1)
        out = out - (total / np.maximum(count, 1))[slot]
    return out


def holm(p_values: Array) -> Array:
    """Return p-values adjusted for their number (Holm 1979, Scandinavian J. of Statistics 6)."""
    order = np.argsort(p_values)
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    out = np.empty(len(p_values))
    out[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return out
