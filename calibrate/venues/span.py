r"""SPAN: sixteen scenarios, scanning risk, spreads of months and commodities, the minimum.

With price range R and volatility range V, the scenarios are

.. math:: (0, \pm V),\; (+\tfrac13 R, \pm V),\; (-\tfrac13 R, \pm V),\; (+\tfrac23 R, \pm V),\;
          (-\tfrac23 R, \pm V),\; (+R, \pm V),\; (-R, \pm V),\; (\pm x R, 0),

in this order, with V added to the volatility. Of the last two a share y of the loss counts:
:data:`TWO_RANGES` has x = 2 and y = 35 %, :data:`THREE_RANGES` has x = 3 and y = 33 %. Then

.. math::

    \text{risk} = \max(\text{scanning risk} + \text{inter-month charge}
                       - \text{inter-commodity credit},\; \text{short-option minimum}),

the scanning risk being the largest loss of the portfolio, at least zero. So risk is never below the
short-option minimum, nor below zero. Against equity that does not count options, the net option
value comes off (or is added if it is negative).

:func:`margin` is that of one commodity, without a credit; :func:`combined_margin` of several, with
those of :mod:`.span_spreads`, where the spreads are.

Source: the CME's public description of SPAN; ranges, charges, tiers, ratios and credits are the
clearing house's and change by notice, so they have no default. Not here: delivery months, the
composite delta (a weighted mean over scenarios; the delta is today's), and credits between clearing
houses. A leg with a tier takes the price risk of the positions in that tier alone.

References
----------
CME Group, "CME SPAN: Standard Portfolio Analysis of Risk".
"""

from collections.abc import Iterable, Mapping, Sequence
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
from .span_spreads import (
    CommodityLeg,
    CommoditySpread,
    MonthLeg,
    MonthSpread,
    Pool,
    Side,
    commodity_credits,
    futures_price_risk,
    month_charge,
)

