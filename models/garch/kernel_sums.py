"""Sums over a whole series, compiled, in an order that is the same in every process.

The compiler has no licence to reorder any arithmetic of these kernels. A function is compiled by
itself and again inside each of its callers, and which copy runs differs between a process that
compiles and one that loads; only arithmetic in a stated order gives the same bits in both. The
order stated here is one that vector units like: sixteen lanes side by side, to each of which four
terms are added at a time.

A sum of logarithms is the logarithm of a product: 64 factors at a time, that is all but free.
Residuals are in units of their deviation, so that such a product neither overflows nor vanishes;
where it does, the logarithms are taken one by one. (No variance is below 1e-8, so that no lane
vanishes before its block ends.)
"""

from math import isfinite, log
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

_LANES = 16
_2ND, _3RD, _4TH = _LANES, 2 * _LANES, 3 * _LANES  # terms of one strip, for each lane
_STRIP = 4 * _LANES
_BLOCK = 8 * _STRIP  # after which the logarithms of the products are taken
_MOST_SUMS = 5
_SMALLEST, _LARGEST = 1e-290, 1e290


class Scratch(NamedTuple):
    """Room for one pass over a series.

    Attributes
    ----------
    rows : ndarray, shape (8, n)
        Residuals; variances; derivatives of the likelihood by the variances, and by the
        residuals; two for a law; EGARCH's log variances, and one over its deviations.
    lanes : ndarray, shape (80,)
        Sums in the making.
    """

    rows: NDArray[np.float64]
    lanes: NDArray[np.float64]


@njit(error_model="numpy")
def make_scratch(n: int) -> Scratch:
    """Allocate what passes over up to `n` returns need."""
    return Scratch(np.empty((8, n)), np.empty(_MOST_SUMS * _LANES))


@njit(error_model="numpy")
def _clear(lanes: NDArray[np.float64], n_sums: int) -> None:
    for t in range(n_sums * _LANES):
        lanes[t] = 0.0


@njit(error_model="numpy")
def _total(lanes: NDArray[np.float64], place: int) -> float:
    """Return the sum of which these lanes are parts."""
    half = _LANES // 2
    first, out = place * _LANES, 0.0
    for t in range(first, first + half):
        out += lanes[t] + lanes[t + half]
    return out


@njit(error_model="numpy")
def _log_of_product(lanes: NDArray[np.float64]) -> float:
    """Return the logarithm of the product of the lanes, NaN if one is beyond the numbers."""
    half, out = _LANES // 2, 0.0
    for t in range(half):
        product = lanes[t] * lanes[t + half]
        out += log(product) if _SMALLEST < product < _LARGEST else np.nan
    return out


@njit(error_model="numpy")
def _logs_one_by_one(e: NDArray[np.float64], h: NDArray[np.float64], spread: float) -> float:
    out = 0.0
    for t in range(len(e)):
        out += log(h[t] + spread * e[t] * e[t])
    return out


@njit(error_model="numpy")
def log_sum(
    e: NDArray[np.float64], h: NDArray[np.float64], spread: float, lanes: NDArray[np.float64]
) -> float:
    """Sum the logarithms of ``h + spread e²``; NaN if one of these is not positive."""
    out, lowest = 0.0, np.inf
    for t in range(_LANES):
        lanes[_LANES + t] = np.inf
    for first in range(0, len(e), _BLOCK):
        e_, h_ = e[first : first + _BLOCK], h[first : first + _BLOCK]
        for t in range(_LANES):
            lanes[t] = 1.0
        whole = len(e_) // _STRIP * _STRIP
        for strip in range(0, whole, _STRIP):
            x, y = e_[strip:], h_[strip:]
            for t in range(_LANES):
                a = y[t] + spread * x[t] * x[t]
                b = y[t + _2ND] + spread * x[t + _2ND] * x[t + _2ND]
                c = y[t + _3RD] + spread * x[t + _3RD] * x[t + _3RD]
                d = y[t + _4TH] + spread * x[t + _4TH] * x[t + _4TH]
                lanes[t] *= (a * b) * (c * d)
                lanes[_LANES + t] = min(lanes[_LANES + t], min(min(a, b), min(c, d)))
        for t in range(whole, len(e_)):
            a = h_[t] + spread * e_[t] * e_[t]
            lanes[t % _LANES] *= a
            lowest = min(lowest, a)
        logs = _log_of_product(lanes)
        out += logs if isfinite(logs) else _logs_one_by_one(e_, h_, spread)
    for t in range(_LANES):
        lowest = min(lowest, lanes[_LANES + t])
    return out if lowest > 0.0 else np.nan


