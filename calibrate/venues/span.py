r"""SPAN: sixteen scenarios, the scanning risk, spreads between months, the short-option minimum.

With price range R and volatility range V, the scenarios are

.. math:: (0, \pm V),\; (+\tfrac13 R, \pm V),\; (-\tfrac13 R, \pm V),\; (+\tfrac23 R, \pm V),\;
          (-\tfrac23 R, \pm V),\; (+R, \pm V),\; (-R, \pm V),\; (\pm x R, 0),

in this order, with V added to the volatility. Of the last two a share y of the loss counts:
:data:`TWO_RANGES` has x = 2 and y = 35 %, :data:`THREE_RANGES` has x = 3 and y = 33 %. Then

.. math::

    \text{risk} = \max(\text{scanning risk} + \text{inter-month charge},\;
                       \text{short-option minimum}),

the scanning risk being the largest loss of the portfolio, at least zero. Against equity that does
not count options, the net option value comes off (or is added if it is negative).

Source: the CME's public description of SPAN (scenarios); ranges and charges are the clearing
house's and change by notice, so they have no default. Stated exactly here: a spread charge with one
tier of months, where the number of spreads is the smaller of all long and all short deltas. Not
here: several tiers and priorities, spreads between commodities, delivery months, and the composite
delta (a weighted mean over scenarios): the delta is today's.

References
----------
CME Group, "CME SPAN: Standard Portfolio Analysis of Risk".
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..options import (
    Book,
    Marks,
    SpotVolForecast,
    book_greeks,
    forecast_moves,
    option_value,
    unit_values,
)
from ..options.checks import fraction, not_negative, positive
from ..options.revalue import sum_by

Array = NDArray[np.float64]

_THIRDS = (0, 1, -1, 2, -2, 3, -3)


@dataclass(frozen=True, kw_only=True)
class Extremes:
    """The last two scenarios.

    Attributes
    ----------
    ranges : float
        Price ranges that they move, positive.
    share : float
        Fraction of the loss that counts.
    """

    ranges: float
    share: float

    def __post_init__(self) -> None:
        positive("ranges", self.ranges)
        fraction("share", self.share)


TWO_RANGES = Extremes(ranges=2.0, share=0.35)
"""The older convention of the CME, and of Indian clearing houses."""

THREE_RANGES = Extremes(ranges=3.0, share=0.33)
"""The later one; 33 % as published, not a third."""


@dataclass(frozen=True, kw_only=True)
class Span:
    """Parameters of one commodity.

    Attributes
    ----------
    price_range : float
        Price scan range, currency for each unit of the underlying, positive.
    vol_range : float
        Volatility scan range, decimal points: 0.05 moves 0.30 to 0.35.
    spread_charge : float
        Inter-month charge, currency for each unit of spread.
    short_option_charge : float
        Short-option minimum, currency for each unit of option sold.
    look_ahead : float
        Years that pass in every scenario.
    extremes : Extremes
        The last two scenarios.
    """

    price_range: float
    vol_range: float
    spread_charge: float = 0.0
    short_option_charge: float = 0.0
    look_ahead: float = 0.0
    extremes: Extremes = TWO_RANGES

    def __post_init__(self) -> None:
        positive("price_range", self.price_range)
        for name in ("vol_range", "spread_charge", "short_option_charge", "look_ahead"):
            not_negative(name, getattr(self, name))

    def scenarios(self) -> Array:
        """Return price move (currency), volatility move and share, shape (16, 3)."""
        rows = [
            (third * self.price_range / 3.0, sign * self.vol_range, 1.0)
            for third in _THIRDS
            for sign in (1, -1)
        ]
        far = self.extremes.ranges * self.price_range
        rows += [(far, 0.0, self.extremes.share), (-far, 0.0, self.extremes.share)]
        return np.array(rows)


@dataclass(frozen=True, kw_only=True)
class SpanMargin:
    """Components of the margin, currency; none but `net_option_value` is negative.

    Attributes
    ----------
    scanning_risk : float
        Largest loss over the scenarios.
    active_scenario : int
        The scenario with it, 1 to 16; the lowest of equals.
    inter_month_charge : float
        For deltas of different expiries that offset each other.
    short_option_minimum : float
        Least risk.
    net_option_value : float
        Marked value of options bought minus options sold.
    """

    scanning_risk: float
    active_scenario: int
    inter_month_charge: float
    short_option_minimum: float
    net_option_value: float

    @property
    def risk(self) -> float:
        """Needed equity, options counted at their marks."""
        return max(self.scanning_risk + self.inter_month_charge, self.short_option_minimum)

    @property
    def requirement(self) -> float:
        """Risk less net option value: needed cash; below zero is a credit."""
        return self.risk - self.net_option_value


def risk_array(book: Book, marks: Marks, *, parameters: Span) -> Array:
    """Return the loss of one unit bought in each scenario, shape (16, n), currency.

    Volatility does not fall below zero.

    Raises
    ------
    InputError
        If a price would fall to zero or below.
    """
    marks.check(book)
    move, vol, share = parameters.scenarios().T[:, :, None]
    price = marks.forward + move
    if np.any(price <= 0.0):
        raise InputError(
            f"the widest fall, {-move.min()}, must leave every price above zero, the lowest "
            f"forward was {marks.forward.min()}; use a smaller price_range or Extremes.ranges"
        )
    sigma = np.maximum(np.where(book.option, marks.sigma_ann, 0.0) + vol, 0.0)
    then = unit_values(
        book, marks, forward=price, sigma_ann=sigma, elapsed=np.array(parameters.look_ahead)
    )
    return np.asarray(share * (unit_values(book, marks) - then))


def margin(book: Book, marks: Marks, *, parameters: Span) -> SpanMargin:
    """Return the margin of a book in one commodity.

    Parameters
    ----------
    book, marks : Book, Marks
        n positions.
    parameters : Span
        Ranges and charges of the commodity.

    Raises
    ------
    InputError
        If there are several underlyings, or a price would fall to zero.
    """
    if len(set(book.underlying)) > 1:
        raise InputError(
            f"a portfolio must have one underlying, had {sorted(set(book.underlying))}; margin "
            "each commodity with its own parameters"
        )
    loss = risk_array(book, marks, parameters=parameters) @ book.quantity
    worst = int(np.argmax(loss))
    sold = np.maximum(-book.quantity[book.option], 0.0).sum()
    return SpanMargin(
        scanning_risk=float(max(loss[worst], 0.0)),
        active_scenario=worst + 1,
        inter_month_charge=parameters.spread_charge * _spreads(book, marks),
        short_option_minimum=float(parameters.short_option_charge * sold),
        net_option_value=float(option_value(book, marks).sum()),
    )


def _spreads(book: Book, marks: Marks) -> float:
    """Return the units of spread between expiries: the smaller side of their net deltas."""
    if not len(book):
        return 0.0
    delta = sum_by(book_greeks(book, marks)["delta"], book.expiry_groups())
    return float(min(np.maximum(delta, 0.0).sum(), np.maximum(-delta, 0.0).sum()))


def with_forecast(
    parameters: Span,
    forecast: SpotVolForecast,
    *,
    confidence_level: float,
    price: float,
    sigma_ann: float,
    keep_minimum: bool = True,
) -> Span:
    """Return the parameters with ranges from a forecast of spot and implied volatility.

    SPAN's ranges are symmetric: the price range is the larger of the forecast's fall and rise, the
    volatility range the larger of its fall and rise.

    Parameters
    ----------
    confidence_level : float
        In (0.5, 1).
    price : float
        Price that the forecast moves, currency.
    sigma_ann : float
        Volatility that it moves, decimal.
    keep_minimum : bool
        Whether no range may be smaller than the clearing house's own.
    """
    moves = forecast_moves(forecast, confidence_level=confidence_level)
    price_range = float(positive("price", price)) * max(moves.fall, moves.rise)
    vol_range = float(positive("sigma_ann", sigma_ann)) * max(moves.vol_up, moves.vol_down)
    if keep_minimum:
        price_range = max(price_range, parameters.price_range)
        vol_range = max(vol_range, parameters.vol_range)
    return replace(parameters, price_range=price_range, vol_range=vol_range)
