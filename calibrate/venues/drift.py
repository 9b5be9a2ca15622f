"""Drift v2: margin ratios and asset weights that worsen with the square root of size.

In the program's integers: sizes in 1e-9 base units, values in 1e-6 USD, ratios and weights in
1e-4, the size factor (imf) in 1e-6. With q = floor(sqrt(10 size + 1)), the size's root in 1e-5,

    liability: max(r, r - floor(r / 5) + floor(q imf / 10,000,000)),
    asset:     min(w, floor(11,000,000,000 / (1,000,000 + floor(q imf / 100,000)))),

that is max(r, 0.8 r + imf sqrt(size)) and min(w, 1.1 / (1 + imf sqrt(size))),

and margin = floor(value ratio / 10,000), as on the chain: every floor is the program's, so that a
margin may lie up to 1e-6 USD below the exact product, and a ratio up to 1e-4.

Source: drift-labs/protocol-v2, `programs/drift/src/math/margin.rs` (2025). A market's parameters
are set by vote and have no defaults here. Not modelled: high-leverage mode, weights that shrink
with total deposits, the extra for unrealised profit, settled markets.
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .venue import (
    Floats,
    Integers,
    Position,
    Requirement,
    VenueMargin,
    as_amount,
    as_units,
    check_rate,
    finite,
    least_parts,
    whole_numbers,
)

BASE_UNITS = 1_000_000_000
QUOTE_UNITS = 1_000_000
MARGIN_PARTS = 10_000
IMF_PARTS = 1_000_000
_ROOT_PARTS = 100_000

_isqrt = np.frompyfunc(math.isqrt, 1, 1)


@dataclass(frozen=True, kw_only=True)
class PerpMarket:
    """Parameters of one perpetual.

    Attributes
    ----------
    initial_ratio, maintenance_ratio : int
        Margin ratios in 1e-4 of value, 0 < maintenance <= initial <= 10,000.
    imf : int
        Size factor in 1e-6 per root of a base unit; 0 switches the growth with size off.
    """

    venue: ClassVar[str] = "drift"
    meets: ClassVar[Requirement] = Requirement.INITIAL

    initial_ratio: int
    maintenance_ratio: int
    imf: int = 0

    def __post_init__(self) -> None:
        whole_numbers(
            initial_ratio=self.initial_ratio,
            maintenance_ratio=self.maintenance_ratio,
            imf=self.imf,
        )
        if not 0 < self.maintenance_ratio <= self.initial_ratio <= MARGIN_PARTS:
            raise InputError(
                "ratios must satisfy 0 < maintenance <= initial <= 10000, were "
                f"{self.maintenance_ratio} and {self.initial_ratio}; 5 % is 500"
            )

    def margin(self, position: Position) -> VenueMargin:
        """Compute both requirements, USD; parts: ``base``, ``size``, ``chosen``."""
        size = as_units(np.abs(position.size), BASE_UNITS)
        value = np.asarray(size * as_units(position.price, QUOTE_UNITS) // BASE_UNITS, dtype=object)
        sized = size_premium_ratio(size, ratio=self.initial_ratio, imf=self.imf)
        ratio = sized
        if position.leverage is not None:
            parts = np.frompyfunc(lambda leverage: least_parts(1.0 / leverage, MARGIN_PARTS), 1, 1)
            ratio = np.maximum(sized, parts(position.leverage))
        low = size_premium_ratio(size, ratio=self.maintenance_ratio, imf=self.imf)
        amount = {
            name: as_amount(value * parts // MARGIN_PARTS, QUOTE_UNITS)
            for name, parts in (("base", self.initial_ratio), ("size", sized), ("all", ratio))
        }
        return VenueMargin(
            venue=self.venue,
            notional=position.notional,
            initial=amount["all"],
            maintenance=as_amount(value * low // MARGIN_PARTS, QUOTE_UNITS),
            components={
                "base": amount["base"],
                "size": amount["size"] - amount["base"],
                "chosen": amount["all"] - amount["size"],
            },
        )

    def with_forecast(self, margin_rate: float, *, may_lower: bool = False) -> Self:
        """Return the market whose initial ratio is the forecast, rounded up to 1e-4.

        The maintenance ratio keeps its share of the initial one, rounded up.
        """
        needed = least_parts(check_rate(margin_rate), MARGIN_PARTS)
        initial = needed if may_lower else max(needed, self.initial_ratio)
        maintenance = -(-self.maintenance_ratio * initial // self.initial_ratio)
        return replace(self, initial_ratio=initial, maintenance_ratio=maintenance)


def size_premium_ratio(size: Integers, *, ratio: int, imf: int) -> Integers:
    """Compute the ratio of a liability of some size.

    Parameters
    ----------
    size : ndarray of int
        Absolute size in 1e-9 base units.
    ratio : int
        Ratio of a small position: a margin ratio, or a liability weight, in 1e-4.
    imf : int
        Size factor in 1e-6.

    Returns
    -------
    ndarray of int
        At least `ratio`, in 1e-4.
    """
    if imf == 0:
        return np.full(np.shape(size), ratio, dtype=object)
    grown = _root(size) * imf // (_ROOT_PARTS * IMF_PARTS // MARGIN_PARTS)
    return np.asarray(np.maximum(ratio - ratio // 5 + grown, ratio), dtype=object)


def size_discount_weight(size: Integers, *, weight: int, imf: int) -> Integers:
    """Compute the weight of a deposit of some size as collateral, in 1e-4, at most `weight`.

    Parameters
    ----------
    size : ndarray of int
        Absolute size in 1e-9 units of the token.
    weight : int
        Weight of a small deposit, in 1e-4.
    imf : int
        Size factor in 1e-6.

    Returns
    -------
    ndarray of int
        In 1e-4.
    """
    if imf == 0:
        return np.full(np.shape(size), weight, dtype=object)
    below = IMF_PARTS + _root(size) * imf // _ROOT_PARTS
    discounted = (IMF_PARTS + IMF_PARTS // 10) * MARGIN_PARTS // below
    return np.asarray(np.minimum(discounted, weight), dtype=object)


def collateral_value(position: Position, *, weight: int, imf: int = 0) -> Floats:
    """Value a deposit as collateral, USD: value times the weight that its size leaves.

    Parameters
    ----------
    position : Position
        Size in tokens, not negative; price in USD.
    weight : int
        Weight of a small deposit, in 1e-4, at most 10,000.
    imf : int
        Size factor in 1e-6.

    Returns
    -------
    ndarray
        USD, shape of the position.
    """
    whole_numbers(weight=weight, imf=imf)
    if weight > MARGIN_PARTS or np.any(position.size < 0.0):
        raise InputError(
            f"a deposit's size must not be negative and its weight at most 10000, was {weight}; "
            "debts take size_premium_ratio"
        )
    size = as_units(position.size, BASE_UNITS)
    value = size * as_units(position.price, QUOTE_UNITS) // BASE_UNITS
    shares = size_discount_weight(size, weight=weight, imf=imf)
    return as_amount(value * shares // MARGIN_PARTS, QUOTE_UNITS)


def imf_for(margin_rate: float, *, size: float, ratio: int) -> int:
    """Find the size factor at which a position of some size has a margin ratio.

    Parameters
    ----------
    margin_rate : float
        Ratio asked for, fraction of value in (0, 1], for example one that a liquidity model gives.
    size : float
        Base units, positive.
    ratio : int
        Ratio of a small position, in 1e-4.

    Returns
    -------
    int
        Least size factor in 1e-6 that gives it; 0 if `ratio` does already.
    """
    if not finite("size", size) > 0.0:
        raise InputError(f"size must be positive, was {size}")
    missing = least_parts(check_rate(margin_rate), MARGIN_PARTS) - (ratio - ratio // 5)
    if missing <= ratio // 5:
        return 0
    root = int(_root(as_units(np.array(size), BASE_UNITS))[()])
    return -(-missing * (_ROOT_PARTS * IMF_PARTS // MARGIN_PARTS) // root)


def _root(size: Integers) -> NDArray[np.object_]:
    """Root of a size in 1e-9, in 1e-5, rounded down."""
    return np.asarray(_isqrt(np.asarray(size, dtype=object) * 10 + 1), dtype=object)
