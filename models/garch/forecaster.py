"""GARCH, GJR and EGARCH with normal, t and skew-t errors, estimated by `arch`.

`arch` estimates; the filter and the expectations over several periods are ours
(:mod:`.recursion`), so that thousands of origins cost one pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from arch.univariate import EGARCH, GARCH, ConstantMean, Normal, SkewStudent, StudentsT
from arch.univariate.volatility import VolatilityProcess
from numpy.typing import NDArray

from ...errors import ConvergenceError, InputError, NotEnoughHistoryError
from ...features import History
from ..forecast import Forecast, empty_variance
from .recursion import (
    MEAN_ABSOLUTE_NORMAL,
    egarch_horizon_variance,
    egarch_log_variance,
    gjr_horizon_variance,
    gjr_variance,
)

MIN_RETURNS = 250
"""Fewest returns a GARCH model is fitted on."""

_TYPICAL = {"mu": 0.0, "omega": 0.05, "alpha[1]": 0.05, "gamma[1]": 0.0, "beta[1]": 0.9}
_TYPICAL_LOG = {"mu": 0.0, "omega": 0.0, "alpha[1]": 0.1, "gamma[1]": 0.0, "beta[1]": 0.95}

_EXPLOSION = 1e4  # times the largest squared return that no expected variance per period exceeds

_OPTIONS = {"maxiter": 1_000}  # ten times the optimiser's default, which EGARCH sometimes reaches


class Volatility(StrEnum):
    """Which recursion the variance follows."""

    GARCH = "garch"
    GJR = "gjr"
    EGARCH = "egarch"


class Distribution(StrEnum):
    """Which law the standardised residuals follow."""

    NORMAL = "normal"
    T = "t"
    SKEW_T = "skewt"


class StartVariance(StrEnum):
    """What stands for the variance before the first observation."""

    EXPONENTIAL = "exponential"
    """Exponentially weighted mean of the first 75 squared residuals (the default of `arch`)."""
    MEAN_SQUARE = "mean-square"
    """Mean squared residual at the current mean (Fiorentini, Calzolari and Panattoni 1996)."""


class _MeanSquareGarch(GARCH):
    """GARCH whose start-up variance moves with the mean, as the published benchmarks have it."""

    def compute_variance(
        self,
        parameters: Any,
        resids: Any,
        sigma2: Any,
        backcast: Any,
        var_bounds: Any,
    ) -> Any:
        start = float(np.mean(np.square(resids)))
        return super().compute_variance(parameters, resids, sigma2, start, var_bounds)


class _MeanSquareEgarch(EGARCH):
    """EGARCH with the same start; its presample value is a log variance."""

    def compute_variance(
        self,
        parameters: Any,
        resids: Any,
        sigma2: Any,
        backcast: Any,
        var_bounds: Any,
    ) -> Any:
        start = float(np.log(np.mean(np.square(resids))))
        return super().compute_variance(parameters, resids, sigma2, start, var_bounds)


@dataclass(frozen=True, kw_only=True)
class GarchFit:
    """Maximum-likelihood estimate on one series.

    Attributes
    ----------
    volatility : Volatility
        The recursion.
    mu : float
        Mean log return per period, decimal.
    omega, alpha, gamma, beta : float
        Parameters of the recursion for returns divided by `scale`; gamma is 0 for GARCH.
    start : float
        Presample variance (log variance for EGARCH) of returns divided by `scale`.
    scale : float
        Decimal return that the optimiser saw as one.
    down_moment : float
        ``E[z² 1{z < 0}]`` of the standardised residuals: one half if they are symmetric.
    news : ndarray, shape (n,)
        Shock term ``alpha (|z| - sqrt(2/pi)) + gamma z`` of each residual of the fit; only EGARCH
        uses it.
    log_likelihood : float
        Of the unscaled returns.
    parameters : dict
        All estimates by name, in units of `scale`.
    """

    volatility: Volatility
    mu: float
    omega: float
    alpha: float
    gamma: float
    beta: float
    start: float
    scale: float
    down_moment: float
    news: NDArray[np.float64]
    log_likelihood: float
    parameters: Mapping[str, float]

    def next_variance(
        self, log_return: NDArray[np.float64], *, horizons: tuple[int, ...]
    ) -> NDArray[np.float64]:
        """Forecast after each return of a series that starts where the fit's did.

        Parameters
        ----------
        log_return : ndarray, shape (n,)
            Decimal, per period.
        horizons : tuple of int
            Increasing numbers of periods.

        Returns
        -------
        ndarray, shape (n, n_horizons)
            Variance of the sum of the next `horizon` returns, decimal squared.
        """
        residual = (log_return - self.mu) / self.scale
        if self.volatility is Volatility.EGARCH:
            log_variance = egarch_log_variance(
                residual, self.omega, self.alpha, self.gamma, self.beta, self.start
            )
            out = egarch_horizon_variance(
                log_variance[1:],
                omega=self.omega,
                beta=self.beta,
                news=self.news,
                horizons=horizons,
            )
        else:
            variance = gjr_variance(
                residual, self.omega, self.alpha, self.gamma, self.beta, self.start
            )
            out = gjr_horizon_variance(
                variance[1:],
                omega=self.omega,
                persistence=self.alpha + self.beta + self.gamma * self.down_moment,
                horizons=horizons,
            )
        return out * self.scale**2


def fit_garch(
    log_return: NDArray[np.float64],
    *,
    volatility: Volatility = Volatility.GARCH,
    distribution: Distribution = Distribution.NORMAL,
    start_variance: StartVariance = StartVariance.EXPONENTIAL,
) -> GarchFit:
    """Estimate a model with a constant mean by maximum likelihood.

    Parameters
    ----------
    log_return : ndarray, shape (n,)
        Decimal, per period, finite, n >= 250.
    volatility : Volatility
        The recursion; one lag of each term.
    distribution : Distribution
        The law of the standardised residuals.
    start_variance : StartVariance
        What stands before the first observation.

    Raises
    ------
    NotEnoughHistoryError
        If there are fewer than 250 returns.
    InputError
        If a return is not finite, or all are equal.
    ConvergenceError
        If the optimiser stops without a solution from two starts.
    """
    if len(log_return) < MIN_RETURNS:
        raise NotEnoughHistoryError(
            f"a GARCH model needs {MIN_RETURNS} returns, found {len(log_return)}"
        )
    not_finite = int(np.sum(~np.isfinite(log_return)))
    # Returns that differ by rounding alone do not vary.
    if not_finite or np.ptp(log_return) <= 1e-9 * np.max(np.abs(log_return)):
        raise InputError(
            f"log_return must be finite and must vary, found {not_finite} non-finite values among "
            f"{len(np.unique(log_return))} different ones; drop the first return, or the instrument"
        )
    scale = float(np.std(log_return))
    # The optimiser wants a series of scale about one; nothing outside ever sees it.
    scaled = log_return / scale
    process = _process(volatility, start_variance)
    model = ConstantMean(scaled, volatility=process, distribution=_law(distribution), rescale=False)
    result = _estimate(model, name=f"{volatility}-{distribution}")
    return _garch_fit(result, scaled, volatility, start_variance, scale)


def _process(volatility: Volatility, start: StartVariance) -> VolatilityProcess:
    mean_square = start is StartVariance.MEAN_SQUARE
    if volatility is Volatility.EGARCH:
        return _MeanSquareEgarch(p=1, o=1, q=1) if mean_square else EGARCH(p=1, o=1, q=1)
    o = 1 if volatility is Volatility.GJR else 0
    return _MeanSquareGarch(p=1, o=o, q=1) if mean_square else GARCH(p=1, o=o, q=1)


def _law(distribution: Distribution) -> Normal | StudentsT | SkewStudent:
    if distribution is Distribution.NORMAL:
        return Normal()
    return StudentsT() if distribution is Distribution.T else SkewStudent()


def _estimate(model: ConstantMean, *, name: str) -> Any:
    result = model.fit(disp="off", show_warning=False, options=_OPTIONS)
    if result.convergence_flag != 0:
        # A second start, at values typical of returns, saves most of the failures.
        typical = _TYPICAL_LOG if isinstance(model.volatility, EGARCH) else _TYPICAL
        names = [str(name) for name in result.params.index]
        again = [typical.get(name, float(result.params[name])) for name in names]
        result = model.fit(
            disp="off", show_warning=False, starting_values=np.array(again), options=_OPTIONS
        )
    if result.convergence_flag != 0 or not np.isfinite(result.loglikelihood):
        raise ConvergenceError(
            f"{name}: the optimiser stopped with flag {result.convergence_flag} "
            f"({result.optimization_result.message}); try a longer window or another distribution"
        )
    return result


def _garch_fit(
    result: Any,
    scaled: NDArray[np.float64],
    volatility: Volatility,
    start_variance: StartVariance,
    scale: float,
) -> GarchFit:
    parameters = {str(name): float(value) for name, value in result.params.items()}
    residual = scaled - parameters["mu"]
    z = residual / np.asarray(result.conditional_volatility, dtype=float)
    alpha, gamma = parameters["alpha[1]"], parameters.get("gamma[1]", 0.0)
    log_scale = volatility is Volatility.EGARCH
    if start_variance is StartVariance.MEAN_SQUARE:
        mean_square = float(np.mean(residual**2))
        start = float(np.log(mean_square)) if log_scale else mean_square
    else:
        # `arch` takes it at the sample mean, before it estimates one.
        start = float(result.model.volatility.backcast(scaled - scaled.mean()))
    return GarchFit(
        volatility=volatility,
        mu=parameters["mu"] * scale,
        omega=parameters["omega"],
        alpha=alpha,
        gamma=gamma,
        beta=parameters["beta[1]"],
        start=start,
        scale=scale,
        down_moment=float(np.mean(z**2 * (z < 0)) / np.mean(z**2)),
        news=alpha * (np.abs(z) - MEAN_ABSOLUTE_NORMAL) + gamma * z,
        log_likelihood=float(result.loglikelihood) - len(scaled) * float(np.log(scale)),
        parameters=parameters,
    )


@dataclass(frozen=True, kw_only=True)
class Garch:
    """A model of the GARCH family for every instrument by itself.

    Attributes
    ----------
    volatility : Volatility
        The recursion.
    distribution : Distribution
        The law of the standardised residuals.
    window : int
        Most recent own periods that a fit uses.
    refit_days : int
        Calendar days between two fits.
    """

    volatility: Volatility = Volatility.GARCH
    distribution: Distribution = Distribution.NORMAL
    window: int = 2_500
    refit_days: int = 91

    @property
    def name(self) -> str:
        """``gjr-t``: the recursion and the law."""
        return f"{self.volatility}-{self.distribution}"

    def fit(self, history: History, *, rng: np.random.Generator) -> "FittedGarch":
        """Fit every instrument that has enough returns; note each fit that does not converge.

        Such an instrument is fitted with normal errors instead; if that does not converge
        either, it has no forecast until the next fit.
        """
        fits: dict[str, tuple[GarchFit, int]] = {}
        notes: list[str] = []
        for i, instrument in enumerate(history.panel.instruments):
            rows, log_return = _returns(history, i)
            first = max(0, len(rows) - self.window)
            if len(rows) < MIN_RETURNS:
                continue  # no forecast, which the tables show as NaN
            for law in (self.distribution, Distribution.NORMAL):
                try:
                    estimate = fit_garch(
                        log_return[first:], volatility=self.volatility, distribution=law
                    )
                    _check_expectations(estimate, log_return[first:], history.horizons)
                except (ConvergenceError, InputError) as error:
                    # The quasi-likelihood with normal errors estimates the same variance.
                    notes.append(f"{instrument}, {len(rows)} returns: {error}")
                    continue
                fits[instrument] = (estimate, int(rows[first]))
                break
        return FittedGarch(spec=self, fits=fits, notes=tuple(notes))


@dataclass(frozen=True, kw_only=True)
class FittedGarch:
    """Estimates per instrument, with the panel row each window starts in.

    Attributes
    ----------
    spec : Garch
        What was fitted.
    fits : mapping of str to (GarchFit, int)
        Estimate and first panel row of its window; instruments without one have no forecast.
    notes : tuple of str
        Fits that did not converge.
    """

    spec: Garch
    fits: Mapping[str, tuple[GarchFit, int]]
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
            rows, log_return = _returns(past, i)
            inside = rows >= first_row
            variance[rows[inside], i] = estimate.next_variance(
                log_return[inside], horizons=horizons
            )
        return Forecast(
            model=self.spec.name,
            origin=panel.time[origins],
            instruments=panel.instruments,
            horizons=horizons,
            variance=variance[origins],
        )


def _check_expectations(
    estimate: GarchFit, log_return: NDArray[np.float64], horizons: tuple[int, ...]
) -> None:
    """Refuse an estimate whose expected variances explode over the horizons on its own data."""
    with np.errstate(over="ignore"):
        expected = estimate.next_variance(log_return, horizons=horizons) / np.array(horizons)
    highest = _EXPLOSION * float(np.max(log_return**2))
    if not (expected <= highest).all():
        raise ConvergenceError(
            f"{estimate.volatility}: the expected variance must stay below {_EXPLOSION:g} times "
            f"the largest squared return over {horizons[-1]} periods, but explodes; the data do "
            "not fit this recursion"
        )


def _returns(history: History, column: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    log_return = history.panel.log_return[:, column]
    rows = np.flatnonzero(np.isfinite(log_return))
    return rows, log_return[rows]
