r"""Values and Greeks of European options: Black (1976) and Black and Scholes (1973) with carry.

With :math:`x = \ln(F/K)` and total volatility :math:`s = \sigma\sqrt T`, the undiscounted value of
an option that is out of the money is :math:`\sqrt{FK}\,b(-|x|, s)`, where

.. math::

    b(x, s) = e^{x/2}\,\Phi(h + t) - e^{-x/2}\,\Phi(h - t)
            = \tfrac{1}{\sqrt{2\pi}}\, e^{-(h^2 + t^2)/2}\,[Y(h + t) - Y(h - t)],
    \qquad h = x/s,\; t = s/2,\; Y = \Phi/\phi .

One in the money adds its intrinsic value, so that put-call parity holds to the last digit and a
value far out of the money keeps its digits: the plain formula subtracts two nearly equal numbers
there. That is the form of Jaeckel (2015); where :math:`t` is small the bracket is its Taylor series
at :math:`h`.

Units: values in the currency of the forward; volatility decimal per square root of a year; expiry
in years; `vega` per 1.00 of volatility, `theta` per year that passes, `rho` per 1.00 of rate.

References
----------
Black, F. (1976), "The Pricing of Commodity Contracts", Journal of Financial Economics 3.
Jaeckel, P. (2015), "Let's Be Rational", Wilmott 2015(75).
"""

from dataclasses import dataclass
from math import factorial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erfcx, log_ndtr, ndtr

from ...errors import InputError
from .checks import finite, not_negative, positive, read_only

Array = NDArray[np.float64]

