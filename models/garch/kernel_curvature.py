"""What standard errors are made of, compiled: scores of every period, and second derivatives.

Scores are taken forwards, period by period, by other formulas than the gradient of a pass, which
is their sum. Second derivatives are differences of that gradient over four points, exact to about
ten digits; the signs of residuals stay those at the estimate meanwhile, since a likelihood with |z|
or with news of falls has a corner where the mean passes a return.
"""

from math import exp, log, sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .kernel_laws import NORMAL, STUDENT, skew_constants, student_constant
from .kernel_passes import EGARCH, Series, likelihood_pass
from .kernel_rows import Plan, prepare, rescale
from .kernel_sums import Scratch, make_scratch
from .recursion import MEAN_ABSOLUTE_NORMAL

_RELATIVE_STEP = 1e-3


@njit(error_model="numpy")
def law_scores(
    law: int, e: float, h: float, theta: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Return the derivatives of one log density by e at a given h, by nu and by lambda."""
    if law == NORMAL:
        return -e / h, 0.0, 0.0
    nu, skew = theta[5], theta[6]
    constant_slope = student_constant(nu)[1]
    if law == STUDENT:
        square = e * e / (h * (nu - 2.0))
        by_nu = constant_slope - 0.5 * log(1.0 + square)
        by_nu += 0.5 * (nu + 1.0) / (nu - 2.0) * square / (1.0 + square)
        return -(nu + 1.0) * e / (h * (nu - 2.0) + e * e), by_nu, 0.0
    a, b, a_nu, a_skew, b_nu, b_skew = skew_constants(nu, skew)
    z = e / sqrt(h)
    y = b * z + a
    sign = -1.0 if y < 0.0 else 1.0
    width = 1.0 + sign * skew
    w = y / width
    pull = -(nu + 1.0) * w / (nu - 2.0 + w * w)
    by_nu = constant_slope + b_nu / b - 0.5 * log(1.0 + w * w / (nu - 2.0))
    by_nu += 0.5 * (nu + 1.0) / (nu - 2.0) * w * w / (nu - 2.0 + w * w)
    by_nu += pull * (b_nu * z + a_nu) / width
    by_skew = b_skew / b + pull * ((b_skew * z + a_skew) / width - w * sign / width)
    return pull * b / width / sqrt(h), by_nu, by_skew


@njit(error_model="numpy")
def scores(series: Series, theta: NDArray[np.float64], out: NDArray[np.float64]) -> None:
    """Write the derivatives of every log density by the seven parameters, shape (n, 7)."""
    y, egarch = series.log_return, series.volatility == EGARCH
    n = len(y)
    omega, alpha, gamma, beta = theta[1], theta[2], theta[3], theta[4]
    mean, square = 0.0, 0.0
    for t in range(n):
        mean += (y[t] - theta[0]) / n
        square += (y[t] - theta[0]) ** 2 / n
    moving = np.isnan(series.start)
    start = square if moving else series.start
    state = np.zeros(5)  # derivatives of the variance, or of its logarithm
    if egarch:
        presample = -MEAN_ABSOLUTE_NORMAL if moving else 0.0
        level = omega + alpha * presample + beta * log(start)
        state[0] = -2.0 * beta * mean / square if moving else 0.0
        state[1], state[2], state[4] = 1.0, presample, log(start)
    else:
        weight = alpha + 0.5 * gamma + beta
        level = omega + weight * start
        state[0] = -2.0 * weight * mean if moving else 0.0
        state[1], state[2], state[3], state[4] = 1.0, start, 0.5 * start, start
    for t in range(n):
        e = y[t] - theta[0]
        fall = 1.0 if e < 0.0 else 0.0
        if egarch and not series.limits[0, t] < level < series.limits[1, t]:
            level = min(max(level, series.limits[0, t]), series.limits[1, t])
            state[:] = 0.0
        h = exp(level) if egarch else level
        slope, out[t, 5], out[t, 6] = law_scores(series.law, e, h, theta)
        by_level = -0.5 * (1.0 + e * slope) / (1.0 if egarch else h)
        for i in range(5):
            out[t, i] = by_level * state[i]
        out[t, 0] -= slope
        if egarch:
            z = e / sqrt(h)
            lean = gamma + alpha * (1.0 - 2.0 * fall)
            decay = beta - 0.5 * lean * z
            added = (-lean / sqrt(h), 1.0, abs(z) - MEAN_ABSOLUTE_NORMAL, z, level)
            level = omega + alpha * added[2] + gamma * z + beta * level
        else:
            decay = beta
            news = alpha + gamma * fall
            added = (-2.0 * news * e, 1.0, e * e, fall * e * e, level)
            level = omega + news * e * e + beta * level
        for i in range(5):
            state[i] = added[i] + decay * state[i]


@njit(error_model="numpy")
def _steps(series: Series, theta: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return steps over which every parameter's likelihood is close to a polynomial."""
    out = np.empty(7)
    smallest_news = 0.05 if series.volatility == EGARCH else 0.01
    out[0] = 1.0
    out[1] = 0.1 if series.volatility == EGARCH else max(theta[1], 1e-6)
    out[2] = max(abs(theta[2]), smallest_news)
    out[3] = max(abs(theta[3]), smallest_news)
    out[4] = max(min(theta[4], 1.0 - theta[4]), 1e-3)
    out[5], out[6] = theta[5] - 2.0, 1.0 - abs(theta[6])
    return _RELATIVE_STEP * out


@njit(error_model="numpy")
def second_derivatives(
    series: Series,
    theta: NDArray[np.float64],
    work: Scratch,
    out: NDArray[np.float64],
) -> None:
    """Write the second derivatives of the log-likelihood, shape (7, 7)."""
    step = _steps(series, theta)
    moved, gradient = theta.copy(), np.zeros(7)
    out[:] = 0.0
    for i in range(5 + series.law):
        for k, weight in ((-2, 1.0 / 12.0), (-1, -2.0 / 3.0), (1, 2.0 / 3.0), (2, -1.0 / 12.0)):
            moved[i] = theta[i] + k * step[i]
            gradient[:] = 0.0
            likelihood_pass(series, moved, theta[0], work, gradient)
            for j in range(5 + series.law):
                out[i, j] += weight * gradient[j] / step[i]
        moved[i] = theta[i]
    for i in range(7):
        for j in range(i):
            out[i, j] = out[j, i] = 0.5 * (out[i, j] + out[j, i])


@njit(error_model="numpy", inline="always")
def curvature_rows(
    flat: NDArray[np.float64],
    rows: NDArray[np.int64],
    plan: Plan,
    theta: NDArray[np.float64],
    hessian: NDArray[np.float64],
    outer: NDArray[np.float64],
) -> None:
    """Write second derivatives and sums of outer products of scores, both (n_rows, 7, 7).

    Parameters are in the units of `flat` and come from :func:`~.kernel_rows.fit_rows`; the output
    is for returns divided by their standard deviation. Rows without an estimate get NaN.
    """
    for i in range(len(rows)):
        hessian[i] = np.nan
        outer[i] = np.nan
        if np.isnan(theta[i, 1]):
            continue
        n = rows[i, 1]
        limits = np.empty((2, n if plan.volatility == EGARCH else 0))
        series, scale = prepare(flat[rows[i, 0] : rows[i, 0] + n], plan, limits)
        own = theta[i].copy()
        rescale(own, 1.0 / scale, plan.volatility)
        second_derivatives(series, own, make_scratch(n), hessian[i])
        each = np.empty((n, 7))
        scores(series, own, each)
        for j in range(7):
            for k in range(7):
                total = 0.0
                for t in range(n):
                    total += each[t, j] * each[t, k]
                outer[i, j, k] = total
