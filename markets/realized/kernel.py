"""The realised kernel: noise leaves traces in autocovariances, which take it back out."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...errors import InputError
from .noise import overlapping_squares
from .segments import Segments, period_sums, segments

_PARZEN_CONSTANT = 3.5134  # (k''(0)^2 / integral of k^2)^(1/5), Barndorff-Nielsen et al. (2009)
_FEWEST_SPARSE = 4  # returns on the sparse grid of the bandwidth rule


def realized_kernel(
    log_return: NDArray[np.float64],
    heads: NDArray[np.int64],
    *,
    sparse_step: int,
    bandwidth: int | None = None,
) -> NDArray[np.float64]:
    r"""Parzen realised kernel.

    With autocovariances :math:`\gamma_h = \sum_j r_j r_{j-h}` inside the period and bandwidth
    :math:`H`

    .. math:: \gamma_0 + 2 \sum_{h=1}^{H} k\Bigl(\frac{h}{H + 1}\Bigr) \gamma_h,

    where :math:`k` is Parzen's weight, :math:`1 - 6x^2 + 6x^3` up to one half and
    :math:`2 (1 - x)^3` beyond [1]_ [2]_. It is never negative, and stands noise that is
    autocorrelated or depends on the price. End prices are not averaged ("jittered"): that leaves
    the noise of two prices in it. A bandwidth of zero is realised variance.

    Parameters
    ----------
    log_return, heads
        As in :func:`~.powers.realized_measures`.
    sparse_step : int
        Bars in a return on which noise no longer matters, for :func:`kernel_bandwidth`; 20 minutes
        in the source.
    bandwidth : int, optional
        The same H for all periods; by default that of :func:`kernel_bandwidth`. Cut at n - 1.

    Returns
    -------
    ndarray, shape (n_periods,)
        Decimal squared; NaN in a period without a return.

    Raises
    ------
    InputError
        If `sparse_step` is below 1 or `bandwidth` below 0.

    References
    ----------
    .. [1] Barndorff-Nielsen, Hansen, Lunde and Shephard (2008), "Designing Realized Kernels to
       Measure the Ex-Post Variation of Equity Prices in the Presence of Noise", Econometrica 76(6).
    .. [2] Barndorff-Nielsen, Hansen, Lunde and Shephard (2009), "Realized Kernels in Practice:
       Trades and Quotes", Econometrics Journal 12(3).
    """
    if bandwidth is not None and bandwidth < 0:
        raise InputError(f"bandwidth must be 0 or more bars, was {bandwidth}; leave it out")
    known = segments(log_return, heads)
    lags = kernel_bandwidth(log_return, heads, sparse_step=sparse_step)
    if bandwidth is not None:
        lags = np.minimum(bandwidth, np.maximum(np.diff(known.bounds) - 1, 0))
    n = known.at_least(1)
    # Parzen's weights make a sum of squares in exact arithmetic; rounding may fall below zero.
    return np.maximum(_weighted(known.log_return, known.bounds, lags), 0.0) * (n / n)


def kernel_bandwidth(
    log_return: NDArray[np.float64], heads: NDArray[np.int64], *, sparse_step: int
) -> NDArray[np.int64]:
    r"""Bandwidth :math:`H = \lceil 3.5134\, \xi^{4/5} n^{3/5} \rceil` of each period.

    :math:`\xi^2` is the noise variance over the integrated variance. The noise is estimated by
    realised variance over :math:`2n`, which errs on the large side, the integrated variance by the
    subsampled variance of returns over `sparse_step` bars (at most a quarter of the period).
    Barndorff-Nielsen, Hansen, Lunde and Shephard (2009), Econometrics Journal 12(3).

    Parameters
    ----------
    log_return, heads
        As in :func:`~.powers.realized_measures`.
    sparse_step : int
        Bars in a return on which noise no longer matters.

    Returns
    -------
    ndarray of int64, shape (n_periods,)
        Lags, from 0 to n - 1; 0 where the price did not move.

    Raises
    ------
    InputError
        If `sparse_step` is below 1.
    """
    if sparse_step < 1:
        raise InputError(
            f"sparse_step must be at least 1 bar, was {sparse_step}; "
            "twenty minutes are 20 one-minute bars"
        )
    known = segments(log_return, heads)
    n = np.maximum(known.count, 1.0)
    noise = period_sums(known.log_return**2, known.bounds) / (2.0 * n)
    sparse = _sparse_variance(known, sparse_step)
    # A sparse grid that did not move, while the bars did, is all noise: as many lags as there are.
    ratio = np.divide(noise, sparse, out=np.full(len(n), np.inf), where=sparse > 0.0)
    ratio = np.where(noise > 0.0, ratio, 0.0)
    lags = np.ceil(_PARZEN_CONSTANT * ratio**0.4 * n**0.6)
    return np.minimum(lags, n - 1.0).astype(np.int64)


def _sparse_variance(known: Segments, sparse_step: int) -> NDArray[np.float64]:
    n = np.diff(known.bounds)
    steps = np.maximum(np.minimum(sparse_step, n // _FEWEST_SPARSE), 1)
    total = overlapping_squares(known.log_return, known.bounds, steps)
    return np.asarray(np.maximum(n, 1) / (steps * np.maximum(n - steps + 1, 1)) * total)


@njit(cache=True)
def _weighted(
    log_return: NDArray[np.float64], bounds: NDArray[np.int64], lags: NDArray[np.int64]
) -> NDArray[np.float64]:
    out = np.zeros(len(bounds) - 1)
    for i in range(len(out)):
        r = log_return[bounds[i] : bounds[i + 1]]
        most = lags[i]
        covariance = np.zeros(most + 1)
        # Lags inside, bars outside: the compiler then works on several lags at once.
        for j in range(len(r)):
            for h in range(min(most, j) + 1):
                covariance[h] += r[j] * r[j - h]
        total = covariance[0]
        for h in range(1, most + 1):
            x = h / (most + 1.0)
            weight = 1.0 - 6.0 * x * x * (1.0 - x) if x <= 0.5 else 2.0 * (1.0 - x) ** 3
            total += 2.0 * weight * covariance[h]
        out[i] = total
    return out
