"""Hyperliquid: maximum leverage by tier of size, maintenance at half the initial rate.

With the maximum leverage L_n of the tier that holds the whole notional N,

    initial     = N / min(chosen leverage, L_n),
    maintenance = N r_n - d_n,   r_n = 1 / (2 L_n),   d_n = d_{n-1} + F_n (r_n - r_{n-1}),

where F_n is the floor of tier n: maintenance is continuous at the edges, initial margin is not, for
the venue's cap on leverage holds for the whole position. Money that leaves an account must leave
max(initial, 10 % of notional) behind (`transfer`, since March 2025).

Source: Hyperliquid documentation, margining and margin tiers (read 2026).
"""

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import ClassVar, Self

import numpy as np

from ...errors import InputError
from .tiers import check_tiers, deductions, tier_of
from .venue import Floats, Position, Requirement, VenueMargin, check_rate, most_leverage


@dataclass(frozen=True, kw_only=True)
class MarginTiers:
    """Tiers of one perpetual.

    Attributes
    ----------
    floor : tuple of float
        Notional above which each tier starts, USD; the first is 0.
    leverage : tuple of int
        Maximum leverage of each tier, not rising.
    transfer_rate : float
        Fraction of notional that a withdrawal must leave at least, in [0, 1].
    """

    venue: ClassVar[str] = "hyperliquid"
    meets: ClassVar[Requirement] = Requirement.INITIAL

    floor: tuple[float, ...]
    leverage: tuple[int, ...]
    transfer_rate: float = 0.1

    def __post_init__(self) -> None:
        if not all(isinstance(most, int) and most >= 1 for most in self.leverage):
            raise InputError(f"leverage must be whole numbers of at least 1, was {self.leverage}")
        check_tiers(np.array(self.floor), self.maintenance_rate, np.array(self.leverage))
        if not 0.0 <= self.transfer_rate <= 1.0:
            raise InputError(f"transfer_rate must be in [0, 1], was {self.transfer_rate}")

    @property
    def maintenance_rate(self) -> Floats:
        """Maintenance rate of each tier, fraction of notional."""
        return np.asarray(0.5 / np.array(self.leverage, dtype=np.float64))

    @property
    def deduction(self) -> Floats:
        """Maintenance deduction of each tier, USD."""
        return deductions(np.array(self.floor), self.maintenance_rate)

    def margin(self, position: Position) -> VenueMargin:
        """Compute both requirements, USD; parts: ``base``, ``size``, ``chosen``."""
        notional = position.notional
        tier = tier_of(notional, np.array(self.floor))
        base, capped = notional / self.leverage[0], notional / np.array(self.leverage)[tier]
        initial = capped
        if position.leverage is not None:
            initial = np.maximum(capped, notional / position.leverage)
        return VenueMargin(
            venue=self.venue,
            notional=notional,
            initial=initial,
            maintenance=notional * self.maintenance_rate[tier] - self.deduction[tier],
            components={"base": base, "size": capped - base, "chosen": initial - capped},
            levels={"transfer": np.maximum(initial, self.transfer_rate * notional)},
        )

    def with_forecast(self, margin_rate: float, *, may_lower: bool = False) -> Self:
        """Return tiers whose leverage is the largest whole number that covers the forecast.

        Later tiers keep their own leverage where that is lower; maintenance follows at half.
        """
        covered = most_leverage(check_rate(margin_rate))
        first = covered if may_lower else min(covered, self.leverage[0])
        return replace(self, leverage=(first, *(min(first, own) for own in self.leverage[1:])))


TIERS = MappingProxyType(
    {
        "BTC": MarginTiers(floor=(0.0, 150e6), leverage=(40, 20)),
        "ETH": MarginTiers(floor=(0.0, 100e6), leverage=(25, 15)),
        "SOL": MarginTiers(floor=(0.0, 70e6), leverage=(20, 10)),
        "XRP": MarginTiers(floor=(0.0, 40e6), leverage=(20, 10)),
    }
)
"""Tiers as the documentation listed them (read 2026)."""
