"""Exponentially weighted moving average of variance: the reactive standard.

J.P. Morgan and Reuters (1996), RiskMetrics Technical Document.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..errors import InputError
from ..features import History
from .forecast import Forecast, empty_variance

_WARM_UP = 20  # own periods before the average says anything


@njit(cache=True)
def _ewma(variance: NDArray[np.float64], decay: float) -> NDArray[np.float64]:
    """Exponentially weighted mean so far, weights normalised; NaN inputs are skipped."""
    total, weight, seen = 0.0, 0.0, 0
    out = np.full(len(variance), np.nan)
    for t in range(len(variance)):
        if np.isfinite(variance[t]):
            total = decay * total + (1.0 - decay) * variance[t]
            weight = decay * weight + (1.0 - decay)
            seen += 1
        if seen >= _WARM_UP and total > 0.0:
            out[t] = total / weight
    return out


@dataclass(frozen=True, kw_only=True)
class Ewma:
    """Forecast the next variances by the weighted average of the past ones.

    The average is of the panel's variance measure (realised where there are bars, range-based or
    squared returns otherwise), so that it sees what every other model sees.

    Attributes
    ----------
    decay : float
        Weight of yesterday's average, in (0, 1), per own period; 0.94 forgets half in 11 periods.
    refit_days : int
        Nothing is estimated, so a fit costs nothing.
    """

    decay: float = 0.94
    refit_days: int = 3650

    def __post_init__(self) -> None:
        if not 0.0 < self.decay < 1.0:
            raise InputError(f"decay must be in (0, 1), was {self.decay}; typical: 0.94 to 0.99")

    @property
    def name(self) -> str:
        """``ewma-0.94``."""
        return f"ewma-{self.decay:g}"

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing to note."""
        return ()

    def fit(self, history: History, *, rng: np.random.Generator) -> "Ewma":
        """Return itself: there is nothing to estimate."""
        return self

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        """Forecast `horizon` times the average at each origin."""
        panel = history.panel.upto(origins.stop)
        variance = empty_variance(panel.n_periods, panel.n_instruments, len(history.horizons))
        for i in range(panel.n_instruments):
            rows = np.flatnonzero(panel.present[:, i])
            average = _ewma(history.features.variance[rows, i], self.decay)
            variance[rows, i, :] = average[:, None] * np.array(history.horizons)
        return Forecast(
            model=self.name,
            origin=panel.time[origins],
            instruments=panel.instruments,
            horizons=history.horizons,
            variance=variance[origins],
        )
