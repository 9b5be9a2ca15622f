"""The online rule one period at a time, with a state that any service can store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..upper_end import COUNT, HEAD, order_upper, remember_score
from .inputs import (
    check_start,
    check_stressed,
    checked_beside,
    checked_expected,
    checked_target,
)
from .kernel import growth_factors, terms_of
from .lift import Seen, lift_terms_of
from .limits import Bound, MarginLimits
from .memory import COLUMNS, Memory, new_memory, one_period

_VERSION = 1
_NAMES = ("version", "announced", "delivered", "held", "seen")


@dataclass(frozen=True, kw_only=True)
class MarginStep:
    """One period of a :class:`.MarginPath`; the fields mean the same."""

    target: float
    aim: float
    lift: float
    asked: float
    announced: float
    initial_margin: float
    maintenance_margin: float
    bound: Bound

    @property
    def shortfall(self) -> float:
        """How far the margin is below its target, not negative."""
        return max(self.target - self.initial_margin, 0.0)


class MarginStepper:
    """Decides margins as targets come in; the same numbers as :func:`.margin_path`.

    Parameters
    ----------
    limits : MarginLimits
        What the margin is held to.
    start : float, optional
        Margin in force before the first period.

    Examples
    --------
    >>> from foremargin.calibrate.path import MarginLimits, MarginStepper, SpeedLimit
    >>> stepper = MarginStepper(MarginLimits(speed=(SpeedLimit(rise=0.1),)), start=0.05)
    >>> round(stepper.step(0.08).initial_margin, 4)
    0.055
    >>> again = MarginStepper.from_state(stepper.limits, stepper.state())
    >>> round(again.step(0.08).initial_margin, 4)
    0.0605
    """

    def __init__(self, limits: MarginLimits, *, start: float | None = None) -> None:
        check_start(start, limits)
        self.limits = limits
        self._terms = terms_of(limits)
        self._lift = lift_terms_of(limits)
        self._memory = new_memory(limits, start)
        self._growth = growth_factors(self._terms, 0)

    def step(
        self,
        target: float,
        *,
        expected: Sequence[float] | NDArray[np.float64] = (),
        stressed: float | None = None,
        required: float = 0.0,
    ) -> MarginStep:
        """Decide the margin of the next period; input that is refused changes nothing.

        Parameters
        ----------
        target : float
            Margin that the tail model asks, positive.
        expected : sequence of float
            Targets expected in 1, 2, ... periods.
        stressed : float, optional
            Stressed margin; needed if and only if it has a weight.
        required : float
            Level that the margin must not be below; 0 for none.
        """
        checked_target([target])
        check_stressed(stressed is not None, self.limits)
        beside = None if stressed is None else [stressed]
        given = (
            float(target),
            float(checked_beside("stressed", beside, 1, positive=True)[0]),
            float(checked_beside("required", [required], 1, positive=False)[0]),
        )
        ahead = checked_expected(np.asarray(expected, dtype=np.float64)[None, :], 1)[0]
        if len(self._growth) <= len(ahead):
            self._growth = growth_factors(self._terms, len(ahead))
        row = np.empty(len(COLUMNS))
        bits = one_period(self._terms, self._lift, self._memory, self._growth, given, ahead, row)
        numbers = dict(zip(COLUMNS, row.tolist(), strict=True))
        return MarginStep(target=float(target), bound=Bound(int(bits)), **numbers)

    def state(self) -> dict[str, Any]:
        """Return all that is remembered as plain numbers and lists, fit for JSON.

        Lists of levels are empty before the first period.
        """
        memory = self._memory
        return {
            "version": _VERSION,
            "announced": _known(memory.announced),
            "delivered": _known(memory.delivered),
            "held": [float(share) for share in memory.held],
            "seen": _in_order(memory.seen),
        }

    @classmethod
    def from_state(cls, limits: MarginLimits, state: Mapping[str, Any]) -> "MarginStepper":
        """Go on from a state that a stepper with the same limits returned."""
        missing = [name for name in _NAMES if name not in state]
        if missing or state["version"] != _VERSION:
            raise InputError(
                f"state must be of version {_VERSION} and have {list(_NAMES)}, lacked {missing} "
                f"and was of version {state.get('version')}; take it from state()"
            )
        stepper = cls(limits)
        memory = stepper._memory
        _restore("announced", memory.announced, state["announced"])
        _restore("delivered", memory.delivered, state["delivered"])
        _restore("held", memory.held, state["held"])
        _restore_seen(memory.seen, state["seen"], depth=stepper._lift.release_depth)
        _check_within(memory, limits)
        return stepper


def _known(levels: NDArray[np.float64]) -> list[float]:
    return [float(level) for level in levels] if np.isfinite(levels).all() else []


def _in_order(seen: Seen) -> list[float]:
    count, head = int(seen.place[COUNT]), int(seen.place[HEAD])
    kept = seen.queue[:count]
    ordered = np.roll(kept, -head) if count == len(seen.queue) else kept
    return [float(value) for value in ordered]


def _restore(name: str, array: NDArray[np.float64], stored: Sequence[float]) -> None:
    levels = name != "held"
    if len(stored) != len(array) and not (levels and not len(stored)):
        raise InputError(
            f"{name} of the state must have {len(array)} numbers under these limits, had "
            f"{len(stored)}; a state goes with the limits it was made under"
        )
    if len(stored):
        array[:] = _checked_numbers(name, stored, above_zero=levels)


def _restore_seen(seen: Seen, stored: Sequence[float], *, depth: int) -> None:
    count, window = len(stored), len(seen.queue)
    if count > window:
        raise InputError(
            f"seen of the state must have at most {window} numbers under these limits, had "
            f"{count}; a state goes with the limits it was made under"
        )
    values = _checked_numbers("seen", stored, above_zero=True)
    for value in values:
        remember_score(seen.queue, seen.place, value)
    order_upper(seen.upper, seen.queue, seen.place, depth)


def _checked_numbers(
    name: str, stored: Sequence[float], *, above_zero: bool
) -> NDArray[np.float64]:
    values = np.asarray(stored, dtype=np.float64)
    if not (np.isfinite(values) & (values > 0.0 if above_zero else values >= 0.0)).all():
        raise InputError(
            f"{name} of the state must be finite and {'positive' if above_zero else 'not negative'}"
            f", found {values.min()} to {values.max()}; take it from state()"
        )
    return values


def _check_within(memory: Memory, limits: MarginLimits) -> None:
    levels = memory.announced
    if np.isfinite(levels).all() != np.isfinite(memory.delivered).all():
        raise InputError(
            "announced and delivered of the state must both be empty or neither; take it from "
            "state()"
        )
    if np.isfinite(levels).all() and not limits.floor <= levels.min() <= levels.max() <= limits.cap:
        raise InputError(
            f"levels of the state must be within floor {limits.floor} and cap {limits.cap}, were "
            f"{levels.min()} to {levels.max()}; a state goes with the limits it was made under"
        )
