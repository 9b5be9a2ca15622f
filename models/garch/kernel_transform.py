"""From free coordinates to the parameters of a model and back, compiled.

An optimiser that moves freely needs coordinates without bounds. Those of GARCH and GJR form a
simplex: the news of rises, the news of falls and beta are not negative and together (half of each
news) at most one. Squared sines cut it up:

    persistence = sin² x, news = persistence sin² y, news of falls = news sin² w.

On a bound a squared sine is flat while its curvature is not, so that solutions without news, or
with a persistence of one, are ordinary stationary points; exponentials would put them at infinity.
"""

from math import asin, cos, exp, log, sin, sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .kernel_laws import NORMAL, SKEWED, STUDENT
from .kernel_passes import EGARCH, GARCH, GJR, Series

LARGEST_PERSISTENCE = 1.0 + 1e-5
BELOW_NO_NEWS = 5e-5
"""Persistence may pass one, and the news of falls zero (as a share of all news), by so little that
no forecast shows it: the solver in `arch` does, and is not to be beaten by that."""

LOWEST_OMEGA = 1e-8  # in units of the variance of the series, as `arch` has it
SMALLEST_NU = 2.05
LARGEST_NU = 500.0
LARGEST_SKEWED_NU = 300.0
LARGEST_SKEW = 0.9999


@njit(error_model="numpy")
def n_free(series: Series) -> int:
    """Count the parameters that are estimated."""
    volatility = 3 if series.volatility == GARCH else 4
    return volatility + series.law + (1 if series.free_mean else 0)


@njit(error_model="numpy")
def _nu_bounds(law: int) -> tuple[float, float]:
    return 1.0 / (LARGEST_NU if law == STUDENT else LARGEST_SKEWED_NU), 1.0 / SMALLEST_NU


@njit(error_model="numpy")
def to_theta(
    x: NDArray[np.float64],
    series: Series,
    theta: NDArray[np.float64],
    jacobian: NDArray[np.float64],
) -> None:
    """Write the seven parameters at `x`, and their derivatives, shape (7, n_free)."""
    jacobian[:] = 0.0
    theta[:] = 0.0
    k = 0
    if series.free_mean:
        theta[0] = x[0]
        jacobian[0, 0] = 1.0
        k = 1
    if series.volatility == EGARCH:
        theta[1], theta[2], theta[3] = x[k], x[k + 1], x[k + 2]
        jacobian[1, k] = jacobian[2, k + 1] = jacobian[3, k + 2] = 1.0
        theta[4] = sin(x[k + 3]) ** 2
        jacobian[4, k + 3] = sin(2.0 * x[k + 3])
        k += 4
    else:
        k = _to_simplex(x, k, series.volatility == GJR, theta, jacobian)
    if series.law != NORMAL:
        low, high = _nu_bounds(series.law)
        nu = 1.0 / (low + (high - low) * sin(x[k]) ** 2)
        theta[5] = nu
        jacobian[5, k] = -nu * nu * (high - low) * sin(2.0 * x[k])
    if series.law == SKEWED:
        theta[6] = LARGEST_SKEW * sin(x[k + 1])
        jacobian[6, k + 1] = LARGEST_SKEW * cos(x[k + 1])


@njit(error_model="numpy")
def _to_simplex(
    x: NDArray[np.float64],
    k: int,
    asymmetric: bool,
    theta: NDArray[np.float64],
    jacobian: NDArray[np.float64],
) -> int:
    above = exp(min(x[k], 50.0))
    theta[1] = LOWEST_OMEGA + above
    jacobian[1, k] = above
    whole = LARGEST_PERSISTENCE * sin(x[k + 1]) ** 2
    d_whole = LARGEST_PERSISTENCE * sin(2.0 * x[k + 1])
    share, d_share = sin(x[k + 2]) ** 2, sin(2.0 * x[k + 2])
    theta[4] = whole * (1.0 - share)
    jacobian[4, k + 1], jacobian[4, k + 2] = d_whole * (1.0 - share), -whole * d_share
    news, news_1, news_2 = whole * share, d_whole * share, whole * d_share
    if not asymmetric:
        theta[2], jacobian[2, k + 1], jacobian[2, k + 2] = news, news_1, news_2
        return k + 3
    fall = (1.0 + BELOW_NO_NEWS) * sin(x[k + 3]) ** 2 - BELOW_NO_NEWS
    d_fall = (1.0 + BELOW_NO_NEWS) * sin(2.0 * x[k + 3])
    rises, lean = 2.0 * (1.0 - fall), 2.0 * (2.0 * fall - 1.0)
    theta[2], theta[3] = rises * news, lean * news
    jacobian[2, k + 1], jacobian[3, k + 1] = rises * news_1, lean * news_1
    jacobian[2, k + 2], jacobian[3, k + 2] = rises * news_2, lean * news_2
    jacobian[2, k + 3], jacobian[3, k + 3] = -2.0 * d_fall * news, 4.0 * d_fall * news
    return k + 4


@njit(error_model="numpy")
def _angle(share: float) -> float:
    """Return the angle whose squared sine it is, kept off the bounds, where nothing would move."""
    return asin(sqrt(min(max(share, 1e-4), 1.0 - 1e-4)))


@njit(error_model="numpy")
def to_free(theta: NDArray[np.float64], series: Series, x: NDArray[np.float64]) -> None:
    """Write coordinates of parameters; those on a bound are moved a little inside."""
    k = 0
    if series.free_mean:
        x[0] = theta[0]
        k = 1
    alpha, gamma, beta = theta[2], theta[3], theta[4]
    if series.volatility == EGARCH:
        x[k], x[k + 1], x[k + 2], x[k + 3] = theta[1], alpha, gamma, _angle(beta)
        k += 4
    else:
        news = alpha + 0.5 * gamma
        x[k] = log(max(theta[1] - LOWEST_OMEGA, 1e-3 * LOWEST_OMEGA))
        x[k + 1] = _angle((news + beta) / LARGEST_PERSISTENCE)
        x[k + 2] = _angle(news / max(news + beta, 1e-12))
        k += 3
        if series.volatility == GJR:
            x[k] = _angle(0.5 * (alpha + gamma) / max(news, 1e-12))
            k += 1
    if series.law != NORMAL:
        low, high = _nu_bounds(series.law)
        x[k] = _angle((1.0 / theta[5] - low) / (high - low))
    if series.law == SKEWED:
        x[k + 1] = asin(min(max(theta[6] / LARGEST_SKEW, -0.99), 0.99))
