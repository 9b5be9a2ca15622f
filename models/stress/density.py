"""A regression with a density: the mean, the size of its errors, and their shape.

The probability that the outcome exceeds a threshold then is that of one error. A classifier
sees of every outcome only on which side of the threshold it fell; the regression sees how far,
which is why it needs fewer events (research of this project: it wins on every panel tried).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ..regressions.log_regression import LogFit, fit_log_regression

Array = NDArray[np.float64]

_OFFSET_PRIOR = 100.0  # weight of "this instrument is like the others", rows
_SMALL_ERROR = 0.02  # added to an absolute error, so that a lucky hit has a log
_NORMAL_PRIOR = 1_000.0  # weight of "errors are normal", in errors that do not overlap
_SMALLEST = 1e-4  # no event is called less likely, and none more certain
_GRID = 400  # quantiles that the shape of the errors is kept as


@dataclass(frozen=True, kw_only=True)
class InstrumentOffsets:
    """What sets instruments apart; one that was not seen has zero.

    Attributes
    ----------
    mean : mapping of str to float
        Of the error, in the unit of the outcome.
    log_size : mapping of str to float
        Log of how much larger its errors are than those of the others.
    """

    mean: Mapping[str, float]
    log_size: Mapping[str, float]

    def of(self, instruments: tuple[str, ...]) -> tuple[Array, Array]:
        """Return both, each of shape (n_instruments,)."""
        return (
            np.array([self.mean.get(name, 0.0) for name in instruments]),
            np.array([self.log_size.get(name, 0.0) for name in instruments]),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class DensityRegression:
    """A fitted regression and the distribution of its errors.

    Attributes
    ----------
    location : LogFit
        Of the outcome, a log.
    size : LogFit
        Of the log absolute error.
    offsets : InstrumentOffsets
        By instrument.
    shape : ndarray, shape (400,)
        Quantiles of the errors over their size, increasing.
    normal_share : float
        Weight of a normal law with the errors' spread, 0 to 1: the fewer errors, the larger.
    """

    location: LogFit
    size: LogFit
    offsets: InstrumentOffsets
    shape: Array
    normal_share: float

    def mean(self, x: Array, column: NDArray[np.intp], instruments: tuple[str, ...]) -> Array:
        """Return the expected outcome, shape (n,), for terms of shape (n, n_terms)."""
        offset, _ = self.offsets.of(instruments)
        return np.asarray(self.location.predict_log(x) + offset[column])

    def exceedance(
        self, x: Array, column: NDArray[np.intp], instruments: tuple[str, ...], *, threshold: Array
    ) -> Array:
        """Return the probability that the outcome exceeds `threshold`, shape (n,).

        Parameters
        ----------
        x : ndarray, shape (n, n_terms)
            Terms, finite.
        column : ndarray of int, shape (n,)
            Which instrument a row belongs to.
        instruments : tuple of str
            Names in column order.
        threshold : ndarray, shape (n,)
            In the unit of the outcome; NaN gives NaN.
        """
        _, log_size = self.offsets.of(instruments)
        size = np.exp(self.size.predict_log(x) + log_size[column])
        needed = (threshold - self.mean(x, column, instruments)) / size
        centre, spread = self.shape.mean(), self.shape.std()
        below = (np.arange(_GRID) + 0.5) / _GRID
        empirical = 1.0 - np.interp(needed, self.shape, below, left=0.0, right=1.0)
        normal = ndtr((centre - needed) / spread)
        mixed = self.normal_share * normal + (1.0 - self.normal_share) * empirical
        return np.asarray(np.clip(mixed, _SMALLEST, 1.0 - _SMALLEST))


def fit_density(
    x: Array,
    y: Array,
    column: NDArray[np.intp],
    *,
    instruments: tuple[str, ...],
    horizon: int,
    penalty: float,
    size_penalty: float,
) -> DensityRegression:
    """Fit the mean, then the size of the errors, then their shape.

    Parameters
    ----------
    x : ndarray, shape (n, n_terms)
        Standardised terms, finite.
    y : ndarray, shape (n,)
        Outcomes, logs.
    column : ndarray of int, shape (n,)
        Which instrument a row belongs to.
    instruments : tuple of str
        Names in column order.
    horizon : int
        Periods that an outcome spans: neighbouring errors overlap, and count for less.
    penalty, size_penalty : float
        Ridge penalties of the mean and of the log size of the errors, observations.
    """
    location = fit_log_regression(x, y, ratio=np.exp(y), penalty=penalty)
    error = y - location.predict_log(x)
    mean = _shrunk_means(error, column, len(instruments))
    error = error - mean[column]
    location = replace(location, correction=float(np.mean(np.exp(error))))
    log_error = np.log(np.abs(error) + _SMALL_ERROR)
    size = fit_log_regression(x, log_error, ratio=np.abs(error), penalty=size_penalty)
    log_size = _shrunk_means(log_error - size.predict_log(x), column, len(instruments))
    standardised = error / np.exp(size.predict_log(x) + log_size[column])
    n_apart = len(error) / horizon
    return DensityRegression(
        location=location,
        size=size,
        offsets=InstrumentOffsets(
            mean=dict(zip(instruments, mean.tolist(), strict=True)),
            log_size=dict(zip(instruments, log_size.tolist(), strict=True)),
        ),
        shape=np.quantile(standardised, (np.arange(_GRID) + 0.5) / _GRID),
        normal_share=_NORMAL_PRIOR / (_NORMAL_PRIOR + n_apart),
    )


def _shrunk_means(values: Array, column: NDArray[np.intp], n_columns: int) -> Array:
    """Mean by instrument, shrunk to zero, shape (n_columns,)."""
    count = np.bincount(column, minlength=n_columns)
    total = np.bincount(column, weights=values, minlength=n_columns)
    return np.asarray(total / (count + _OFFSET_PRIOR))
