"""What every venue's rule has in common: a position goes in, a margin comes out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, ShapeError

Floats = NDArray[np.float64]
Integers = NDArray[np.object_]
"""Python integers of any size: a venue's smallest units times parts per million pass 64 bits."""


class Requirement(StrEnum):
    """The two requirements of a venue."""

    INITIAL = "initial"
    MAINTENANCE = "maintenance"


def finite(name: str, value: ArrayLike) -> Floats:
    """Return `value` as float64 of its own; every element must be finite."""
    array = np.array(value, dtype=np.float64)
    if not np.all(np.isfinite(array)):
        raise InputError(
            f"{name} must be finite, found {np.sum(~np.isfinite(array))} values that are not; "
            "leave out what is not known"
        )
    return array


@dataclass(frozen=True, init=False, eq=False)
class Position:
    """Positions in one market; the fields broadcast to one shape.

    Attributes
    ----------
    size : ndarray
        Base units; positive is long, negative short.
    price : ndarray
        Quote currency per base unit, positive: the price that the venue margins at.
    open_interest : ndarray or None
        Notional of all open contracts of the market, quote currency, not negative; needed by
        rules that scale with it.
    leverage : ndarray or None
        Leverage that the account chose, at least 1; None asks for as much as the venue lends.
    """

    size: Floats
    price: Floats
    open_interest: Floats | None
    leverage: Floats | None

    def __init__(
        self,
        *,
        size: ArrayLike,
        price: ArrayLike,
        open_interest: ArrayLike | None = None,
        leverage: ArrayLike | None = None,
    ) -> None:
        given = {
            "size": size,
            "price": price,
            "open_interest": open_interest,
            "leverage": leverage,
        }
        for name in given:
            object.__setattr__(self, name, None)
        known = {name: finite(name, value) for name, value in given.items() if value is not None}
        try:
            arrays = np.broadcast_arrays(*known.values())
        except ValueError as error:
            shapes = {name: array.shape for name, array in known.items()}
            raise ShapeError(f"the fields of a position must broadcast, were {shapes}") from error
        for name, array in zip(known, arrays, strict=True):
            own = np.array(array)
            own.setflags(write=False)
            object.__setattr__(self, name, own)
        self._check()

    def _check(self) -> None:
        limits = (("price", 0.0, True), ("open_interest", 0.0, False), ("leverage", 1.0, False))
        for name, least, strict in limits:
            value = getattr(self, name)
            if value is not None and np.any(value <= least if strict else value < least):
                raise InputError(
                    f"{name} must be {'above' if strict else 'at least'} {least:g}, was "
                    f"{np.min(value)} at least once"
                )
        with np.errstate(over="ignore"):
            if not np.all(np.isfinite(self.size * self.price)):
                raise InputError("size times price must be finite, and is not; check the units")

    @property
    def notional(self) -> Floats:
        """Absolute value of the position, quote currency."""
        return np.asarray(np.abs(self.size) * self.price)


