r"""The least margin from which a position can be closed by its own sale.

Closing all of a position at the average fill costs :math:`Y\sigma(Q/V)^\delta/(1+\delta)` of its
notional. An account whose equity is no more than that is insolvent once it is liquidated, although
the mark still shows equity: a maintenance margin below the floor calls too late, however fast the
engine is. The idea is that of impact-adjusted valuation (Caccioli, Bouchaud and Farmer 2012,
"Impact-Adjusted Valuation and the Criticality of Leverage", Risk 25).
"""

import numpy as np

from .checked import Array, Numbers, non_negative
from .impact import average_fill_cost, power_law_impact


def impact_solvency_floor(
    quantity: Numbers,
    volume: Numbers,
    *,
    sigma: Numbers,
    coefficient: float = 1.0,
    exponent: float = 0.5,
) -> Array:
    r"""Margin ratio that a liquidation uses up: :math:`Y\sigma (Q/V)^\delta/(1+\delta)`.

    With the square-root law it is :math:`\tfrac{2}{3} Y \sigma \sqrt{Q/V}`. Elementwise.

    Parameters
    ----------
    quantity, volume : float or ndarray
        Size of the position and volume of a period, one unit; quantity zero or more, volume
        positive.
    sigma : float or ndarray
        Volatility of a period, decimal.
    coefficient, exponent : float
        Y and delta of the impact law.

    Returns
    -------
    ndarray
        Equity over notional that a solvent close-out must exceed, a positive fraction. One or
        more says that the position cannot be closed at all.

    Raises
    ------
    InputError
        If a number is out of range or not finite.
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> floor = impact_solvency_floor(0.1, 1.0, sigma=0.05)
    >>> round(float(floor), 6), round(float(critical_leverage(floor)), 2)
    (0.010541, 94.87)
    """
    moved = power_law_impact(
        quantity, volume, sigma=sigma, coefficient=coefficient, exponent=exponent
    )
    return average_fill_cost(moved, exponent=exponent)


def critical_leverage(floor: Numbers) -> Array:
    """Notional over equity at which a close-out uses up all equity: one over the floor.

    Parameters
    ----------
    floor : float or ndarray
        As :func:`impact_solvency_floor` returns it. Zero, the floor of no position, gives infinity.
    """
    (least,) = non_negative(floor=floor)
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 / least)
