"""HAR on variances themselves: least squares, weighted least squares, and with quarticity.

Corsi (2009), Journal of Financial Econometrics 7(2); weights by Clements and Preve (2021), Journal
of Banking and Finance 133; quarticity by Bollerslev, Patton and Quaedvlieg (2016), Journal of
Econometrics 192(1), with their filter: a forecast outside the range of past outcomes is insane and
replaced by their mean.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ...features import History
from ..forecast import Forecast, empty_variance
from .terms import HAR_TERMS, term_values

Values = NDArray[np.float64]

_MIN_ROWS = 120  # fewest rows with a known outcome, beside the horizon


class LevelForm(StrEnum):
    """Which regression on levels."""

    OLS = "har"
    """Ordinary least squares."""
    WLS = "har-wls"
    """Weights of one over the variance that ordinary least squares fits: errors grow with it."""
    QUARTICITY = "harq"
    """The weight of the last variance falls with its measurement error; ordinary least squares."""


@dataclass(frozen=True, kw_only=True)
class LevelHar:
    """The heterogeneous autoregression on levels, instrument by instrument.

    Attributes
    ----------
    form : LevelForm
        Which.
    refit_days : int
        Calendar days between two fits.
    """

    form: LevelForm = LevelForm.OLS
    refit_days: int = 28

    @property
    def name(self) -> str:
        """``har``, ``har-wls`` or ``harq``."""
        return str(self.form)

    def fit(self, history: History, *, rng: np.random.Generator) -> "FittedLevelHar":
        """Regress every instrument by itself."""
        terms = _terms(history)
        quarticity = _quarticity_term(history) if self.form is LevelForm.QUARTICITY else None
        fits: dict[tuple[str, int, bool], LevelFit] = {}
        for i, instrument in enumerate(history.panel.instruments):
            forms = {False: terms[:, i]}
            if quarticity is not None:
                forms[True] = np.column_stack([terms[:, i], quarticity[:, i]])
            for k, horizon in enumerate(history.horizons):
                y = history.targets.variance[:, i, k] / horizon
                for noisy, x in forms.items():
                    rows = np.isfinite(x).all(axis=1) & np.isfinite(y)
                    if rows.sum() >= _MIN_ROWS + horizon:
                        weighted = self.form is LevelForm.WLS
                        fits[instrument, horizon, noisy] = _fit(x[rows], y[rows], weighted=weighted)
        return FittedLevelHar(spec=self, fits=fits)


@dataclass(frozen=True, kw_only=True, eq=False)
class LevelFit:
    """One regression.

    Attributes
    ----------
    intercept : float
        Decimal squared per period.
    coefficient : ndarray, shape (n_terms,)
        Dimensionless.
    low, high, mean : float
        Of the outcomes: the range of sane forecasts, and what replaces others.
    """

    intercept: float
    coefficient: Values
    low: float
    high: float
    mean: float

    def predict(self, x: Values) -> Values:
        """Return the variance per period, decimal squared, shape (n,); NaN where a term is."""
        linear = self.intercept + (x * self.coefficient).sum(axis=1)
        sane = (linear >= self.low) & (linear <= self.high) & (linear > 0.0)
        return np.where(sane | np.isnan(linear), linear, self.mean)


@dataclass(frozen=True, kw_only=True)
class FittedLevelHar:
    """One regression per instrument and horizon; two where quarticity is known.

    Attributes
    ----------
    spec : LevelHar
        What was fitted.
    fits : mapping of (str, int, bool) to LevelFit
        By instrument, horizon, and whether quarticity is a term.
    """

    spec: LevelHar
    fits: Mapping[tuple[str, int, bool], LevelFit]

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing to note."""
        return ()

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        """Apply the regressions; that with quarticity wherever it is known."""
        panel = history.panel
        terms = _terms(history)[origins]
        forms = {False: terms}
        if self.spec.form is LevelForm.QUARTICITY:
            noise = _quarticity_term(history)[origins]
            forms[True] = np.concatenate([terms, noise[..., None]], axis=-1)
        variance = empty_variance(len(terms), panel.n_instruments, len(history.horizons))
        for (instrument, horizon, noisy), fit in self.fits.items():
            if instrument not in panel.instruments or horizon not in history.horizons:
                continue
            cell = panel.instruments.index(instrument), history.horizons.index(horizon)
            predicted = horizon * fit.predict(forms[noisy][:, cell[0]])
            known = np.isfinite(predicted)
            variance[known, cell[0], cell[1]] = predicted[known]
        return Forecast(
            model=self.spec.name,
            origin=panel.time[origins],
            instruments=panel.instruments,
            horizons=history.horizons,
            variance=variance,
        )


def _terms(history: History) -> Values:
    """Variances of the last period, day, week and month, decimal squared per period."""
    return np.asarray(np.exp(term_values(history, HAR_TERMS) + history.features.level[..., None]))


def _quarticity_term(history: History) -> Values:
    """Root of quarticity times the last variance, decimal to the fourth."""
    quarticity = history.panel.values("realized_quarticity")
    root = np.sqrt(np.where(quarticity >= 0.0, quarticity, np.nan))
    return np.asarray(root * history.features.variance)


def _fit(x: Values, y: Values, *, weighted: bool) -> LevelFit:
    b = _solve(x, y, np.ones(len(y)))
    if weighted:
        fitted = b[0] + x @ b[1:]
        b = _solve(x, y, 1.0 / np.maximum(fitted, y[y > 0.0].min(initial=np.inf)))
    return LevelFit(
        intercept=float(b[0]),
        coefficient=b[1:],
        low=float(y.min()),
        high=float(y.max()),
        mean=float(y.mean()),
    )


def _solve(x: Values, y: Values, weight: Values) -> Values:
    """Weighted least squares with a constant; scaled first, since variances are tiny numbers."""
    scale = x.mean(axis=0)
    design = np.column_stack([np.ones(len(x)), x / scale])
    gram = (design.T * weight) @ design
    b = np.linalg.pinv(gram, hermitian=True) @ (design.T @ (weight * y))
    return np.concatenate([b[:1], b[1:] / scale])
