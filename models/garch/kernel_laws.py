"""Laws of the standardised residuals: log-likelihoods and derivatives of whole series, compiled.

A law sees residuals e and variances h. Its log density is ``f(z) - ln(h) / 2`` with ``z = e /
sqrt(h)`` and a variance of one: normal; Student's t (Bollerslev 1987, Review of Economics and
Statistics 69(3)); skewed t (Hansen 1994, International Economic Review 35(3)), with `skew` in
(-1, 1), negative if falls are the larger moves.
"""

from math import lgamma, log, pi, sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .kernel_sums import Scratch, log_sum, skewed_sums, slope_sums

NORMAL, STUDENT, SKEWED = 0, 1, 2

_LOG_TWO_PI = log(2.0 * pi)


@njit(error_model="numpy")
def digamma(x: float) -> float:
    """Return the derivative of ``ln Γ(x)`` for x > 0, by recurrence and asymptotic series."""
    out = 0.0
    while x < 8.0:
        out -= 1.0 / x
        x += 1.0
    r = 1.0 / (x * x)
    tail = r * (
        1.0 / 12.0 - r * (1.0 / 120.0 - r * (1.0 / 252.0 - r * (1.0 / 240.0 - r * (1.0 / 132.0))))
    )
    return out + log(x) - 0.5 / x - tail


@njit(error_model="numpy")
def student_constant(nu: float) -> tuple[float, float]:
    """Return the log of the t density's constant at variance one, and its derivative in nu."""
    half = 0.5 * (nu + 1.0)
    value = lgamma(half) - lgamma(0.5 * nu) - 0.5 * log(pi * (nu - 2.0))
    slope = 0.5 * (digamma(half) - digamma(0.5 * nu) - 1.0 / (nu - 2.0))
    return value, slope


@njit(error_model="numpy")
def skew_constants(nu: float, skew: float) -> tuple[float, float, float, float, float, float]:
    """Return Hansen's a and b, and the derivatives of each in nu and in the skew."""
    log_c, slope = student_constant(nu)
    by_skew = 4.0 * np.exp(log_c) * (nu - 2.0) / (nu - 1.0)
    a = skew * by_skew
    b = sqrt(1.0 + 3.0 * skew * skew - a * a)
    a_nu = a * (slope + 1.0 / (nu - 2.0) - 1.0 / (nu - 1.0))
    return a, b, a_nu, by_skew, -a * a_nu / b, (3.0 * skew - a * by_skew) / b


@njit(error_model="numpy")
def _central_slopes(
    e: NDArray[np.float64],
    h: NDArray[np.float64],
    weights: tuple[float, float],
    slope: NDArray[np.float64],
    by_h: NDArray[np.float64],
) -> None:
    """Write the derivatives of a law without skew, ``-pull e / (h + spread e²)`` that by e.

    `weights` are (spread, pull).
    """
    spread, pull = weights
    for t in range(len(e)):
        wide = h[t] + spread * e[t] * e[t]
        inverse = 1.0 / (h[t] * wide)  # one division for two
        slope[t] = -pull * e[t] * (h[t] * inverse)
        by_h[t] = -0.5 * (1.0 + e[t] * slope[t]) * (wide * inverse)


@njit(error_model="numpy")
def normal_terms(n: int, scratch: Scratch, gradient: NDArray[np.float64]) -> float:
    """Return the log-likelihood and write its derivatives, as :func:`law_terms`."""
    rows, lanes = scratch.rows, scratch.lanes
    e, h, slope = rows[0, :n], rows[1, :n], rows[3, :n]
    _central_slopes(e, h, (0.0, 1.0), slope, rows[2, :n])
    plain, weighted = slope_sums(e, slope, lanes)
    gradient[0] = -plain
    return -0.5 * (n * _LOG_TWO_PI + log_sum(e, h, 0.0, lanes) - weighted)


@njit(error_model="numpy")
def student_terms(
    n: int,
    scratch: Scratch,
    nu: float,
    gradient: NDArray[np.float64],
) -> float:
    """Do the same for the t law."""
    rows, lanes = scratch.rows, scratch.lanes
    e, h, slope = rows[0, :n], rows[1, :n], rows[3, :n]
    constant, constant_slope = student_constant(nu)
    spread = 1.0 / (nu - 2.0)
    _central_slopes(e, h, (spread, (nu + 1.0) * spread), slope, rows[2, :n])
    plain, weighted = slope_sums(e, slope, lanes)
    logs = log_sum(e, h, 0.0, lanes)
    log_ratios = log_sum(e, h, spread, lanes) - logs
    gradient[0] = -plain
    gradient[5] = n * constant_slope - 0.5 * (log_ratios + spread * weighted)
    return n * constant - 0.5 * logs - 0.5 * (nu + 1.0) * log_ratios


