"""Binance futures: maintenance margin by notional bracket.

With the rate r_n and the cumulative amount c_n of the bracket that holds the whole notional N, and
its maximum leverage L_n,

    initial = N / min(chosen leverage, L_n),    maintenance = N r_n - c_n.

The published c_n make maintenance continuous; that they do is checked. Nothing can be opened beyond
the last cap. Brackets move by notice and are read from a table; none is shipped.

Source: Binance futures, leverage and margin of USD-M contracts, `leverageBracket` (2024).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import pandas as pd

from ...errors import InputError
from .tiers import check_tiers, deductions, tier_of
from .venue import Floats, Position, Requirement, VenueMargin, check_rate, finite

_COLUMNS = {
    "floor": "min_notional",
    "cap": "max_notional",
    "rate": "maintenance_margin_rate",
    "leverage": "max_leverage",
    "cumulative": "cum_maintenance_amount",
}

# Published amounts are decimals; what they differ by from the sums is binary rounding.
_CUMULATIVE_TOLERANCE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Brackets:
    """Brackets of one contract, in the order of size.

    Attributes
    ----------
    floor, cap : tuple of float
        Notional above which, and up to which, each bracket holds; quote currency. The first floor
        is 0, every other is the cap before it.
    rate : tuple of float
        Maintenance margin rate, fraction of notional, not falling.
    leverage : tuple of float
        Maximum leverage, not rising.
    cumulative : tuple of float
        Amount subtracted from notional times rate, quote currency.
    """

    venue: ClassVar[str] = "binance"
    meets: ClassVar[Requirement] = Requirement.MAINTENANCE

    floor: tuple[float, ...]
    cap: tuple[float, ...]
    rate: tuple[float, ...]
    leverage: tuple[float, ...]
    cumulative: tuple[float, ...]

    def __post_init__(self) -> None:
        floor, cap, rate, leverage, given = (finite(n, getattr(self, n)) for n in _COLUMNS)
        check_tiers(floor, rate, leverage)
        if cap.shape != floor.shape or np.any(cap[:-1] != floor[1:]) or cap[-1] <= floor[-1]:
            raise InputError(
                "every cap must be the floor of the next bracket, found floors "
                f"{self.floor} and caps {self.cap}"
            )
        expected = deductions(floor, rate)
        slack = _CUMULATIVE_TOLERANCE * np.maximum(expected, 1.0)
        if given.shape != floor.shape or np.any(np.abs(given - expected) > slack):
            raise InputError(
                "cumulative amounts must make the margin continuous, "
                f"which asks for {expected.tolist()}, found {given.tolist()}"
            )

    def margin(self, position: Position) -> VenueMargin:
        """Compute both requirements, quote currency; parts: ``base``, ``size``, ``chosen``."""
        notional = position.notional
        if np.any(notional > self.cap[-1]):
            raise InputError(
                f"the last bracket ends at a notional of {self.cap[-1]:g}, was {notional.max():g}; "
                "the venue opens no larger position"
            )
        tier = tier_of(notional, np.array(self.floor))
        base, capped = notional / self.leverage[0], notional / np.array(self.leverage)[tier]
        initial = capped
        if position.leverage is not None:
            initial = np.maximum(capped, notional / position.leverage)
        return VenueMargin(
            venue=self.venue,
            notional=notional,
            initial=initial,
            maintenance=notional * np.array(self.rate)[tier] - np.array(self.cumulative)[tier],
            components={"base": base, "size": capped - base, "chosen": initial - capped},
        )

    def with_forecast(self, margin_rate: float, *, may_lower: bool = False) -> Self:
        """Return brackets whose maintenance rates are at least the forecast.

        Cumulative amounts are computed anew. The distance from maintenance to initial margin
        stays: the leverage falls as the rate rises, rounded down, never above the venue's own.
        """
        least = check_rate(margin_rate)
        own = np.array(self.rate)
        rate = np.maximum(own, least)
        if may_lower:
            rate[0] = least
        if np.array_equal(rate, own):
            return self
        leverage = _leverage_at(rate, own=own, leverage=np.array(self.leverage))
        return replace(
            self,
            rate=tuple(rate.tolist()),
            leverage=tuple(leverage.tolist()),
            cumulative=tuple(deductions(np.array(self.floor), rate).tolist()),
        )


def _leverage_at(rate: Floats, *, own: Floats, leverage: Floats) -> Floats:
    """Leverage that keeps the distance between both margins when rates have risen."""
    lowered = np.maximum(np.floor(leverage * own / rate), 1.0)
    kept = np.where(rate <= own, leverage, np.minimum(lowered, leverage))
    return np.asarray(np.minimum.accumulate(kept))


def brackets_from_table(table: pd.DataFrame) -> Mapping[str, Brackets]:
    """Read the brackets of every contract.

    Parameters
    ----------
    table : DataFrame
        One row per contract and bracket: ``symbol``, ``tier`` (1, 2, ... in order of size),
        ``min_notional``, ``max_notional``, ``maintenance_margin_rate``, ``max_leverage`` and
        ``cum_maintenance_amount``.

    Returns
    -------
    dict of str to Brackets
        By symbol, in the order of the table.

    Raises
    ------
    InputError
        If a column is missing, tiers do not count from 1, or a contract's brackets disagree.
    """
    missing = sorted({"symbol", "tier", *_COLUMNS.values()} - set(table.columns))
    if missing:
        raise InputError(f"a table of brackets needs the columns {missing}, and has not got them")
    brackets = {}
    for symbol, rows in table.groupby("symbol", sort=False):
        ordered = rows.sort_values("tier")
        if ordered["tier"].tolist() != list(range(1, len(ordered) + 1)):
            raise InputError(
                f"tiers of {symbol} must count from 1 without a gap, were "
                f"{ordered['tier'].tolist()}"
            )
        columns = {name: tuple(ordered[column].tolist()) for name, column in _COLUMNS.items()}
        try:
            brackets[str(symbol)] = Brackets(**columns)
        except InputError as error:
            raise InputError(f"{symbol}: {error}") from error
    return brackets