@dataclass(frozen=True, kw_only=True, eq=False)
class VenueMargin:
    """What a venue asks for; read-only arrays of the position's shape, quote currency.

    Attributes
    ----------
    venue : str
        Name of the venue.
    notional : ndarray
        Absolute value of the position.
    initial : ndarray
        Needed to open or enlarge.
    maintenance : ndarray
        Below it the venue liquidates.
    components : mapping of str to ndarray
        Parts of `initial` by name; they add up to it.
    levels : mapping of str to ndarray
        Other requirements of the same rule, such as the one to withdraw.
    """

    venue: str
    notional: Floats
    initial: Floats
    maintenance: Floats
    components: Mapping[str, Floats]
    levels: Mapping[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("notional", "initial", "maintenance"):
            object.__setattr__(self, name, self._own(name, getattr(self, name)))
        for name in ("components", "levels"):
            own = {key: self._own(key, value) for key, value in getattr(self, name).items()}
            object.__setattr__(self, name, MappingProxyType(own))

    def _own(self, name: str, value: ArrayLike) -> Floats:
        array = finite(f"{self.venue}: {name}", value)
        if array.shape != np.shape(self.notional):
            raise ShapeError(
                f"{self.venue}: {name} must have the position's shape "
                f"{np.shape(self.notional)}, was {array.shape}"
            )
        array.setflags(write=False)
        return array

    def rate(self, requirement: Requirement | str) -> Floats:
        """Return a requirement as a fraction of notional; NaN where there is no position."""
        amount = self.initial if Requirement(requirement) == "initial" else self.maintenance
        out = np.full(self.notional.shape, np.nan)
        np.divide(amount, self.notional, out=out, where=self.notional > 0.0)
        return out

    def frame(self) -> pd.DataFrame:
        """Return one row per position: both requirements, their parts and the other levels."""
        columns = {
            "notional": self.notional,
            "initial": self.initial,
            "maintenance": self.maintenance,
            **{f"initial_{name}": part for name, part in self.components.items()},
            **{f"level_{name}": level for name, level in self.levels.items()},
        }
        table = pd.DataFrame({name: np.ravel(column) for name, column in columns.items()})
        table.insert(0, "venue", self.venue)
        return table


class VenueRule(Protocol):
    """A venue's rule for one market: frozen parameters."""

    @property
    def venue(self) -> str:
        """Name of the venue."""

    @property
    def meets(self) -> Requirement:
        """The requirement that :meth:`with_forecast` sets."""

    def margin(self, position: Position) -> VenueMargin:
        """Compute what the venue asks for."""

    def with_forecast(self, margin_rate: float, *, may_lower: bool = False) -> Self:
        """Return the same rule with the parameters that a forecast asks for.

        Parameters
        ----------
        margin_rate : float
            Forecast margin, fraction of notional in (0, 1]: the least that `meets` may be.
        may_lower : bool
            Whether the requirement of the smallest position may fall below the venue's own.
            What a rule adds for size never falls.
        """


def compare_with_forecast(
    rule: VenueRule, position: Position, *, margin_rate: float, may_lower: bool = False
) -> pd.DataFrame:
    """Tabulate the venue's rule as it is and as a forecast would have it.

    Parameters
    ----------
    rule : VenueRule
        The venue's parameters now.
    position : Position
        One row each.
    margin_rate : float
        Forecast margin, fraction of notional in (0, 1].
    may_lower : bool
        As in :meth:`VenueRule.with_forecast`.

    Returns
    -------
    DataFrame
        Notional; both requirements now and with the forecast, quote currency.
    """
    now = rule.margin(position)
    ahead = rule.with_forecast(margin_rate, may_lower=may_lower).margin(position)
    table = pd.DataFrame({"notional": np.ravel(now.notional)})
    table.insert(0, "venue", now.venue)
    for requirement in Requirement:
        table[f"{requirement}_now"] = np.ravel(getattr(now, requirement))
        table[f"{requirement}_forecast"] = np.ravel(getattr(ahead, requirement))
    return table


def check_rate(margin_rate: float) -> float:
    """Return a forecast margin as a float in (0, 1]."""
    rate = float(margin_rate)
    if not 0.0 < rate <= 1.0:
        raise InputError(
            f"margin_rate must be in (0, 1], was {margin_rate}; write 0.05 for 5 % of notional"
        )
    return rate


# A rate is a quotient of amounts, or was written as a decimal: its last digit or two are rounding,
# and 0.07 times a million is above 70,000.
_ROUNDED = 1.0 - 4.0 * float(np.finfo(np.float64).eps)


def least_parts(rate: float, parts: int) -> int:
    """Smallest integer p with p / parts >= rate: a rate in a venue's integers, rounded up."""
    up = math.ceil(rate * parts)
    return up - 1 if (up - 1) / parts >= rate * _ROUNDED else up


def most_leverage(rate: float) -> int:
    """Largest whole leverage L >= 1 with 1 / L >= rate."""
    above = math.floor(1.0 / rate) + 1
    return max(above if 1.0 / above >= rate * _ROUNDED else above - 1, 1)


def as_words(value: Floats, scale: int) -> NDArray[np.int64] | Integers:
    """Convert amounts to whole units of 1 / scale, to the nearest: int64 if all are below 2^62.

    To the nearest because an amount on such a venue is a whole number of units; what differs is
    the binary rounding of the decimal.
    """
    with np.errstate(over="ignore"):
        scaled = np.asarray(np.rint(value * float(scale)))
    if not np.all(np.isfinite(scaled)):
        raise InputError(f"an amount times {scale} must be finite; check the units")
    if np.max(np.abs(scaled), initial=0.0) < 2.0**62:
        return scaled.astype(np.int64)
    return np.asarray(np.frompyfunc(int, 1, 1)(scaled), dtype=object)


def as_units(value: Floats, scale: int) -> Integers:
    """Convert amounts as :func:`as_words`, always to Python integers: products stay exact."""
    return as_words(value, scale).astype(object)


def as_amount(units: NDArray[np.int64] | Integers, scale: int) -> Floats:
    """Convert whole units of 1 / scale to floats."""
    return np.asarray(np.asarray(units).astype(np.float64) / scale)


def whole_numbers(**values: int) -> None:
    """Check that parameters are integers and not negative."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise InputError(f"{name} must be an integer of at least 0, was {value!r}")