@njit(error_model="numpy")
def _skewed_widths(
    e: NDArray[np.float64],
    h: NDArray[np.float64],
    curve: tuple[float, float, float, float, float],
    deviation: NDArray[np.float64],
    wide: NDArray[np.float64],
) -> None:
    """Write deviations, and what stands in the skewed law's logarithm, times the variance."""
    a, b, left, right, spread = curve
    for t in range(len(e)):
        root = np.sqrt(h[t])
        lean = b * e[t] + a * root
        w = lean * (left if lean < 0.0 else right)
        deviation[t] = root
        wide[t] = h[t] + spread * w * w


@njit(error_model="numpy")
def _skewed_slopes(
    e: NDArray[np.float64],
    deviation: NDArray[np.float64],
    wide: NDArray[np.float64],
    curve: tuple[float, float, float, float, float],
    pull: float,
    slope: NDArray[np.float64],
) -> None:
    """Write the skewed law's derivatives by e."""
    a, b, left, right, _ = curve
    down, up = -pull * b * left * left, -pull * b * right * right
    for t in range(len(e)):
        lean = b * e[t] + a * deviation[t]
        slope[t] = lean * (down if lean < 0.0 else up) / wide[t]


@njit(error_model="numpy")
def _by_variance(
    e: NDArray[np.float64],
    h: NDArray[np.float64],
    slope: NDArray[np.float64],
    by_h: NDArray[np.float64],
) -> None:
    for t in range(len(e)):
        by_h[t] = -0.5 * (1.0 + e[t] * slope[t]) / h[t]  # of any law with a scale


@njit(error_model="numpy")
def skewed_terms(
    n: int,
    scratch: Scratch,
    shape: tuple[float, float],
    gradient: NDArray[np.float64],
) -> float:
    """Do the same for the skewed t law."""
    nu, skew = shape
    rows, lanes = scratch.rows, scratch.lanes
    e, h, slope = rows[0, :n], rows[1, :n], rows[3, :n]
    deviation, wide = rows[4, :n], rows[5, :n]
    constant, constant_slope = student_constant(nu)
    a, b, a_nu, a_skew, b_nu, b_skew = skew_constants(nu, skew)
    left, right, spread = 1.0 / (1.0 - skew), 1.0 / (1.0 + skew), 1.0 / (nu - 2.0)
    curve = (a, b, left, right, spread)
    _skewed_widths(e, h, curve, deviation, wide)
    _skewed_slopes(e, deviation, wide, curve, (nu + 1.0) * spread, slope)
    _by_variance(e, h, slope, rows[2, :n])
    plain, weighted = slope_sums(e, slope, lanes)
    scaled, falls = skewed_sums(e, deviation, slope, (a, b), lanes)
    logs = log_sum(e, h, 0.0, lanes)
    log_ratios = log_sum(e, wide, 0.0, lanes) - logs
    both = b * weighted + a * scaled
    gradient[0] = -plain
    gradient[5] = n * (constant_slope + b_nu / b) - 0.5 * log_ratios
    gradient[5] += (b_nu * weighted + a_nu * scaled - 0.5 * spread * both) / b
    gradient[6] = n * b_skew / b + (b_skew * weighted + a_skew * scaled) / b
    gradient[6] -= (right * (both - falls) - left * falls) / b
    return n * (constant + log(b)) - 0.5 * logs - 0.5 * (nu + 1.0) * log_ratios


@njit(error_model="numpy")
def law_terms(
    law: int,
    n: int,
    scratch: Scratch,
    theta: NDArray[np.float64],
    gradient: NDArray[np.float64],
) -> float:
    """Return the log-likelihood under a law, and write its derivatives.

    Those by each variance go to row 2 and those by each residual, at a given variance, to row 3;
    minus the sum of the latter goes to ``gradient[0]``, those by the shape to its end. NaN if a
    variance is not positive.
    """
    if law == NORMAL:
        return normal_terms(n, scratch, gradient)
    if law == STUDENT:
        return student_terms(n, scratch, theta[5], gradient)
    return skewed_terms(n, scratch, (theta[5], theta[6]), gradient)
