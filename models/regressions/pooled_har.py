"""Pooled log-HAR: one ridge regression for all instruments, each around its own long-run level.

Bollerslev, Hood, Huss and Pedersen (2018), Review of Financial Studies 31(7). It sees every
feature of the network and is its linear skip, so that the two differ by the network alone. Its
coefficients are those of least squares on logs, or are trained further by QLIKE.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import NotEnoughHistoryError
from ...features import History, Standardiser, fit_standardiser
from ..forecast import Forecast, empty_variance
from ..offsets import late_offsets, log_offsets, unseen
from ..pooled import usable_rows
from .log_regression import LogFit, fit_log_regression, log_target
from .qlike_training import train_qlike

MIN_ROWS = 500
"""Fewest pooled rows a pooled model is fitted on."""


@dataclass(frozen=True, kw_only=True)
class PooledHar:
    """All features, all instruments, one regression per horizon.

    Attributes
    ----------
    penalty : float
        Ridge penalty, in observations.
    qlike_prior : float or None
        None for least squares on logs; else the coefficients are trained by QLIKE from there, and
        this is the weight of the start, in origins per period of the horizon.
    refit_days : int
        Calendar days between two fits.
    """

    penalty: float = 20.0
    qlike_prior: float | None = None
    refit_days: int = 28

    @property
    def name(self) -> str:
        """``har-pooled``, or ``har-pooled-qlike``."""
        return "har-pooled" if self.qlike_prior is None else "har-pooled-qlike"

    def fit(self, history: History, *, rng: np.random.Generator) -> "FittedPooledHar":
        """Regress on the rows of all instruments."""
        skip = fit_pooled(
            history,
            rows=usable_rows(history),
            penalty=self.penalty,
            qlike_prior=self.qlike_prior,
        )
        return FittedPooledHar(spec=self, regression=skip)


@dataclass(frozen=True, kw_only=True)
class PooledRegression:
    """One regression per horizon, the scaling of its inputs, and what sets instruments apart.

    Attributes
    ----------
    scaler : Standardiser
        Scaling learnt on the training rows.
    fits : tuple of LogFit
        One per horizon, on standardised inputs.
    log_offset : mapping of str to ndarray, shape (n_horizons,)
        Log of the bias that the pooled regression has for one instrument, shrunk to zero.
        Instruments that were not seen have none.
    """

    scaler: Standardiser
    fits: tuple[LogFit, ...]
    log_offset: Mapping[str, NDArray[np.float64]]

    def predict_log(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predict the log variance per period relative to level and offset.

        Shape (n, n_horizons), for features of shape (n, n_features).
        """
        x = self.scaler.transform(values)
        return np.stack([np.log(fit.predict(x)) for fit in self.fits], axis=-1)

    def offsets(self, instruments: tuple[str, ...]) -> NDArray[np.float64]:
        """Return the log offsets, shape (n_instruments, n_horizons)."""
        none = np.zeros(len(self.fits))
        return np.stack([self.log_offset.get(name, none) for name in instruments])


@dataclass(frozen=True, kw_only=True)
class FittedPooledHar:
    """The pooled regression, ready to forecast.

    Attributes
    ----------
    spec : PooledHar
        What was fitted.
    regression : PooledRegression
        The estimates.
    """

    spec: PooledHar
    regression: PooledRegression

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing to note."""
        return ()

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        """Apply the regressions at each origin."""
        panel = history.panel
        rows = usable_rows(history)[origins]
        offset = self.regression.offsets(panel.instruments)[np.nonzero(rows)[1]]  # (B, H)
        offset = offset + self._late_offsets(history, origins)[rows]
        log_base = history.features.level[origins][rows][:, None] + offset
        log_ratio = self.regression.predict_log(history.features.values[origins][rows])
        variance = empty_variance(len(rows), panel.n_instruments, len(history.horizons))
        variance[rows] = np.exp(log_ratio + log_base) * np.array(history.horizons)
        return Forecast(
            model=self.spec.name,
            origin=panel.time[origins],
            instruments=panel.instruments,
            horizons=history.horizons,
            variance=variance,
        )

    def _late_offsets(self, history: History, origins: slice) -> NDArray[np.float64]:
        """Offsets of instruments that the fit has not seen, from their own past since."""
        past = usable_rows(history)[: origins.stop]
        past = past & unseen(history, self.regression.log_offset)
        log_ratio = np.full((*past.shape, len(history.horizons)), np.nan)
        log_ratio[past] = self.regression.predict_log(history.features.values[: len(past)][past])
        return late_offsets(history, log_ratio, origins=origins)


def fit_pooled(
    history: History,
    *,
    rows: NDArray[np.bool_],
    penalty: float,
    qlike_prior: float | None = None,
) -> PooledRegression:
    """Fit the regressions of all horizons on these rows of the pooled table.

    Parameters
    ----------
    history : History
        What is known.
    rows : ndarray of bool, shape (n_periods, n_instruments)
        Origins to learn from; those whose outcome is not known are left out.
    penalty, qlike_prior : float
        See :class:`PooledHar`.

    Raises
    ------
    NotEnoughHistoryError
        If fewer than 500 rows have a known outcome.
    """
    scaler = fit_standardiser(history.features.values[rows])
    panel = history.panel
    fits, log_offset = [], np.zeros((panel.n_instruments, len(history.horizons)))
    for k, horizon in enumerate(history.horizons):
        y = log_target(history, horizon)
        used = rows & np.isfinite(y)
        if used.sum() < MIN_ROWS:
            raise NotEnoughHistoryError(
                f"a pooled model needs {MIN_ROWS} rows with a known outcome at horizon {horizon}, "
                f"found {int(used.sum())}; start the forecasts later or add instruments"
            )
        x = scaler.transform(history.features.values[used])
        ratio = history.targets.variance[used, k] / (horizon * np.exp(history.features.level[used]))
        fit = fit_log_regression(x, y[used], ratio=ratio, penalty=penalty)
        if qlike_prior is not None:
            per_origin = used.sum() / used.any(axis=1).sum()
            prior = qlike_prior * horizon * float(per_origin)
            fit = train_qlike(fit, x, y[used], ratio=ratio, prior=prior)
        fits.append(fit)
        column = np.nonzero(used)[1]
        log_offset[:, k] = log_offsets(ratio / fit.predict(x), column, panel.n_instruments)
    by_name = dict(zip(panel.instruments, log_offset, strict=True))
    return PooledRegression(scaler=scaler, fits=tuple(fits), log_offset=by_name)