_SMALL_T = 0.1
"""Below it the difference of two ratios loses digits and its Taylor series has converged."""
_TERMS = 6
_LOWEST_H = -38.6
"""Below it exp(-h²/2) is no double any more."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Greeks:
    """Value of one option bought and how it moves; read-only arrays of one shape.

    Attributes
    ----------
    value : ndarray
        Currency of the forward or spot.
    delta : ndarray
        Change per 1.00 of the forward (:func:`black76`) or of the spot (:func:`black_scholes`).
    gamma : ndarray
        Change of delta per 1.00 of the same. Infinite at the money with no volatility left.
    vega : ndarray
        Change per 1.00 of volatility: 0.01 of it is the change for one volatility point.
    theta : ndarray
        Change per year that passes, mostly negative; minus infinity at the money at expiry.
    rho : ndarray
        Change per 1.00 of rate: with the forward held (:func:`black76`), or with the spot and the
        yield rate minus carry held (:func:`black_scholes`).
    """

    value: Array
    delta: Array
    gamma: Array
    vega: Array
    theta: Array
    rho: Array

    def __post_init__(self) -> None:
        for name in ("value", "delta", "gamma", "vega", "theta", "rho"):
            object.__setattr__(self, name, read_only(getattr(self, name)))


def log_moneyness(forward: Array, strike: Array) -> Array:
    """Return ln(forward / strike), exact to the last digits near the money too."""
    ratio = forward / strike
    # forward - strike is exact between half and twice the strike; the ratio is rounded.
    near = np.abs(ratio - 1.0) < 0.5
    shift = np.where(near, (forward - strike) / strike, 0.0)
    return np.asarray(np.where(near, np.log1p(shift), np.log(ratio)))


def _ratio(u: Array) -> Array:
    return np.asarray(np.sqrt(np.pi / 2.0) * erfcx(-u / np.sqrt(2.0)))


def _series(h: Array, t: Array) -> Array:
    """Y(h + t) - Y(h - t) as a Taylor series in t: Y' = 1 + hY, Y'' = hY' + Y, and so on."""
    before = _ratio(h)
    current = 1.0 + h * before
    total, power = np.zeros_like(h), t.copy()
    for k in range(_TERMS):
        order = 2 * k + 1
        total += 2.0 * power / factorial(order) * current
        power = power * t * t
        following = h * current + order * before
        before, current = following, h * following + (order + 1) * current
    return total


def normalised_value(x: Array, total_sigma: Array) -> Array:
    """Return b(x, s) for x <= 0, the value over sqrt(forward strike), to near full precision.

    Parameters
    ----------
    x : ndarray
        Minus the distance from the money, ln of forward over strike for a call; not positive.
    total_sigma : ndarray, same shape
        Volatility times the square root of time, decimal, not negative.
    """
    x, s = np.asarray(x), np.asarray(total_sigma)
    out = np.zeros(x.shape)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        h = np.where(s > 0.0, x / s, -np.inf)
    t = 0.5 * s
    live = h > _LOWEST_H
    high = live & (t >= _SMALL_T) & (h + t > 0.0)
    series = live & (t < _SMALL_T) & (t > 0.0)
    middle = live & (t >= _SMALL_T) & ~high
    if high.any():
        a, b, half = h[high] + t[high], h[high] - t[high], 0.5 * x[high]
        out[high] = np.exp(half) * ndtr(a) - np.exp(log_ndtr(b) - half)
    for where, bracket in ((series, _series), (middle, _difference)):
        if where.any():
            density = np.exp(-0.5 * (h[where] ** 2 + t[where] ** 2)) / np.sqrt(2.0 * np.pi)
            out[where] = density * bracket(h[where], t[where])
    return out


def _difference(h: Array, t: Array) -> Array:
    return _ratio(h + t) - _ratio(h - t)


def checked_inputs(
    forward: ArrayLike, strike: ArrayLike, expiry: ArrayLike, sigma_ann: ArrayLike, call: ArrayLike
) -> tuple[Array, Array, Array, Array, NDArray[np.bool_]]:
    """Return the arguments of an option as arrays of one shape, or stop if one is out of range."""
    kind = np.asarray(call)
    if kind.dtype != np.bool_:
        raise InputError(
            f"call must be True for calls and False for puts, had type {kind.dtype}; compare the "
            "kind first"
        )
    forward, strike, expiry, sigma_ann, kind = np.broadcast_arrays(
        positive("forward", forward),
        positive("strike", strike),
        not_negative("expiry", expiry),
        not_negative("sigma_ann", sigma_ann),
        kind,
    )
    return forward, strike, expiry, sigma_ann, kind


def undiscounted_value(
    forward: Array, strike: Array, total_sigma: Array, call: NDArray[np.bool_]
) -> Array:
    """Return the undiscounted value of checked, equally shaped arrays."""
    x = log_moneyness(forward, strike)
    time_value = np.sqrt(forward) * np.sqrt(strike) * normalised_value(-np.abs(x), total_sigma)
    return np.asarray(intrinsic(forward, strike, call) + time_value)


def intrinsic(forward: Array, strike: Array, call: NDArray[np.bool_]) -> Array:
    """Return what the option would pay at the forward, undiscounted."""
    return np.asarray(np.maximum(np.where(call, forward - strike, strike - forward), 0.0))


def black76(
    forward: ArrayLike,
    strike: ArrayLike,
    *,
    expiry: ArrayLike,
    sigma_ann: ArrayLike,
    call: ArrayLike,
    rate: ArrayLike = 0.0,
) -> Greeks:
    r"""Return value and Greeks of options on a forward, any shapes that broadcast.

    .. math:: V = e^{-rT}\,[\,F\Phi(d_1) - K\Phi(d_2)\,] \quad \text{for a call.}

    With no volatility left (`expiry` or `sigma_ann` zero) the value is the discounted intrinsic
    value; delta is 0 or 1 and one half exactly at the money; gamma is 0 or, at the money, infinite.

    Parameters
    ----------
    forward, strike : array_like
        Currency, positive.
    expiry : array_like
        Years, not negative.
    sigma_ann : array_like
        Annualised volatility, decimal, not negative.
    call : array_like of bool
        True for a call, False for a put.
    rate : array_like
        Continuously compounded, decimal per year.

    Raises
    ------
    InputError
        If a number is not finite or out of range.
    """
    f, k, time, sigma, kind = checked_inputs(forward, strike, expiry, sigma_ann, call)
    discount_rate = finite("rate", rate)
    f, k, time, sigma, kind, r = np.broadcast_arrays(f, k, time, sigma, kind, discount_rate)
    discount = np.exp(-r * time)
    root = np.sqrt(time)
    total = sigma * root
    d1 = _d1(log_moneyness(f, k), total)
    # Beyond 40 the density is zero in doubles, and the square may be none.
    density = np.exp(-0.5 * np.clip(d1, -40.0, 40.0) ** 2) / np.sqrt(2.0 * np.pi)
    sign = np.where(kind, 1.0, -1.0)
    value = discount * undiscounted_value(f, k, total, kind)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        # Far from the money the density is zero and wins over the vanishing volatility.
        gamma = np.where(density > 0.0, discount * density / (f * total), 0.0)
        decay = np.where(density * sigma > 0.0, f * density * sigma / (2.0 * root), 0.0)
    return Greeks(
        value=value,
        delta=discount * sign * ndtr(sign * d1),
        gamma=gamma,
        vega=discount * f * density * root,
        theta=r * value - discount * decay,
        rho=-time * value,
    )


def _d1(x: Array, total_sigma: Array) -> Array:
    """Return x/s + s/2, and its limit where s is zero."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        h = np.where(total_sigma > 0.0, x / total_sigma, np.where(x == 0.0, 0.0, np.inf * x))
    return np.asarray(h + 0.5 * total_sigma)


def black_scholes(
    spot: ArrayLike,
    strike: ArrayLike,
    *,
    expiry: ArrayLike,
    sigma_ann: ArrayLike,
    call: ArrayLike,
    rate: ArrayLike = 0.0,
    carry: ArrayLike | None = None,
) -> Greeks:
    r"""Return value and Greeks of options on a spot with cost of carry.

    Black (1976) at the forward :math:`F = S e^{bT}`: the carry b is the rate for a share without
    dividend, rate minus yield with one, domestic minus foreign rate for a currency, zero for a
    future. Rho holds the yield (rate minus carry) fixed.

    Parameters
    ----------
    spot, strike, expiry, sigma_ann, call, rate : array_like
        As in :func:`black76`, with the spot in place of the forward.
    carry : array_like, optional
        Decimal per year, continuously compounded; the rate if not given.

    Raises
    ------
    InputError
        If a number is not finite or out of range.
    """
    s, time = positive("spot", spot), not_negative("expiry", expiry)
    r = finite("rate", rate)
    b = r if carry is None else finite("carry", carry)
    growth = np.exp(b * time)
    forward = s * growth
    on = black76(forward, strike, expiry=time, sigma_ann=sigma_ann, call=call, rate=r)
    return Greeks(
        value=on.value,
        delta=on.delta * growth,
        gamma=on.gamma * growth * growth,
        vega=on.vega,
        theta=on.theta - b * forward * on.delta,
        rho=on.rho + time * forward * on.delta,
    )
