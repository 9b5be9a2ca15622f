"""Depth: how much a book holds near the middle, on which side, and how fast it goes.

Depth counts displayed orders; hidden ones are not seen, and displayed ones may be taken back.
"""

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, ShapeError
from .spread_estimator import BPS

Array = NDArray[np.float64]


def depth_within(price: Array, quantity: Array, *, mid: float, bps: float) -> float:
    """Return the value of the levels within a distance of mid, quote currency.

    Parameters
    ----------
    price, quantity : ndarray, shape (n_levels,)
        Levels of one side in any order; quote currency and units of the instrument.
    mid : float
        Middle of the best bid and ask, quote currency.
    bps : float
        Distance, basis points of mid, the end included.

    Returns
    -------
    float
        A lower bound where the recorded book ends before the distance does.

    Raises
    ------
    ShapeError
        If price and quantity differ in shape.
    InputError
        If mid or bps is not positive.

    Examples
    --------
    >>> depth_within(np.array([100.1, 101.0]), np.array([2.0, 5.0]), mid=100.0, bps=20)
    200.2
    """
    if price.shape != quantity.shape:
        raise ShapeError(
            f"quantity must have the shape {price.shape} of price, was {quantity.shape}"
        )
    if not (mid > 0.0 and bps > 0.0):
        raise InputError(f"mid and bps must be positive, were {mid} and {bps}")
    # Ten parts in a trillion let a level that lies exactly on the border count as within.
    within = np.abs(price / mid - 1.0) * BPS <= bps * (1.0 + 1e-11)
    return float((price * quantity)[within].sum())


def depth_imbalance(bid_depth: Array, ask_depth: Array) -> Array:
    """Return (bids - asks) / (bids + asks), -1 to 1, elementwise.

    Parameters
    ----------
    bid_depth, ask_depth : ndarray of one shape
        Value within the same distance of mid on both sides, quote currency.

    Returns
    -------
    ndarray
        Positive where the bids are thicker: a seller pays less than a buyer. NaN where a side is
        unknown or negative, or both are empty.

    Examples
    --------
    >>> depth_imbalance(np.array([3e6, 0.0]), np.array([1e6, 0.0]))
    array([0.5, nan])
    """
    total = bid_depth + ask_depth
    usable = (bid_depth >= 0.0) & (ask_depth >= 0.0) & (total > 0.0)
    return np.asarray((bid_depth - ask_depth) / np.where(usable, total, np.nan))


def depth_half_life(depth: Array, elapsed: Array) -> float:
    """Return the time in which depth halves, from a line through its logs.

    Parameters
    ----------
    depth : ndarray, shape (n,)
        Depth at each moment, quote currency; values that are not positive or not known are left
        out.
    elapsed : ndarray, shape (n,)
        Time of each value in any unit (the result has the same).

    Returns
    -------
    float
        Positive; infinite where depth does not decline; NaN on fewer than two moments.

    Raises
    ------
    ShapeError
        If the two arrays are not one-dimensional and of one length.

    Examples
    --------
    >>> round(depth_half_life(np.array([8.0, 4.0, 2.0]), np.array([0.0, 10.0, 20.0])), 6)
    10.0
    """
    if depth.ndim != 1 or depth.shape != elapsed.shape:
        raise ShapeError(
            f"elapsed must have shape (n,) like depth, was {elapsed.shape} where depth has "
            f"{depth.shape}"
        )
    usable = (depth > 0.0) & np.isfinite(depth) & np.isfinite(elapsed)
    x, y = elapsed[usable], np.log(depth[usable])
    if len(np.unique(x)) < 2:
        return float("nan")
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    return float(-np.log(2.0) / slope) if slope < 0.0 else float("inf")
