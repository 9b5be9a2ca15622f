"""The compiled half of the switching model: densities, likelihood and one step of estimation."""

from math import lgamma, log, log1p, pi

import numpy as np
from numba import njit

_FLOOR = 0.02  # of the spread of the series: a state that is one single point is not a regime
_RARE = 1e-10  # smallest probability of a move
_NU_LOW, _NU_HIGH = 2.2, 60.0
_NU_TRIALS = 14  # golden sections: the bracket shrinks to less than a thousandth


@njit(cache=True)
def log_density(value, mean, scale, nu):  # type: ignore[no-untyped-def]
    """Log density of a value; Student-t with `nu` degrees, normal where that is infinite."""
    z = (value - mean) / scale
    if np.isinf(nu):
        return -0.5 * z * z - log(scale) - 0.5 * log(2.0 * pi)
    constant = lgamma(0.5 * (nu + 1.0)) - lgamma(0.5 * nu) - 0.5 * log(pi * nu)
    return constant - log(scale) - 0.5 * (nu + 1.0) * log1p(z * z / nu)


@njit(cache=True)
def _densities(x, mean, scale, nu):  # type: ignore[no-untyped-def]
    """Return densities divided by the largest of each row, and the sum of those logs."""
    n, k = len(x), len(mean)
    out = np.empty((n, k))
    shift = 0.0
    constant = -0.5 * log(2.0 * pi)
    if not np.isinf(nu):
        constant = lgamma(0.5 * (nu + 1.0)) - lgamma(0.5 * nu) - 0.5 * log(pi * nu)
    for t in range(n):
        for s in range(k):
            z = (x[t] - mean[s]) / scale[s]
            body = -0.5 * z * z if np.isinf(nu) else -0.5 * (nu + 1.0) * log1p(z * z / nu)
            out[t, s] = constant - log(scale[s]) + body
        top = out[t].max()
        shift += top
        for s in range(k):
            out[t, s] = np.exp(out[t, s] - top)
    return out, shift


@njit(cache=True)
def _forward(density, transition, initial):  # type: ignore[no-untyped-def]
    """Return filtered probabilities and the log-likelihood without the densities' shift."""
    n, k = density.shape
    filtered = np.empty((n, k))
    predicted = initial.copy()
    total_log = 0.0
    for t in range(n):
        total = 0.0
        for s in range(k):
            filtered[t, s] = predicted[s] * density[t, s]
            total += filtered[t, s]
        total_log += log(total)
        for s in range(k):
            filtered[t, s] /= total
        for j in range(k):
            predicted[j] = 0.0
            for i in range(k):
                predicted[j] += transition[i, j] * filtered[t, i]
    return filtered, total_log


@njit(cache=True)
def log_likelihood(x, mean, scale, transition, nu, initial):  # type: ignore[no-untyped-def]
    """Log-likelihood of the values under the parameters."""
    density, shift = _densities(x, mean, scale, nu)
    return _forward(density, transition, initial)[1] + shift


@njit(cache=True)
def _backward(filtered, transition):  # type: ignore[no-untyped-def]
    """Return state probabilities given all values, and the expected number of transitions.

    Only the estimation looks back like this, at values that are all past when it runs.
    """
    n, k = filtered.shape
    gamma = filtered.copy()
    moves = np.zeros((k, k))
    ahead = np.empty(k)
    for t in range(n - 2, -1, -1):
        for j in range(k):
            predicted = 0.0
            for i in range(k):
                predicted += transition[i, j] * filtered[t, i]
            ahead[j] = gamma[t + 1, j] / predicted
        for i in range(k):
            gamma[t, i] = 0.0
            for j in range(k):
                move = filtered[t, i] * transition[i, j] * ahead[j]
                moves[i, j] += move
                gamma[t, i] += move
    return gamma, moves


@njit(cache=True)
def step(x, mean, scale, transition, nu, initial):  # type: ignore[no-untyped-def]
    """Improve the parameters in place; return the likelihood before it and the probabilities."""
    density, shift = _densities(x, mean, scale, nu)
    filtered, total_log = _forward(density, transition, initial)
    gamma, moves = _backward(filtered, transition)
    for s in range(len(mean)):
        weight, total, square, count = 0.0, 0.0, 0.0, 0.0
        for t in range(len(x)):
            z = (x[t] - mean[s]) / scale[s]
            share = gamma[t, s] * (1.0 if np.isinf(nu) else (nu + 1.0) / (nu + z * z))
            count += gamma[t, s]
            weight += share
            total += share * x[t]
        if count < 1e-8:
            continue
        mean[s] = total / weight
        for t in range(len(x)):
            z = (x[t] - mean[s]) / scale[s]
            share = gamma[t, s] * (1.0 if np.isinf(nu) else (nu + 1.0) / (nu + z * z))
            square += share * (x[t] - mean[s]) ** 2
        scale[s] = max(np.sqrt(square / count), _FLOOR)
        # No move is impossible, or one odd value would leave no state possible at all.
        leaving = moves[s].sum() + len(mean) * _RARE * count
        for j in range(len(mean)):
            transition[s, j] = (moves[s, j] + _RARE * count) / leaving
    return total_log + shift, gamma


@njit(cache=True)
def _expected(x, mean, scale, gamma, nu):  # type: ignore[no-untyped-def]
    constant = lgamma(0.5 * (nu + 1.0)) - lgamma(0.5 * nu) - 0.5 * log(pi * nu)
    total = 0.0
    for t in range(len(x)):
        for s in range(len(mean)):
            z = (x[t] - mean[s]) / scale[s]
            total += gamma[t, s] * (constant - 0.5 * (nu + 1.0) * log1p(z * z / nu))
    return total


@njit(cache=True)
def update_nu(x, mean, scale, gamma, nu):  # type: ignore[no-untyped-def]
    """Return the degrees of freedom that fit best, by golden sections of their log."""
    golden = 0.5 * (np.sqrt(5.0) - 1.0)
    low = max(log(_NU_LOW), log(nu) - 1.0)
    high = min(log(_NU_HIGH), log(nu) + 1.0)
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left = _expected(x, mean, scale, gamma, np.exp(left))
    at_right = _expected(x, mean, scale, gamma, np.exp(right))
    for _ in range(_NU_TRIALS):
        if at_left > at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = _expected(x, mean, scale, gamma, np.exp(left))
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = _expected(x, mean, scale, gamma, np.exp(right))
    return np.exp(0.5 * (low + high))