@njit(error_model="numpy")
def slope_sums(
    e: NDArray[np.float64], slope: NDArray[np.float64], lanes: NDArray[np.float64]
) -> tuple[float, float]:
    """Sum the slopes, and the slopes times their residuals."""
    _clear(lanes, 2)
    whole = len(e) // _STRIP * _STRIP
    for strip in range(0, whole, _STRIP):
        x, s = e[strip:], slope[strip:]
        for t in range(_LANES):
            a, b, c, d = s[t], s[t + _2ND], s[t + _3RD], s[t + _4TH]
            lanes[t] += (a + b) + (c + d)
            left, right = x[t] * a + x[t + _2ND] * b, x[t + _3RD] * c + x[t + _4TH] * d
            lanes[_LANES + t] += left + right
    plain, weighted = _total(lanes, 0), _total(lanes, 1)
    for t in range(whole, len(e)):
        plain += slope[t]
        weighted += e[t] * slope[t]
    return plain, weighted


@njit(error_model="numpy", inline="always")
def _lean_at(
    e: NDArray[np.float64],
    deviation: NDArray[np.float64],
    slope: NDArray[np.float64],
    mode: tuple[float, float],
    t: int,
) -> tuple[float, float]:
    lean = mode[1] * e[t] + mode[0] * deviation[t]
    return deviation[t] * slope[t], (lean if lean < 0.0 else 0.0) * slope[t]


@njit(error_model="numpy")
def skewed_sums(
    e: NDArray[np.float64],
    deviation: NDArray[np.float64],
    slope: NDArray[np.float64],
    mode: tuple[float, float],
    lanes: NDArray[np.float64],
) -> tuple[float, float]:
    """Sum the slopes times deviations, and times ``b e + a deviation`` where that is negative.

    `mode` is Hansen's (a, b).
    """
    _clear(lanes, 2)
    whole = len(e) // _STRIP * _STRIP
    for strip in range(0, whole, _STRIP):
        e_, deviation_, slope_ = e[strip:], deviation[strip:], slope[strip:]
        for t in range(_LANES):
            a = _lean_at(e_, deviation_, slope_, mode, t)
            b = _lean_at(e_, deviation_, slope_, mode, t + _2ND)
            c = _lean_at(e_, deviation_, slope_, mode, t + _3RD)
            d = _lean_at(e_, deviation_, slope_, mode, t + _4TH)
            lanes[t] += (a[0] + b[0]) + (c[0] + d[0])
            lanes[_LANES + t] += (a[1] + b[1]) + (c[1] + d[1])
    scaled, falls = _total(lanes, 0), _total(lanes, 1)
    for t in range(whole, len(e)):
        a = _lean_at(e, deviation, slope, mode, t)
        scaled, falls = scaled + a[0], falls + a[1]
    return scaled, falls


@njit(error_model="numpy", inline="always")
def _news_at(
    y: NDArray[np.float64],
    e: NDArray[np.float64],
    h: NDArray[np.float64],
    lam: NDArray[np.float64],
    news: tuple[float, float, float],
    t: int,
) -> tuple[float, float, float, float, float]:
    kink, rise, fall = news
    falls = y[t] < kink
    pull = lam[t + 1] * e[t]
    square = pull * e[t]
    down = square if falls else 0.0
    return lam[t + 1], square, down, lam[t + 1] * h[t], (fall if falls else rise) * pull


@njit(error_model="numpy")
def news_sums(
    y: NDArray[np.float64],
    e: NDArray[np.float64],
    h: NDArray[np.float64],
    lam: NDArray[np.float64],
    news: tuple[float, float, float],
    lanes: NDArray[np.float64],
) -> tuple[float, float, float, float, float]:
    """Sum `lam` of the next period times 1, e², e² of falls, h, and the news times e.

    `news` is the return below which there is a fall, and the weights of rises and of falls.
    """
    _clear(lanes, 5)
    n = len(y) - 1
    whole = n // _STRIP * _STRIP
    for strip in range(0, whole, _STRIP):
        y_, e_, h_, lam_ = y[strip:], e[strip:], h[strip:], lam[strip:]
        for t in range(_LANES):
            a = _news_at(y_, e_, h_, lam_, news, t)
            b = _news_at(y_, e_, h_, lam_, news, t + _2ND)
            c = _news_at(y_, e_, h_, lam_, news, t + _3RD)
            d = _news_at(y_, e_, h_, lam_, news, t + _4TH)
            lanes[t] += (a[0] + b[0]) + (c[0] + d[0])
            lanes[_LANES + t] += (a[1] + b[1]) + (c[1] + d[1])
            lanes[2 * _LANES + t] += (a[2] + b[2]) + (c[2] + d[2])
            lanes[3 * _LANES + t] += (a[3] + b[3]) + (c[3] + d[3])
            lanes[4 * _LANES + t] += (a[4] + b[4]) + (c[4] + d[4])
    one, square, down = _total(lanes, 0), _total(lanes, 1), _total(lanes, 2)
    past, lean = _total(lanes, 3), _total(lanes, 4)
    for t in range(whole, n):
        a = _news_at(y, e, h, lam, news, t)
        one, square, down = one + a[0], square + a[1], down + a[2]
        past, lean = past + a[3], lean + a[4]
    return one, square, down, past, lean
