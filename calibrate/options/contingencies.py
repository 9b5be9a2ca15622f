"""What a grid does not see, as amounts that only ever add margin.

Every function returns an amount in currency that is never negative and grows in proportion to the
book. The grid moves all strikes and expiries together and jumps once; these stand for what happens
at one strike, in one expiry, or between them.
"""

import numpy as np
from numpy.typing import NDArray

from .book import Book, Marks, unit_values
from .checks import fraction, not_negative, positive
from .grid import VolShape
from .revalue import book_greeks, sum_by

Array = NDArray[np.float64]

_MOST_STEEPNESS = 2.0


def _sold(
    book: Book, per_unit: Array, *, group: NDArray[np.intp], where: NDArray[np.bool_]
) -> float:
    """Charge what each group sold on balance; its positions' highest charge per unit counts."""
    held, rank = np.unique(group[where], return_inverse=True)
    dearest = np.zeros(len(held))
    np.maximum.at(dearest, rank, per_unit[where])
    return float(np.sum(np.maximum(-sum_by(book.quantity[where], rank), 0.0) * dearest))


def pin_risk(
    book: Book,
    marks: Marks,
    *,
    rate: float,
    window_days: float = 2.0,
    width: float = 0.05,
    shape: VolShape | None = None,
) -> float:
    r"""Charge options sold close to their strike and close to expiry.

    There delta jumps between 0 and 1 while the gamma of the last grid run still looked at another
    price. Per strike and expiry, calls and puts together (their gamma is the same):

    .. math:: rate \cdot F \cdot (\text{units sold net}) \cdot
              (1 - T/window)^+ \cdot (1 - |\ln(F/K)|/width)^+ .

    Parameters
    ----------
    rate : float
        Fraction of the forward at the strike and the moment of expiry, not negative.
    window_days : float
        Days before expiry at which the charge begins, positive.
    width : float
        Log distance from the strike at which it begins, positive.
    shape : VolShape, optional
        Gives the days in a year.
    """
    marks.check(book)
    not_negative("rate", rate)
    positive("window_days and width", [window_days, width])
    option = book.option
    if not option.any():
        return 0.0
    days = book.expiry[option] * (VolShape() if shape is None else shape).days_per_year
    near = np.maximum(1.0 - days / window_days, 0.0)
    distance = np.abs(np.log(marks.forward[option] / book.strike[option]))
    close = np.maximum(1.0 - distance / width, 0.0)
    per_unit = np.zeros(len(book))
    per_unit[option] = rate * marks.forward[option] * near * close
    return _sold(book, per_unit, group=book.expiry_groups(strikes=True), where=option)


def vega_expansion(
    book: Book,
    marks: Marks,
    *,
    vol_move: float,
    probability: float = 1.0,
    shape: VolShape | None = None,
) -> float:
    r"""Charge volatility sold, expiry by expiry, for a rise beyond the grid's.

    The grid lets volatility bought in one expiry pay for volatility sold in another; in an
    expansion they do not move together. Per expiry, with :math:`\mathcal V` its net vega times
    volatility and shape:

    .. math:: probability \cdot move \cdot \sum_e \bigl(-\mathcal V_e\bigr)^+ .

    Parameters
    ----------
    vol_move : float
        Rise of 30-day volatility as a fraction of itself, not negative.
    probability : float
        Of the expansion, in [0, 1]: a forecast of the stressed regime goes here.
    shape : VolShape, optional
        Moves of other expiries.
    """
    not_negative("vol_move", vol_move)
    fraction("probability", probability)
    option = book.option
    vega = book_greeks(book, marks)["vega"]
    if not option.any():
        return 0.0
    scale = (VolShape() if shape is None else shape).scale(book.expiry[option])
    per_move = vega[option] * marks.sigma_ann[option] * scale
    group = book.expiry_groups()[option]
    return float(probability * vol_move * np.maximum(-sum_by(per_move, group), 0.0).sum())


def short_option_minimum(book: Book, marks: Marks, *, rate: float) -> float:
    """Return the least margin of options sold: `rate` of spot for each unit sold.

    An option far out of the money loses nothing on any node of a grid and is not free of risk.
    Longs do not offset it, except in the same contract. Pass it to :func:`.option_margin` as
    `minimum`.
    """
    marks.check(book)
    not_negative("rate", rate)
    contract = 2 * book.expiry_groups(strikes=True) + book.call
    return _sold(book, rate * marks.spot, group=contract, where=book.option)


def basis_risk(book: Book, marks: Marks, *, at_least: float, per_year: float) -> float:
    r"""Charge deltas of different expiries that the grid offsets in full.

    With :math:`D_e` the delta of expiry e times its forward and
    :math:`b_e = at\_least + per\_year\,T_e` how far its basis may move, the smaller side counts:

    .. math:: \min\Bigl(\sum_e b_e D_e^+,\; \sum_e b_e D_e^-\Bigr) \text{ per underlying.}

    Zero for a book with one expiry only, and for one whose deltas all have one sign: a change of
    basis is small beside the move of the spot that the grid charges for them.

    Parameters
    ----------
    at_least : float
        Move of the basis of a perpetual, fraction of price, not negative.
    per_year : float
        What a year of expiry adds, not negative.
    """
    not_negative("at_least and per_year", [at_least, per_year])
    if not len(book):
        return 0.0
    delta = book_greeks(book, marks)["delta"] * marks.forward
    moved = delta * (at_least + per_year * np.nan_to_num(book.expiry, nan=0.0))
    group = book.expiry_groups()
    by_expiry = sum_by(moved, group)
    first = np.unique(group, return_index=True)[1]
    owner = book.groups()[first]
    bought = sum_by(np.maximum(by_expiry, 0.0), owner)
    sold = sum_by(np.maximum(-by_expiry, 0.0), owner)
    return float(np.minimum(bought, sold).sum())


def skew_risk(book: Book, marks: Marks, *, steepening: float) -> float:
    r"""Charge the worse of two turns of the smile, by full revaluation, expiry by expiry.

    Volatility becomes :math:`\sigma\,(1 \pm steepening \cdot m)` with
    :math:`m = \ln(K/F)/(\sigma\sqrt T)` kept in [-2, 2]: one wing up, the other down, nothing at
    the money. A risk reversal has its risk here and none in a parallel move.

    Parameters
    ----------
    steepening : float
        Fraction of volatility at one standard deviation from the money, in [0, 0.5].
    """
    fraction("steepening", 2.0 * steepening)
    marks.check(book)
    option = book.option
    if not option.any():
        return 0.0
    total = marks.sigma_ann[option] * np.sqrt(book.expiry[option])
    distance = np.log(book.strike[option] / marks.forward[option])
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.where(distance == 0.0, 0.0, distance / total)
    turn = np.zeros(len(book))
    turn[option] = steepening * np.clip(steps, -_MOST_STEEPNESS, _MOST_STEEPNESS)
    sigma = marks.sigma_ann * (1.0 + np.array([[1.0], [-1.0]]) * turn)
    change = unit_values(book, marks, sigma_ann=sigma) - unit_values(book, marks)
    worst = sum_by(book.quantity * change, book.expiry_groups()).min(axis=0)
    return float(np.maximum(-worst, 0.0).sum())
