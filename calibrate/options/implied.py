r"""Implied volatility: the one at which Black (1976) gives a price.

The price is first turned into that of the option out of the money and normalised,
:math:`\beta = b(-|x|, s)`; see :mod:`.black`. In s the function b is convex below
:math:`s_c = \sqrt{2|x|}` and concave above, so the equation is solved for :math:`1/\ln b` below
(nearly linear in s squared), for b in between, and for :math:`\ln(b_{max} - b)` close to the upper
bound, with Halley steps kept in a bracket (the objectives of Jaeckel 2015, without his rational
start).

A price carries the volatility only as far as its own digits do: an error of `e` in the price is one
of `e / vega` in the volatility. In the money the digits of the time value are those left after the
intrinsic value; take the option out of the money where there is one.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erfinv

from ...errors import ConvergenceError, InputError
from .black import checked_inputs, intrinsic, log_moneyness, normalised_value
from .checks import finite, positive

Array = NDArray[np.float64]

_MOST_STEPS = 100
_RELATIVE_STEP = 4e-16
_MOST_D1 = 40.0
"""Beyond it the value equals its bound to the last digit."""


def implied_volatility(
    price: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    *,
    expiry: ArrayLike,
    call: ArrayLike,
    rate: ArrayLike = 0.0,
    outside: Literal["raise", "nan"] = "raise",
) -> Array:
    """Return the annualised volatility, decimal, of each price; any shapes that broadcast.

    Parameters
    ----------
    price : array_like
        Price today, same currency as the forward.
    forward, strike : array_like
        Positive.
    expiry : array_like
        Years, not negative.
    call : array_like of bool
        True for a call.
    rate : array_like
        Continuously compounded, decimal per year.
    outside : {'raise', 'nan'}
        What to do with a price below its intrinsic value, at or above its bound (the discounted
        forward for a call, the discounted strike for a put), or at expiry: no volatility gives it.

    Returns
    -------
    ndarray
        Zero exactly where the price is the intrinsic value.

    Raises
    ------
    InputError
        If a number is not finite or out of range, or a price is outside its bounds.
    """
    f, k, time, _, kind = checked_inputs(forward, strike, expiry, 0.0, call)
    value, r = finite("price", price), finite("rate", rate)
    value, f, k, time, kind, r = np.broadcast_arrays(value, f, k, time, kind, r)
    discount = np.exp(-r * time)
    # The same operations as in the value: an option in the money that is worth its intrinsic value
    # to the last digit comes back as exactly that.
    time_value = (value - discount * intrinsic(f, k, kind)) / discount
    x = -np.abs(log_moneyness(f, k))
    beta = time_value / (np.sqrt(f) * np.sqrt(k))
    impossible = (beta < 0.0) | (beta >= np.exp(0.5 * x)) | (time == 0.0)
    if impossible.any() and outside == "raise":
        raise InputError(_refusal(value, impossible, time))
    out = np.full(value.shape, np.nan)
    solvable = ~impossible
    if solvable.any():
        total = normalised_implied(beta[solvable], x[solvable])
        out[solvable] = total / np.sqrt(time[solvable])
    return out


def _refusal(price: Array, impossible: NDArray[np.bool_], time: Array) -> str:
    first = int(np.flatnonzero(impossible.ravel())[0])
    return (
        "price must lie between the discounted intrinsic value and the discounted forward (call) "
        f"or strike (put), and expiry be positive; found {np.count_nonzero(impossible)} of "
        f"{price.size} outside, the first {price.ravel()[first]} at position {first} with expiry "
        f"{time.ravel()[first]}; leave them out or pass outside='nan'"
    )


def normalised_implied(beta: Array, x: Array) -> Array:
    """Return s with b(x, s) = beta, for 0 <= beta < exp(x/2) and x <= 0; shape (n,)."""
    s = np.zeros(beta.shape)
    todo = np.flatnonzero(beta > 0.0)
    beta, x = positive("beta", beta[todo]), x[todo]
    turn = np.sqrt(2.0 * np.abs(x))
    value_there = normalised_value(x, turn)
    low, high = _bracket(beta, x, turn, value_there)
    guess = np.where(beta < value_there, _first_guess(beta, x, turn), turn)
    guess = np.where(x == 0.0, _at_the_money(beta), guess)
    regime = _regime(beta, x, value_there)
    s[todo] = _solve(beta, x, regime, np.clip(guess, low, high), low, high)
    return s


def _bracket(beta: Array, x: Array, turn: Array, value_there: Array) -> tuple[Array, Array]:
    top = _MOST_D1 + np.sqrt(_MOST_D1**2 + 2.0 * np.abs(x))
    below = beta < value_there
    return np.where(below, 0.0, turn), np.where(below, turn, top)


def _at_the_money(beta: Array) -> Array:
    total: Array = 2.0 * np.sqrt(2.0) * erfinv(np.minimum(beta, 1.0 - 1e-16))
    return total


def _first_guess(beta: Array, x: Array, turn: Array) -> Array:
    """Return a total volatility that is not too high: near the money, or far from it."""
    near = np.sqrt(2.0 * np.pi) * beta
    far = np.abs(x) / np.sqrt(np.maximum(-2.0 * np.log(beta), 1e-300))
    return np.asarray(np.minimum(np.maximum(near, far), turn))


def _regime(beta: Array, x: Array, value_there: Array) -> NDArray[np.int8]:
    """0: solve for 1 / ln b; 1: for b; 2: for ln of what is missing to the bound."""
    most = np.exp(0.5 * x)
    close = beta > 0.5 * (value_there + most)
    regime: NDArray[np.int8] = np.where(beta < value_there, 0, np.where(close, 2, 1)).astype(
        np.int8
    )
    return regime


def _solve(
    beta: Array, x: Array, regime: NDArray[np.int8], s: Array, low: Array, high: Array
) -> Array:
    """Halley steps on the objective of each regime, halving the bracket where one leaves it."""
    s, low, high = s.copy(), low.copy(), high.copy()
    active = np.arange(len(s))
    for _ in range(_MOST_STEPS):
        at = s[active]
        gap, step = _halley(beta[active], x[active], regime[active], at)
        low[active] = np.where(gap < 0.0, at, low[active])
        high[active] = np.where(gap > 0.0, at, high[active])
        proposed = at + step
        lower, upper = low[active], high[active]
        inside = (proposed > lower) & (proposed < upper)
        middle = np.where(lower > 0.0, np.sqrt(lower * upper), 0.5 * upper)
        following = np.where(inside, proposed, np.where(gap == 0.0, at, middle))
        s[active] = following
        moved = np.abs(following - at) > _RELATIVE_STEP * following
        active = active[moved & (gap != 0.0)]
        if not len(active):
            return s
    raise ConvergenceError(
        f"implied volatility: {len(active)} of {len(s)} prices not solved in {_MOST_STEPS} steps; "
        "report them"
    )


def _halley(beta: Array, x: Array, regime: NDArray[np.int8], s: Array) -> tuple[Array, Array]:
    """Return b - beta and the Halley step of each objective."""
    h, t = x / s, 0.5 * s
    b = normalised_value(x, s)
    slope = np.exp(-0.5 * (h * h + t * t)) / np.sqrt(2.0 * np.pi)
    bend = h * h / s - 0.25 * s  # b'' / b'
    gap = b - beta
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        log_b = np.log(b)
        log_beta = np.log(beta)
        missing, wanted = np.exp(0.5 * x) - b, np.exp(0.5 * x) - beta
        newton = np.select(
            [regime == 0, regime == 2],
            [
                (1.0 / log_beta - 1.0 / log_b) / (-slope / (b * log_b * log_b)),
                np.log(wanted / missing) / (-slope / missing),
            ],
            -gap / slope,
        )
        curve = np.select(
            [regime == 0, regime == 2],
            [bend - slope / b * (1.0 + 2.0 / log_b), bend + slope / missing],
            bend,
        )
        step = newton / np.maximum(1.0 + 0.5 * newton * curve, 0.5)
    # A step that is no number leaves the bracket and is replaced by a halving.
    return gap, np.where(np.isfinite(step), step, np.inf)
