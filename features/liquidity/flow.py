"""Order flow: who was in a hurry, the buyers or the sellers."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

Array = NDArray[np.float64]


def taker_imbalance(taker_buy_volume: Array, volume: Array) -> Array:
    """Return the share bought minus the share sold by takers, -1 to 1, elementwise.

    Parameters
    ----------
    taker_buy_volume, volume : ndarray of one shape
        Quantity bought by takers and quantity traded, the same unit.

    Returns
    -------
    ndarray
        1 where every trade was a taker's purchase, -1 where every one was a sale. NaN where
        nothing was traded, or where more was bought than traded (defective data).

    Examples
    --------
    >>> taker_imbalance(np.array([75.0, 0.0]), np.array([100.0, 0.0]))
    array([0.5, nan])
    """
    usable = (volume > 0.0) & (taker_buy_volume >= 0.0) & (taker_buy_volume <= volume)
    bought = np.where(usable, taker_buy_volume, np.nan) / np.where(usable, volume, np.nan)
    return 2.0 * bought - 1.0


def bulk_imbalance(log_return: Array, sigma: Array) -> Array:
    r"""Guess the taker imbalance from the return alone, -1 to 1, elementwise.

    :math:`2\Phi(r/\sigma) - 1`: bulk classification of Easley, Lopez de Prado and O'Hara (2012),
    Review of Financial Studies 25(5). The sign is informative, the size is not: it says nothing
    that the standardised return does not, and spreads over the whole of -1 to 1 where real
    imbalances are small. Use :func:`taker_imbalance` where takers are known. The toxicity measure
    VPIN that the authors build on it is not offered: averaged over time, its absolute value is a
    volatility measure (Andersen and Bondarenko 2014, Journal of Financial Markets 17).

    Parameters
    ----------
    log_return : ndarray
        Decimal log return of each period.
    sigma : ndarray of the same shape
        Volatility per period known then, decimal; NaN where not positive.
    """
    return np.asarray(2.0 * ndtr(log_return / np.where(sigma > 0.0, sigma, np.nan)) - 1.0)
