"""One controller: a rule at work on one side of one instrument, a tick at a time."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import InputError, ShapeError
from .kernel import COUNT, HEAD, RING, Common, State, Values
from .machine import Machine, refuse_infinite

_NONE = np.empty(0)


class CoverageController:
    """Takes scores as they become known and says the quantile of the present origin.

    Made by :meth:`.rule.CoverageRule.start` or :meth:`.rule.CoverageRule.resume`. After the t-th
    update it says, to the last bit, what :meth:`.rule.CoverageRule.run` says of the t-th origin.
    Not safe to share between threads.
    """

    def __init__(
        self, *, rule: str, machine: Machine, common: Common, memory: State, n_regimes: int
    ) -> None:
        self._rule = rule
        self._machine = machine
        self._common = common
        self._state = memory
        self._n_regimes = n_regimes
        self._said = (np.nan, np.nan, np.nan)

    def quantile(self) -> float:
        """Return the margin multiple of the present origin; NaN while there are too few scores."""
        return self._said[0]

    def aimed_tail_probability(self) -> float:
        """Return the tail probability at which it was read; NaN as the quantile."""
        return self._said[1]

    def correction(self) -> float:
        """Return what the guard added to the quantile; NaN as the quantile."""
        return self._said[2]

    def update(
        self, score: float, *, pooled: Values | None = None, regime: Values | None = None
    ) -> None:
        """Move to the next origin.

        Parameters
        ----------
        score : float
            Score that has become known there: that of the origin `lag` before it. NaN if it is not
            known, as at the first `lag` origins.
        pooled : ndarray, shape (n_levels,), optional
            Pooled quantiles at the new origin, at :func:`..empirical.pooled_levels`.
        regime : ndarray, shape (n_regimes,), optional
            State of the market at the new origin, for rules that weigh it.

        Raises
        ------
        InputError
            If the score is infinite or no loss could be as large; the controller is as it was.
        """
        refuse_infinite(score)
        others = _NONE if pooled is None else np.asarray(pooled, dtype=np.float64)
        regimes = _NONE if regime is None else np.asarray(regime, dtype=np.float64)
        if others.ndim != 1 or regimes.shape != (self._n_regimes,) or np.isinf(regimes).any():
            raise ShapeError(
                f"pooled must be one row, and regime {self._n_regimes} finite numbers or NaN, "
                f"were of shapes {others.shape} and {regimes.shape}"
            )
        self._said = self._machine.step(
            float(score), others, regimes, self._common, self._machine.own, self._state
        )

    def state(self) -> dict[str, Any]:
        """Return all that the controller remembers as plain lists, numbers and strings.

        NaN is None, so that strict JSON can hold it; floats survive JSON to the last bit.
        """
        state, common = self._state, self._common
        count, head = state.place[COUNT], state.place[HEAD]
        by_age = (head + np.arange(count)) % len(state.queue)
        return {
            "rule": self._rule,
            "tail_probability": common.tail_probability,
            "lag": common.lag,
            "pooled_weight": common.pooled_weight,
            "score": _plain(state.queue[by_age]),
            "notes": _plain(state.notes[by_age]),
            "pending": _plain(np.roll(state.pending, -state.place[RING], axis=0)),
            "memory": _plain(state.memory),
            "said": _plain(np.array(self._said)),
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take over what another controller of the same rule remembered.

        Raises
        ------
        InputError
            If something is missing or of the wrong size; the controller is as it was.
        """
        state = self._state
        shapes = {"pending": state.pending.shape, "memory": state.memory.shape, "said": (3,)}
        try:
            arrays = {name: _array(saved[name]) for name in ("score", *shapes)}
            count = len(arrays["score"])
            notes = _array(saved["notes"]).reshape(count, state.notes.shape[1])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"a saved state must have all its lists, of numbers and None; found {error!r}; "
                "save it anew by state()"
            ) from None
        wrong = [name for name, shape in shapes.items() if arrays[name].shape != shape]
        if wrong or count > len(state.queue) or not np.isfinite(arrays["score"]).all():
            raise InputError(
                f"a saved state must fit its rule: at most {len(state.queue)} finite scores and "
                f"{shapes}; found {count} scores and others in {wrong}; save it anew by state()"
            )
        state.queue[:count] = arrays["score"]
        state.notes[:count] = notes
        # Stable: the older of equal scores comes first, as the compiled code keeps them.
        state.order[:count] = np.argsort(arrays["score"], kind="stable")
        state.place[:] = count, 0, 0
        state.pending[:] = arrays["pending"]
        state.memory[:] = arrays["memory"]
        quantile, aimed, added = arrays["said"].tolist()
        self._said = (quantile, aimed, added)


def _plain(values: Values) -> list[Any]:
    if values.ndim > 1:
        return [_plain(row) for row in values]
    return [None if np.isnan(value) else value for value in values.tolist()]


def _array(values: Sequence[Any]) -> Values:
    return np.array(values, dtype=np.float64)  # None becomes NaN
