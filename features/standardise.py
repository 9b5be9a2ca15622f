"""Standardised inputs: scaled by what a training window showed, and by nothing after it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_WINSOR = 5.0  # standard deviations at which a standardised input is cut


@dataclass(frozen=True, kw_only=True, eq=False)
class Standardiser:
    """Scaling learnt on a training block; missing inputs become zero and say so.

    Attributes
    ----------
    centre, spread : ndarray, shape (n_features,)
        Mean and standard deviation on the training block.
    masked : ndarray of int
        Features that were sometimes missing there: each has a column that is 1.0 when it is.
    usable : ndarray of int
        Features with any variation there; the others are left out.
    """

    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    masked: NDArray[np.intp]
    usable: NDArray[np.intp]

    @property
    def n_columns(self) -> int:
        """Number of columns that :meth:`transform` returns."""
        return len(self.usable) + len(self.masked)

    def transform(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return inputs of shape (..., n_columns) for features of shape (..., n_features)."""
        chosen = values[..., self.usable]
        z = (chosen - self.centre[self.usable]) / self.spread[self.usable]
        z = np.where(np.isfinite(z), np.clip(z, -_WINSOR, _WINSOR), 0.0)
        missing = (~np.isfinite(values[..., self.masked])).astype(np.float64)
        return np.concatenate([z, missing], axis=-1)


def fit_standardiser(values: NDArray[np.float64]) -> Standardiser:
    """Learn the scaling from a training window.

    Parameters
    ----------
    values : ndarray, shape (n_rows, n_features)
        Features of the window, one row per period and instrument; NaN where unknown. Rows that
        are not handed over cannot influence the result.

    Examples
    --------
    >>> scaler = fit_standardiser(np.array([[1.0], [3.0]]))
    >>> scaler.transform(np.array([[4.0]])).tolist()
    [[2.0]]
    """
    known = np.isfinite(values)
    count = known.sum(axis=0)
    filled = np.where(known, values, 0.0)
    centre = filled.sum(axis=0) / np.maximum(count, 1)
    spread = np.sqrt(
        (np.where(known, values - centre, 0.0) ** 2).sum(axis=0) / np.maximum(count, 1)
    )
    usable = np.flatnonzero((count > 1) & (spread > 1e-12))
    sometimes = (count[usable] < len(values)) & (count[usable] > 0)
    return Standardiser(
        centre=centre,
        spread=np.where(spread > 1e-12, spread, 1.0),
        masked=usable[sometimes],
        usable=usable,
    )
