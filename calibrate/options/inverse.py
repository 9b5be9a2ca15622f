r"""Inverse contracts: options, futures and perpetuals quoted in a currency that pay in coin.

With forward F and the undiscounted value V of Black (1976), one option on one coin is worth

.. math:: c = V(F, K) / F \quad\text{coins, a call at expiry}\quad \max(S - K, 0) / S .

No rate is needed: the forward carries it. In currency c is worth :math:`cS`, and with
:math:`F = S e^{rT}` that is the :math:`e^{-rT} V` of a linear option. A future or perpetual has a
*face* A in currency; bought at entry and sold at exit it makes

.. math:: A\,(1/\text{entry} - 1/\text{exit}) \quad\text{coins,}

concave in the price: the one who is long loses coins ever faster while the coins lose value too.

**In a book** (:class:`.book.Book`) the quantity of an inverse option is in coins, as that of a
linear one, of an inverse future or perpetual it is the face in currency, and of spot the coins
themselves. `rate` of the marks is not read.

**Margin** is in coins: the largest loss in coins over the nodes. Prices are positive, so that an
account with as many coins is solvent in currency at every node too, at that node's price; coins
need no haircut for their own price on top. For an account with k coins in cash,

.. math:: (\text{coins then})\,S' - (\text{coins now})\,S
          = \text{profit of the linear book} + k\,(S' - S),

the options q worth :math:`q\,(S/F)\,(V' - V)` and a face A as :math:`A/F` units at the spot.
:func:`quote_pnl` gives the left side.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError
from .black import Greeks, black76
from .book import Book, Kind, Marks, unit_values
from .checks import finite, positive
from .grid import ScenarioGrid
from .implied import implied_volatility
from .margin import NO_CONTINGENCIES, OptionMargin, compose_margin
from .revalue import ScenarioPnl, scenario_sigma

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class InverseGreeks:
    """One inverse option bought, in both units.

    Attributes
    ----------
    coin : Greeks
        Value in coins and its changes, `delta` in coins per 1.00 of the forward. As many coins'
        worth of exposure as ``delta * forward``; an inverse future of face
        ``-delta * forward**2`` hedges it.
    quote : Greeks
        Value in currency at the forward, ``coin.value * forward``, and its changes: those of a
        linear option. At the index all are to be multiplied by spot over forward.
    """

    coin: Greeks
    quote: Greeks


def inverse_greeks(
    forward: ArrayLike,
    strike: ArrayLike,
    *,
    expiry: ArrayLike,
    sigma_ann: ArrayLike,
    call: ArrayLike,
) -> InverseGreeks:
    r"""Return value and Greeks of inverse options, any shapes that broadcast.

    With V, :math:`\Delta` and :math:`\Gamma` of the linear option,

    .. math:: \frac{dc}{dF} = \frac{\Delta - V/F}{F}, \qquad
              \frac{d^2c}{dF^2} = \frac{\Gamma - 2\,dc/dF}{F} .

    Parameters
    ----------
    forward, strike, expiry, sigma_ann, call
        As in :func:`.black76`.

    Returns
    -------
    InverseGreeks
        `rho` is zero in both units: with the forward held no rate is left.

    Raises
    ------
    InputError
        If a number is not finite or out of range.
    """
    linear = black76(forward, strike, expiry=expiry, sigma_ann=sigma_ann, call=call)
    at = np.broadcast_to(np.asarray(forward, dtype=np.float64), linear.value.shape)
    value = linear.value / at
    delta = (linear.delta - value) / at
    nothing = np.zeros(at.shape)
    coin = Greeks(
        value=value,
        delta=delta,
        gamma=(linear.gamma - 2.0 * delta) / at,
        vega=linear.vega / at,
        theta=linear.theta / at,
        rho=nothing,
    )
    quote = Greeks(
        value=linear.value,
        delta=linear.delta,
        gamma=linear.gamma,
        vega=linear.vega,
        theta=linear.theta,
        rho=nothing,
    )
    return InverseGreeks(coin=coin, quote=quote)


def inverse_implied_volatility(
    price: ArrayLike,
    forward: ArrayLike,
    strike: ArrayLike,
    *,
    expiry: ArrayLike,
    call: ArrayLike,
) -> Array:
    """Return the annualised volatility, decimal, at which an option is worth `price` coins.

    A price that no volatility gives is an error; see :func:`.implied_volatility`.
    """
    in_quote = positive("forward", forward) * np.asarray(price, dtype=np.float64)
    return implied_volatility(in_quote, forward, strike, expiry=expiry, call=call)


def inverse_future_pnl(face: ArrayLike, *, entry: ArrayLike, exit: ArrayLike) -> Array:
    """Return what inverse futures have made, coins; any shapes that broadcast.

    Parameters
    ----------
    face : array_like
        Currency, contracts times contract size; positive is bought.
    entry, exit : array_like
        Prices, positive.

    Examples
    --------
    >>> float(inverse_future_pnl(10_000.0, entry=50_000.0, exit=40_000.0))
    -0.05
    """
    bought, sold = positive("entry", entry), positive("exit", exit)
    # The difference of the prices first: that of their inverses loses the digits of small moves.
    return np.asarray(finite("face", face) * ((sold - bought) / (bought * sold)))


def inverse_book_greeks(book: Book, marks: Marks) -> dict[str, Array]:
    """Return delta, gamma, vega and theta in coins of each position times its quantity.

    With respect to the position's own forward, shape (n,) each. Spot is the coin itself and has
    none.
    """
    marks.check(book)
    option, future = book.option, _future(book)
    out = {name: np.zeros(len(book)) for name in ("delta", "gamma", "vega", "theta")}
    greeks = inverse_greeks(
        marks.forward[option],
        book.strike[option],
        expiry=book.expiry[option],
        sigma_ann=marks.sigma_ann[option],
        call=book.call[option],
    ).coin
    for name, total in out.items():
        # Infinity times a position of nothing is nothing.
        held = book.quantity[option] != 0.0
        unit = np.where(held, getattr(greeks, name), 0.0)
        total[option] = book.quantity[option] * unit
    face, at = book.quantity[future], marks.forward[future]
    out["delta"][future] = face / at**2
    out["gamma"][future] = -2.0 * face / at**3
    return out


def inverse_pnl(book: Book, marks: Marks, grid: ScenarioGrid) -> ScenarioPnl:
    """Value every inverse position again at every node; `pnl` is in coins.

    Spot and forward move by the same fraction, as for linear contracts.

    Raises
    ------
    InputError
        If there are several underlyings, whose coins are no common unit, or a mark is missing or
        out of range.
    ShapeError
        If book and marks differ in length.
    """
    _one_underlying(book)
    # A linear option on a forward of one is the inverse one, and all rates are in the forward.
    at = marks.forward * (1.0 + grid.spot_move[:, None])
    now, then = (
        unit_values(book, _without_rate(marks), forward=price, sigma_ann=sigma, elapsed=passed)
        / price
        for price, sigma, passed in (
            (marks.forward, marks.sigma_ann, 0.0),
            (at, scenario_sigma(book, marks, grid), grid.elapsed[:, None]),
        )
    )
    made = book.quantity * (then - now)
    future = _future(book)
    made[:, future] = inverse_future_pnl(
        book.quantity[future], entry=marks.forward[future], exit=at[:, future]
    )
    return ScenarioPnl(grid=grid, book=book, pnl=grid.weight[:, None] * made)


def quote_pnl(book: Book, marks: Marks, grid: ScenarioGrid, *, coins: float) -> Array:
    """Return what an account with inverse positions makes in currency at every node, shape (m,).

    Parameters
    ----------
    book, marks, grid
        As in :func:`inverse_pnl`; every position at the same spot.
    coins : float
        Cash of the account in coins, beside options at their marks and spot in the book; negative
        if it owes.

    Raises
    ------
    InputError
        As :func:`inverse_pnl`; also if a node counts less than whole, since coins lose their
        value whole.
    """
    scenarios = inverse_pnl(book, marks, grid)
    if np.any(grid.weight != 1.0):
        raise InputError(
            f"every node must count whole, the least weight was {grid.weight.min()}; take "
            "inverse_pnl for a loss in coins"
        )
    spots = np.unique(marks.spot)
    if len(spots) != 1:
        raise InputError(
            f"every position must be marked at one spot, found {len(spots)} spots; mark the book "
            "at one moment"
        )
    held = float(finite("coins", coins)) + float(inverse_value(book, marks).sum())
    return np.asarray(
        spots[0] * (scenarios.total() * (1.0 + grid.spot_move) + held * grid.spot_move)
    )


def inverse_value(book: Book, marks: Marks) -> Array:
    """Return the marked value in coins of each option and spot position, shape (n,).

    Futures and perpetuals are worth nothing: what they have made is in the cash.
    """
    unit = unit_values(book, _without_rate(marks)) / marks.forward
    return np.asarray(np.where(_future(book), 0.0, book.quantity * unit))


def inverse_margin(
    book: Book,
    marks: Marks,
    grid: ScenarioGrid,
    *,
    minimum: float = 0.0,
    contingencies: Mapping[str, float] = NO_CONTINGENCIES,
    long_option_share: float = 0.0,
) -> OptionMargin:
    """Return the margin of a book of inverse contracts on a grid, every amount in coins.

    Parameters
    ----------
    book, marks, grid
        As in :func:`inverse_pnl`.
    minimum, contingencies, long_option_share
        As in :func:`.option_margin`, in coins: amounts in currency are to be divided by the spot
        at the node that they are for, at the lowest to be safe.

    Raises
    ------
    InputError
        As :func:`inverse_pnl` and :func:`.option_margin`.
    """
    value = np.where(book.option, inverse_value(book, marks), 0.0)
    return compose_margin(
        inverse_pnl(book, marks, grid),
        float(value.sum()),
        minimum=minimum,
        contingencies=contingencies,
        long_option_share=long_option_share,
    )


def _future(book: Book) -> NDArray[np.bool_]:
    return np.asarray((book.kind == Kind.FUTURE) | (book.kind == Kind.PERP))


def _without_rate(marks: Marks) -> Marks:
    return Marks(
        spot=marks.spot,
        forward=marks.forward,
        sigma_ann=marks.sigma_ann,
        rate=np.zeros(len(marks.rate)),
    )


def _one_underlying(book: Book) -> None:
    if len(set(book.underlying)) > 1:
        raise InputError(
            f"inverse contracts must have one underlying, had {sorted(set(book.underlying))}; "
            "margin each coin in itself"
        )
