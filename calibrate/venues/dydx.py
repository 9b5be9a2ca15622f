"""dYdX v4: initial margin that grows with the open interest of the market.

In the chain's integers: parts per million (ppm) and quote quantums of 1e-6 USD. With base fraction
b, open notional O and caps L < U, all in integers,

    ppm = b + floor((O - L)(1,000,000 - b) / (U - L))   for L < O < U,
    ppm = b  for O <= L,   1,000,000  for O >= U,   b  where U = 0 (switched off).

Initial margin is ceil(notional ppm / 1,000,000); maintenance margin is the *base* initial margin
times the maintenance fraction, again rounded up, and does not grow with open interest. An account's
own fraction, if it chose one, is a floor of the initial one.

Source: dydxprotocol/v4-chain, `protocol/x/perpetuals/types/liquidity_tier.go` (2024).
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .venue import (
    Position,
    Requirement,
    VenueMargin,
    as_amount,
    as_words,
    check_rate,
    least_parts,
    whole_numbers,
)

MILLION = 1_000_000
QUANTUMS_PER_USD = 1_000_000

Words = NDArray[np.int64] | NDArray[np.object_]
"""Integers of 64 bits, or of any size where those do not hold them."""


@dataclass(frozen=True, kw_only=True)
class LiquidityTier:
    """Parameters of one liquidity tier.

    Attributes
    ----------
    base_ppm : int
        Base initial margin fraction, parts per million in (0, 1,000,000].
    maintenance_ppm : int
        Maintenance fraction of the base initial margin, parts per million.
    lower_cap_usd, upper_cap_usd : int
        Open notional from which the fraction grows, and at which it is 100 %; an upper cap of 0
        switches this off.
    """

    venue: ClassVar[str] = "dydx"
    meets: ClassVar[Requirement] = Requirement.INITIAL

    base_ppm: int
    maintenance_ppm: int
    lower_cap_usd: int = 0
    upper_cap_usd: int = 0

    def __post_init__(self) -> None:
        whole_numbers(
            base_ppm=self.base_ppm,
            maintenance_ppm=self.maintenance_ppm,
            lower_cap_usd=self.lower_cap_usd,
            upper_cap_usd=self.upper_cap_usd,
        )
        if not 0 < self.base_ppm <= MILLION or self.maintenance_ppm > MILLION:
            raise InputError(
                "base_ppm must be in (0, 1000000] and maintenance_ppm at most 1000000, were "
                f"{self.base_ppm} and {self.maintenance_ppm}; 5 % is 50000"
            )
        if self.lower_cap_usd > self.upper_cap_usd:
            raise InputError(
                "lower_cap_usd must not be above upper_cap_usd, were "
                f"{self.lower_cap_usd} and {self.upper_cap_usd}; 0 and 0 switch the growth off"
            )

    def initial_ppm(self, open_interest: Words) -> NDArray[np.int64]:
        """Compute the initial margin fraction.

        Parameters
        ----------
        open_interest : ndarray of int
            Open notional in quote quantums, not negative; integers of any size.

        Returns
        -------
        ndarray of int64
            Parts per million.
        """
        given = np.asarray(open_interest)
        notional, place = np.unique(given, return_inverse=True)
        ppm = np.array([self._ppm_at(int(value)) for value in notional], dtype=np.int64)
        return np.asarray(ppm[place].reshape(given.shape))

    def _ppm_at(self, open_interest: int) -> int:
        lower, upper = (cap * QUANTUMS_PER_USD for cap in (self.lower_cap_usd, self.upper_cap_usd))
        if upper == 0:
            return self.base_ppm
        if open_interest >= upper:
            return MILLION
        over = max(open_interest - lower, 0)
        return self.base_ppm + over * (MILLION - self.base_ppm) // max(upper - lower, 1)

    def margin(self, position: Position) -> VenueMargin:
        """Compute both requirements, USD; parts: ``base``, ``open_interest``, ``chosen``."""
        quote = as_words(position.notional, QUANTUMS_PER_USD)
        base = _share_up(quote, self.base_ppm)
        grown = _share_up(quote, self.initial_ppm(self._open_interest(position)))
        initial = grown
        if position.leverage is not None:
            parts = np.vectorize(lambda most: least_parts(1.0 / most, MILLION), otypes=[np.int64])
            initial = np.maximum(grown, _share_up(quote, parts(position.leverage)))
        return VenueMargin(
            venue=self.venue,
            notional=position.notional,
            initial=as_amount(initial, QUANTUMS_PER_USD),
            maintenance=as_amount(_share_up(base, self.maintenance_ppm), QUANTUMS_PER_USD),
            components={
                "base": as_amount(base, QUANTUMS_PER_USD),
                "open_interest": as_amount(grown - base, QUANTUMS_PER_USD),
                "chosen": as_amount(initial - grown, QUANTUMS_PER_USD),
            },
        )

    def with_forecast(self, margin_rate: float, *, may_lower: bool = False) -> Self:
        """Return the tier whose base initial fraction is the forecast, rounded up to a ppm.

        Maintenance rises with it, being a fraction of the base.
        """
        needed = least_parts(check_rate(margin_rate), MILLION)
        return replace(self, base_ppm=needed if may_lower else max(needed, self.base_ppm))

    def _open_interest(self, position: Position) -> Words:
        if position.open_interest is not None:
            return as_words(position.open_interest, QUANTUMS_PER_USD)
        if self.upper_cap_usd > 0:
            raise InputError(
                "this tier grows with open interest, and the position names none; "
                "give Position.open_interest in USD"
            )
        return as_words(np.zeros(position.notional.shape), QUANTUMS_PER_USD)


def _share_up(amount: Words, ppm: NDArray[np.int64] | int) -> Words:
    """Parts per million of an amount, rounded up; whole millions apart, so that 64 bits do."""
    parts: Any = np.asarray(ppm, dtype=amount.dtype)  # of either kind of integer
    millions, rest = amount // MILLION, amount % MILLION
    share: Any = np.asarray(millions * parts - (-rest * parts // MILLION), dtype=amount.dtype)
    return cast(Words, share)


GENESIS_TIERS = (
    LiquidityTier(base_ppm=50_000, maintenance_ppm=600_000),
    LiquidityTier(
        base_ppm=100_000,
        maintenance_ppm=500_000,
        lower_cap_usd=20_000_000,
        upper_cap_usd=50_000_000,
    ),
    LiquidityTier(
        base_ppm=200_000,
        maintenance_ppm=500_000,
        lower_cap_usd=5_000_000,
        upper_cap_usd=10_000_000,
    ),
    LiquidityTier(
        base_ppm=MILLION,
        maintenance_ppm=200_000,
        lower_cap_usd=2_000_000,
        upper_cap_usd=5_000_000,
    ),
)
"""Large cap, small cap, long tail, safety: genesis tiers of v4 (2024); votes have moved them."""
