"""Realised covariance of several instruments, and the one for prices that come at odd times."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...errors import InputError, ShapeError


def realized_covariance(
    log_return: NDArray[np.float64], heads: NDArray[np.int64]
) -> NDArray[np.float64]:
    r"""Sum the outer products of bar returns over periods: :math:`\sum_j r_j r_j'`.

    Bars in which one instrument is unknown are left out for all, so that every matrix is positive
    semidefinite; it has full rank only where a period has at least as many bars as instruments.

    Parameters
    ----------
    log_return : ndarray, shape (n_bars, n_instruments)
        Decimal log returns of the same bars; NaN where unknown.
    heads : ndarray of int64, shape (n_periods,)
        Index of the first bar of each period, strictly increasing, starting with 0.

    Returns
    -------
    ndarray, shape (n_periods, n_instruments, n_instruments)
        Decimal squared; NaN in a period without a common bar.

    Raises
    ------
    ShapeError
        If the returns are not two-dimensional.

    References
    ----------
    Barndorff-Nielsen and Shephard (2004), "Econometric Analysis of Realized Covariation",
    Econometrica 72(3).

    Examples
    --------
    >>> returns = np.array([[0.01, 0.02], [0.03, 0.00]])
    >>> realized_covariance(returns, np.array([0]))[0].round(6).tolist()
    [[0.001, 0.0002], [0.0002, 0.0004]]
    """
    if log_return.ndim != 2:
        raise ShapeError(
            f"log_return must have shape (n_bars, n_instruments), was {log_return.shape}"
        )
    common = np.asarray(np.isfinite(log_return).all(axis=1))
    known = np.where(common[:, None], log_return, 0.0)
    k = log_return.shape[1]
    out = np.zeros((len(heads), k, k))
    # Pair by pair: all outer products at once would need k times the memory of the bars.
    for a in range(k):
        for b in range(a + 1):
            out[:, a, b] = out[:, b, a] = np.add.reduceat(known[:, a] * known[:, b], heads)
    out[np.add.reduceat(common.astype(np.int64), heads) == 0] = np.nan
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class Ticks:
    """Prices of one instrument at times of its own.

    Attributes
    ----------
    time : ndarray of int64, shape (n_ticks,)
        Nanoseconds since 1970 UTC, strictly increasing.
    log_price : ndarray, shape (n_ticks,)
        Natural log of the price, finite.
    """

    time: NDArray[np.int64]
    log_price: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.time.shape != self.log_price.shape or self.time.ndim != 1:
            raise ShapeError(
                f"time and log_price must have one shape (n_ticks,), were {self.time.shape} and "
                f"{self.log_price.shape}"
            )
        if not (np.diff(self.time) > 0).all() or not np.isfinite(self.log_price).all():
            raise InputError(
                "ticks must have strictly increasing times and finite log prices; "
                "keep the last price of each time and leave out what is unknown"
            )


def hayashi_yoshida_covariance(first: Ticks, second: Ticks) -> float:
    r"""Covariance of two prices that are never seen at the same time.

    The sum of :math:`\Delta x_i \, \Delta y_j` over all pairs of returns whose time intervals
    overlap [1]_: unbiased without any common grid, where a grid would bias towards zero. It does
    not stand noise. One pass over both.

    Parameters
    ----------
    first, second : Ticks
        Over the same stretch of time.

    Returns
    -------
    float
        Decimal squared; NaN if one of them has fewer than two ticks.

    References
    ----------
    .. [1] Hayashi and Yoshida (2005), "On Covariance Estimation of Non-synchronously Observed
       Diffusion Processes", Bernoulli 11(2).

    Examples
    --------
    >>> x = Ticks(time=np.array([0, 10, 20]), log_price=np.array([0.0, 0.01, 0.03]))
    >>> y = Ticks(time=np.array([0, 15, 20]), log_price=np.array([0.0, 0.02, 0.02]))
    >>> round(hayashi_yoshida_covariance(x, y), 6)  # 0.01 * 0.02 + 0.02 * (0.02 + 0.00)
    0.0006
    """
    if min(len(first.time), len(second.time)) < 2:
        return float("nan")
    return float(_overlaps(first.time, first.log_price, second.time, second.log_price))


@njit(cache=True)
def _overlaps(
    time_x: NDArray[np.int64],
    x: NDArray[np.float64],
    time_y: NDArray[np.int64],
    y: NDArray[np.float64],
) -> float:
    total = 0.0
    first = 0
    for i in range(len(x) - 1):
        while first < len(y) - 2 and time_y[first + 1] <= time_x[i]:
            first += 1
        # The returns of y that overlap this one telescope to one difference of prices.
        last = first
        while last < len(y) - 1 and time_y[last] < time_x[i + 1]:
            last += 1
        if time_y[last] > time_x[i]:
            total += (x[i + 1] - x[i]) * (y[last] - y[first])
    return total
