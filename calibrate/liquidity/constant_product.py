r"""Exact impact on a constant-product pool: reserves whose product never falls.

A pool of x units of the instrument and y of money quotes the price y/x. Whoever closes a long
sells Q units into it; whoever closes a short buys Q units out of it. To first order, both move the
log price by :math:`2Q/x`; the exact moves differ, and a buyer of all of x would pay without bound.

The fee is taken from what is paid in and stays in the pool (Adams, Zinsmeister and Robinson 2020,
Uniswap v2 core).
"""

import numpy as np

from ...errors import InputError
from ..schedule import SIDES
from .checked import Array, Numbers, common_shape, finite, non_negative, positive


def constant_product_impact(
    quantity: Numbers, reserve: Numbers, *, side: str, fee: float = 0.0
) -> Array:
    r"""Return how far closing a position moves the price of a pool, elementwise.

    Parameters
    ----------
    quantity, reserve : float or ndarray
        Units to close, zero or more; units of the instrument that the pool holds, positive.
    side : str
        ``long`` (sells into the pool, the price falls) or ``short`` (buys, the price rises).
    fee : float
        Fraction of what is paid in, in [0, 1).

    Returns
    -------
    ndarray
        End impact, a positive fraction of the price before: without a fee
        :math:`1 - (x/(x+Q))^2` for a long, :math:`(x/(x-Q))^2 - 1` for a short.

    Raises
    ------
    InputError
        If a number is out of range, or a short is no smaller than the pool.
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> round(float(constant_product_impact(10.0, 1_000.0, side="long")), 6)
    0.019704
    """
    share, kept = _share(quantity, reserve, side=side, fee=fee)
    if side == "long":
        return np.asarray(-np.expm1(-np.log1p(share) - np.log1p(share * kept)))
    paid_in = share / ((1.0 - share) * kept)
    return finite("impact", np.asarray(np.expm1(np.log1p(paid_in) - np.log1p(-share))))


def constant_product_cost(
    quantity: Numbers, reserve: Numbers, *, side: str, fee: float = 0.0
) -> Array:
    r"""Return what the average fill costs against the price before, elementwise.

    Parameters are those of :func:`constant_product_impact`.

    Returns
    -------
    ndarray
        Fraction of the price before, fee included: without one :math:`Q/(x+Q)` for a long and
        :math:`Q/(x-Q)` for a short.

    Examples
    --------
    >>> round(float(constant_product_cost(10.0, 1_000.0, side="short")), 6)
    0.010101
    """
    share, kept = _share(quantity, reserve, side=side, fee=fee)
    if side == "long":
        return np.asarray((share * kept + (1.0 - kept)) / (1.0 + share * kept))
    return finite("cost", np.asarray((share * kept + (1.0 - kept)) / ((1.0 - share) * kept)))


def _share(quantity: Numbers, reserve: Numbers, *, side: str, fee: float) -> tuple[Array, float]:
    """Return the size as a share of the pool, and what the fee leaves of a payment."""
    (size,) = non_negative(quantity=quantity)
    (held,) = positive(reserve=reserve)
    common_shape(quantity=size, reserve=held)
    if side not in SIDES:
        raise InputError(f"side must be one of {list(SIDES)}, was {side!r}")
    if not 0.0 <= fee < 1.0:
        raise InputError(f"fee must be in [0, 1), was {fee}; write 0.003 for 0.3 %")
    with np.errstate(over="ignore"):
        share = finite("quantity over reserve", np.asarray(size / held))
    if side == "short" and (share >= 1.0).any():
        raise InputError(
            f"a short must be smaller than the pool it is bought back from, found {share.max():g} "
            "times the reserve; add the reserves of other pools"
        )
    return share, 1.0 - fee
