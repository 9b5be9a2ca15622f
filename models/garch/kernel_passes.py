"""One pass over a series: the log-likelihood of a GARCH model and its gradient, compiled.

Parameters `theta` are always seven: mu, omega, alpha, gamma, beta, nu, lambda; those that a model
does not have are zero and their derivatives are left alone. The gradient is taken backwards: with

    h[t+1] = u(e[t]) + beta h[t],      lam[t] = dl[t]/dh[t] + beta lam[t+1],

the derivative by any parameter of u is the sum of ``lam[t+1] du(e[t])``, so that one linear
recurrence forwards and one backwards give all derivatives (Griewank and Walther 2008, *Evaluating
Derivatives*). Four steps of a recurrence at a time leave a quarter of its waiting.
"""

from math import exp, log
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .kernel_laws import FAST, law_terms
from .recursion import MEAN_ABSOLUTE_NORMAL

GARCH, GJR, EGARCH = 0, 1, 2


class Series(NamedTuple):
    """One series and the model to estimate on it.

    Attributes
    ----------
    log_return : ndarray, shape (n,)
        In units of their standard deviation.
    volatility, law : int
        Codes of the recursion and of the law.
    start : float
        Presample variance; NaN for the mean squared residual at the current mean.
    free_mean : bool
        Whether mu is estimated, or zero.
    limits : ndarray, shape (2, n) or (2, 0)
        Lowest and highest log variance of each period; only EGARCH needs any.
    """

    log_return: NDArray[np.float64]
    volatility: int
    law: int
    start: float
    free_mean: bool
    limits: NDArray[np.float64]


@njit(error_model="numpy", fastmath=FAST)
def scan(u: NDArray[np.float64], first: float, beta: float, out: NDArray[np.float64]) -> None:
    """Write ``out[0] = first`` and ``out[t] = u[t-1] + beta out[t-1]``."""
    n = len(out)
    whole = (n - 1) // 4
    b2 = beta * beta
    b3, b4 = b2 * beta, b2 * b2
    out[0] = last = first
    x, y = u, out[1:]
    for k in range(whole):
        u0, u1, u2, u3 = x[4 * k], x[4 * k + 1], x[4 * k + 2], x[4 * k + 3]
        w = u2 + beta * u1 + b2 * u0
        y[4 * k] = u0 + beta * last
        y[4 * k + 1] = (u1 + beta * u0) + b2 * last
        y[4 * k + 2] = w + b3 * last
        last = (u3 + beta * w) + b4 * last
        y[4 * k + 3] = last
    for t in range(4 * whole, n - 1):
        last = x[t] + beta * last
        y[t] = last


@njit(error_model="numpy", fastmath=FAST)
def scan_back(g: NDArray[np.float64], beta: float, out: NDArray[np.float64]) -> None:
    """Write ``out[t] = g[t] + beta out[t+1]``, nothing behind the end."""
    n = len(g)
    whole = n // 4
    rest = n - 4 * whole
    b2 = beta * beta
    b3, b4 = b2 * beta, b2 * b2
    last = 0.0
    for k in range(whole - 1, -1, -1):
        t = rest + 4 * k
        g0, g1, g2, g3 = g[t], g[t + 1], g[t + 2], g[t + 3]
        w = g1 + beta * g2 + b2 * g3
        out[t + 3] = g3 + beta * last
        out[t + 2] = (g2 + beta * g3) + b2 * last
        out[t + 1] = w + b3 * last
        last = (g0 + beta * w) + b4 * last
        out[t] = last
    for t in range(rest - 1, -1, -1):
        last = g[t] + beta * last
        out[t] = last


@njit(error_model="numpy", fastmath=FAST)
def _residuals(y: NDArray[np.float64], mu: float, e: NDArray[np.float64]) -> tuple[float, float]:
    total, square = 0.0, 0.0
    for t in range(len(y)):
        e[t] = y[t] - mu
        total += e[t]
        square += e[t] * e[t]
    return total / len(y), square / len(y)


