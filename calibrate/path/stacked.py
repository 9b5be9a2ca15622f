"""The online rule for many margins, a period at a time in one compiled call."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...errors import InputError, ShapeError
from .inputs import SMALLEST_LEVEL, checked_target
from .kernel import Terms, growth_factors, terms_of
from .lift import LiftTerms, Seen, lift_terms_of
from .limits import MarginLimits
from .memory import COLUMNS, Memory, new_memory, one_period

Values = NDArray[np.float64]

_MARGIN, _MAINTENANCE = COLUMNS.index("initial_margin"), COLUMNS.index("maintenance_margin")


@njit(cache=True)
def _every_series(
    terms: Terms,
    lift: LiftTerms,
    stack: Memory,
    growth: Values,
    turn: NDArray[np.int64],
    target: Values,
) -> tuple[Values, NDArray[np.int64]]:
    rows, bound = np.empty((len(turn), 6)), np.zeros(len(turn), dtype=np.int64)
    nothing = np.empty(0)
    for j in range(len(turn)):
        k = turn[j]
        seen = Seen(stack.seen.upper[k], stack.seen.queue[k], stack.seen.place[k])
        memory = Memory(stack.announced[k], stack.delivered[k], stack.held[k], seen)
        given = (target[j], 0.0, 0.0)
        bound[j] = one_period(terms, lift, memory, growth, given, nothing, rows[j])
    return rows, bound


@dataclass(frozen=True, kw_only=True, eq=False)
class StackedSteps:
    """One period of many margins, each of shape (n_turn,); see :class:`.rule.MarginPath`."""

    initial_margin: Values
    maintenance_margin: Values
    bound: NDArray[np.int64]


class StackedStepper:
    """Steppers under the same limits for many margins, each in its own time.

    The k-th decides, to the last bit, what a :class:`.stepper.MarginStepper` decides that is given
    the same targets. Limits with a stressed weight are not for it: nobody gives a stressed margin.
    """

    def __init__(self, limits: MarginLimits, *, stack: Memory) -> None:
        self.limits = limits
        self._terms, self._lift = terms_of(limits), lift_terms_of(limits)
        self._growth = growth_factors(self._terms, 0)
        self._stack = stack

    @classmethod
    def fresh(cls, limits: MarginLimits, *, n_series: int) -> Self:
        """Return steppers before their first period.

        Raises
        ------
        InputError
            If a stressed margin would be needed.
        """
        if limits.lift.stress_weight > 0.0:
            raise InputError(
                "stress_weight must be 0 where no stressed margin is given, was "
                f"{limits.lift.stress_weight}; leave it out of the limits"
            )
        one = new_memory(limits, None)
        seen = Seen(*(np.repeat(array[None], n_series, axis=0) for array in one.seen))
        kept = (one.announced, one.delivered, one.held)
        arrays = (np.repeat(array[None], n_series, axis=0) for array in kept)
        return cls(limits, stack=Memory(*arrays, seen))

    def step(self, turn: NDArray[np.int64], target: Values) -> StackedSteps:
        """Decide the margins of some series; refused input changes nothing.

        Parameters
        ----------
        turn : ndarray of int, shape (n_turn,)
            Which series; each at most once.
        target : ndarray, shape (n_turn,)
            Margins that the tail model asks, positive and finite.
        """
        return self._steps(self._stack, turn, target)

    def peek(self, series: int, target: float) -> tuple[float, float, int]:
        """Return margin, maintenance margin and bounds if a target came now; nothing is changed.

        As :meth:`step`, for one series.
        """
        place = slice(series, series + 1)
        seen = Seen(*(array[place].copy() for array in self._stack.seen))
        kept = (self._stack.announced, self._stack.delivered, self._stack.held)
        copy = Memory(*(array[place].copy() for array in kept), seen)
        found = self._steps(copy, np.zeros(1, dtype=np.int64), np.array([target]))
        return (
            float(found.initial_margin[0]),
            float(found.maintenance_margin[0]),
            int(found.bound[0]),
        )

    def _steps(self, stack: Memory, turn: NDArray[np.int64], target: Values) -> StackedSteps:
        if len(turn):
            checked_target(target)
        if len(turn) != len(target):
            raise ShapeError(f"target must be one for each of {len(turn)}, was {len(target)}")
        if len(turn) and not 0 <= turn.min() <= turn.max() < len(stack.announced):
            raise ShapeError(f"turn must be places of {len(stack.announced)} series, found others")
        rows, bound = _every_series(
            self._terms, self._lift, stack, self._growth, turn.astype(np.int64), target
        )
        return StackedSteps(
            initial_margin=rows[:, _MARGIN], maintenance_margin=rows[:, _MAINTENANCE], bound=bound
        )

    def state(self) -> dict[str, Any]:
        """Return all that is remembered: the limits in words, and arrays (copies)."""
        return {
            "limits": repr(self.limits),
            **{name: array.copy() for name, array in self._arrays().items()},
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what steppers under the same limits remembered.

        Raises
        ------
        InputError
            If it was saved under other limits, or is not whole; nothing is changed then.
        """
        if saved.get("limits") != repr(self.limits):
            raise InputError(
                f"a saved state must be of the limits {self.limits}, was of {saved.get('limits')}; "
                "start anew under the new ones"
            )
        own = self._arrays()
        for name, array in own.items():
            found = saved.get(name)
            if not isinstance(found, np.ndarray) or (found.shape, found.dtype) != (
                array.shape,
                array.dtype,
            ):
                raise InputError(
                    f"{name} of a saved state must be {array.dtype} of shape {array.shape}"
                )
        _check_whole(saved)
        for name, array in own.items():
            array[...] = saved[name]

    def _arrays(self) -> dict[str, NDArray[Any]]:
        stack = self._stack
        return {
            "announced": stack.announced,
            "delivered": stack.delivered,
            "held": stack.held,
            **stack.seen._asdict(),
        }


def _check_whole(saved: Mapping[str, Any]) -> None:
    """Raise where a level is none, or a place points outside its array."""
    for name in ("announced", "delivered"):
        if not (saved[name] >= SMALLEST_LEVEL).all():  # infinite before the first period
            raise InputError(f"{name} of a saved state must be positive; it is damaged")
    if not (np.isfinite(saved["held"]) & (saved["held"] >= 0.0)).all():
        raise InputError("held of a saved state must be finite, at least 0; it is damaged")
    window, room = saved["queue"].shape[1], saved["upper"].shape[1]
    highest = np.array([window, max(window - 1, 0), room])
    if not ((saved["place"] >= 0) & (saved["place"] <= highest)).all():
        raise InputError("places of a saved state must lie inside its arrays; it is damaged")
