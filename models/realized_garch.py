"""Realized GARCH: a GARCH model that is moved by the realised measure, and explains it.

Hansen, Huang and Shek (2012), Journal of Applied Econometrics 27(6), in logs. With the return
``r``, its variance ``h``, the realised measure ``x`` and ``z = (r - mu) / sqrt(h)``:

    log h' = omega + beta log h + gamma log x
    log x  = xi + phi log h + tau_1 z + tau_2 (z^2 - 1) + u

The second line carries the leverage and lets several periods be forecast. Given the first line,
the second is a regression: only three parameters are searched for.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.optimize import minimize

from ..errors import ConvergenceError, InputError, NotEnoughHistoryError
from ..features import History
from .forecast import Forecast, empty_variance

Values = NDArray[np.float64]

MIN_PERIODS = 250
"""Fewest periods a realized GARCH is fitted on."""

_WARM_UP = 20  # own periods of a window before its filter says anything
_START_PERIODS = 50  # whose variance is the first one
_STARTS = ((0.6, 0.35), (0.85, 0.13), (0.4, 0.5))  # beta, gamma
_BOUNDS = ((None, None), (0.0, 0.999), (1e-4, 1.5))  # omega, beta, gamma
_WORST = 1e10  # what the optimiser sees where a path explodes


@njit(cache=True)
def _log_variance(log_measure: Values, search: Values, start: float) -> Values:
    """Log variance of each period and of the one after the last, shape (n + 1,)."""
    omega, beta, gamma = search
    out = np.empty(len(log_measure) + 1)
    out[0] = start
    for t in range(len(log_measure)):
        out[t + 1] = omega + beta * out[t] + gamma * log_measure[t]
    return out


@njit(cache=True)
def _gradient(log_h: Values, log_measure: Values, slope: Values, beta: float) -> Values:
    """Differentiate a sum over periods, from its derivatives by each log variance."""
    total, d_omega, d_beta, d_gamma = np.zeros(3), 0.0, 0.0, 0.0
    for t in range(1, len(log_measure)):
        d_omega = 1.0 + beta * d_omega
        d_beta = log_h[t - 1] + beta * d_beta
        d_gamma = log_measure[t - 1] + beta * d_gamma
        total[0] += slope[t] * d_omega
        total[1] += slope[t] * d_beta
        total[2] += slope[t] * d_gamma
    return total


@dataclass(frozen=True, kw_only=True, eq=False)
class RealizedGarchFit:
    """Maximum-likelihood estimate on one series of returns divided by `scale`.

    Attributes
    ----------
    mu : float
        Mean of the scaled returns.
    omega, beta, gamma : float
        Of the variance.
    measurement : ndarray, shape (4,)
        ``xi, phi, tau_1, tau_2``.
    error_variance : float
        Variance of the measurement error ``u``.
    start : float
        First log variance.
    scale : float
        Decimal return that is one.
    shock : ndarray, shape (n,)
        ``tau_1 z + tau_2 (z^2 - 1) + u`` of the fit: what moves the variance beyond one period.
    log_likelihood : float
        Of scaled returns and log measures together, both normal.
    """

    mu: float
    omega: float
    beta: float
    gamma: float
    measurement: Values
    error_variance: float
    start: float
    scale: float
    shock: Values
    log_likelihood: float

    @property
    def persistence(self) -> float:
        """Weight of today's log variance in the expectation of tomorrow's."""
        return self.beta + self.gamma * float(self.measurement[1])

    def next_variance(self, log_measure: Values, *, horizons: tuple[int, ...]) -> Values:
        """Forecast after each period of a series that starts where the fit's did.

        Parameters
        ----------
        log_measure : ndarray, shape (n,)
            Log of the realised measure, decimal squared.
        horizons : tuple of int
            Increasing numbers of periods.

        Returns
        -------
        ndarray, shape (n, n_horizons)
            Expected variance of the sum of the next `horizon` returns, decimal squared.
        """
        search = np.array([self.omega, self.beta, self.gamma])
        log_h = _log_variance(log_measure - 2.0 * np.log(self.scale), search, self.start)[1:]
        out = np.empty((len(log_h), len(horizons)))
        total, level, weight, widening = np.zeros(len(log_h)), 0.0, 1.0, 1.0
        for ahead in range(1, horizons[-1] + 1):
            total += np.exp(level + weight * log_h) * widening
            if ahead in horizons:
                out[:, horizons.index(ahead)] = total
            # One more shock is on the way, and has `weight` of its effect left.
            widening *= float(np.mean(np.exp(self.gamma * weight * self.shock)))
            level += weight * (self.omega + self.gamma * float(self.measurement[0]))
            weight *= self.persistence
        return out * self.scale**2


def fit_realized_garch(log_return: Values, log_measure: Values) -> RealizedGarchFit:
    """Estimate by maximum likelihood from three starts, with the gradient written out.

    Parameters
    ----------
    log_return : ndarray, shape (n,)
        Decimal, finite, n >= 250.
    log_measure : ndarray, shape (n,)
        Log of the realised measure of the same periods, decimal squared, finite.

    Raises
    ------
    NotEnoughHistoryError
        If there are fewer than 250 periods.
    InputError
        If a value is not finite, or the returns do not vary.
    ConvergenceError
        If no start leads to a solution.
    """
    if len(log_return) < MIN_PERIODS:
        raise NotEnoughHistoryError(
            f"realized GARCH needs {MIN_PERIODS} periods, found {len(log_return)}"
        )
    not_finite = int(np.sum(~np.isfinite(log_return)) + np.sum(~np.isfinite(log_measure)))
    if not_finite or np.ptp(log_return) <= 1e-9 * np.max(np.abs(log_return)):
        raise InputError(
            f"log_return and log_measure must be finite and returns must vary, found {not_finite} "
            f"non-finite values among {len(log_return)} periods; drop these periods"
        )
    scale = float(np.std(log_return))
    scaled, measure = log_return / scale, log_measure - 2.0 * np.log(scale)
    residual = scaled - scaled.mean()
    start = float(np.log(np.mean(residual[:_START_PERIODS] ** 2) + 1e-3))
    level = float(measure.mean())
    results = []
    for beta, gamma in _STARTS:
        omega = -gamma * level + (1.0 - beta) * float(np.log(np.mean(residual**2)))
        results.append(
            minimize(
                _negative,
                np.array([omega, beta, gamma]),
                args=(residual, measure, start),
                jac=True,
                method="L-BFGS-B",
                bounds=_BOUNDS,
            )
        )
    best = min(results, key=lambda result: float(result.fun))
    if not best.success or best.fun >= _WORST:
        raise ConvergenceError(
            f"realized GARCH: the optimiser stopped without a solution ({best.message}); try a "
            "longer window"
        )
    log_h = _log_variance(measure, best.x, start)[:-1]
    z = residual * np.exp(-0.5 * log_h)
    measurement, error = _measurement(z, log_h, measure)
    return RealizedGarchFit(
        mu=float(scaled.mean()),
        omega=float(best.x[0]),
        beta=float(best.x[1]),
        gamma=float(best.x[2]),
        measurement=measurement,
        error_variance=float(np.mean(error**2)),
        start=start,
        scale=scale,
        shock=measure - measurement[0] - measurement[1] * log_h,
        log_likelihood=-float(best.fun),
    )


def _measurement(z: Values, log_h: Values, measure: Values) -> tuple[Values, Values]:
    """Regress the log measure; its coefficients and its errors."""
    x = np.stack([np.ones_like(z), log_h, z, z**2 - 1.0], axis=1)
    coefficient = np.linalg.lstsq(x, measure, rcond=None)[0]
    return np.asarray(coefficient, dtype=np.float64), np.asarray(measure - x @ coefficient)


def _negative(
    search: Values, residual: Values, measure: Values, start: float
) -> tuple[float, Values]:
    """Minus the log likelihood with the best measurement equation, and its gradient.

    At the best measurement equation its own derivatives are zero, so that only the direct effect
    of the log variances counts.
    """
    log_h = _log_variance(measure, search, start)[:-1]
    if not np.isfinite(log_h).all() or np.abs(log_h).max() > 50.0:
        return _WORST, np.zeros(3)
    z = residual * np.exp(-0.5 * log_h)
    coefficient, error = _measurement(z, log_h, measure)
    variance = float(np.mean(error**2))
    n = len(residual)
    value = 0.5 * float(np.sum(np.log(2.0 * np.pi) + log_h + z**2))
    value += 0.5 * n * (np.log(2.0 * np.pi * variance) + 1.0)
    # d z / d log h = -z / 2, hence d error / d log h = -phi + tau_1 z / 2 + tau_2 z^2
    d_error = -coefficient[1] + 0.5 * coefficient[2] * z + coefficient[3] * z**2
    slope = 0.5 * (1.0 - z**2) + error * d_error / variance
    return value, _gradient(log_h, measure, slope, float(search[1]))


@dataclass(frozen=True, kw_only=True)
class RealizedGarch:
    """A realized GARCH for every instrument by itself.

    The realised measure is the panel's: sums of squared returns inside the period where there are
    any, ranges or squared returns otherwise.

    Attributes
    ----------
    window : int
        Most recent own periods that a fit uses.
    refit_days : int
        Calendar days between two fits.
    """

    window: int = 2_500
    refit_days: int = 91

    @property
    def name(self) -> str:
        """``realized-garch``."""
        return "realized-garch"

    def fit(self, history: History, *, rng: np.random.Generator) -> "FittedRealizedGarch":
        """Fit every instrument that has 250 periods; note each fit that does not converge."""
        fits: dict[str, tuple[RealizedGarchFit, int]] = {}
        notes: list[str] = []
        for i, instrument in enumerate(history.panel.instruments):
            rows, log_return, log_measure = _series(history, i)
            first = max(0, len(rows) - self.window)
            if len(rows) < MIN_PERIODS:
                continue  # no forecast, which the tables show as NaN
            try:
                estimate = fit_realized_garch(log_return[first:], log_measure[first:])
            except (ConvergenceError, InputError) as error:
                notes.append(f"{instrument}, {len(rows)} periods: {error}")
                continue
            fits[instrument] = (estimate, int(rows[first]))
        return FittedRealizedGarch(spec=self, fits=fits, notes=tuple(notes))


@dataclass(frozen=True, kw_only=True, eq=False)
class FittedRealizedGarch:
    """Estimates per instrument, with the panel row each window starts in.

    Attributes
    ----------
    spec : RealizedGarch
        What was fitted.
    fits : mapping of str to (RealizedGarchFit, int)
        Estimate and first panel row of its window; instruments without one have no forecast.
    notes : tuple of str
        Fits that did not converge.
    """

    spec: RealizedGarch
    fits: Mapping[str, tuple[RealizedGarchFit, int]]
    notes: tuple[str, ...]

    def forecast(self, history: History, *, origins: slice) -> Forecast:
        """Filter from the start of each window; forecast from each origin."""
        past = history.upto(origins.stop)
        panel, horizons = past.panel, history.horizons
        variance = empty_variance(panel.n_periods, panel.n_instruments, len(horizons))
        for i, instrument in enumerate(panel.instruments):
            if instrument not in self.fits:
                continue
            estimate, first_row = self.fits[instrument]
            rows, _, log_measure = _series(past, i)
            inside = rows >= first_row
            ahead = estimate.next_variance(log_measure[inside], horizons=horizons)
            variance[rows[inside][_WARM_UP:], i] = ahead[_WARM_UP:]
        return Forecast(
            model=self.spec.name,
            origin=panel.time[origins],
            instruments=panel.instruments,
            horizons=horizons,
            variance=variance[origins],
        )


def _series(history: History, column: int) -> tuple[NDArray[np.intp], Values, Values]:
    """Rows with a return and a measure, and both there."""
    features = history.features
    # The floored measure: a period in which nothing moved has no log.
    log_measure = features.column("log_variance_last")[:, column] + features.level[:, column]
    log_return = history.panel.log_return[:, column]
    rows = np.flatnonzero(np.isfinite(log_return) & np.isfinite(log_measure))
    return rows, log_return[rows], log_measure[rows]
