"""Pooled stress: densities of the variance and of the illiquidity ahead, for all instruments.

Stress is variance above a threshold known now, liquidity stress is illiquidity above one. Both
probabilities are read off the density of a pooled ridge regression: its mean, the size of its
errors (which depends on the state of the market) and their shape.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import NotEnoughHistoryError
from ...features import History, Standardiser, fit_standardiser
from ..forecast import Forecast
from ..pooled import usable_rows
from ..regressions.log_regression import log_target
from ..regressions.pooled_har import MIN_ROWS
from .density import DensityRegression, fit_density
from .inputs import ILLIQUIDITY_FEATURES, VARIANCE_FEATURES, make_inputs

Array = NDArray[np.float64]
Rows = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class PooledStress:
    """Densities of variance and illiquidity, and the probabilities of stress in them.

    Attributes
    ----------
    penalty : float
        Ridge penalty of the means, in observations.
    size_penalty : float
        Ridge penalty of the sizes of the errors; the larger, the more alike they are.
    variance_features, illiquidity_features : tuple of str
        Names of :data:`foremargin.features.ALL_FEATURES` that each is regressed on, beside
        weekdays.
    refit_days : int
        Calendar days between two fits.
    """

    penalty: float = 60.0
    size_penalty: float = 200.0
    variance_features: tuple[str, ...] = VARIANCE_FEATURES
    illiquidity_features: tuple[str, ...] = ILLIQUIDITY_FEATURES
    refit_days: int = 28

    @property
    def name(self) -> str:
        """``stress-pooled``."""
        return "stress-pooled"

    def fit(self, history: History, *, rng: np.random.Generator) -> "FittedPooledStress":
        """Regress on the rows of all instruments.

        Raises
        ------
        NotEnoughHistoryError
            If fewer than 500 rows have a known variance ahead. With fewer that have a known
            illiquidity there is no probability of liquidity stress.
        """
        rows = usable_rows(history)
        variance = self._fit(
            history,
            rows=rows,
            names=self.variance_features,
            outcomes=[log_target(history, horizon) for horizon in history.horizons],
        )
        if variance is None:
            raise NotEnoughHistoryError(
                f"{self.name} needs {MIN_ROWS} rows with a known outcome at every horizon; start "
                "the forecasts later or add instruments"
            )
        illiquidity = self._fit(
            history,
            rows=rows,
            names=self.illiquidity_features,
            outcomes=list(np.moveaxis(history.targets.illiquidity, -1, 0)),
        )
        return FittedPooledStress(spec=self, variance=variance, illiquidity=illiquidity)

    def _fit(
        self, history: History, *, rows: Rows, names: Sequence[str], outcomes: Sequence[Array]
    ) -> "PooledDensity | None":
        """Fit one density per horizon; None where one has too few rows."""
        inputs = make_inputs(history, names)
        scaler = fit_standardiser(inputs[rows])
        fits = []
        for horizon, outcome in zip(history.horizons, outcomes, strict=True):
            used = rows & np.isfinite(outcome)
            if used.sum() < MIN_ROWS:
                return None
            fits.append(
                fit_density(
                    scaler.transform(inputs[used]),
                    outcome[used],
                    np.nonzero(used)[1],
                    instruments=history.panel.instruments,
                    horizon=horizon,
                    penalty=self.penalty,
                    size_penalty=self.size_penalty,
                )
            )
        return PooledDensity(scaler=scaler, fits=tuple(fits))


@dataclass(frozen=True, kw_only=True)
class PooledDensity:
    """One density per horizon, and the scaling of its inputs.

    Attributes
    ----------
    scaler : Standardiser
        Learnt on the training rows.
    fits : tuple of DensityRegression
        One per horizon, on standardised inputs.
    """

    scaler: Standardiser
    fits: tuple[DensityRegression, ...]


@dataclass(frozen=True, kw_only=True)
class FittedPooledStress:
    """The densities, ready to forecast.

    Attributes
    ----------
    spec : PooledStress
        What was fitted.
    variance : PooledDensity
        Of the log variance per period relative to the level.
    illiquidity : PooledDensity or None
        Of the detrended log Amihud illiquidity; None if too little of it was known.
    """

    spec: PooledStress
    variance: PooledDensity
    illiquidity: PooledDensity | None

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing to note."""
        return ()

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        """Evaluate the densities at each origin."""
        panel, targets = history.panel, history.targets
        rows = usable_rows(history)[origins]
        column = np.nonzero(rows)[1]
        level = history.features.level[origins][rows]
        variance, stress = np.full((2, *rows.shape, len(history.horizons)), np.nan)
        x = self.variance.scaler.transform(
            make_inputs(history, self.spec.variance_features)[origins][rows]
        )
        for k, (horizon, fit) in enumerate(zip(history.horizons, self.variance.fits, strict=True)):
            base = np.log(horizon) + level
            log_ratio = fit.mean(x, column, panel.instruments)
            variance[rows, k] = np.exp(log_ratio + base) * fit.location.correction
            threshold = np.log(targets.stress_threshold[origins][rows][:, k]) - base
            stress[rows, k] = fit.exceedance(x, column, panel.instruments, threshold=threshold)
        return Forecast(
            model=self.spec.name,
            origin=panel.time[origins],
            instruments=panel.instruments,
            horizons=history.horizons,
            variance=variance,
            stress_probability=stress,
            liquidity_stress_probability=self._liquidity(history, origins, rows),
        )

    def _liquidity(self, history: History, origins: slice, rows: Rows) -> Array:
        """Probability of liquidity stress; NaN where there is no volume or no threshold yet."""
        out = np.full((*rows.shape, len(history.horizons)), np.nan)
        if self.illiquidity is None:
            return out
        inputs = make_inputs(history, self.spec.illiquidity_features)[origins]
        x, column = self.illiquidity.scaler.transform(inputs[rows]), np.nonzero(rows)[1]
        for k, fit in enumerate(self.illiquidity.fits):
            threshold = history.targets.illiquidity_threshold[origins][rows][:, k]
            out[rows, k] = fit.exceedance(x, column, history.panel.instruments, threshold=threshold)
        return out
