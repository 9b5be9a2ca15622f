"""Linear regression of a log variance, and the way back to a variance."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...features import History

TARGET_FLOOR = 0.02
"""A realised variance below this fraction of the long-run level is regressed as if it were there:
a squared return of nearly zero has a log of nearly minus infinity and says little."""

_MARGIN = np.log(2.0)  # predictions stay within the range seen, plus a factor of two


def log_target(history: History, horizon: int) -> NDArray[np.float64]:
    """Log of the forward variance per period relative to the level at the origin.

    Shape (n_periods, n_instruments); floored at :data:`TARGET_FLOOR`; NaN where not known.
    """
    variance = history.targets.variance[:, :, history.targets.at(horizon)]
    ratio = variance / (horizon * np.exp(history.features.level))
    return np.asarray(np.log(np.maximum(ratio, TARGET_FLOOR)))


@dataclass(frozen=True, kw_only=True, eq=False)
class LogFit:
    """A fitted regression.

    Attributes
    ----------
    intercept : float
        Constant.
    coefficient : ndarray, shape (n_terms,)
        Of the terms, in their own units.
    correction : float
        Factor that makes the variance unbiased under QLIKE; the mean of a log is not the log of
        a mean.
    low, high : float
        Logs between which predictions stay.
    """

    intercept: float
    coefficient: NDArray[np.float64]
    correction: float
    low: float
    high: float

    def predict_log(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the bounded log prediction, shape (n,), for terms of shape (n, n_terms)."""
        linear = self.intercept + x @ self.coefficient
        return np.asarray(np.clip(linear, self.low, self.high))

    def predict(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the predicted variance relative to the level, shape (n,)."""
        return np.asarray(np.exp(self.predict_log(x)) * self.correction)


def fit_log_regression(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    *,
    ratio: NDArray[np.float64],
    penalty: float | NDArray[np.float64],
) -> LogFit:
    """Fit by (ridge) least squares and correct the bias of the log.

    The constant factor that minimises mean QLIKE of ``factor * exp(fit)`` is the mean of
    ``ratio / exp(fit)``; unlike exp(s²/2) it needs no normality (Duan 1983, Journal of the
    American Statistical Association 78(383)).

    Parameters
    ----------
    x : ndarray, shape (n, n_terms)
        Terms, finite.
    y : ndarray, shape (n,)
        Log targets.
    ratio : ndarray, shape (n,)
        Their unfloored variances relative to the level.
    penalty : float or ndarray, shape (n_terms,)
        Ridge penalty in observations: the weight of "no effect" in units of one row whose terms
        are one standard deviation; one for all terms, or one for each.
    """
    centre, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread > 0.0, spread, 1.0)
    z = (x - centre) / spread
    gram = z.T @ z + np.diag(np.broadcast_to(penalty, z.shape[1]))
    # Least squares by the pseudo-inverse: on daily data two terms may coincide.
    coefficient = np.linalg.pinv(gram, hermitian=True) @ (z.T @ (y - y.mean())) / spread
    intercept = float(y.mean() - centre @ coefficient)
    low, high = float(y.min() - _MARGIN), float(y.max() + _MARGIN)
    fitted = np.clip(intercept + x @ coefficient, low, high)
    return LogFit(
        intercept=intercept,
        coefficient=coefficient,
        correction=float(np.mean(ratio / np.exp(fitted))),
        low=low,
        high=high,
    )
