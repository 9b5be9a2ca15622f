r"""Liquidity-adjusted value at risk from a spread that nobody's order moves.

Bangia, Diebold, Schuermann and Stroughair (1999), "Liquidity on the Outside", Risk 12(6): an order
within the quote pays half the spread, and the spread is wide when the price falls. So half of a bad
spread is added to the value at risk of the mid, as if both came together:

.. math:: P z \sigma + \tfrac{1}{2} P (\bar S + a \tilde\sigma).

The price part is linear in volatility here. The lognormal one of the paper,
:math:`P (1 - e^{-z\sigma})`, is smaller for a long.
"""

import numpy as np

from .checked import Array, Numbers, common_shape, finite, non_negative

SPREAD_MULTIPLE = 3.0
"""Standard deviations above its mean at which a spread is bad; the paper finds 2 to 4.5."""


def bangia_lvar(
    price: Numbers,
    sigma: Numbers,
    spread: Numbers,
    spread_std: Numbers = 0.0,
    *,
    sigma_multiple: float,
    spread_multiple: float = SPREAD_MULTIPLE,
) -> Array:
    r"""Value at risk of a holding and half of a bad spread, in the unit of `price`; elementwise.

    Parameters
    ----------
    price : float or ndarray
        Value of the holding at mid, money, zero or more.
    sigma : float or ndarray
        Volatility of the mid over the horizon, decimal.
    spread, spread_std : float or ndarray
        Mean and standard deviation of the relative spread, the whole distance from bid to ask over
        mid, decimal.
    sigma_multiple : float
        Quantile of the standardised loss, z: 1.65 or 2.33 for a normal law at 5 % or 1 %.
    spread_multiple : float
        Standard deviations by which a bad spread exceeds the mean one, a.

    Returns
    -------
    ndarray
        Positive amount.

    Raises
    ------
    InputError
        If a number is negative or not finite.
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> round(float(bangia_lvar(100.0, 0.02, 0.01, sigma_multiple=1.65)), 6)
    3.8
    """
    value, volatility = non_negative(price=price, sigma=sigma)
    non_negative(sigma_multiple=sigma_multiple)
    half = half_spread(spread, spread_std, spread_multiple=spread_multiple)
    common_shape(price=value, sigma=volatility, spread=half)
    with np.errstate(over="ignore", invalid="ignore"):
        return finite("lvar", np.asarray(value * (volatility * sigma_multiple + half)))


def half_spread(
    spread: Numbers, spread_std: Numbers = 0.0, *, spread_multiple: float = SPREAD_MULTIPLE
) -> Array:
    """Half of a bad relative spread, a fraction of notional; arguments of :func:`bangia_lvar`."""
    mean, std = non_negative(spread=spread, spread_std=spread_std)
    non_negative(spread_multiple=spread_multiple)
    with np.errstate(over="ignore"):
        return finite("half_spread", np.asarray(0.5 * (mean + spread_multiple * std)))
