"""An update: parameters that move together or not at all, and when a state refuses it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType

import pandas as pd

from ...errors import InputError
from ..regime import Regime
from .limits import Limit, RateLimits
from .parameters import Parameter, checked_values
from .state import ParameterState, incoherences

NO_LIMITS = RateLimits()


class Reason(StrEnum):
    """Why an update is refused."""

    REPLAY = "replay"
    """Its sequence is not above that of the state."""
    GAP = "gap"
    """It follows another update than the last one."""
    NOT_YET = "not-yet"
    """It is not in effect."""
    EXPIRED = "expired"
    """Its time to be executed has passed."""
    UNKNOWN = "unknown"
    """The state does not have one of its parameters."""
    OUT_OF_BOUNDS = "out-of-bounds"
    """A value is outside its limit's bounds."""
    TOO_LARGE = "too-large"
    """A step is larger than its limit."""
    TOO_SOON = "too-soon"
    """A parameter moved too short a time ago."""
    INCOHERENT = "incoherent"
    """The values do not fit each other, such as maintenance above initial margin."""
    REJECTED = "rejected"
    """The consumer would reject the whole."""
    NO_EFFECT = "no-effect"
    """The consumer would change nothing of what was asked."""
    UNEQUAL_SHARES = "unequal-shares"
    """The consumer would move coupled parameters by different shares of their way."""
    LIQUIDATES = "liquidates"
    """It would by itself make a healthy account liquidatable."""


@dataclass(frozen=True)
class Refusal:
    """One reason, with what must hold, what was found, and whose it is.

    Attributes
    ----------
    reason : Reason
        Kind of reason.
    message : str
        A sentence.
    parameter : Parameter or None
        The parameter at fault, where it is one.
    """

    reason: Reason
    message: str
    parameter: Parameter | None = None

    def __str__(self) -> str:
        return f"{self.reason.value}: {self.message}"


