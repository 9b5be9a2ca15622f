"""One pass over a series: the log-likelihood of a GARCH model and its gradient, compiled.

Parameters `theta` are always seven: mu, omega, alpha, gamma, beta, nu, lambda; those that a model
does not have are zero and their derivatives are left alone. The gradient is taken backwards: with

    h[t+1] = u(e[t]) + beta h[t],      lam[t] = dl[t]/dh[t] + beta lam[t+1],

the derivative by any parameter of u is the sum of ``lam[t+1] du(e[t])``, so that one linear
recurrence forwards and one backwards give all derivatives (Griewank and Walther 2008, *Evaluating
Derivatives*). Eight steps of a recurrence at a time leave an eighth of its waiting.
"""

from math import exp, log
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .kernel_laws import law_terms
from .kernel_sums import Scratch, news_sums
from .recursion import MEAN_ABSOLUTE_NORMAL

GARCH, GJR, EGARCH = 0, 1, 2

Eight = tuple[float, float, float, float, float, float, float, float]


class Series(NamedTuple):
    """One series and the model to estimate on it.

    Attributes
    ----------
    log_return : ndarray, shape (n,)
        In units of their standard deviation.
    volatility, law : int
        Codes of the recursion and of the law.
    mean, variance : float
        Of these returns, around that mean.
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
    mean: float
    variance: float
    start: float
    free_mean: bool
    limits: NDArray[np.float64]


@njit(error_model="numpy")
def _eight_steps(u: Eight, beta: float, last: float) -> Eight:
    """Return eight steps of ``last = u + beta last``; the next eight wait for one product only."""
    b2 = beta * beta
    b4 = b2 * b2
    v1, v3 = u[1] + beta * u[0], u[3] + beta * u[2]
    v5, v7 = u[5] + beta * u[4], u[7] + beta * u[6]
    first_four, second_four = v3 + b2 * v1, v7 + b2 * v5
    h3 = first_four + b4 * last
    h7 = (second_four + b4 * first_four) + (b4 * b4) * last
    h1, h5 = v1 + b2 * last, v5 + b2 * h3
    h0, h2 = u[0] + beta * last, u[2] + beta * h1
    h4, h6 = u[4] + beta * h3, u[6] + beta * h5
    return h0, h1, h2, h3, h4, h5, h6, h7


@njit(error_model="numpy")
def scan(x: NDArray[np.float64], beta: float) -> None:
    """Add to each element beta times the one before it, from the second to the last."""
    last, y = x[0], x[1:]
    whole = len(y) // 8
    for k in range(whole):
        z = y[8 * k : 8 * k + 8]
        u = (z[0], z[1], z[2], z[3], z[4], z[5], z[6], z[7])
        z[0], z[1], z[2], z[3], z[4], z[5], z[6], last = _eight_steps(u, beta, last)
        z[7] = last
    for t in range(8 * whole, len(y)):
        last = y[t] + beta * last
        y[t] = last


@njit(error_model="numpy")
def scan_back(x: NDArray[np.float64], beta: float) -> None:
    """Add to each element beta times the one behind it, from the last but one to the first."""
    last = 0.0
    whole = len(x) // 8
    rest = len(x) - 8 * whole
    for k in range(whole - 1, -1, -1):
        z = x[rest + 8 * k : rest + 8 * k + 8]
        u = (z[7], z[6], z[5], z[4], z[3], z[2], z[1], z[0])
        z[7], z[6], z[5], z[4], z[3], z[2], z[1], last = _eight_steps(u, beta, last)
        z[0] = last
    for t in range(rest - 1, -1, -1):
        last = x[t] + beta * last
        x[t] = last


@njit(error_model="numpy")
def _shocks(
    y: NDArray[np.float64],
    theta: NDArray[np.float64],
    kink: float,
    e: NDArray[np.float64],
    h: NDArray[np.float64],
) -> None:
    """Write the residuals, and what each adds to the next variance."""
    mu, omega, alpha = theta[0], theta[1], theta[2]
    down = alpha + theta[3]
    following = h[1:]
    for t in range(len(following)):
        residual = y[t] - mu
        e[t] = residual
        following[t] = omega + (down if y[t] < kink else alpha) * (residual * residual)
    e[len(e) - 1] = y[len(y) - 1] - mu


@njit(error_model="numpy", inline="always")
def gjr_pass(
    series: Series,
    theta: NDArray[np.float64],
    kink: float,
    work: Scratch,
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
    work : Scratch
        Holds residuals and variances afterwards.
    gradient : ndarray, shape (7,)
        Output.
    """
    y = series.log_return
    n = len(y)
    e, h, lam = work.rows[0, :n], work.rows[1, :n], work.rows[2, :n]
    moving = np.isnan(series.start)
    gap = series.mean - theta[0]
    start = series.variance + gap * gap if moving else series.start
    weight = theta[2] + 0.5 * theta[3] + theta[4]
    _shocks(y, theta, kink, e, h)
    h[0] = theta[1] + weight * start
    scan(h, theta[4])
    value = law_terms(series.law, n, work, theta, gradient)
    scan_back(lam, theta[4])
    news = (kink, theta[2], theta[2] + theta[3])
    one, up, down, past, lean = news_sums(y, e, h, lam, news, work.lanes)
    first = lam[0]
    gradient[0] -= 2.0 * lean
    if moving:
        gradient[0] -= 2.0 * first * weight * gap
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
    work: Scratch,
) -> None:
    """Write variances, log variances and one over deviations into rows 1, 2 and 4 of `work`."""
    h, x, root = work.rows[1], work.rows[6], work.rows[7]
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
    work: Scratch,
    gradient: NDArray[np.float64],
) -> float:
    """Write the derivatives by all but the shape; return that by the first log variance."""
    x, slope, root = work.rows[6], work.rows[3], work.rows[7]
    up, down, beta = theta[3] + theta[2], theta[3] - theta[2], theta[4]
    mu, one, size, sign, past, after = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for t in range(len(e) - 1, -1, -1):
        fall = e[t] < kink
        pull = (down if fall else up) * root[t]
        z = e[t] * root[t]
        mu -= after * pull
        one += after
        size += after * ((-z if fall else z) - MEAN_ABSOLUTE_NORMAL)
        sign += after * z
        past += after * x[t]
        after = -0.5 * (1.0 + e[t] * slope[t]) + (beta - 0.5 * pull * e[t]) * after
        if x[t] <= limits[0, t] or x[t] >= limits[1, t]:
            after = 0.0  # a variance held at its limit hangs on nothing
    gradient[0] += mu
    gradient[1], gradient[2], gradient[3], gradient[4] = one, size, sign, past
    return after


