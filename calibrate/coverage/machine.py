"""What a rule hands to those who run it, and what they hand back."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError
from .kernel import FIRST_FREE, Common, Places, State, Values

Step = Callable[[float, Values, Values, Common, Values, State], tuple[float, float, float]]
Pass = Callable[[Values, Values, Values, Common, Values, State], Values]
Each = Callable[[Places, Values, Values, Values, Common, Values, State], Values]

LARGEST_SCORE = 1e12
"""Forecast volatilities; beyond it is the volatility that is wrong."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The compiled side of a rule.

    Attributes
    ----------
    step : callable
        One origin: newly known score, row of pooled quantiles, row of regimes, common numbers,
        own numbers, state; to quantile, tail probability and correction.
    over : callable
        All origins: scores and both tables, then as `step`; to an array of shape (n, 3).
    each : callable
        One origin of many series: which of the stack, their scores, one row of pooled quantiles
        for all, their rows of regimes, then as `step` with a stack of states; to shape (n, 3).
    own : ndarray
        The rule's own numbers.
    memory : ndarray
        What it adds to the memory, at the start.
    n_pending : int
        Numbers that it notes at every origin, until the score is known.
    n_notes : int
        How many of them, the first ones, stay with the score.
    """

    step: Step
    over: Pass
    each: Each
    own: Values
    memory: Values
    n_pending: int = 0
    n_notes: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class CoverageRun:
    """What a rule says at every origin of a series; read-only arrays.

    Attributes
    ----------
    quantile : ndarray, shape (n,)
        Multiple of the forecast volatility that the margin asks for, unit of the scores; NaN
        before there are enough of them.
    aimed_tail_probability : ndarray, shape (n,)
        Tail probability at which the scores were read, in [tail/4, 3 tail]; NaN as `quantile`.
    correction : ndarray, shape (n,)
        Part of the quantile that the guard added, unit of the scores: zero while the rule does its
        work alone; NaN as `quantile`.
    """

    quantile: Values
    aimed_tail_probability: Values
    correction: Values

    def __post_init__(self) -> None:
        for array in (self.quantile, self.aimed_tail_probability, self.correction):
            array.setflags(write=False)

    def frame(self) -> pd.DataFrame:
        """Return a table with one row per origin and one column per attribute."""
        return pd.DataFrame(
            {
                "quantile": self.quantile,
                "aimed_tail_probability": self.aimed_tail_probability,
                "correction": self.correction,
            }
        )


def empty_state(machine: Machine, *, window: int, lag: int) -> State:
    """Return the state before the first origin."""
    return State(
        queue=np.zeros(window),
        notes=np.full((window, machine.n_notes), np.nan),
        order=np.zeros(window, dtype=np.int32),
        place=np.zeros(3, dtype=np.int64),
        pending=np.full((lag, 1 + machine.n_pending), np.nan),
        memory=np.concatenate([np.zeros(FIRST_FREE), machine.memory]),
    )


def refuse_infinite(score: NDArray[np.float64] | float) -> None:
    """Raise unless every score is NaN or a loss that some volatility could explain."""
    bad = np.abs(score) > LARGEST_SCORE
    if np.any(bad):
        raise InputError(
            f"a score must be NaN or at most {LARGEST_SCORE:g} forecast volatilities, found "
            f"{np.sum(bad)} that are not; look for a volatility near zero"
        )
