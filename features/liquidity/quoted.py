"""Spreads that can be read off: between the quotes, and between a trade and the middle.

Both say nothing about size: a spread of one tick may stand for one unit or for a thousand. Depth
and slippage (:mod:`.depth`, :mod:`.slippage`) do.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .spread_estimator import BPS

Array = NDArray[np.float64]


def mid_price(bid: ArrayLike, ask: ArrayLike) -> Array:
    """Return the middle of bid and ask, quote currency; NaN where the two make no market.

    They make none if one is missing or not positive, or if the bid is above the ask (a crossed
    book: stale on one side). A locked book, bid equal to ask, is a market.
    """
    bids, asks = np.asarray(bid, dtype=np.float64), np.asarray(ask, dtype=np.float64)
    market = (bids > 0.0) & (asks >= bids) & np.isfinite(asks)
    return np.where(market, 0.5 * (np.where(market, bids, 0.0) + asks), np.nan)


def quoted_spread_bps(bid: ArrayLike, ask: ArrayLike) -> Array:
    """Return the distance from bid to ask, basis points of mid.

    Parameters
    ----------
    bid, ask : array_like of one shape
        Best quotes of the same moment, quote currency.

    Returns
    -------
    ndarray
        NaN where the quotes make no market (see :func:`mid_price`); zero where they are locked,
        which in recorded data often means prices that were rounded too coarsely.

    Examples
    --------
    >>> quoted_spread_bps([99.95, 100.0, 101.0], [100.05, 100.0, 100.0]).round(6)
    array([10.,  0., nan])
    """
    middle = mid_price(bid, ask)
    width = np.asarray(ask, dtype=np.float64) - np.asarray(bid, dtype=np.float64)
    return BPS * np.where(np.isfinite(middle), width, np.nan) / middle


def effective_spread_bps(price: ArrayLike, mid: ArrayLike) -> Array:
    """Return twice the distance of trades from the middle, basis points of mid.

    What a taker paid: below the quoted spread where trades happen inside it, above where they
    are larger than the touch. The mid must be that of just before the trade, since the trade
    itself moves it.

    Parameters
    ----------
    price, mid : array_like of one shape
        Price of each trade and mid before it, quote currency.

    Returns
    -------
    ndarray
        Never negative; NaN where one of the two is unknown or not positive.

    Examples
    --------
    >>> effective_spread_bps([100.04, 99.96], [100.0, 100.0]).round(6)
    array([8., 8.])
    """
    prices, mids = np.asarray(price, dtype=np.float64), np.asarray(mid, dtype=np.float64)
    known = (prices > 0.0) & (mids > 0.0)
    middle = np.where(known, mids, np.nan)
    return np.asarray(2.0 * BPS * np.abs(prices - middle) / middle)
