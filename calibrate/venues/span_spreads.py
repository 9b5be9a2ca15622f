r"""Spreads of SPAN: between months of a commodity at a charge, between commodities at a credit.

A spread is a list of legs, each with a side and a *ratio*, the deltas that one spread takes from
it. Spreads are formed in the order in which they are listed, their priority: as many as the
scarcest leg allows, in either direction, and what they took is gone for those after.

**Between months.** Every expiry has its net delta, every tier of months the sums of its long and of
its short ones. A spread of tiers takes from one side or the other of each and costs `charge`.

**Between commodities.** A leg takes from the net delta of a commodity, or of one of its tiers, and
earns

.. math:: \text{ratio} \times \text{spreads} \times \text{credit} \times
          \frac{\text{futures price risk}}{|\text{net delta}|},

the last factor being the weighted futures price risk, from the leg's own sixteen losses:

.. math::

    \text{futures price risk} = \underbrace{\tfrac12 (L_a + L_{a'})}_{\text{volatility-adjusted}}
                                - \underbrace{\tfrac12 (L_1 + L_2)}_{\text{time risk}}, \quad
                                \text{at least zero,}

with a the active scenario and a' its pair: same price, volatility the other way. The extremes, 15
and 16, leave volatility alone and are their own pairs.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..options.checks import fraction, not_negative, positive

Array = NDArray[np.float64]


class Side(StrEnum):
    """Legs of one side are bought where those of the other are sold."""

    A = "A"
    B = "B"


@dataclass(frozen=True, kw_only=True)
class MonthLeg:
    """Leg of a spread between months.

    Attributes
    ----------
    tier : int
        Tier of months, the nearest is 1; see :class:`.span.Span`.
    side : Side
        Which side of the spread.
    ratio : float
        Units of delta that one spread takes, positive.
    """

    tier: int
    side: Side
    ratio: float = 1.0

    def __post_init__(self) -> None:
        positive("ratio", self.ratio)


@dataclass(frozen=True, kw_only=True)
class MonthSpread:
    """Spread between months of one commodity.

    Attributes
    ----------
    legs : tuple of MonthLeg
        At least one on either side, no tier twice on one of them.
    charge : float
        Currency for each spread, not negative.
    """

    legs: tuple[MonthLeg, ...]
    charge: float

    def __post_init__(self) -> None:
        not_negative("charge", self.charge)
        _two_sides([(leg.tier, leg.side) for leg in self.legs], [leg.side for leg in self.legs])


@dataclass(frozen=True, kw_only=True)
class CommodityLeg:
    """Leg of a spread between commodities.

    Attributes
    ----------
    commodity : str
        Underlying.
    side : Side
        Which side of the spread.
    ratio : float
        Units of delta that one spread takes, positive.
    tier : int or None
        Tier of months that it takes them from; None for all of them together.
    """

    commodity: str
    side: Side
    ratio: float = 1.0
    tier: int | None = None

    def __post_init__(self) -> None:
        positive("ratio", self.ratio)


@dataclass(frozen=True, kw_only=True)
class CommoditySpread:
    """Spread between commodities.

    Attributes
    ----------
    legs : tuple of CommodityLeg
        At least one on either side, no commodity and tier twice.
    credit : float
        Share of the price risk of the deltas taken that it saves, in [0, 1].
    """

    legs: tuple[CommodityLeg, ...]
    credit: float

    def __post_init__(self) -> None:
        fraction("credit", self.credit)
        _two_sides(
            [(leg.commodity, leg.tier) for leg in self.legs], [leg.side for leg in self.legs]
        )


def _two_sides(places: Sequence[Hashable], sides: Sequence[Side]) -> None:
    if set(sides) != set(Side) or len(set(places)) < len(places):
        raise InputError(
            "the legs of a spread must stand on both sides, and no two at one place, found "
            f"{list(zip(places, [side.value for side in sides], strict=True))}; one leg with the "
            "sum of the ratios is the same"
        )


def month_charge(
    spreads: Sequence[MonthSpread], long: Array, short: Array
) -> tuple[float, Array, Array]:
    """Form spreads between months; return the charge, and the deltas that are left.

    Parameters
    ----------
    spreads : sequence of MonthSpread
        In order of priority.
    long, short : ndarray, shape (n_tiers,)
        Sums of the long and of the short net deltas of the months of each tier, units, not
        negative.
    """
    left = {True: long.copy(), False: short.copy()}
    total = 0.0
    for spread in spreads:
        for turned in (False, True):
            sides = [(leg.side == Side.A) != turned for leg in spread.legs]
            room = [
                left[up][leg.tier - 1] / leg.ratio
                for up, leg in zip(sides, spread.legs, strict=True)
            ]
            formed = min(room)
            for up, leg in zip(sides, spread.legs, strict=True):
                left[up][leg.tier - 1] -= _taken(formed, leg.ratio, left[up][leg.tier - 1])
            total += float(formed) * spread.charge
    return total, left[True], left[False]


@dataclass(frozen=True, kw_only=True)
class Pool:
    """What spreads between commodities may take from one commodity, or a tier of it.

    Attributes
    ----------
    delta : float
        Net delta, units.
    price_risk : float
        Futures price risk, currency, not negative.
    """

    delta: float
    price_risk: float


def futures_price_risk(loss: Array) -> float:
    """Return the futures price risk of sixteen losses, currency, not negative."""
    active = int(np.argmax(loss))
    pair = active if active >= 14 else active ^ 1
    adjusted = 0.5 * (loss[active] + loss[pair])
    return float(max(adjusted - 0.5 * (loss[0] + loss[1]), 0.0))


def commodity_credits(
    spreads: Sequence[CommoditySpread], pools: Mapping[tuple[str, int | None], Pool]
) -> dict[str, float]:
    """Form spreads between commodities; return the credit of each commodity that has one.

    Parameters
    ----------
    spreads : sequence of CommoditySpread
        In order of priority. One whose leg has no pool is not formed.
    pools : mapping of (commodity, tier or None) to Pool
        What there is to take.
    """
    left = {place: pool.delta for place, pool in pools.items()}
    credits: dict[str, float] = {}
    for spread in spreads:
        places = [(leg.commodity, leg.tier) for leg in spread.legs]
        if any(place not in left for place in places):
            continue
        for turned in (False, True):
            signs = [-1.0 if (leg.side == Side.A) == turned else 1.0 for leg in spread.legs]
            rows = list(zip(places, signs, spread.legs, strict=True))
            formed = max(min(sign * left[at] / leg.ratio for at, sign, leg in rows), 0.0)
            if formed == 0.0:
                continue
            for at, sign, leg in rows:
                taken = _taken(formed, leg.ratio, abs(left[at]))
                left[at] -= sign * taken
                risk = pools[at].price_risk / abs(pools[at].delta)
                earned = risk * taken * spread.credit
                credits[leg.commodity] = credits.get(leg.commodity, 0.0) + earned
    return credits


def _taken(formed: float, ratio: float, there: float) -> float:
    # Rounding must not leave a leg below nothing.
    return min(formed * ratio, there)