@njit(error_model="numpy", inline="always")
def egarch_pass(
    series: Series,
    theta: NDArray[np.float64],
    kink: float,
    work: Scratch,
    gradient: NDArray[np.float64],
) -> float:
    """Do the same for EGARCH, whose recurrence runs in the log variance.

    The start is the variance one period before the data. With a given one there is no news then,
    as in `arch`; with the mean square there is a residual of zero, whose news is that of a move
    smaller than expected. The published benchmark is that of the second.
    """
    y = series.log_return
    n = len(y)
    moving = np.isnan(series.start)
    gap = series.mean - theta[0]
    square = series.variance + gap * gap
    start = log(square if moving else series.start)
    presample = -MEAN_ABSOLUTE_NORMAL if moving else 0.0
    first = theta[1] + theta[2] * presample + theta[4] * start
    e, kink = work.rows[0, :n], kink - theta[0]
    for t in range(n):
        e[t] = y[t] - theta[0]
    _egarch_forward(e, theta, (first, kink), series.limits, work)
    value = law_terms(series.law, n, work, theta, gradient)
    by_first = _egarch_backward(e, theta, kink, series.limits, work, gradient)
    gradient[1] += by_first
    gradient[2] += by_first * presample
    gradient[4] += by_first * start
    if moving:
        gradient[0] -= 2.0 * by_first * theta[4] * gap / square
    return value


@njit(error_model="numpy")
def likelihood_pass(
    series: Series,
    theta: NDArray[np.float64],
    kink: float,
    work: Scratch,
    gradient: NDArray[np.float64],
) -> float:
    """Return the log-likelihood of any of the models and write its gradient."""
    if series.volatility == EGARCH:
        return egarch_pass(series, theta, kink, work, gradient)
    return gjr_pass(series, theta, kink, work, gradient)