__all__ = [
    "THREE_RANGES",
    "TWO_RANGES",
    "CombinedMargin",
    "CommodityLeg",
    "CommoditySpread",
    "Extremes",
    "MonthLeg",
    "MonthSpread",
    "Side",
    "Span",
    "SpanMargin",
    "combined_margin",
    "margin",
    "risk_array",
    "with_forecast",
]

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
        Inter-month charge, currency for each unit of spread between any two months, for what
        `spreads` leave.
    short_option_charge : float
        Short-option minimum, currency for each unit of option sold.
    look_ahead : float
        Years that pass in every scenario.
    extremes : Extremes
        The last two scenarios.
    tiers : tuple of float
        Last expiries of the tiers of months but for the last tier, years, rising: (0.25, 1) are
        three tiers. Perpetuals and spot are in the first.
    spreads : tuple of MonthSpread
        Spreads between tiers with charges of their own, in order of priority.
    """

    price_range: float
    vol_range: float
    spread_charge: float = 0.0
    short_option_charge: float = 0.0
    look_ahead: float = 0.0
    extremes: Extremes = TWO_RANGES
    tiers: tuple[float, ...] = ()
    spreads: tuple[MonthSpread, ...] = ()

    def __post_init__(self) -> None:
        positive("price_range", self.price_range)
        for name in ("vol_range", "spread_charge", "short_option_charge", "look_ahead"):
            not_negative(name, getattr(self, name))
        if len(self.tiers) and np.any(np.diff(positive("tiers", self.tiers)) <= 0.0):
            raise InputError(f"tiers must rise, were {self.tiers}")
        for spread in self.spreads:
            self.check_tiers([leg.tier for leg in spread.legs])

    def check_tiers(self, named: Sequence[int]) -> None:
        """Refuse tiers that are not there."""
        missing = sorted({tier for tier in named if not 1 <= tier <= len(self.tiers) + 1})
        if missing:
            raise InputError(
                f"a tier must be from 1 to {len(self.tiers) + 1}, found {missing}; give the "
                "expiries where tiers end"
            )

    def tier_of(self, expiry: Array) -> NDArray[np.intp]:
        """Return the tier of each expiry, 1 for NaN, same shape."""
        years = np.nan_to_num(expiry, nan=0.0)
        return np.asarray(1 + np.searchsorted(np.array(self.tiers), years, side="left"))

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
    inter_commodity_credit : float
        For deltas that offset those of other commodities.
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
    inter_commodity_credit: float = 0.0

    @property
    def risk(self) -> float:
        """Needed equity, options counted at their marks."""
        spread = self.inter_month_charge - self.inter_commodity_credit
        return max(self.scanning_risk + spread, self.short_option_minimum)

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
        inter_month_charge=_month_charge(book, marks, parameters),
        short_option_minimum=float(parameters.short_option_charge * sold),
        net_option_value=float(option_value(book, marks).sum()),
    )


def _month_charge(book: Book, marks: Marks, parameters: Span) -> float:
    """Form the spreads between months, those of tiers first."""
    if not len(book):
        return 0.0
    month = book.expiry_groups()
    delta = sum_by(book_greeks(book, marks)["delta"], month)
    first = np.unique(month, return_index=True)[1]
    tier = parameters.tier_of(book.expiry[first]) - 1
    n = len(parameters.tiers) + 1
    charge, long, short = month_charge(
        parameters.spreads,
        np.bincount(tier, weights=np.maximum(delta, 0.0), minlength=n).astype(np.float64),
        np.bincount(tier, weights=np.maximum(-delta, 0.0), minlength=n).astype(np.float64),
    )
    return charge + parameters.spread_charge * float(min(long.sum(), short.sum()))


@dataclass(frozen=True, kw_only=True)
class CombinedMargin:
    """Margin of a portfolio of commodities, currency.

    Attributes
    ----------
    commodities : mapping of str to SpanMargin
        By name, with the credits that spreads between them earn.
    """

    commodities: Mapping[str, SpanMargin]

    @property
    def risk(self) -> float:
        """Needed equity, options counted at their marks: the sum over commodities."""
        return sum(one.risk for one in self.commodities.values())

    @property
    def requirement(self) -> float:
        """Risk less net option value: needed cash; below zero is a credit."""
        return sum(one.requirement for one in self.commodities.values())


def combined_margin(
    book: Book,
    marks: Marks,
    *,
    parameters: Mapping[str, Span],
    spreads: Sequence[CommoditySpread] = (),
) -> CombinedMargin:
    """Return the margin of a book in several commodities.

    Parameters
    ----------
    book, marks : Book, Marks
        n positions.
    parameters : mapping of str to Span
        Ranges and charges of each underlying in the book.
    spreads : sequence of CommoditySpread
        Credits between commodities, in order of priority; a commodity is named with tiers in all
        of them or in none.

    Raises
    ------
    InputError
        If an underlying has no parameters, a tier is not there, tiers and a whole commodity are
        mixed (their deltas would count twice), or a price would fall to zero.
    """
    names = sorted(set(book.underlying))
    missing = [name for name in names if name not in parameters]
    if missing:
        raise InputError(f"every underlying must have parameters, {missing} have none")
    tiers = _tiers_named(spreads, parameters)
    found: dict[str, SpanMargin] = {}
    pools: dict[tuple[str, int | None], Pool] = {}
    for name in names:
        held = np.array([underlying == name for underlying in book.underlying])
        part, at = book.take(held), marks.take(held)
        found[name] = margin(part, at, parameters=parameters[name])
        pools |= _pools(name, part, at, parameters=parameters[name], tiers=tiers.get(name, ()))
    earned = commodity_credits(spreads, pools)
    return CombinedMargin(
        commodities={
            name: replace(one, inter_commodity_credit=earned.get(name, 0.0))
            for name, one in found.items()
        }
    )


def _tiers_named(
    spreads: Sequence[CommoditySpread], parameters: Mapping[str, Span]
) -> dict[str, set[int | None]]:
    named: dict[str, set[int | None]] = {}
    for leg in (leg for spread in spreads for leg in spread.legs):
        named.setdefault(leg.commodity, set()).add(leg.tier)
    for name, tiers in named.items():
        if None in tiers and len(tiers) > 1:
            raise InputError(
                f"{name} must be named with a tier in all spreads or in none, found both; its "
                "deltas would count twice"
            )
        if name in parameters:
            parameters[name].check_tiers([tier for tier in tiers if tier is not None])
    return named


def _pools(
    name: str,
    book: Book,
    marks: Marks,
    *,
    parameters: Span,
    tiers: Iterable[int | None],
) -> dict[tuple[str, int | None], Pool]:
    """Return what spreads between commodities may take from this one."""
    loss = risk_array(book, marks, parameters=parameters) * book.quantity
    delta = book_greeks(book, marks)["delta"]
    tier_of = parameters.tier_of(book.expiry)
    out: dict[tuple[str, int | None], Pool] = {}
    for tier in tiers:
        there = np.ones(len(book), dtype=np.bool_) if tier is None else tier_of == tier
        risk = futures_price_risk(loss[:, there].sum(axis=1))
        out[name, tier] = Pool(delta=float(delta[there].sum()), price_risk=risk)
    return out


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
