"""Many controllers of one rule, a period at a time in one compiled call."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from ...errors import InputError, ShapeError
from .kernel import COUNT, HEAD, RING, Common, Places, State, Values
from .machine import LARGEST_SCORE, Machine, empty_state
from .rule import CoverageRule


class StackedController:
    """Controllers of one rule for many series, each in its own time.

    The k-th says, to the last bit, what a :class:`.controller.CoverageController` of the same rule
    says that is given the same updates. Not safe to share between threads.

    Attributes
    ----------
    n_series : int
        How many there are.
    """

    def __init__(
        self, *, rule: str, machine: Machine, common: Common, stack: State, n_regimes: int
    ) -> None:
        self.n_series = len(stack.queue)
        self._rule, self._machine, self._common = rule, machine, common
        self._stack, self._n_regimes = stack, n_regimes

    @classmethod
    def fresh(
        cls,
        rule: CoverageRule,
        *,
        n_series: int,
        tail_probability: float,
        lag: int = 1,
        pooled_weight: float = 0.0,
    ) -> Self:
        """Return controllers before their first period; as :meth:`.rule.CoverageRule.start`."""
        machine = rule.machine(tail_probability)
        one = empty_state(machine, window=rule.window, lag=lag)
        return cls(
            rule=repr(rule),
            machine=machine,
            common=rule.common(tail_probability, lag=lag, pooled_weight=pooled_weight),
            stack=State(*(np.repeat(array[None], n_series, axis=0) for array in one)),
            n_regimes=rule.n_regimes,
        )

    def update(
        self, turn: Places, score: Values, *, pooled: Values, regime: Values | None = None
    ) -> Values:
        """Move some of the series to their next origin.

        Parameters
        ----------
        turn : ndarray of int, shape (n_turn,)
            Which series; each at most once.
        score : ndarray, shape (n_turn,)
            Scores that have become known there; NaN where not known.
        pooled : ndarray, shape (n_levels,)
            Pooled quantiles at the new origin, for all; empty if there are none.
        regime : ndarray, shape (n_turn, n_regimes), optional
            State of the market at the new origin, for rules that weigh it.

        Returns
        -------
        ndarray, shape (n_turn,)
            The margin multiple of each; NaN while there are too few scores.

        Raises
        ------
        ShapeError
            If arrays do not match.
        InputError
            If a score is infinite or no loss could be as large; nothing is changed then.
        """
        turn = np.ascontiguousarray(turn, dtype=np.int64)
        score = np.ascontiguousarray(score, dtype=np.float64)
        regimes = np.empty((len(turn), 0)) if regime is None else np.ascontiguousarray(regime)
        if score.shape != turn.shape or regimes.shape != (len(turn), self._n_regimes):
            raise ShapeError(
                f"score must be one for each of {len(turn)} series and regime {self._n_regimes}, "
                f"were of shapes {score.shape} and {regimes.shape}"
            )
        if len(turn) and not 0 <= turn.min() <= turn.max() < self.n_series:
            raise ShapeError(f"turn must be places of {self.n_series} series, found others")
        if np.any(np.abs(score) > LARGEST_SCORE) or np.isinf(regimes).any():
            raise InputError(
                f"scores must be NaN or at most {LARGEST_SCORE:g} and regimes finite or NaN; look "
                "for a volatility near zero"
            )
        others = np.ascontiguousarray(pooled, dtype=np.float64)
        said = self._machine.each(
            turn, score, others, regimes, self._common, self._machine.own, self._stack
        )
        return np.asarray(said[:, 0])

    def state(self) -> dict[str, Any]:
        """Return all that is remembered: the rule in words, and arrays (copies)."""
        arrays = {name: array.copy() for name, array in self._stack._asdict().items()}
        return {"rule": self._rule, "common": tuple(self._common), **arrays}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what controllers of the same rule remembered.

        Raises
        ------
        InputError
            If another rule saved it, or it is not whole; nothing is changed then.
        """
        if saved.get("rule") != self._rule or saved.get("common") != tuple(self._common):
            raise InputError(
                f"the saved state must be that of {self._rule}, was that of {saved.get('rule')}"
            )
        arrays = {name: saved.get(name) for name in State._fields}
        for name, own in self._stack._asdict().items():
            found = arrays[name]
            if not isinstance(found, np.ndarray) or (found.shape, found.dtype) != (
                own.shape,
                own.dtype,
            ):
                raise InputError(
                    f"{name} of a saved state must be {own.dtype} of shape {own.shape}, was "
                    f"{getattr(found, 'dtype', None)} of {getattr(found, 'shape', None)}"
                )
        _check_places(State(**arrays))  # type: ignore[arg-type]  # compared with arrays above
        for name, own in self._stack._asdict().items():
            own[...] = arrays[name]


def _check_places(stack: State) -> None:
    """Raise where a place points outside its array: compiled code does not look."""
    count, window = stack.place[:, COUNT], stack.queue.shape[1]
    inside = (count >= 0) & (count <= window)
    for column, length in ((HEAD, window), (RING, stack.pending.shape[1])):
        inside &= (stack.place[:, column] >= 0) & (stack.place[:, column] < length)
    used = np.arange(window) < count[:, None]
    ranks = np.sort(np.where(used, stack.order, window), axis=1)
    if not inside.all() or not (np.where(used, np.arange(window), window) == ranks).all():
        raise InputError("places of a saved state must lie inside its arrays; it is damaged")
    if not np.isfinite(stack.queue[used]).all():
        raise InputError("scores of a saved state must be finite; it is damaged")
