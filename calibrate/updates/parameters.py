"""The parameters of a margin consumer, in the whole numbers that it stores.

A consumer (a contract, an engine) knows no fractions. Every parameter is a whole number of a unit
that its kind fixes, and turning a fraction into it rounds towards safety: margins up, what
collateral counts for down, a snapshot's time later.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ...errors import InputError
from ..schedule import SIDES, MarginsInForce, MarginStatus, to_basis_points

SECONDS_PER_YEAR = 365 * 24 * 60 * 60
"""The year of growth caps, as contracts count it."""


class Kind(StrEnum):
    """What a parameter is."""

    INITIAL_MARGIN = "initial-margin"
    """Basis points of notional, per side; needed to open. For a loan: 1 less its loan-to-value."""
    MAINTENANCE_MARGIN = "maintenance-margin"
    """Basis points of notional, per side; below it an account is liquidated."""
    POSITION_CAP = "position-cap"
    """Money that all positions together may reach, whole units of the settlement currency."""
    SNAPSHOT_RATIO = "snapshot-ratio"
    """Price from which a price cap grows, in 10⁻¹⁸ of the settlement currency."""
    SNAPSHOT_TIME = "snapshot-time"
    """When the price cap stood at its ratio, seconds since 1970 UTC."""
    YEARLY_GROWTH = "yearly-growth"
    """Largest growth of a capped price, basis points of the ratio per year of 365 days."""

    @property
    def scale(self) -> int:
        """How many units make one."""
        return _FORMS[self].scale

    @property
    def largest(self) -> int:
        """Largest number that the field of a message holds."""
        return int(2 ** _FORMS[self].bits - 1)

    @property
    def is_margin(self) -> bool:
        """Whether there is one for each side."""
        return self in (Kind.INITIAL_MARGIN, Kind.MAINTENANCE_MARGIN)

    def whole(self, value: float | Decimal | Fraction) -> int:
        """Turn a value into whole units, rounded towards safety.

        A float counts as the shortest decimal that reads back as it, so that 0.07 is 700 basis
        points and not 701.

        Raises
        ------
        InputError
            If the value is not finite, is negative, or does not fit the field.
        """
        if isinstance(value, float | Decimal) and not np.isfinite(float(value)):
            raise InputError(f"{self.value} must be a finite number, was {value}")
        exact = Fraction(Decimal(repr(float(value)))) if isinstance(value, float) else value
        units = self.rounded(Fraction(exact) * self.scale)
        if not 0 <= units <= self.largest:
            raise InputError(
                f"{self.value} must be from 0 to {self.largest} units of 1/{self.scale}, "
                f"was {units}"
            )
        return units

    def rounded(self, units: Fraction) -> int:
        """Round a number of units towards safety."""
        return -(-units // 1) if _FORMS[self].up else units // 1

    def number(self, units: int) -> float:
        """Return the value of whole units, the nearest float."""
        return float(Fraction(units, self.scale))


class _Form(NamedTuple):
    scale: int
    bits: int
    up: bool


_FORMS = {
    Kind.INITIAL_MARGIN: _Form(10_000, 32, True),
    Kind.MAINTENANCE_MARGIN: _Form(10_000, 32, True),
    Kind.POSITION_CAP: _Form(1, 128, False),
    Kind.SNAPSHOT_RATIO: _Form(10**18, 128, False),
    Kind.SNAPSHOT_TIME: _Form(1, 64, True),
    Kind.YEARLY_GROWTH: _Form(10_000, 32, False),
}

CAP_KINDS = (Kind.SNAPSHOT_RATIO, Kind.SNAPSHOT_TIME, Kind.YEARLY_GROWTH)
"""What a price cap is made of; an instrument has all three or none."""


@dataclass(frozen=True, order=True)
class Parameter:
    """The name of one number that a consumer stores.

    Attributes
    ----------
    instrument : str
        Whose it is.
    kind : Kind
        What it is.
    side : str
        ``long`` or ``short`` for a margin, empty for everything else.
    """

    instrument: str
    kind: Kind
    side: str = ""

    def __post_init__(self) -> None:
        allowed = SIDES if self.kind.is_margin else ("",)
        if self.side not in allowed:
            raise InputError(
                f"the side of {self.kind.value} must be one of {allowed}, was {self.side!r}"
            )

    def __str__(self) -> str:
        return " ".join(filter(None, (self.instrument, self.side, self.kind.value)))


def checked_values(values: Mapping[Parameter, int]) -> dict[Parameter, int]:
    """Return whole numbers that fit their fields, in the order of their names; or raise."""
    for parameter, units in values.items():
        if isinstance(units, bool) or not isinstance(units, int | np.integer):
            raise InputError(
                f"{parameter} must be a whole number of units, was {units!r}; write "
                "Kind.whole(value), which rounds towards safety"
            )
        if not 0 <= units <= parameter.kind.largest:
            raise InputError(
                f"{parameter} must be from 0 to {parameter.kind.largest} units, was {units}"
            )
    return {parameter: int(values[parameter]) for parameter in sorted(values)}


def margin_parameters(margins: MarginsInForce) -> dict[Parameter, int]:
    """Return the margins in force as parameters, basis points rounded up.

    Instruments without a price are left out.

    Raises
    ------
    InputError
        If the margins have expired, have no maintenance, or one is not known.
    """
    if margins.expired:
        raise InputError(f"margins must not have expired, were set at {margins.origin}")
    if margins.maintenance_margin_rate is None:
        raise InputError("margins must have a maintenance margin to become parameters, found none")
    warming = np.argwhere(margins.status == MarginStatus.WARMING_UP.value)
    if len(warming):
        raise InputError(
            f"every listed instrument must have a margin, found none for "
            f"{margins.instruments[warming[0, 0]]} {SIDES[warming[0, 1]]}; wait, or leave it out"
        )
    values = {}
    for i, s in np.argwhere(margins.status == MarginStatus.OK.value):
        for kind, rate in (
            (Kind.INITIAL_MARGIN, margins.initial_margin_rate),
            (Kind.MAINTENANCE_MARGIN, margins.maintenance_margin_rate),
        ):
            parameter = Parameter(margins.instruments[i], kind, SIDES[s])
            values[parameter] = int(to_basis_points(rate[i, s]))
    return values
