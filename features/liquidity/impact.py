"""Price impact: how far the price moves per unit of money traded.

Amihud (2002), Journal of Financial Markets 5(1); Kyle (1985), Econometrica 53(6), as a regression
in the way of Hasbrouck (2009), Journal of Finance 64(3).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError, ShapeError

Array = NDArray[np.float64]


def amihud(log_return: Array, quote_volume: Array) -> Array:
    """Return absolute log return per quote currency traded, elementwise.

    NaN where nothing was traded; zero where the price did not move. It cannot tell a move that
    trades made from one that news made, and falls for years as a market grows.

    Parameters
    ----------
    log_return : ndarray
        Decimal log return of each period.
    quote_volume : ndarray of the same shape
        Traded value of the period, quote currency.
    """
    return np.asarray(np.abs(log_return) / np.where(quote_volume > 0.0, quote_volume, np.nan))


@dataclass(frozen=True, kw_only=True, eq=False)
class KyleLambda:
    """Regression of returns on signed volume over trailing windows, arrays of shape (n,).

    Attributes
    ----------
    impact : ndarray
        Slope: decimal log return per quote currency bought net by takers. Negative where the price
        moved against the flow.
    t_statistic : ndarray
        Slope over its standard error (least squares, errors of one variance); large values are
        too large where volatility clusters.
    r_squared : ndarray
        Share of the variance of returns that the flow of the same period explains, 0 to 1.
    """

    impact: Array
    t_statistic: Array
    r_squared: Array


def kyle_lambda(
    log_return: Array, signed_volume: Array, *, window: int, min_periods: int | None = None
) -> KyleLambda:
    """Regress returns on what takers bought net in the same period, over trailing windows.

    It is an association within the period, not an effect: traders who follow the price make flow
    and return agree as well. The value at row t uses rows up to t.

    Parameters
    ----------
    log_return : ndarray, shape (n,)
        Decimal log return of each period.
    signed_volume : ndarray, shape (n,)
        Value bought minus value sold by takers, quote currency.
    window : int
        Periods, the current one included, at least 3.
    min_periods : int, optional
        NaN on fewer known pairs; by default half the window, never fewer than 3.

    Raises
    ------
    ShapeError
        If the two arrays are not one-dimensional and of one length.
    InputError
        If `window` is below 3.

    Examples
    --------
    >>> flow = np.array([1e6, -2e6, 3e6, -1e6])
    >>> kyle_lambda(2e-9 * flow, flow, window=4).impact[-1].round(15)
    np.float64(2e-09)
    """
    if log_return.ndim != 1 or log_return.shape != signed_volume.shape:
        raise ShapeError(
            f"signed_volume must have shape (n,) like log_return, was {signed_volume.shape} where "
            f"log_return has {log_return.shape}; pass one instrument"
        )
    if window < 3:
        raise InputError(f"window must be at least 3 periods, was {window}")
    needed = max(3, window // 2 if min_periods is None else min_periods)
    known = np.isfinite(log_return) & np.isfinite(signed_volume)
    y, x = (np.where(known, values, np.nan) for values in (log_return, signed_volume))
    rolling = pd.DataFrame(np.array([x, y, x * x, x * y, y * y]).T).rolling(
        window, min_periods=needed
    )
    count = pd.Series(known.astype(np.float64)).rolling(window, min_periods=1).sum().to_numpy()
    return _regression(list(rolling.mean().to_numpy().T), count)


def _regression(means: Sequence[Array], count: Array) -> KyleLambda:
    x, y, xx, xy, yy = means
    with np.errstate(divide="ignore", invalid="ignore"):
        variance_x, variance_y = _variance(x, xx), _variance(y, yy)
        slope = (xy - x * y) / variance_x
        r_squared = np.clip(slope * (xy - x * y) / variance_y, 0.0, 1.0)
        t = np.sign(slope) * np.sqrt(r_squared * (count - 2.0) / (1.0 - r_squared))
    return KyleLambda(impact=slope, t_statistic=t, r_squared=r_squared)


def _variance(mean: Array, mean_square: Array) -> Array:
    variance = mean_square - mean * mean
    # Below this the values are equal and the difference is a residue of rounded running sums.
    return np.where(variance > 1e-12 * mean_square, variance, np.nan)
