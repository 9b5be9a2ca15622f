"""Crowding in derivatives: what leverage pays, where it sits, and when it is thrown out."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError

Array = NDArray[np.float64]


def annualised_funding(funding_rate: Array, *, payments_per_year: float) -> Array:
    """Return funding as a decimal per year, simple (not compounded).

    Parameters
    ----------
    funding_rate : ndarray
        Decimal paid by longs per payment; positive where longs pay.
    payments_per_year : float
        3 * 365 for a payment every eight hours.

    Raises
    ------
    InputError
        If `payments_per_year` is not positive.

    Examples
    --------
    >>> annualised_funding(np.array([0.0001]), payments_per_year=3 * 365)
    array([0.1095])
    """
    if not payments_per_year > 0.0:
        raise InputError(f"payments_per_year must be positive, was {payments_per_year}")
    return np.asarray(funding_rate * payments_per_year)


def log_basis(price: ArrayLike, reference: ArrayLike) -> Array:
    """Return the log of a derivative's price over its reference, decimal, elementwise.

    Positive where the derivative is dearer. Prices that are not positive are unknown.

    Parameters
    ----------
    price, reference : array_like of one shape
        Price of the perpetual or future, and of spot, index or mark, of one moment: a stale
        reference turns every move into basis.
    """
    prices, references = (np.asarray(x, dtype=np.float64) for x in (price, reference))
    usable = (prices > 0.0) & (references > 0.0)
    return np.asarray(np.log(np.where(usable, prices, np.nan) / np.where(usable, references, 1.0)))


def annualised_basis(
    price: ArrayLike, reference: ArrayLike, *, years_to_convergence: ArrayLike
) -> Array:
    """Return the log basis per year until it must be gone, decimal per year.

    Parameters
    ----------
    price, reference : array_like of one shape
        As for :func:`log_basis`.
    years_to_convergence : array_like
        Years to expiry of a future. A perpetual never has to converge; its basis is paid back by
        funding, and by convention one funding interval is taken (8 / 8760 of a year).

    Raises
    ------
    InputError
        If a time is not positive.
    """
    years = np.asarray(years_to_convergence, dtype=np.float64)
    if not (years > 0.0).all():
        raise InputError(
            f"years_to_convergence must be positive, smallest was {years.min()}; drop expired "
            "contracts"
        )
    return np.asarray(log_basis(price, reference) / years)


def herfindahl(value: Array, *, axis: int = -1) -> Array:
    """Return the concentration of values over an axis: the sum of squared shares.

    1 / n where all n are equal, 1 where one holds everything; its inverse is the effective number
    of holders. Hirschman (1945); Herfindahl (1950).

    Parameters
    ----------
    value : ndarray
        Open interest (or volume) per venue or instrument in one unit, not negative. Unknown
        values (NaN) are left out, so a venue that stops reporting raises concentration.
    axis : int
        The axis of venues or instruments.

    Returns
    -------
    ndarray
        Shape of `value` without `axis`; NaN where nothing is known or all is zero.

    Raises
    ------
    InputError
        If a value is negative.

    Examples
    --------
    >>> herfindahl(np.array([[1.0, 1.0, 2.0], [0.0, 5.0, np.nan]]))
    array([0.375, 1.   ])
    """
    if (value < 0.0).any():
        raise InputError(f"value must not be negative, smallest was {np.nanmin(value)}")
    held = np.where(np.isfinite(value), value, 0.0)
    total = held.sum(axis=axis, keepdims=True)
    shares = held / np.where(total > 0.0, total, np.nan)
    return np.asarray((shares**2).sum(axis=axis))


def liquidation_share(liquidation_long: Array, liquidation_short: Array, volume: Array) -> Array:
    """Return liquidated value over traded value, elementwise, 0 upwards.

    Parameters
    ----------
    liquidation_long, liquidation_short : ndarray of one shape
        Value of liquidated positions, quote currency. A side that is unknown counts as none where
        the other is known, because sources report only what happened.
    volume : ndarray of the same shape
        Traded value of the same period and venues, quote currency.

    Returns
    -------
    ndarray
        NaN where both sides are unknown or nothing was traded. Above one where sources count
        venues in one and not in the other.
    """
    unknown = np.isnan(liquidation_long), np.isnan(liquidation_short)
    total = np.where(unknown[0], 0.0, liquidation_long) + np.where(
        unknown[1], 0.0, liquidation_short
    )
    known = np.where(unknown[0] & unknown[1], np.nan, total)
    return np.asarray(known / np.where(volume > 0.0, volume, np.nan))
