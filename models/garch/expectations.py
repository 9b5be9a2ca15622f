"""Expected variance of the periods ahead, for many series at once, in closed form."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, stdtr

from .kernel_laws import skew_constants, student_constant
from .options import Distribution, GarchModel, Volatility
from .recursion import MEAN_ABSOLUTE_NORMAL, egarch_horizon_variance

Array = NDArray[np.float64]


def expected_variance(
    model: GarchModel,
    theta: Array,
    next_variance: Array,
    *,
    horizon: int,
    residuals: Callable[[int], Array],
) -> Array:
    """Return the expected variance of each period ahead, shape (n_series, horizon).

    Parameters
    ----------
    model : GarchModel
        What was estimated.
    theta : ndarray, shape (n_series, 7)
        Parameters; NaN rows stay NaN.
    next_variance : ndarray, shape (n_series,)
        Of the first period ahead.
    horizon : int
        Number of periods.
    residuals : callable
        Returns the standardised residuals of a series; only EGARCH with t laws asks.
    """
    if model.volatility is not Volatility.EGARCH:
        share = np.array([fall_share(model.distribution, row[5], row[6]) for row in theta])
        persistence = theta[:, 2] + theta[:, 4] + theta[:, 3] * share
        out = np.empty((len(theta), horizon))
        expected = next_variance
        for step in range(horizon):
            out[:, step] = expected
            expected = theta[:, 1] + persistence * expected
        return out
    log_next = np.log(next_variance)
    if model.distribution is Distribution.NORMAL:
        return _egarch_normal(theta, log_next, horizon)
    out = np.full((len(theta), horizon), np.nan)
    steps = tuple(range(1, horizon + 1))
    for i in np.flatnonzero(np.isfinite(log_next)):
        z = residuals(int(i))
        news = theta[i, 2] * (np.abs(z) - MEAN_ABSOLUTE_NORMAL) + theta[i, 3] * z
        summed = egarch_horizon_variance(
            log_next[i : i + 1], omega=theta[i, 1], beta=theta[i, 4], news=news, horizons=steps
        )
        out[i] = np.diff(summed[0], prepend=0.0)
    return out


def _egarch_normal(theta: Array, log_next: Array, horizon: int) -> Array:
    """Multiply ``E exp(c (alpha (|z| - sqrt(2/pi)) + gamma z))`` over a normal z.

    With ``up = c (gamma + alpha)`` and ``down = c (gamma - alpha)`` it is, by completing the square
    on either side, ``exp(-c alpha sqrt(2/pi)) (exp(up²/2) Phi(up) + exp(down²/2) Phi(-down))``.
    """
    omega, alpha, gamma, beta = theta[:, 1], theta[:, 2], theta[:, 3], theta[:, 4]
    out = np.empty((len(theta), horizon))
    log_constant, power = np.zeros(len(theta)), np.ones(len(theta))
    for step in range(horizon):
        out[:, step] = np.exp(power * log_next + log_constant)
        up, down = power * (gamma + alpha), power * (gamma - alpha)
        both = np.logaddexp(0.5 * up**2 + log_ndtr(up), 0.5 * down**2 + log_ndtr(-down))
        log_constant = log_constant + power * (omega - alpha * MEAN_ABSOLUTE_NORMAL) + both
        power = power * beta
    return out


def fall_share(distribution: Distribution, nu: float, skew: float) -> float:
    """Return ``E[z² 1{z < 0}]`` under a law: one half, unless it is skewed.

    Hansen's density is a t density of variance one, stretched by ``1 ± lambda`` on either side of
    its mode, so that the share is put together from partial moments of that t density.
    """
    if distribution is not Distribution.SKEW_T or not np.isfinite(nu):
        return 0.5
    a, b = skew_constants(nu, skew)[:2]
    left, right = 1.0 - skew, 1.0 + skew
    share = _stretched(min(0.0, a / left), left, a, b, nu)
    if a > 0.0:  # zero lies on the right side of the mode
        share += _stretched(a / right, right, a, b, nu) - _stretched(0.0, right, a, b, nu)
    return float(share)


def _stretched(upper: float, width: float, a: float, b: float, nu: float) -> float:
    """Integrate ``z²`` of one side, ``z = (width w - a) / b``, over w up to a limit."""
    density = np.exp(student_constant(nu)[0]) * (1.0 + upper**2 / (nu - 2.0)) ** (-(nu + 1.0) / 2)
    zeroth = stdtr(nu, upper * np.sqrt(nu / (nu - 2.0)))
    first = -(nu - 2.0 + upper**2) / (nu - 1.0) * density
    second = (nu - 1.0) * stdtr(nu - 2.0, upper) - (nu - 2.0) * zeroth
    square = width**2 * second - 2.0 * a * width * first + a**2 * zeroth
    return float(width * square / b**2)
