"""Log-HAR with everything else the panel knows: season, leverage, jumps, noise, implied variance.

The autoregression is free; every other term is shrunk to no effect with a weight that grows with
the horizon, because overlapping outcomes count once per horizon. Corsi and Reno (2012), Journal of
Business and Economic Statistics 30(3), for leverage; Patton and Sheppard (2015), Review of
Economics and Statistics 97(3), for signed variance; Busch, Christensen and Nielsen (2011), Journal
of Econometrics 160(1), for implied variance.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...features import History, Standardiser, fit_standardiser
from ..forecast import Forecast, empty_variance
from ..pooled import usable_rows
from .log_regression import LogFit, fit_log_regression, log_target
from .terms import HAR_TERMS, IMPLIED_TERM, OWN_TERMS, term_values

Values = NDArray[np.float64]

_MIN_ROWS = 120  # fewest rows with a known outcome, beside the horizon
_MIN_IMPLIED_ROWS = 500  # from two years on, rows without implied variance are not missed


@dataclass(frozen=True, kw_only=True)
class ExtendedHar:
    """A log regression of every instrument by itself, with all terms that its data allow.

    Attributes
    ----------
    name : str
        The value of the column ``model``.
    core : tuple of str
        Features that are the autoregression: an instrument needs them, and they are free.
    others : tuple of str
        Features that are shrunk; where one is unknown it counts as usual.
    implied : bool
        Whether implied variance, free as well, takes part wherever it is known.
    penalty : float
        Weight of "no effect" of the other terms, in observations per period of the horizon.
    refit_days : int
        Calendar days between two fits.
    """

    name: str = "log-har-extended"
    core: tuple[str, ...] = HAR_TERMS
    others: tuple[str, ...] = OWN_TERMS
    implied: bool = True
    penalty: float = 50.0
    refit_days: int = 28

    def fit(self, history: History, *, rng: np.random.Generator) -> "FittedExtendedHar":
        """Regress every instrument by itself."""
        terms = _terms(self, history)
        level = history.features.level
        targets = [log_target(history, horizon) + level for horizon in history.horizons]
        fits: dict[tuple[str, int, bool], LocalFit] = {}
        for i, instrument in enumerate(history.panel.instruments):
            for k, horizon in enumerate(history.horizons):
                realized = history.targets.variance[:, i, k] / horizon
                for implied in (False, True) if self.implied else (False,):
                    rows = terms.usable(i, implied=implied) & np.isfinite(targets[k][:, i])
                    if rows.sum() < (_MIN_IMPLIED_ROWS if implied else _MIN_ROWS) + horizon:
                        continue
                    fits[instrument, horizon, implied] = _fit_local(
                        terms.take(rows, i, implied=implied),
                        targets[k][rows, i],
                        realized=realized[rows],
                        n_free=terms.n_core + implied,
                        penalty=self.penalty * horizon,
                    )
        return FittedExtendedHar(spec=self, fits=fits)


@dataclass(frozen=True, kw_only=True)
class LocalFit:
    """The regression of one instrument at one horizon.

    Attributes
    ----------
    scaler : Standardiser
        Scaling of the terms; one that is unknown in a row counts as at its mean there, and a
        column says so.
    fit : LogFit
        On the scaled terms.
    """

    scaler: Standardiser
    fit: LogFit

    def predict(self, x: Values) -> Values:
        """Return the predicted variance per period, decimal squared, shape (n,)."""
        return self.fit.predict(self.scaler.transform(x))


@dataclass(frozen=True, kw_only=True)
class FittedExtendedHar:
    """Up to two regressions per instrument and horizon: without and with implied variance.

    Attributes
    ----------
    spec : ExtendedHar
        What was fitted.
    fits : mapping of (str, int, bool) to LocalFit
        By instrument, horizon, and whether implied variance is a term; those without enough
        history are absent.
    """

    spec: ExtendedHar
    fits: Mapping[tuple[str, int, bool], LocalFit]

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing to note."""
        return ()

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        """Apply the regressions; that with implied variance wherever there is one."""
        panel = history.panel
        terms = _terms(self.spec, history).at(origins)
        n_origins = len(terms.core)
        variance = empty_variance(n_origins, panel.n_instruments, len(history.horizons))
        for i, instrument in enumerate(panel.instruments):
            for k, horizon in enumerate(history.horizons):
                for implied in (False, True):
                    fit = self.fits.get((instrument, horizon, implied))
                    if fit is None:
                        continue
                    rows = terms.usable(i, implied=implied)
                    predicted = fit.predict(terms.take(rows, i, implied=implied))
                    variance[rows, i, k] = predicted * horizon
        return Forecast(
            model=self.spec.name,
            origin=panel.time[origins],
            instruments=panel.instruments,
            horizons=history.horizons,
            variance=variance,
        )


@dataclass(frozen=True, kw_only=True)
class _Terms:
    """Terms in the order core, implied, others; shape (n_periods, n_instruments, n_terms)."""

    old_enough: NDArray[np.bool_]
    core: Values
    implied: Values
    others: Values

    @property
    def n_core(self) -> int:
        return int(self.core.shape[-1])

    def at(self, rows: slice) -> "_Terms":
        return _Terms(
            old_enough=self.old_enough[rows],
            core=self.core[rows],
            implied=self.implied[rows],
            others=self.others[rows],
        )

    def usable(self, column: int, *, implied: bool) -> NDArray[np.bool_]:
        """Rows in which everything that is not shrunk is known."""
        known = self.old_enough[:, column] & np.isfinite(self.core[:, column]).all(axis=-1)
        return known & np.isfinite(self.implied[:, column, 0]) if implied else known

    def take(self, rows: NDArray[np.bool_], column: int, *, implied: bool) -> Values:
        parts = (self.core, self.implied, self.others) if implied else (self.core, self.others)
        return np.concatenate([part[rows, column] for part in parts], axis=-1)


def _terms(spec: ExtendedHar, history: History) -> _Terms:
    # One instrument's own past needs no level to be measured from: the regression has a constant.
    level = history.features.level[..., None]
    return _Terms(
        old_enough=usable_rows(history),
        core=term_values(history, spec.core) + level,
        implied=term_values(history, [IMPLIED_TERM]) + level,
        others=term_values(history, spec.others),
    )


def _fit_local(x: Values, y: Values, *, realized: Values, n_free: int, penalty: float) -> LocalFit:
    scaler = fit_standardiser(x)
    # A ridge of one observation keeps the free terms apart where two of them nearly coincide.
    weight = np.where(scaler.usable < n_free, 1.0, penalty)
    weight = np.concatenate([weight, np.full(len(scaler.masked), penalty)])
    fit = fit_log_regression(scaler.transform(x), y, ratio=realized, penalty=weight)
    return LocalFit(scaler=scaler, fit=fit)
