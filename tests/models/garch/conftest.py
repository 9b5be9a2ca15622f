"""A likelihood in the words of the textbooks, for the compiled ones to agree with."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import gammaln

Array = NDArray[np.float64]
ByHand = Callable[..., Array]


@pytest.fixture(scope="session")
def log_density_by_hand() -> ByHand:
    """Return a function of returns and parameters that gives the log density of every return."""
    return _log_density


def _log_density(
    log_return: Array,
    theta: dict[str, float],
    *,
    volatility: str,
    start_variance: str = "mean-square",
) -> Array:
    e = log_return - theta.get("mu", 0.0)
    h = _variance(e, theta, volatility, _start(log_return, e, start_variance), start_variance)
    z = e / np.sqrt(h)
    if "nu" not in theta:
        return np.asarray(-0.5 * (np.log(2 * np.pi) + np.log(h) + z**2))
    nu, skew = theta["nu"], theta.get("lambda", 0.0)
    # Hansen (1994), equations 10 to 13; Student's t where the skew is zero
    c = np.exp(gammaln((nu + 1) / 2) - gammaln(nu / 2)) / np.sqrt(np.pi * (nu - 2))
    a = 4 * skew * c * (nu - 2) / (nu - 1)
    b = np.sqrt(1 + 3 * skew**2 - a**2)
    side = np.where(z < -a / b, 1 - skew, 1 + skew)
    density = b * c * (1 + ((b * z + a) / side) ** 2 / (nu - 2)) ** (-(nu + 1) / 2)
    out: Array = np.log(density) - 0.5 * np.log(h)
    return out


def _start(log_return: Array, e: Array, start_variance: str) -> float:
    if start_variance == "mean-square":
        return float(np.mean(e**2))
    weight = 0.94 ** np.arange(75)
    return float(weight @ (log_return - log_return.mean())[:75] ** 2 / weight.sum())


def _variance(
    e: Array, theta: dict[str, float], volatility: str, start: float, start_variance: str
) -> Array:
    omega, alpha, beta = theta["omega"], theta["alpha"], theta["beta"]
    gamma = theta.get("gamma", 0.0)
    h = np.empty(len(e))
    for t in range(len(e)):
        if volatility != "egarch":
            # before the data, squared residual and variance are both the start; half are falls
            square, last = (e[t - 1] ** 2, h[t - 1]) if t else (start, start)
            fall = float(e[t - 1] < 0) if t else 0.5
            h[t] = omega + (alpha + gamma * fall) * square + beta * last
            continue
        z, last = (e[t - 1] / np.sqrt(h[t - 1]), h[t - 1]) if t else (0.0, start)
        news = alpha * (abs(z) - np.sqrt(2 / np.pi)) + gamma * z
        if t == 0 and start_variance == "exponential":
            news = 0.0
        h[t] = np.exp(omega + news + beta * np.log(last))
    return h
