"""Concentration: margin that grows with a position, or with a market, beyond what it can carry.

Three rules in use. All are continuous, never fall with size, and leave small positions alone. They
do not look at volatility: that is their use beside an impact law, which in calm times says that
everything can be sold.
"""

import numpy as np

from ...errors import InputError
from .checked import Array, Numbers, common_shape, finite, non_negative, positive, probability


def open_interest_margin_rate(
    open_interest: Numbers, *, base: Numbers, lower_cap: Numbers, upper_cap: Numbers
) -> Array:
    r"""Margin rate that rises from `base` to one as open interest goes from cap to cap.

    :math:`b + \min(\max(s, 0), 1)(1 - b)` with :math:`s = (OI - L)/(U - L)`, in the form of dYdX v4
    (liquidity tiers of the protocol, 2024).

    Parameters
    ----------
    open_interest : float or ndarray
        Value of all open positions, money, zero or more.
    base : float or ndarray
        Margin rate up to the lower cap, in [0, 1].
    lower_cap, upper_cap : float or ndarray
        Open interest at which the rate begins to rise and at which it is one; money, lower < upper.

    Examples
    --------
    >>> rate = open_interest_margin_rate(1_500_000.0, base=0.2, lower_cap=1e6, upper_cap=2e6)
    >>> round(float(rate), 6)
    0.6
    """
    total, low, high = non_negative(
        open_interest=open_interest, lower_cap=lower_cap, upper_cap=upper_cap
    )
    (least,) = probability(base=base)
    common_shape(open_interest=total, base=least, lower_cap=low, upper_cap=high)
    if (low >= high).any():
        raise InputError(
            f"lower_cap must be below upper_cap, found {np.sum(low >= high)} that are not; a "
            "market without caps has the margin rate `base`"
        )
    with np.errstate(over="ignore"):  # far beyond caps that nearly meet the rate is one
        scaling = np.clip((total - low) / (high - low), 0.0, 1.0)
    return np.asarray(least + scaling * (1.0 - least))


def volume_share_multiplier(
    quantity: Numbers, volume: Numbers, *, threshold: Numbers, growth: float = 0.5
) -> Array:
    r"""Multiple of margin for a position that is large against daily volume, elementwise.

    :math:`\max(1, (Q/V)/\theta)^g`: one up to the threshold, then a power of how many times it is
    exceeded. A threshold follows from a cost that the margin can carry: the share
    ``quantity_at_cost(cost, 1.0, sigma=sigma)``, with a coefficient from recorded costs
    (:func:`~foremargin.calibrate.liquidity.fit_impact`).

    Parameters
    ----------
    quantity, volume : float or ndarray
        Size, zero or more, and average volume of a day, positive; one unit.
    threshold : float or ndarray
        Share of the volume up to which a position is not concentrated, positive.
    growth : float
        g: 0.5 follows the square-root law, 1 a linear one. Zero or more.

    Examples
    --------
    >>> volume_share_multiplier(np.array([1.0, 10.0, 40.0]), 100.0, threshold=0.1)
    array([1., 1., 2.])
    """
    (size,) = non_negative(quantity=quantity)
    traded, limit = positive(volume=volume, threshold=threshold)
    non_negative(growth=growth)
    common_shape(quantity=size, volume=traded, threshold=limit)
    with np.errstate(over="ignore"):
        multiplier = np.maximum(size / traded / limit, 1.0) ** growth
    return finite("multiplier", np.asarray(multiplier))


def square_root_size_margin_rate(
    quantity: Numbers, *, base: Numbers, factor: Numbers, relief: float = 0.8
) -> Array:
    r"""Margin rate that grows with the root of a position: :math:`\max(b, rb + f\sqrt{Q})`.

    In the form of Drift v2 (protocol source, 2024), where r is 0.8.

    Parameters
    ----------
    quantity : float or ndarray
        Size in units of the instrument, zero or more.
    base : float or ndarray
        Margin rate of a small position, positive.
    factor : float or ndarray
        Added per root of a unit, zero or more.
    relief : float
        Part of the base on which the root is added, in [0, 1]: sizes up to
        :math:`((1 - r) b / f)^2` stay at the base.

    Examples
    --------
    >>> square_root_size_margin_rate(np.array([0.0, 100.0, 400.0]), base=0.05, factor=0.001)
    array([0.05, 0.05, 0.06])
    """
    size, slope = non_negative(quantity=quantity, factor=factor)
    (least,) = positive(base=base)
    probability(relief=relief)
    common_shape(quantity=size, base=least, factor=slope)
    with np.errstate(over="ignore"):
        rate = np.maximum(least, relief * least + slope * np.sqrt(size))
    return finite("margin rate", np.asarray(rate))
