"""Variance where bars are so short that the bounce between bid and ask adds to it.

Noise of variance w in every price adds 2nw to the realised variance of n returns, without limit
as bars shorten. Three ways out: a sparser grid (:func:`subsampled_variance`), two grids whose
difference cancels the noise (:func:`two_scale_variance`), and autocovariances that take it back
(:func:`~.kernel.realized_kernel`). All take returns and heads as
:func:`~.powers.realized_measures` does, and leave out what is not finite.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...errors import InputError
from .segments import period_sums, segments


def subsampled_variance(
    log_return: NDArray[np.float64], heads: NDArray[np.int64], *, step: int
) -> NDArray[np.float64]:
    r"""Realised variance of returns over `step` bars, averaged over all starting points.

    With :math:`R_j = r_j + \dots + r_{j+s-1}` and :math:`N = n - s + 1` of them in the period

    .. math:: \frac{n}{s N} \sum_{j=1}^{N} R_j^2 .

    The factor makes up for the bars at both ends that a grid leaves out. Noise adds
    :math:`2 n w / s` instead of :math:`2 n w`; averaging takes back a third of the precision that
    the sparse grid loses [1]_.

    Parameters
    ----------
    log_return, heads
        As in :func:`~.powers.realized_measures`.
    step : int
        Bars in one return of the sparse grid, at least 1 (which is realised variance itself).

    Returns
    -------
    ndarray, shape (n_periods,)
        Decimal squared; NaN in a period with fewer than `step` returns.

    Raises
    ------
    InputError
        If `step` is below 1.

    References
    ----------
    .. [1] Zhang, Mykland and Ait-Sahalia (2005), "A Tale of Two Time Scales", Journal of the
       American Statistical Association 100(472).
    """
    _require_step(step, least=1)
    known = segments(log_return, heads)
    n = known.at_least(step)
    total = overlapping_squares(known.log_return, known.bounds, _same(known.bounds, step))
    return np.asarray(n / (step * (n - step + 1.0)) * total)


def two_scale_variance(
    log_return: NDArray[np.float64], heads: NDArray[np.int64], *, step: int
) -> NDArray[np.float64]:
    r"""Two-scale variance: the sparse grids' average less the noise that the full grid shows.

    With :math:`K` = `step`, :math:`\bar n = (n - K + 1) / K` and overlapping returns :math:`R_j`
    over :math:`K` bars

    .. math:: \Bigl(1 - \frac{\bar n}{n}\Bigr)^{-1}
        \Bigl( \frac{1}{K} \sum_j R_j^2 - \frac{\bar n}{n} \sum_j r_j^2 \Bigr),

    the small-sample adjusted estimator of [1]_. Consistent for the quadratic variation under
    independent noise. Its mean falls short by about :math:`K / n` of itself: the ends that the
    sparse grids leave out. It can be negative where noise is large, and is returned as it is.

    Parameters
    ----------
    log_return, heads
        As in :func:`~.powers.realized_measures`.
    step : int
        Bars in one return of the slow scale, at least 2; of the order of n to the power 2/3.

    Returns
    -------
    ndarray, shape (n_periods,)
        Decimal squared; NaN in a period with fewer than ``step + 1`` returns.

    Raises
    ------
    InputError
        If `step` is below 2.

    References
    ----------
    .. [1] Zhang, Mykland and Ait-Sahalia (2005), "A Tale of Two Time Scales: Determining
       Integrated Volatility with Noisy High-Frequency Data", Journal of the American Statistical
       Association 100(472).
    """
    _require_step(step, least=2)
    known = segments(log_return, heads)
    n = known.at_least(step + 1)
    slow = overlapping_squares(known.log_return, known.bounds, _same(known.bounds, step)) / step
    fast = period_sums(known.log_return**2, known.bounds)
    share = (n - step + 1.0) / (step * n)  # n-bar over n
    return np.asarray((slow - share * fast) / (1.0 - share))


@njit(cache=True)
def overlapping_squares(
    log_return: NDArray[np.float64], bounds: NDArray[np.int64], steps: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Sum the squares of all returns over ``steps[i]`` bars inside period i, shape (n_periods,)."""
    out = np.zeros(len(bounds) - 1)
    longest = 0
    for i in range(len(out)):
        longest = max(longest, bounds[i + 1] - bounds[i])
    price = np.zeros(longest + 1)
    for i in range(len(out)):
        n, step = bounds[i + 1] - bounds[i], steps[i]
        # The price starts at zero in each period: differences of it lose no digits that count.
        for j in range(n):
            price[j + 1] = price[j] + log_return[bounds[i] + j]
        total = 0.0
        for j in range(step, n + 1):
            move = price[j] - price[j - step]
            total += move * move
        out[i] = total
    return out


def _same(bounds: NDArray[np.int64], step: int) -> NDArray[np.int64]:
    return np.full(len(bounds) - 1, step, dtype=np.int64)


def _require_step(step: int, *, least: int) -> None:
    if step < least:
        raise InputError(
            f"step must be at least {least} bars, was {step}; "
            "a grid of five minutes is 5 one-minute bars"
        )
