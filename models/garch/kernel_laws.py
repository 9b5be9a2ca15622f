"""Laws of the standardised residuals: log-likelihoods and derivatives of whole series, compiled.

A law sees residuals e and variances h. Its log density is ``f(z) - ln(h) / 2`` with ``z = e /
sqrt(h)`` and a variance of one: normal; Student's t (Bollerslev 1987, Review of Economics and
Statistics 69(3)); skewed t (Hansen 1994, International Economic Review 35(3)), with `skew` in
(-1, 1), negative if falls are the larger moves.

A sum of logarithms is the logarithm of a product: 32 factors at a time, that is all but free.
Residuals are in units of their deviation, so that such a product neither overflows nor vanishes;
where it does, the logarithms are taken one by one.
"""

from math import lgamma, log, pi, sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

NORMAL, STUDENT, SKEWED = 0, 1, 2

FAST = {"contract", "reassoc", "nsz", "arcp"}
"""Licences for the compiler that keep NaN and infinity meaningful: sums may change their order."""

_STRIP = 32
_LOG_TWO_PI = log(2.0 * pi)
_SMALLEST, _LARGEST = 1e-290, 1e290


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


@njit(error_model="numpy", fastmath=FAST)
def log_sum(factor: NDArray[np.float64]) -> float:
    """Sum the logarithms of positive numbers, one by one."""
    out = 0.0
    for t in range(len(factor)):
        out += np.log(factor[t])
    return out


@njit(error_model="numpy", fastmath=FAST)
def normal_terms(
    e: NDArray[np.float64], h: NDArray[np.float64], slope: NDArray[np.float64]
) -> float:
    """Return the log-likelihood; write its derivative by each e, at a given h, into `slope`."""
    squares, logs = 0.0, 0.0
    for first in range(0, len(e), _STRIP):
        e_, h_ = e[first : first + _STRIP], h[first : first + _STRIP]
        slope_ = slope[first : first + _STRIP]
        product = 1.0
        for t in range(len(e_)):
            product *= h_[t]
            pull = -e_[t] / h_[t]
            slope_[t] = pull
            squares -= e_[t] * pull
        logs += log(product) if _SMALLEST < product < _LARGEST else log_sum(h_)
    return -0.5 * (len(e) * _LOG_TWO_PI + logs + squares)


@njit(error_model="numpy", fastmath=FAST)
def student_terms(
    e: NDArray[np.float64],
    h: NDArray[np.float64],
    slope: NDArray[np.float64],
    nu: float,
    gradient: NDArray[np.float64],
) -> float:
    """Do the same for the t law; write the derivative by nu into ``gradient[5]``."""
    constant, constant_slope = student_constant(nu)
    spread = 1.0 / (nu - 2.0)
    pulls, logs, log_ratios = 0.0, 0.0, 0.0
    for first in range(0, len(e), _STRIP):
        e_, h_ = e[first : first + _STRIP], h[first : first + _STRIP]
        slope_ = slope[first : first + _STRIP]
        product, widened = 1.0, 1.0
        for t in range(len(e_)):
            square = spread * e_[t] * e_[t]
            wide = h_[t] + square
            product *= h_[t]
            widened *= wide
            slope_[t] = -(nu + 1.0) * spread * e_[t] / wide
            pulls += square / wide
        if _SMALLEST < product < _LARGEST and _SMALLEST < widened < _LARGEST:
            log_product = log(product)
            log_ratios += log(widened) - log_product
        else:
            log_product = log_sum(h_)
            log_ratios += log_sum(h_ + spread * e_ * e_) - log_product
        logs += log_product
    gradient[5] = len(e) * constant_slope - 0.5 * log_ratios + 0.5 * (nu + 1.0) * spread * pulls
    return len(e) * constant - 0.5 * logs - 0.5 * (nu + 1.0) * log_ratios


@njit(error_model="numpy", fastmath=FAST)
def skewed_terms(
    e: NDArray[np.float64],
    h: NDArray[np.float64],
    slope: NDArray[np.float64],
    shape: tuple[float, float],
    gradient: NDArray[np.float64],
) -> float:
    """Do the same for the skewed t law; write the derivatives by its shape to the end."""
    nu, skew = shape
    constant, constant_slope = student_constant(nu)
    a, b, a_nu, a_skew, b_nu, b_skew = skew_constants(nu, skew)
    left, right = 1.0 / (1.0 - skew), 1.0 / (1.0 + skew)
    logs, log_ratios = 0.0, 0.0
    squares, per_side, per_side_z, by_side = 0.0, 0.0, 0.0, 0.0
    for first in range(0, len(e), _STRIP):
        e_, h_ = e[first : first + _STRIP], h[first : first + _STRIP]
        slope_ = slope[first : first + _STRIP]
        product, widened = 1.0, 1.0
        for t in range(len(e_)):
            root = 1.0 / np.sqrt(h_[t])
            z = e_[t] * root
            y = b * z + a
            side = left if y < 0.0 else right
            w = y * side
            wide = nu - 2.0 + w * w
            product *= h_[t]
            widened *= wide
            pull = -(nu + 1.0) * w / wide
            slope_[t] = pull * b * side * root
            squares += w * w / wide
            per_side += pull * side
            per_side_z += pull * side * z
            by_side += pull * w * (-side if y < 0.0 else side)
        if _SMALLEST < product < _LARGEST and _SMALLEST < widened < _LARGEST:
            logs += log(product)
            log_ratios += log(widened)
        else:
            logs += log_sum(h_)
            for t in range(len(e_)):
                y = b * e_[t] / np.sqrt(h_[t]) + a
                w = y * left if y < 0.0 else y * right
                log_ratios += log(nu - 2.0 + w * w)
        log_ratios -= len(e_) * log(nu - 2.0)
    n = len(e)
    gradient[5] = (
        n * (constant_slope + b_nu / b)
        - 0.5 * log_ratios
        + 0.5 * (nu + 1.0) / (nu - 2.0) * squares
        + b_nu * per_side_z
        + a_nu * per_side
    )
    gradient[6] = n * b_skew / b + b_skew * per_side_z + a_skew * per_side - by_side
    return n * (constant + log(b)) - 0.5 * logs - 0.5 * (nu + 1.0) * log_ratios


@njit(error_model="numpy")
def law_terms(
    law: int,
    e: NDArray[np.float64],
    h: NDArray[np.float64],
    slope: NDArray[np.float64],
    theta: NDArray[np.float64],
    gradient: NDArray[np.float64],
) -> float:
    """Return the log-likelihood under a law; its derivative by each e at a given h in `slope`.

    The derivative by ``ln h`` needs no array of its own: it is ``-(1 + e slope) / 2``.
    """
    if law == NORMAL:
        return normal_terms(e, h, slope)
    if law == STUDENT:
        return student_terms(e, h, slope, theta[5], gradient)
    return skewed_terms(e, h, slope, (theta[5], theta[6]), gradient)
