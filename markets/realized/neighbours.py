r"""Jump-robust measures from neighbouring returns: one jump among two or three cannot get in.

Every function takes returns and heads as :func:`~.powers.realized_measures` does, leaves out what
is not finite (the known returns next to it count as neighbours), forms no pair across two periods,
and costs one pass. Exact zeros, of prices that nobody updated, bias all of them down, and
:func:`minimum_variance` most.
"""

from math import gamma, pi, sqrt

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .segments import Segments, period_sums, segments

_MEDIAN_SECOND = pi / (6.0 - 4.0 * sqrt(3.0) + pi)
_MEDIAN_FOURTH = 3.0 * pi / (9.0 * pi + 72.0 - 52.0 * sqrt(3.0))
_MINIMUM_SECOND = pi / (pi - 2.0)
_MEAN_FOUR_THIRDS = 2.0 ** (2.0 / 3.0) * gamma(7.0 / 6.0) / gamma(0.5)  # E|z|^(4/3), z normal


def median_variance(
    log_return: NDArray[np.float64], heads: NDArray[np.int64]
) -> NDArray[np.float64]:
    r"""MedRV: squared medians of three neighbouring absolute returns.

    .. math:: \frac{\pi}{6 - 4\sqrt{3} + \pi} \frac{n}{n - 2}
        \sum_{j} \mathrm{med}(|r_{j-2}|, |r_{j-1}|, |r_j|)^2

    Its error variance is 2.96/n of the quarticity (realised variance 2, bipower 2.61) [1]_. It
    suffers less from jumps and from zero returns than bipower variance.

    Parameters
    ----------
    log_return, heads
        As in :func:`~.powers.realized_measures`.

    Returns
    -------
    ndarray, shape (n_periods,)
        Decimal squared; NaN in a period with fewer than three returns.

    References
    ----------
    .. [1] Andersen, Dobrev and Schaumburg (2012), "Jump-Robust Volatility Estimation Using
       Nearest Neighbor Truncation", Journal of Econometrics 169(1).

    Examples
    --------
    >>> returns = np.array([0.01, -0.02, 0.30, 0.01])  # the third one is a jump
    >>> round(float(median_variance(returns, np.array([0]))[0]), 5)
    0.00227
    """
    known = segments(log_return, heads)
    middle = _medians(np.abs(known.log_return), known.bounds)
    return _MEDIAN_SECOND * _corrected(known, 3) * period_sums(middle**2, known.bounds)


def minimum_variance(
    log_return: NDArray[np.float64], heads: NDArray[np.int64]
) -> NDArray[np.float64]:
    r"""MinRV: squared minima of two neighbouring absolute returns.

    .. math:: \frac{\pi}{\pi - 2} \frac{n}{n - 1} \sum_{j} \min(|r_{j-1}|, |r_j|)^2

    Its error variance is 3.81/n of the quarticity; a single jump leaves it untouched even in a
    small sample. Andersen, Dobrev and Schaumburg (2012), Journal of Econometrics 169(1).

    Parameters
    ----------
    log_return, heads
        As in :func:`~.powers.realized_measures`.

    Returns
    -------
    ndarray, shape (n_periods,)
        Decimal squared; NaN in a period with fewer than two returns.
    """
    known = segments(log_return, heads)
    least = _minima(np.abs(known.log_return), known.bounds)
    return _MINIMUM_SECOND * _corrected(known, 2) * period_sums(least**2, known.bounds)


def bipower_variance(
    log_return: NDArray[np.float64], heads: NDArray[np.int64]
) -> NDArray[np.float64]:
    r"""Products of neighbours: :math:`\frac{\pi}{2}\frac{n}{n-1}\sum_j |r_{j-1}||r_j|`.

    The same as in :func:`~.powers.realized_measures`, but a return inside the period that is not
    known is left out here, where it counts as zero there.
    Barndorff-Nielsen and Shephard (2004), Journal of Financial Econometrics 2(1).

    Parameters
    ----------
    log_return, heads
        As in :func:`~.powers.realized_measures`.

    Returns
    -------
    ndarray, shape (n_periods,)
        Decimal squared; NaN in a period with fewer than two returns.
    """
    known = segments(log_return, heads)
    pairs = _products(np.abs(known.log_return), known.bounds, 2)
    return np.pi / 2.0 * _corrected(known, 2) * period_sums(pairs, known.bounds)


