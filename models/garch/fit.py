"""The estimate of one series, which filters new returns and forecasts from each of them."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .kernel_rows import rescale
from .options import ALL_PARAMETERS, GarchModel, Mean, StartVariance, Volatility
from .recursion import (
    MEAN_ABSOLUTE_NORMAL,
    egarch_horizon_variance,
    egarch_log_variance,
    gjr_horizon_variance,
    gjr_variance,
)

Array = NDArray[np.float64]


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
        Decimal return that the estimation saw as one.
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
    news: Array
    log_likelihood: float
    parameters: Mapping[str, float]

    def next_variance(self, log_return: Array, *, horizons: tuple[int, ...]) -> Array:
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
        level = self._filter(log_return)[1:]
        if self.volatility is Volatility.EGARCH:
            out = egarch_horizon_variance(
                level, omega=self.omega, beta=self.beta, news=self.news, horizons=horizons
            )
        else:
            out = gjr_horizon_variance(
                level,
                omega=self.omega,
                persistence=self.alpha + self.beta + self.gamma * self.down_moment,
                horizons=horizons,
            )
        return out * self.scale**2

    def standardized_residuals(self, log_return: Array) -> Array:
        """Return residuals over their conditional deviations, for the same series; shape (n,)."""
        level = self._filter(log_return)[:-1]
        egarch = self.volatility is Volatility.EGARCH
        deviation = np.exp(0.5 * level) if egarch else np.sqrt(level)
        out: Array = (log_return - self.mu) / self.scale / deviation
        return out

    def _filter(self, log_return: Array) -> Array:
        """Return the variance (its logarithm for EGARCH) of each period and the next, scaled."""
        residual = (log_return - self.mu) / self.scale
        recursion = egarch_log_variance if self.volatility is Volatility.EGARCH else gjr_variance
        out: Array = recursion(residual, self.omega, self.alpha, self.gamma, self.beta, self.start)
        return out


def garch_fit(
    model: GarchModel, theta: Array, log_return: Array, *, log_likelihood: float
) -> GarchFit:
    """Return the estimate of one series from its parameters in the units of its returns.

    Parameters
    ----------
    model : GarchModel
        What was estimated.
    theta : ndarray, shape (7,)
        One value for each of `ALL_PARAMETERS`.
    log_return : ndarray, shape (n,)
        What it was estimated on.
    log_likelihood : float
        At the estimate.
    """
    free_mean = model.mean is Mean.CONSTANT
    centre = float(np.mean(log_return)) if free_mean else 0.0
    scale = float(np.sqrt(np.mean((log_return - centre) ** 2)))
    own = theta.copy()
    rescale(own, 1.0 / scale, model.plan().volatility)
    named = dict(zip(ALL_PARAMETERS, (float(value) for value in own), strict=True))
    alpha, gamma = named["alpha"], named["gamma"]
    unknown = GarchFit(
        volatility=model.volatility,
        mu=float(theta[0]),
        omega=named["omega"],
        alpha=alpha,
        gamma=gamma,
        beta=named["beta"],
        start=_presample(model, named, (log_return - centre) / scale, log_return / scale),
        scale=scale,
        down_moment=0.5,
        news=np.empty(0),
        log_likelihood=log_likelihood,
        parameters={name: named[name] for name in model.param_names},
    )
    z = unknown.standardized_residuals(log_return)
    return GarchFit(
        **{
            **vars(unknown),
            "down_moment": float(np.mean(z**2 * (z < 0)) / np.mean(z**2)),
            "news": alpha * (np.abs(z) - MEAN_ABSOLUTE_NORMAL) + gamma * z,
        }
    )


def theta_of(fit: GarchFit) -> Array:
    """Return the parameters in the units of the returns, one for each of `ALL_PARAMETERS`."""
    theta = np.array([fit.parameters.get(name, 0.0) for name in ALL_PARAMETERS])
    rescale(theta, fit.scale, list(Volatility).index(fit.volatility))
    return theta


def _presample(
    model: GarchModel, named: Mapping[str, float], centred: Array, scaled: Array
) -> float:
    """Return the variance before the data, or for EGARCH its logarithm."""
    egarch = model.volatility is Volatility.EGARCH
    if model.start_variance is StartVariance.EXPONENTIAL:
        # As `arch` has it: around the sample mean, before one is estimated.
        first = centred[:75]
        weight = 0.94 ** np.arange(len(first))
        start = float(weight @ first**2 / weight.sum())
        return float(np.log(start)) if egarch else start
    start = float(np.mean((scaled - named["mu"]) ** 2))
    if not egarch:
        return start
    # Its presample residual is zero; the filter knows no presample news, so it goes in here.
    return float(np.log(start) - named["alpha"] * MEAN_ABSOLUTE_NORMAL / max(named["beta"], 1e-9))