@njit(error_model="numpy", fastmath=FAST)
def _shocks(
    y: NDArray[np.float64],
    e: NDArray[np.float64],
    theta: NDArray[np.float64],
    kink: float,
    u: NDArray[np.float64],
) -> None:
    omega, alpha = theta[1], theta[2]
    down = alpha + theta[3]
    for t in range(len(y)):
        u[t] = omega + (down if y[t] < kink else alpha) * e[t] * e[t]


@njit(error_model="numpy", fastmath=FAST)
def _variance_slopes(
    e: NDArray[np.float64],
    h: NDArray[np.float64],
    slope: NDArray[np.float64],
    out: NDArray[np.float64],
) -> float:
    total, lowest = 0.0, np.inf
    for t in range(len(e)):
        total += slope[t]
        lowest = min(lowest, h[t])
        out[t] = -0.5 * (1.0 + e[t] * slope[t]) / h[t]
    return total if lowest > 0.0 else np.nan


@njit(error_model="numpy", fastmath=FAST)
def _collect(
    y: NDArray[np.float64],
    e: NDArray[np.float64],
    h: NDArray[np.float64],
    lam: NDArray[np.float64],
    kink: float,
) -> tuple[float, float, float, float, float, float]:
    """Sum `lam` of the next period times 1, e² of rises and falls, h, and e of both."""
    one, up, down, past, lean_up, lean_down = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    y_, e_, h_, lam_ = y[: len(y) - 1], e[: len(y) - 1], h[: len(y) - 1], lam[1 : len(y)]
    for t in range(len(y_)):
        pull = lam_[t] * e_[t]
        fall = pull if y_[t] < kink else 0.0
        one += lam_[t]
        past += lam_[t] * h_[t]
        lean_up += pull
        lean_down += fall
        up += pull * e_[t]
        down += fall * e_[t]
    return one, up, down, past, lean_up, lean_down


@njit(error_model="numpy", inline="always")
def gjr_pass(
    series: Series,
    theta: NDArray[np.float64],
    kink: float,
    work: NDArray[np.float64],
    gradient: NDArray[np.float64],
) -> float:
    """Return the log-likelihood of GARCH or GJR, and write its gradient.

    Parameters
    ----------
    series : Series
        Data and model.
    theta : ndarray, shape (7,)
        Parameters.
    kink : float
        A return below it is a fall: mu, or a constant where the derivative is to be smooth.
    work : ndarray, shape (5, n)
        Scratch; holds residuals and variances afterwards, in its first two rows.
    gradient : ndarray, shape (7,)
        Output.
    """
    y = series.log_return
    n = len(y)
    e, h, u = work[0, :n], work[1, :n], work[2, :n]
    slope, lam = work[3, :n], work[4, :n]
    mean, square = _residuals(y, theta[0], e)
    moving = np.isnan(series.start)
    start = square if moving else series.start
    weight = theta[2] + 0.5 * theta[3] + theta[4]
    _shocks(y, e, theta, kink, u)
    scan(u, theta[1] + weight * start, theta[4], h)
    value = law_terms(series.law, e, h, slope, theta, gradient)
    total = _variance_slopes(e, h, slope, u)
    if np.isnan(total):
        return np.nan  # a variance that is not positive
    scan_back(u, theta[4], lam)
    one, up, down, past, lean_up, lean_down = _collect(y, e, h, lam, kink)
    first = lam[0]
    gradient[0] = -total - 2.0 * (theta[2] * lean_up + theta[3] * lean_down)
    if moving:
        gradient[0] -= 2.0 * first * weight * mean
    gradient[1] = one + first
    gradient[2] = up + first * start
    gradient[3] = down + 0.5 * first * start
    gradient[4] = past + first * start
    return value


