"""What a consumer allows an update to do, and what it makes of one that asks for more."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from ...errors import InputError
from ..schedule import BASIS_POINTS
from .parameters import Kind, Parameter


class Excess(StrEnum):
    """What a consumer does with a parameter that moves too far or too soon."""

    CLAMP = "clamp"
    """It moves as far as is allowed; too soon, it stays."""
    SKIP = "skip"
    """It stays; the others move."""
    REJECT = "reject"
    """Nothing moves."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """The largest move in one direction; the smaller of the two holds.

    Attributes
    ----------
    units : int or None
        Whole units of the parameter; no limit if None.
    basis_points : int or None
        Basis points of the value before, rounded down to whole units; no limit if None.
    """

    units: int | None = None
    basis_points: int | None = None

    def __post_init__(self) -> None:
        for name in ("units", "basis_points"):
            given = getattr(self, name)
            if given is not None and (not isinstance(given, int) or given < 0):
                raise InputError(f"{name} must be a whole number of at least 0, was {given!r}")

    def most(self, before: int) -> int | None:
        """Return the largest move from a value, whole units; None if there is no limit."""
        relative = None
        if self.basis_points is not None:
            relative = before * self.basis_points // BASIS_POINTS
        given = [move for move in (self.units, relative) if move is not None]
        return min(given) if given else None


@dataclass(frozen=True, kw_only=True)
class Limit:
    """What may happen to one parameter in one update.

    Attributes
    ----------
    bounds : (int, int or None)
        Lowest and highest value, whole units, both allowed.
    rise, fall : Step
        Largest moves; margins are often let up faster than down.
    delay_s : int
        Fewest seconds since the parameter last moved.
    on_excess : Excess
        What becomes of a move beyond these.
    """

    bounds: tuple[int, int | None] = (0, None)
    rise: Step = field(default_factory=Step)
    fall: Step = field(default_factory=Step)
    delay_s: int = 0
    on_excess: Excess = Excess.CLAMP

    def __post_init__(self) -> None:
        lowest, highest = self.bounds
        if lowest < 0 or (highest is not None and highest < lowest) or self.delay_s < 0:
            raise InputError(
                f"bounds must be ordered and at least 0, and delay_s at least 0; were "
                f"{self.bounds} and {self.delay_s}"
            )

    def reachable(self, before: int, asked: int) -> int:
        """Return the value nearest to `asked` that one step from `before` may reach.

        It lies between the two: a limit shortens a move and never turns it. Where no step leads
        inside the bounds, it is `before`.
        """
        lowest, highest = self.bounds
        if asked >= before:
            ends = [highest, None if (most := self.rise.most(before)) is None else before + most]
            reached = min([asked, *(end for end in ends if end is not None)])
        else:
            most = self.fall.most(before)
            reached = max(asked, lowest, 0 if most is None else before - most)
        inside = lowest <= reached and (highest is None or reached <= highest)
        onwards = (reached - before) * (asked - before) > 0
        return reached if inside and onwards else before


@dataclass(frozen=True, kw_only=True)
class RateLimits:
    """The limits of all parameters; what is not named has none.

    Attributes
    ----------
    by_kind : mapping of Kind to Limit
        For all parameters of a kind.
    by_parameter : mapping of Parameter to Limit
        For single ones, instead of that of their kind.
    """

    by_kind: Mapping[Kind, Limit] = field(default_factory=dict)
    by_parameter: Mapping[Parameter, Limit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_kind", MappingProxyType(dict(self.by_kind)))
        object.__setattr__(self, "by_parameter", MappingProxyType(dict(self.by_parameter)))

    def of(self, parameter: Parameter) -> Limit:
        """Return the limit of one parameter."""
        return self.by_parameter.get(parameter, self.by_kind.get(parameter.kind, Limit()))
