"""Variance recursions and their expectations over several periods, in the units of their input.

All follow the parameterisation of `arch`: for GARCH and GJR

    h[t+1] = omega + alpha e[t]² + gamma e[t]² 1{e[t] < 0} + beta h[t]

and for EGARCH, with z = e / sqrt(h),

    ln h[t+1] = omega + alpha (|z[t]| - sqrt(2/pi)) + gamma z[t] + beta ln h[t].

Bollerslev (1986), Journal of Econometrics 31(3); Glosten, Jagannathan and Runkle (1993), Journal
of Finance 48(5); Nelson (1991), Econometrica 59(2).
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

MEAN_ABSOLUTE_NORMAL = float(np.sqrt(2.0 / np.pi))

_MOST_CALM_VARIANCE = 100.0  # ten standard deviations, squared
_LEAST_LOG_VARIANCE = float(np.log(1e-8))


@njit(cache=True)
def gjr_variance(
    residual: NDArray[np.float64],
    omega: float,
    alpha: float,
    gamma: float,
    beta: float,
    start_variance: float,
) -> NDArray[np.float64]:
    """Filter GARCH (gamma 0) or GJR variance.

    Returns shape (n + 1,): element t is the variance of period t given the periods before it, so
    that the last element is the forecast for the period after the data.
    """
    out = np.empty(len(residual) + 1)
    out[0] = omega + (alpha + 0.5 * gamma + beta) * start_variance
    for t in range(len(residual)):
        squared = residual[t] * residual[t]
        down = squared if residual[t] < 0.0 else 0.0
        out[t + 1] = omega + alpha * squared + gamma * down + beta * out[t]
    return out


@njit(cache=True)
def egarch_log_variance(
    residual: NDArray[np.float64],
    omega: float,
    alpha: float,
    gamma: float,
    beta: float,
    start_log_variance: float,
) -> NDArray[np.float64]:
    """Filter EGARCH log variance; aligned as :func:`gjr_variance`, shape (n + 1,).

    The recursion is exponential in the last return: after a calm spell one crash can send it to
    infinity, and a price that stands still sends it to zero. The variance is therefore at most the
    largest squared residual seen so far, or a hundred if that is less, and at least 1e-8
    (residuals are in units of their deviation).
    """
    out = np.empty(len(residual) + 1)
    out[0] = omega + beta * start_log_variance
    largest = _MOST_CALM_VARIANCE
    for t in range(len(residual)):
        largest = max(largest, residual[t] * residual[t])
        z = residual[t] / np.exp(0.5 * out[t])
        shock = alpha * (abs(z) - MEAN_ABSOLUTE_NORMAL) + gamma * z
        following = omega + shock + beta * out[t]
        out[t + 1] = max(min(following, np.log(largest)), _LEAST_LOG_VARIANCE)
    return out


def gjr_horizon_variance(
    next_variance: NDArray[np.float64],
    *,
    omega: float,
    persistence: float,
    horizons: tuple[int, ...],
) -> NDArray[np.float64]:
    """Sum the expected variances of the next periods, shape (n, n_horizons).

    Parameters
    ----------
    next_variance : ndarray, shape (n,)
        Variance of the first period ahead.
    omega : float
        Constant of the recursion.
    persistence : float
        ``alpha + beta + gamma E[z² 1{z < 0}]``; may reach one.
    horizons : tuple of int
        Increasing numbers of periods.
    """
    expected, total = next_variance.copy(), np.zeros(len(next_variance))
    out = np.empty((len(next_variance), len(horizons)))
    for step in range(1, horizons[-1] + 1):
        total = total + expected
        if step in horizons:
            out[:, horizons.index(step)] = total
        expected = omega + persistence * expected
    return out


def egarch_horizon_variance(
    next_log_variance: NDArray[np.float64],
    *,
    omega: float,
    beta: float,
    news: NDArray[np.float64],
    horizons: tuple[int, ...],
) -> NDArray[np.float64]:
    r"""Sum the expected variances of the next periods, shape (n, n_horizons).

    Written out, :math:`\ln h_{t+k} = \beta^{k-1} \ln h_{t+1} + \sum_{i=0}^{k-2} \beta^i (\omega +
    g(z_{t+k-1-i}))` with independent news g(z), so the expectation is a product of one-period
    expectations. These are means over the fit's own standardised residuals: under a t
    distribution they would be infinite.

    Parameters
    ----------
    next_log_variance : ndarray, shape (n,)
        Log variance of the first period ahead.
    omega, beta : float
        Parameters of the recursion.
    news : ndarray, shape (n_residuals,)
        ``alpha (|z| - sqrt(2/pi)) + gamma z`` of the residuals the model was fitted on.
    horizons : tuple of int
        Increasing numbers of periods.
    """
    total = np.zeros(len(next_log_variance))
    out = np.empty((len(next_log_variance), len(horizons)))
    log_constant, power = 0.0, 1.0  # power is beta^(step - 1)
    for step in range(1, horizons[-1] + 1):
        total = total + np.exp(power * next_log_variance + log_constant)
        if step in horizons:
            out[:, horizons.index(step)] = total
        log_constant += power * omega + np.log(np.mean(np.exp(power * news)))
        power *= beta
    return out
