r"""How long a position is at risk while it is closed, and what that does to its margin.

A position that takes part in the market with no more than a share of its volume needs
:math:`Q / (\text{participation} \cdot V)` periods. Its loss has the variance of one period times

* n, if all of it is held for n periods (:func:`held_scale`, square root of time);
* the sum of squares of what is left, if it is worked off evenly (:func:`worked_off_scale`).

All scales multiply a volatility, or a margin that was set for one period.
"""

import numpy as np

from .checked import Array, Numbers, common_shape, finite, non_negative, positive, probability


def margin_period_of_risk(
    quantity: Numbers, volume: Numbers, *, participation: Numbers, base: Numbers = 1.0
) -> Array:
    r"""Return the periods needed to close: :math:`\max(\text{base}, Q/(aV))`, elementwise.

    Parameters
    ----------
    quantity, volume : float or ndarray
        Size to close, zero or more, and what can be traded against in one period: volume, or the
        depth that comes back in a period. One unit; volume positive.
    participation : float or ndarray
        Share of that volume that a close-out may take, in (0, 1].
    base : float or ndarray
        Periods that the margin covers anyway, positive.

    Returns
    -------
    ndarray
        Periods, not rounded; whoever needs whole ones rounds up.

    Raises
    ------
    InputError
        If a number is out of range or not finite.
    ShapeError
        If the shapes do not fit.

    Examples
    --------
    >>> margin_period_of_risk(np.array([1e6, 5e7]), 1e8, participation=0.1)
    array([1., 5.])
    """
    (size,) = non_negative(quantity=quantity)
    traded, share, least = positive(volume=volume, participation=participation, base=base)
    probability(participation=share)
    common_shape(quantity=size, volume=traded, participation=share, base=least)
    with np.errstate(over="ignore", divide="ignore"):
        needed = size / (traded * share)
    return finite("margin period of risk", np.asarray(np.maximum(least, needed)))


def held_scale(periods: Numbers) -> Array:
    """Volatility of a position held for so many periods, in those of one: the square root.

    Parameters
    ----------
    periods : float or ndarray
        Zero or more.
    """
    (n,) = non_negative(periods=periods)
    return np.asarray(np.sqrt(n))


def worked_off_scale(periods: Numbers) -> Array:
    r"""Volatility of a position worked off evenly in steps, in those of one period held.

    At the end of each period one part of size 1/n is sold; the last, smaller part of a broken n
    is sold with the rest. The sum :math:`\sum_k (1 - k/n)^2` over :math:`0 \le k \le n` has the
    root :math:`\sqrt{(n+1)(2n+1)/(6n)}` for whole n, and is continuous and increasing between.
    What is closed within a period is at risk for all of it: below one period the scale is one.

    Parameters
    ----------
    periods : float or ndarray
        n, positive.

    Examples
    --------
    >>> worked_off_scale(np.array([1.0, 5.0])).round(10)
    array([1.       , 1.4832397])
    """
    (n,) = positive(periods=periods)
    m = np.floor(n)
    share = m / n
    # m + 1 - m(m+1)/n + m(m+1)(2m+1)/(6n²), arranged so that large n do not overflow
    squares = (m + 1.0) * (1.0 - share + share * (2.0 * m + 1.0) / n / 6.0)
    return np.asarray(np.sqrt(squares))


def steadily_worked_off_scale(periods: Numbers) -> Array:
    r"""Volatility of a position worked off without steps: :math:`\sqrt{n/3}`, elementwise.

    The limit of :func:`worked_off_scale` for many steps in the same time. It falls below one for n
    below three: nobody closes from the first moment on, so use it for long close-outs only.

    Parameters
    ----------
    periods : float or ndarray
        n, zero or more.
    """
    (n,) = non_negative(periods=periods)
    return np.asarray(np.sqrt(n / 3.0))
