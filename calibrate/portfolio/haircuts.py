"""Haircuts of collateral from forecasts: what of a price may be gone when it is sold."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError


def haircut(
    log_value_at_risk: ArrayLike,
    *,
    horizon: float,
    liquidation_horizon: ArrayLike,
    currency_log_value_at_risk: ArrayLike = 0.0,
    floor: ArrayLike = 0.0,
) -> NDArray[np.float64]:
    r"""Compute the fraction of an asset's value that does not count as collateral.

    .. math:: h = \max\bigl(\mathrm{floor},\ 1 - e^{-(v + v_c)\sqrt{\max(1, T/H)}}\bigr)

    with the forecast values at risk :math:`v` of the asset and :math:`v_c` of its currency over H
    and T the time to sell. Both are lost at once: the supervisory haircuts of Basel add them too.
    An asset that sells faster than the horizon of the forecast is not scaled down.

    Parameters
    ----------
    log_value_at_risk : array_like
        Forecast of the long side over `horizon` as a log return, positive: the same that margins
        are made of. Use the expected shortfall for more.
    horizon : float
        Horizon H of the forecasts, periods.
    liquidation_horizon : array_like
        Periods T that selling the asset takes, positive.
    currency_log_value_at_risk : array_like
        The same of the asset's currency against that of the requirement; 0 if they are one.
    floor : array_like
        Least haircut, in [0, 1].

    Returns
    -------
    ndarray
        In [0, 1], the shape that the arguments broadcast to.

    References
    ----------
    .. [1] Basel Committee on Banking Supervision, CRE22, own estimates and the root of time;
       haircuts of collateral and currency are added.

    Examples
    --------
    >>> haircut(0.10, horizon=1, liquidation_horizon=4).round(4).item()
    0.1813
    """
    risk = _at_least_zero(log_value_at_risk, "log_value_at_risk")
    currency = _at_least_zero(currency_log_value_at_risk, "currency_log_value_at_risk")
    lowest = _share(floor, "floor")
    time = _at_least_zero(liquidation_horizon, "liquidation_horizon")
    if not (math.isfinite(horizon) and horizon > 0.0) or (time == 0.0).any():
        raise InputError(
            "horizon and liquidation_horizon must be positive, were "
            f"{horizon} and {time.min(initial=np.inf)} at least"
        )
    lost = -np.expm1(-(risk + currency) * np.sqrt(np.maximum(time / horizon, 1.0)))
    return np.asarray(np.maximum(lowest, lost))


def depeg_haircut(
    price: ArrayLike,
    *,
    probability: ArrayLike,
    loss_given_depeg: ArrayLike,
    tail_probability: float,
    threshold: float = 0.99,
    factor: float = 4.0,
) -> NDArray[np.float64]:
    r"""Compute the haircut of a stablecoin on its value at a price of at most one.

    .. math:: h = \min\bigl(1,\ \mathrm{factor}\,(\mathrm{threshold} - \mathrm{price})_+
              + \ell \min(1, \pi/p)\bigr)

    The first term is the de-peg rule of Derive's portfolio margin: it answers once the peg is
    gone. The second comes before: the expected shortfall, at tail probability p, of losing
    :math:`\ell` with the forecast probability :math:`\pi`, and nothing otherwise.

    Parameters
    ----------
    price : array_like
        Market price in the currency of the peg, not negative.
    probability : array_like
        Forecast probability of a de-peg over the time it takes to sell, in [0, 1].
    loss_given_depeg : array_like
        Fraction of the value lost then, in [0, 1].
    tail_probability : float
        Of the expected shortfall, in (0, 0.5].
    threshold, factor : float
        Price below which the peg counts as failing, and haircut per unit below it.

    Returns
    -------
    ndarray
        In [0, 1], the shape that the arguments broadcast to.

    Examples
    --------
    >>> depeg_haircut(
    ...     [1.0, 0.97], probability=0.002, loss_given_depeg=0.1, tail_probability=0.01
    ... ).round(4).tolist()
    [0.02, 0.1]
    """
    quoted = _at_least_zero(price, "price")
    chance = _share(probability, "probability")
    loss = _share(loss_given_depeg, "loss_given_depeg")
    if not 0.0 < tail_probability <= 0.5:
        raise InputError(
            f"tail_probability must be in (0, 0.5], was {tail_probability}; write 0.01 for 1 %"
        )
    if not (0.0 < threshold <= 1.0 and math.isfinite(factor) and factor >= 0.0):
        raise InputError(
            "threshold must be in (0, 1] and factor finite and not negative, were "
            f"{threshold} and {factor}"
        )
    below = factor * np.maximum(threshold - quoted, 0.0)
    before = loss * np.minimum(chance / tail_probability, 1.0)
    return np.asarray(np.minimum(below + before, 1.0))


def _at_least_zero(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if not (np.isfinite(array).all() and (array >= 0.0).all()):
        raise InputError(
            f"{name} must be finite and not negative, was {array}; what is not known has no value "
            "as collateral"
        )
    return array


def _share(values: ArrayLike, name: str) -> NDArray[np.float64]:
    array = _at_least_zero(values, name)
    if (array > 1.0).any():
        raise InputError(f"{name} must be in [0, 1], went up to {array.max()}; it is a fraction")
    return array
