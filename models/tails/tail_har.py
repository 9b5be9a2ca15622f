"""A volatility chosen for its tails: half a regression on variances, half the law of returns.

The best forecast of the realised variance is not the best scale for the tails of the return:
terms that sharpen the one (leverage) blunt the other. Here are few terms, the averages of
Corsi (2009) and the variance that option prices imply, in two regressions whose log forecasts are
averaged: least squares on log variances, and a Student t likelihood of the returns. The level is
that of the variances.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import ConvergenceError
from ...features import History
from ..forecast import Forecast, empty_variance
from ..regressions.log_regression import LogFit, fit_log_regression, log_target
from .student_regression import StudentFit, fit_student_regression

Values = NDArray[np.float64]

_TERMS = ("log_variance_last", "log_variance_day", "log_variance_week", "log_variance_month")
_IMPLIED = "log_implied_variance"
_MIN_ROWS = 250  # fewest complete rows of a fit: a law of returns needs more than a variance


@dataclass(frozen=True, kw_only=True)
class TailHar:
    """Averages of past variance and the implied variance, instrument by instrument.

    Attributes
    ----------
    refit_days : int
        Calendar days between two fits.
    """

    refit_days: int = 91

    @property
    def name(self) -> str:
        """``tail-har``."""
        return "tail-har"

    def fit(self, history: History, *, rng: np.random.Generator) -> "FittedTailHar":
        """Fit every instrument and horizon with and, where options are quoted, without them."""
        fits: dict[tuple[str, int, bool], TailHarFit] = {}
        notes: list[str] = []
        for implied in (False, True):
            x = _terms(history, implied=implied)
            for i, instrument in enumerate(history.panel.instruments):
                for k, horizon in enumerate(history.horizons):
                    try:
                        fit = _fit(x[:, i], history, column=i, horizon=horizon, k=k)
                    except ConvergenceError as error:
                        notes.append(f"{instrument}, {horizon} periods ahead: {error}")
                        continue
                    if fit is not None:
                        fits[instrument, horizon, implied] = fit
        return FittedTailHar(spec=self, fits=fits, notes=tuple(notes))


@dataclass(frozen=True, kw_only=True, eq=False)
class TailHarFit:
    """Both regressions of one instrument and horizon.

    Attributes
    ----------
    variance : LogFit
        On log variances relative to the level.
    law : StudentFit
        Of returns relative to the level.
    shift : float
        Mean log distance of the first from the second over the fit.
    """

    variance: LogFit
    law: StudentFit
    shift: float

    def predict(self, x: Values) -> Values:
        """Return the variance relative to the level, shape (n,); NaN where a term is."""
        first = self.variance.predict_log(x)
        second = self.law.predict_log(x) + self.shift
        return np.asarray(np.exp(0.5 * (first + second)) * self.variance.correction)


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedTailHar:
    """Fits per instrument, horizon and whether the implied variance is a term.

    Attributes
    ----------
    spec : TailHar
        What was fitted.
    fits : mapping of (str, int, bool) to TailHarFit
        Those without enough history are absent.
    notes : tuple of str
        Fits that did not converge.
    """

    spec: TailHar
    fits: Mapping[tuple[str, int, bool], TailHarFit]
    notes: tuple[str, ...]

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        """Apply the regressions at each origin; without options where they say nothing."""
        panel = history.panel
        level = history.features.level[origins]
        variance = empty_variance(len(level), panel.n_instruments, len(history.horizons))
        for implied in (False, True):
            x = _terms(history, implied=implied)[origins]
            for i, instrument in enumerate(panel.instruments):
                for k, horizon in enumerate(history.horizons):
                    fit = self.fits.get((instrument, horizon, implied))
                    if fit is None:
                        continue
                    forecast = fit.predict(x[:, i]) * horizon * np.exp(level[:, i])
                    variance[:, i, k] = np.where(np.isfinite(forecast), forecast, variance[:, i, k])
        return Forecast(
            model=self.spec.name,
            origin=panel.time[origins],
            instruments=panel.instruments,
            horizons=history.horizons,
            variance=variance,
        )


def _fit(x: Values, history: History, *, column: int, horizon: int, k: int) -> TailHarFit | None:
    """Fit one instrument and horizon; None without enough complete rows."""
    y = log_target(history, horizon)[:, column]
    log_return = history.targets.log_return[:, column, k]
    rows = np.isfinite(x).all(axis=1) & np.isfinite(y) & np.isfinite(log_return)
    if rows.sum() < _MIN_ROWS + horizon:
        return None
    per_level = horizon * np.exp(history.features.level[rows, column])
    ratio = history.targets.variance[rows, column, k] / per_level
    variance = fit_log_regression(x[rows], y[rows], ratio=ratio, penalty=0.0)
    law = fit_student_regression(
        x[rows], log_return[rows] / np.sqrt(per_level), prior=variance.coefficient
    )
    shift = float(np.mean(variance.predict_log(x[rows]) - law.predict_log(x[rows])))
    return TailHarFit(variance=variance, law=law, shift=shift)


def _terms(history: History, *, implied: bool) -> Values:
    """Terms of shape (n_periods, n_instruments, n_terms); NaN if they are not computed."""
    names = [name for name in _TERMS if name in history.features.names]
    terms = [history.features.column(name) for name in names]
    if implied:
        known = _IMPLIED in history.features.names
        terms.append(
            history.features.column(_IMPLIED) if known else np.full(terms[0].shape, np.nan)
        )
    return np.stack(terms, axis=-1)