def tripower_quarticity(
    log_return: NDArray[np.float64], heads: NDArray[np.int64]
) -> NDArray[np.float64]:
    r"""Jump-robust integrated quarticity from products of three neighbours.

    .. math:: n \, \mu_{4/3}^{-3} \frac{n}{n - 2}
        \sum_{j} |r_{j-2}|^{4/3} |r_{j-1}|^{4/3} |r_j|^{4/3},
        \qquad \mu_{4/3} = E|z|^{4/3}

    Barndorff-Nielsen and Shephard (2006), Journal of Financial Econometrics 4(1).

    Parameters
    ----------
    log_return, heads
        As in :func:`~.powers.realized_measures`.

    Returns
    -------
    ndarray, shape (n_periods,)
        Decimal to the fourth; NaN in a period with fewer than three returns.
    """
    known = segments(log_return, heads)
    size = np.abs(known.log_return)
    triples = _products(size * np.cbrt(size), known.bounds, 3)
    scale = known.count * _MEAN_FOUR_THIRDS**-3 * _corrected(known, 3)
    return np.asarray(scale * period_sums(triples, known.bounds))


def median_quarticity(
    log_return: NDArray[np.float64], heads: NDArray[np.int64]
) -> NDArray[np.float64]:
    r"""MedRQ: jump-robust integrated quarticity from medians of three neighbours.

    .. math:: \frac{3 \pi n}{9 \pi + 72 - 52 \sqrt{3}} \frac{n}{n - 2}
        \sum_{j} \mathrm{med}(|r_{j-2}|, |r_{j-1}|, |r_j|)^4

    Andersen, Dobrev and Schaumburg (2012), Journal of Econometrics 169(1).

    Parameters
    ----------
    log_return, heads
        As in :func:`~.powers.realized_measures`.

    Returns
    -------
    ndarray, shape (n_periods,)
        Decimal to the fourth; NaN in a period with fewer than three returns.
    """
    known = segments(log_return, heads)
    middle = _medians(np.abs(known.log_return), known.bounds)
    scale = _MEDIAN_FOURTH * known.count * _corrected(known, 3)
    return np.asarray(scale * period_sums(middle**4, known.bounds))


def _corrected(known: Segments, width: int) -> NDArray[np.float64]:
    """Return n / (n - width + 1): a period has that many groups of `width` neighbours."""
    n = known.at_least(width)
    return np.asarray(n / (n - (width - 1)))


@njit(cache=True)
def _minima(size: NDArray[np.float64], bounds: NDArray[np.int64]) -> NDArray[np.float64]:
    out = np.zeros(len(size))
    for i in range(len(bounds) - 1):
        for j in range(bounds[i] + 1, bounds[i + 1]):
            out[j] = min(size[j - 1], size[j])
    return out


@njit(cache=True)
def _medians(size: NDArray[np.float64], bounds: NDArray[np.int64]) -> NDArray[np.float64]:
    out = np.zeros(len(size))
    for i in range(len(bounds) - 1):
        for j in range(bounds[i] + 2, bounds[i + 1]):
            a, b, c = size[j - 2], size[j - 1], size[j]
            out[j] = max(min(a, b), min(max(a, b), c))
    return out


@njit(cache=True)
def _products(
    size: NDArray[np.float64], bounds: NDArray[np.int64], width: int
) -> NDArray[np.float64]:
    out = np.zeros(len(size))
    for i in range(len(bounds) - 1):
        for j in range(bounds[i] + width - 1, bounds[i + 1]):
            product = size[j]
            for lag in range(1, width):
                product *= size[j - lag]
            out[j] = product
    return out
