"""Slippage: what it costs to trade a size at once, from a book or from costs at a few sizes.

Costs are basis points of mid and one-way: from mid to the average price of the fill. A round trip
at the touch costs the quoted spread, so the cost of a tiny size is half of it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, ShapeError
from .spread_estimator import BPS

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class SlippageCurve:
    """Cost against size on one side of one book at one moment.

    Between the sizes given, cost is linear in the log of size; outside of them it is unknown
    (NaN), not extrapolated. Costs are made non-decreasing by a running maximum: an average fill
    cannot get cheaper with size, and where recorded costs do, they were rounded or not of one
    moment.

    Attributes
    ----------
    size : ndarray, shape (n,)
        Value traded at once, quote currency; positive and increasing.
    cost_bps : ndarray, shape (n,)
        Distance from mid to the average fill, basis points of mid; NaN where the book did not
        hold the size.

    Raises
    ------
    ShapeError
        If the two arrays are not one-dimensional and of one length.
    InputError
        If sizes are not positive and increasing.

    Examples
    --------
    >>> curve = SlippageCurve(size=np.array([1e3, 1e5]), cost_bps=np.array([1.0, 5.0]))
    >>> round(float(curve.cost(1e4)), 6), round(curve.implied_depth(3.0), 6)
    (3.0, 10000.0)
    """

    size: Array
    cost_bps: Array

    def __post_init__(self) -> None:
        size, cost = (np.array(x, dtype=np.float64) for x in (self.size, self.cost_bps))
        if size.ndim != 1 or size.shape != cost.shape:
            raise ShapeError(
                f"cost_bps must have shape (n,) like size, was {cost.shape} where size has "
                f"{size.shape}"
            )
        if not (size > 0.0).all() or not (np.diff(size) > 0.0).all():
            raise InputError(f"size must be positive and increasing, was {size.tolist()}")
        known = np.isfinite(cost)
        size, cost = size[known], np.maximum.accumulate(cost[known])
        size.setflags(write=False)
        cost.setflags(write=False)
        object.__setattr__(self, "size", size)
        object.__setattr__(self, "cost_bps", cost)

    def cost(self, size: float | Array) -> Array:
        """Return the cost of sizes in quote currency, bps of mid; NaN outside the curve."""
        wanted = np.asarray(size, dtype=np.float64)
        if not len(self.size):
            return np.full(wanted.shape, np.nan)
        log_size = np.log(np.where(wanted > 0.0, wanted, np.nan))
        cost = np.interp(log_size, np.log(self.size), self.cost_bps, left=np.nan, right=np.nan)
        return np.asarray(cost)

    def implied_depth(self, cost_bps: float) -> float:
        """Return the largest size whose cost stays within `cost_bps`, quote currency.

        NaN if even the smallest size costs more, or if the largest known size costs less: then
        the curve does not reach that far.
        """
        if not len(self.size) or not self.cost_bps[0] <= cost_bps <= self.cost_bps[-1]:
            return float("nan")
        # The last of equal costs, since any of those sizes stays within.
        last = int(np.searchsorted(self.cost_bps, cost_bps, side="right")) - 1
        if last == len(self.size) - 1:
            return float(self.size[-1])
        (low, high), logs = self.cost_bps[last : last + 2], np.log(self.size[last : last + 2])
        share = (cost_bps - low) / (high - low)
        return float(np.exp(logs[0] + share * (logs[1] - logs[0])))


def walk_book(price: Array, quantity: Array, *, mid: float, size: Array) -> SlippageCurve:
    """Fill market orders against one side of a book.

    Parameters
    ----------
    price, quantity : ndarray, shape (n_levels,)
        Levels of the asks (increasing) or of the bids (decreasing), best first; quote currency
        and units of the instrument.
    mid : float
        Middle of the best bid and ask, quote currency.
    size : ndarray, shape (n_sizes,)
        Values to trade, quote currency: money spent on asks, money received from bids.

    Returns
    -------
    SlippageCurve
        Sizes that the book does not hold are left out.

    Raises
    ------
    ShapeError, InputError
        If the levels differ in length, hold what is not positive, or are not sorted.

    Examples
    --------
    >>> asks, held = np.array([100.1, 100.3]), np.array([1.0, 1.0])
    >>> walk_book(asks, held, mid=100.0, size=np.array([50.0, 200.0])).cost_bps.round(2)
    array([10.  , 19.98])
    """
    if price.ndim != 1 or price.shape != quantity.shape:
        raise ShapeError(
            f"quantity must have shape (n_levels,) like price, was {quantity.shape} where price "
            f"has {price.shape}"
        )
    steps = np.diff(price)
    sorted_levels = bool((steps > 0.0).all() or (steps < 0.0).all())
    if not (sorted_levels and (price > 0.0).all() and (quantity > 0.0).all() and mid > 0.0):
        raise InputError(
            "price, quantity and mid must be positive and price sorted from the best level on; "
            "drop empty levels and pass one side of the book"
        )
    value = np.concatenate([[0.0], np.cumsum(price * quantity)])
    held = np.concatenate([[0.0], np.cumsum(quantity)])
    # Value is linear in quantity within a level, so interpolating the sums fills partly.
    filled = np.interp(size, value, held, right=np.nan)
    average = np.asarray(size, dtype=np.float64) / filled
    return SlippageCurve(size=size, cost_bps=BPS * np.abs(average / mid - 1.0))


@dataclass(frozen=True, kw_only=True)
class PowerLaw:
    """Impact against size: cost beyond the half-spread = coefficient * size ** exponent.

    Attributes
    ----------
    coefficient : float
        Basis points at a size of one quote currency.
    exponent : float
        One half for the square-root law (Almgren, Thum, Hauptmann and Li 2005, Risk 18(7), find
        0.6 for executed orders); near one for a book with equal depth at each price.
    exponent_error : float
        Standard error of the exponent, from least squares on logs; NaN on two points.
    n_points : int
        Sizes that entered.
    """

    coefficient: float
    exponent: float
    exponent_error: float
    n_points: int

    def cost_bps(self, size: Array) -> Array:
        """Return the cost beyond the half-spread of sizes in quote currency, bps of mid."""
        return np.asarray(self.coefficient * size**self.exponent)


def fit_power_law(size: Array, cost_bps: Array, *, half_spread_bps: float | Array) -> PowerLaw:
    """Fit the power law of impact by least squares on logs.

    A snapshot of a book is not a metaorder: it has no time to refill, so its exponent is usually
    above the one half of orders that are split. Points of one snapshot are not independent, and
    the standard error is then too small.

    Parameters
    ----------
    size : ndarray, shape (n,)
        Values, quote currency.
    cost_bps : ndarray, shape (n,)
        Cost of each, basis points of mid.
    half_spread_bps : float or ndarray, shape (n,)
        Cost of a tiny size; points that cost no more than this have no impact to take a log of
        and are left out.

    Raises
    ------
    InputError
        If fewer than two different sizes cost more than the half-spread.

    Examples
    --------
    >>> size = np.array([1e4, 1e5, 1e6])
    >>> law = fit_power_law(size, 2.0 + 0.01 * np.sqrt(size), half_spread_bps=2.0)
    >>> round(law.exponent, 6), round(law.coefficient, 6)
    (0.5, 0.01)
    """
    impact = np.asarray(cost_bps - half_spread_bps, dtype=np.float64)
    usable = (size > 0.0) & (impact > 0.0)
    x, y = np.log(size[usable]), np.log(impact[usable])
    if len(np.unique(x)) < 2:
        raise InputError(
            f"two sizes must cost more than the half-spread, found {len(np.unique(x))}; give "
            "larger sizes"
        )
    centred = x - x.mean()
    exponent = float(centred @ y / (centred @ centred))
    residual = y - y.mean() - exponent * centred
    freedom = len(x) - 2
    error = np.sqrt(residual @ residual / freedom / (centred @ centred)) if freedom else np.nan
    return PowerLaw(
        coefficient=float(np.exp(y.mean() - exponent * x.mean())),
        exponent=exponent,
        exponent_error=float(error),
        n_points=len(x),
    )