@njit(error_model="numpy")
def _egarch_forward(
    e: NDArray[np.float64],
    theta: NDArray[np.float64],
    ends: tuple[float, float],
    limits: NDArray[np.float64],
    work: NDArray[np.float64],
) -> None:
    """Write variances, log variances and one over deviations into rows 1, 2 and 4 of `work`."""
    h, x, root = work[1], work[2], work[4]
    constant = theta[1] - theta[2] * MEAN_ABSOLUTE_NORMAL
    up, down, beta = theta[3] + theta[2], theta[3] - theta[2], theta[4]
    last, kink = ends
    for t in range(len(e)):
        last = min(max(last, limits[0, t]), limits[1, t])
        x[t] = last
        scale = exp(-0.5 * last)
        root[t] = scale
        last = constant + (down if e[t] < kink else up) * (e[t] * scale) + beta * last
    for t in range(len(e)):
        h[t] = 1.0 / (root[t] * root[t])


@njit(error_model="numpy")
def _egarch_backward(
    e: NDArray[np.float64],
    theta: NDArray[np.float64],
    kink: float,
    limits: NDArray[np.float64],
    work: NDArray[np.float64],
    gradient: NDArray[np.float64],
) -> float:
    """Write the derivatives by all but the shape; return that by the first log variance."""
    x, slope, root = work[2], work[3], work[4]
    up, down, beta = theta[3] + theta[2], theta[3] - theta[2], theta[4]
    mu, one, size, sign, past, after = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for t in range(len(e) - 1, -1, -1):
        fall = e[t] < kink
        pull = (down if fall else up) * root[t]
        z = e[t] * root[t]
        mu -= slope[t] + after * pull
        one += after
        size += after * ((-z if fall else z) - MEAN_ABSOLUTE_NORMAL)
        sign += after * z
        past += after * x[t]
        after = -0.5 * (1.0 + e[t] * slope[t]) + (beta - 0.5 * pull * e[t]) * after
        if x[t] <= limits[0, t] or x[t] >= limits[1, t]:
            after = 0.0  # a variance held at its limit hangs on nothing
    gradient[0], gradient[1], gradient[2], gradient[3], gradient[4] = mu, one, size, sign, past
    return after


@njit(error_model="numpy", inline="always")
def egarch_pass(
    series: Series,
    theta: NDArray[np.float64],
    kink: float,
    work: NDArray[np.float64],
    gradient: NDArray[np.float64],
) -> float:
    """Do the same for EGARCH, whose recurrence runs in the log variance.

    The start is the variance one period before the data. With a given one there is no news then,
    as in `arch`; with the mean square there is a residual of zero, whose news is that of a move
    smaller than expected. The published benchmark is that of the second.
    """
    y = series.log_return
    n = len(y)
    mean, square = _residuals(y, theta[0], work[0, :n])
    moving = np.isnan(series.start)
    start = log(square if moving else series.start)
    presample = -MEAN_ABSOLUTE_NORMAL if moving else 0.0
    first = theta[1] + theta[2] * presample + theta[4] * start
    e, kink = work[0, :n], kink - theta[0]
    _egarch_forward(e, theta, (first, kink), series.limits, work)
    value = law_terms(series.law, e, work[1, :n], work[3, :n], theta, gradient)
    by_first = _egarch_backward(e, theta, kink, series.limits, work, gradient)
    gradient[1] += by_first
    gradient[2] += by_first * presample
    gradient[4] += by_first * start
    if moving:
        gradient[0] -= 2.0 * by_first * theta[4] * mean / square
    return value


@njit(error_model="numpy")
def likelihood_pass(
    series: Series,
    theta: NDArray[np.float64],
    kink: float,
    work: NDArray[np.float64],
    gradient: NDArray[np.float64],
) -> float:
    """Return the log-likelihood of any of the models and write its gradient."""
    if series.volatility == EGARCH:
        return egarch_pass(series, theta, kink, work, gradient)
    return gjr_pass(series, theta, kink, work, gradient)