@dataclass(frozen=True, kw_only=True)
class ParameterUpdate:
    """Parameters that change together or not at all.

    What belongs together goes into one update: all of it is taken to be coupled. Times are
    seconds since 1970 UTC.

    Attributes
    ----------
    values : mapping of Parameter to int
        New values, whole units of each kind.
    sequence, previous_sequence : int
        Its number, and that of the update it follows.
    announced : int
        When account holders were told.
    effective, expiry : int
        It may be executed from `effective` until before `expiry`.
    reason : str
        Why, in words.
    regime : Regime
        Regime that it was made in.
    """

    values: Mapping[Parameter, int]
    sequence: int
    previous_sequence: int
    announced: int
    effective: int
    expiry: int
    reason: str
    regime: Regime = Regime.UNKNOWN

    def __post_init__(self) -> None:
        values = checked_values(self.values)
        if not values:
            raise InputError("an update must change at least one parameter, found none")
        if not 0 <= self.previous_sequence < self.sequence:
            raise InputError(
                f"sequence must be above previous_sequence, and that at least 0; were "
                f"{self.sequence} and {self.previous_sequence}"
            )
        if not 0 <= self.announced <= self.effective < self.expiry:
            raise InputError(
                f"times must be in the order announced, effective, expiry; were {self.announced}, "
                f"{self.effective}, {self.expiry}"
            )
        object.__setattr__(self, "values", MappingProxyType(values))

    @property
    def notice_s(self) -> int:
        """Seconds between announcement and effect."""
        return self.effective - self.announced

    def refusals(
        self, state: ParameterState, *, time: int, limits: RateLimits = NO_LIMITS
    ) -> tuple[Refusal, ...]:
        """Return everything for which a state would refuse this at a time; empty if nothing."""
        found = self.sequence_refusals(state, time=time)
        if any(refusal.reason is Reason.UNKNOWN for refusal in found):
            return found
        for parameter, asked in self.values.items():
            found += limit_refusals(state, parameter, asked, limits.of(parameter), time=time)
        merged = {**state.values, **self.values}
        return found + tuple(
            Refusal(Reason.INCOHERENT, problem) for problem in incoherences(merged, time=time)
        )

    def sequence_refusals(self, state: ParameterState, *, time: int) -> tuple[Refusal, ...]:
        """Return the refusals that do not depend on values: order, time, unknown names."""
        found = []
        if self.sequence <= state.sequence:
            text = f"sequence must be above {state.sequence}, the last one; was {self.sequence}"
            found.append(Refusal(Reason.REPLAY, text))
        elif self.previous_sequence != state.sequence:
            text = f"it must follow {state.sequence}, the last one; follows "
            found.append(Refusal(Reason.GAP, f"{text}{self.previous_sequence}"))
        if time < max(self.effective, state.effective):
            text = f"it may be executed from {self.effective} on, and not before the last update "
            found.append(Refusal(Reason.NOT_YET, f"{text}({state.effective}); time was {time}"))
        if time >= self.expiry:
            text = f"it may be executed before {self.expiry}, time was {time}; send a new one"
            found.append(Refusal(Reason.EXPIRED, text))
        for parameter in self.values:
            if parameter not in state.values:
                text = f"{parameter} must be one of the state's parameters, and is not"
                found.append(Refusal(Reason.UNKNOWN, text, parameter))
        return tuple(found)

    def apply(
        self, state: ParameterState, *, time: int, limits: RateLimits = NO_LIMITS
    ) -> ParameterState:
        """Return the state after this update; `state` stays as it was.

        Raises
        ------
        InputError
            With every reason for which the update is refused; see :meth:`refusals`.
        """
        if found := self.refusals(state, time=time, limits=limits):
            raise InputError(
                f"update {self.sequence} must be refused: " + "; ".join(map(str, found))
            )
        return self.settle(state, self.values, time=time)

    def settle(
        self, state: ParameterState, values: Mapping[Parameter, int], *, time: int
    ) -> ParameterState:
        """Return the state with these values and this update's sequence; nothing is checked."""
        moved = {p: time for p, units in values.items() if units != state.values[p]}
        return ParameterState(
            values={**state.values, **values},
            changed_at={**state.changed_at, **moved},
            sequence=self.sequence,
            effective=time,
        )

    def scaled(self, state: ParameterState, fraction: Fraction) -> "ParameterUpdate":
        """Return this update with every parameter moved by the same share of its way.

        Values between two whole units are rounded towards safety, never beyond the target.

        Parameters
        ----------
        state : ParameterState
            Where the way begins.
        fraction : Fraction
            In [0, 1].
        """
        if not 0 <= fraction <= 1:
            raise InputError(f"fraction must be from 0 to 1, was {fraction}")
        values = {
            p: p.kind.rounded(state.values[p] + fraction * (asked - state.values[p]))
            for p, asked in self.values.items()
        }
        return replace(self, values=values)

    def diff(self, state: ParameterState) -> pd.DataFrame:
        """Return a table of what would change: one row per parameter.

        ``change`` is in the value's own unit, ``relative`` a fraction of the value before (NaN
        where that is 0).
        """
        rows = []
        for p, asked in self.values.items():
            if p not in state.values:
                raise InputError(f"{p} must be one of the state's parameters, and is not")
            before = state.values[p]
            change = Fraction(asked - before, p.kind.scale)
            relative = float(Fraction(asked - before, before)) if before else float("nan")
            rows.append(
                (p.instrument, p.kind.value, p.side, before, asked, float(change), relative)
            )
        names = ["instrument", "kind", "side", "before", "after", "change", "relative"]
        return pd.DataFrame(rows, columns=names)


def limit_refusals(
    state: ParameterState, parameter: Parameter, asked: int, limit: Limit, *, time: int
) -> tuple[Refusal, ...]:
    """Return the limits that a move would break; a value that stays breaks none."""
    before = state.values[parameter]
    if asked == before:
        return ()
    found = []
    lowest, highest = limit.bounds
    if asked < lowest or (highest is not None and asked > highest):
        text = f"{parameter} must be within {limit.bounds} units, was {asked}"
        found.append(Refusal(Reason.OUT_OF_BOUNDS, text, parameter))
    most = (limit.rise if asked > before else limit.fall).most(before)
    if most is not None and abs(asked - before) > most:
        text = f"{parameter} may move by {most} units from {before}, was to move to {asked}"
        found.append(Refusal(Reason.TOO_LARGE, text, parameter))
    if time < (free := state.changed_at[parameter] + limit.delay_s):
        text = f"{parameter} may move again at {free}, time was {time}"
        found.append(Refusal(Reason.TOO_SOON, text, parameter))
    return tuple(found)
