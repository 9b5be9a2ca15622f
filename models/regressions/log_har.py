"""Log-HAR: the log variance ahead regressed on yesterday's, last week's and last month's.

Corsi (2009), Journal of Financial Econometrics 7(2); on logs because the errors of a variance
are multiplicative. One regression per instrument and horizon.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...features import History
from ..forecast import Forecast, empty_variance
from .log_regression import LogFit, fit_log_regression, log_target

LOG_HAR_TERMS = ("log_variance_last", "log_variance_day", "log_variance_week", "log_variance_month")
"""Features of the regression, those of them that there are."""

_MIN_ROWS = 120  # fewest complete rows of a regression of four terms


@dataclass(frozen=True, kw_only=True)
class LogHar:
    """The heterogeneous autoregression, instrument by instrument.

    Attributes
    ----------
    refit_days : int
        Calendar days between two fits.
    """

    refit_days: int = 28

    @property
    def name(self) -> str:
        """``log-har``."""
        return "log-har"

    def fit(self, history: History, *, rng: np.random.Generator) -> "FittedLogHar":
        """Regress every instrument by itself."""
        fits: dict[tuple[str, int], LogFit] = {}
        for i, instrument in enumerate(history.panel.instruments):
            x = _terms(history)[:, i]
            for k, horizon in enumerate(history.horizons):
                y = log_target(history, horizon)[:, i]
                rows = np.isfinite(x).all(axis=1) & np.isfinite(y)
                if rows.sum() >= _MIN_ROWS + horizon:
                    realized = history.targets.variance[rows, i, k]
                    level = history.features.level[rows, i]
                    fits[instrument, horizon] = fit_log_regression(
                        x[rows], y[rows], ratio=realized / (horizon * np.exp(level)), penalty=0.0
                    )
        return FittedLogHar(spec=self, fits=fits)


@dataclass(frozen=True, kw_only=True)
class FittedLogHar:
    """One regression per instrument and horizon.

    Attributes
    ----------
    spec : LogHar
        What was fitted.
    fits : mapping of (str, int) to LogFit
        By instrument and horizon; those without enough history are absent.
    """

    spec: LogHar
    fits: Mapping[tuple[str, int], LogFit]

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing to note."""
        return ()

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        """Apply the regressions at each origin."""
        panel = history.panel
        x, level = _terms(history)[origins], history.features.level[origins]
        variance = empty_variance(len(x), panel.n_instruments, len(history.horizons))
        for i, instrument in enumerate(panel.instruments):
            for k, horizon in enumerate(history.horizons):
                if (instrument, horizon) in self.fits:
                    ratio = self.fits[instrument, horizon].predict(x[:, i])
                    variance[:, i, k] = ratio * horizon * np.exp(level[:, i])
        return Forecast(
            model=self.spec.name,
            origin=panel.time[origins],
            instruments=panel.instruments,
            horizons=history.horizons,
            variance=variance,
        )


def _terms(history: History) -> NDArray[np.float64]:
    names = [name for name in LOG_HAR_TERMS if name in history.features.names]
    return np.stack([history.features.column(name) for name in names], axis=-1)
