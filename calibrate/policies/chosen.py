"""The margin in force of several rungs: the best that speaks, held to the limits on movement.

Going down a rung never lowers a margin: while the rung that asked last is silent, the target is
the larger of what it asked and what the lower rung asks.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, ShapeError
from ..path import MarginLimits, StackedStepper

Values = NDArray[np.float64]

NO_RUNG = -1
"""Where no rung has both sides."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Chosen:
    """Margins of one row; fractions of notional, NaN where there is none.

    Attributes
    ----------
    rung : ndarray of int, shape (n_instruments,)
        Place of the rung, best first; :data:`NO_RUNG` where none has both sides.
    target, initial, maintenance : ndarray, shape (n_instruments, 2)
        What is asked, and the margins in force; long and short.
    bound : ndarray of int, shape (n_instruments, 2)
        Sums of :class:`..path.Bound`.
    """

    rung: NDArray[np.int64]
    target: Values
    initial: Values
    maintenance: Values
    bound: NDArray[np.int64]


@dataclass(kw_only=True, eq=False)
class ChosenMargins:
    """Which rung each margin comes from, and where it stands.

    Attributes
    ----------
    stepper : StackedStepper
        Limits on movement; series in the order of instruments, longs before shorts.
    asked : ndarray, shape (n_instruments, 2)
        Last target of the rung in `asked_by`; NaN before.
    asked_by : ndarray of int, shape (n_instruments,)
        Place of that rung; the largest number before.
    """

    stepper: StackedStepper
    asked: Values
    asked_by: NDArray[np.int64]

    @classmethod
    def fresh(cls, limits: MarginLimits, *, n_instruments: int) -> Self:
        """Return what was before the first row."""
        return cls(
            stepper=StackedStepper.fresh(limits, n_series=2 * n_instruments),
            asked=np.full((n_instruments, 2), np.nan),
            asked_by=np.full(n_instruments, np.iinfo(np.int64).max),
        )

    def advance(self, targets: Values) -> Chosen:
        """Take what every rung asks at the next row, shape (n_rungs, n_instruments, 2)."""
        if targets.shape[1:] != self.asked.shape:
            raise ShapeError(
                f"targets must have shape (n_rungs, *{self.asked.shape}), had {targets.shape}"
            )
        finite = np.isfinite(targets)
        both, either = finite.all(axis=2), finite.any(axis=2)
        # Without both sides there is no margin to answer with, but the one there is moves on.
        ranked = np.where(both.any(axis=0), both.argmax(axis=0), either.argmax(axis=0))
        target = targets[ranked, np.arange(len(ranked))]
        spoke = either.any(axis=0)
        fell = spoke & (ranked > self.asked_by)
        target = np.where(fell[:, None], np.fmax(target, self.asked), target)
        keeps = spoke & ~fell
        self.asked[keeps] = target[keeps]
        self.asked_by[keeps] = ranked[keeps]
        initial, maintenance = np.full_like(target, np.nan), np.full_like(target, np.nan)
        bound = np.zeros(target.shape, dtype=np.int64)
        turn = np.flatnonzero(np.isfinite(target).ravel())
        steps = self.stepper.step(turn, target.ravel()[turn])
        initial.ravel()[turn] = steps.initial_margin
        maintenance.ravel()[turn] = steps.maintenance_margin
        bound.ravel()[turn] = steps.bound
        rung = np.where(np.isfinite(target).all(axis=1), ranked, NO_RUNG)
        return Chosen(
            rung=rung, target=target, initial=initial, maintenance=maintenance, bound=bound
        )

    def state(self) -> dict[str, Any]:
        """Return all that is remembered."""
        return {
            "stepper": self.stepper.state(),
            "asked": self.asked.copy(),
            "asked_by": self.asked_by.copy(),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what another of the same limits and instruments remembered.

        Raises
        ------
        InputError
            If it does not fit.
        """
        for name in ("asked", "asked_by"):
            own, found = getattr(self, name), saved.get(name)
            if not isinstance(found, np.ndarray) or (found.shape, found.dtype) != (
                own.shape,
                own.dtype,
            ):
                raise InputError(f"{name} of saved margins must be {own.dtype} of {own.shape}")
        self.stepper.restore(saved.get("stepper", {}))
        self.asked[...], self.asked_by[...] = saved["asked"], saved["asked_by"]
