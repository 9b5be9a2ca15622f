"""Time-weighted conformal prediction: recent scores count more.

Barber, Candes, Ramdas and Tibshirani (2023), "Conformal Prediction Beyond Exchangeability", Annals
of Statistics 51(2) (NexCP): weights fixed in advance, one for the score to come, which lies beyond
all others. What coverage is lost is at most the weighted drift of the scores.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from ...errors import InputError
from .guard import DEFAULT_GUARD, Guard
from .kernel import (
    COUNT,
    HEAD,
    Common,
    Places,
    State,
    Values,
    issue,
    judge,
    keep,
    mixed,
    pooled_quantile,
    series_of,
)
from .machine import Machine
from .rule import CoverageRule

_BY_AGE = np.empty(0)


@njit(cache=True)
def _age(slot: int, state: State) -> int:
    """Return how many scores ago that of a slot became known; the newest has an age of one."""
    return int((state.place[HEAD] - 1 - slot) % state.place[COUNT] + 1)


@njit(cache=True)
def weighted_quantile(
    tail_probability: float, decay: float, weights: Values, total: float, state: State
) -> float:
    """Return the score beyond which the weights have the tail's share, interpolated.

    The score to come has a weight of one and lies beyond all; with equal weights this is the
    quantile at (count + 1)(1 - tail). Scores without weight do not count, not even as neighbours;
    among equal ones the older is the lower.

    Parameters
    ----------
    tail_probability : float
        Share of the weights.
    decay : float
        Factor of the weight per score of age, in (0, 1].
    weights : ndarray, shape (count,) or (0,)
        Weights by slot, instead of the decay; none if empty.
    total : float
        Sum of the weights of the scores kept.
    state : State
        Scores.
    """
    wanted = tail_probability * (total + 1.0)
    upper, held, beyond = np.nan, 0.0, 1.0
    for rank in range(state.place[COUNT] - 1, -1, -1):
        slot = state.order[rank]
        weight = weights[slot] if len(weights) > 0 else decay ** _age(slot, state)
        if weight <= 0.0:
            continue
        lower = state.queue[slot]
        if np.isfinite(upper):
            if beyond + held > wanted:
                between = upper - (wanted - beyond) / held * (upper - lower)
                return float(max(min(between, upper), lower))
            beyond += held
        elif wanted <= beyond:
            return float(lower)
        upper, held = lower, weight
    return float(upper)


@njit(cache=True)
def time_weighted_quantile(
    tail_probability: float, decay: float, others: Values, common: Common, state: State
) -> float:
    """Quantile of the scores kept, weighted by age, mixed with the pooled one."""
    count = state.place[COUNT]
    own, size = np.nan, float(count)
    if count >= common.needed:
        total = float(count)
        if decay < 1.0:
            total = decay * (1.0 - decay**count) / (1.0 - decay)
            square = decay**2
            size = total**2 * (1.0 - square) / (square * (1.0 - square**count))
        own = weighted_quantile(tail_probability, decay, _BY_AGE, total, state)
    return mixed(own, size, pooled_quantile(tail_probability, others, common), common)


@njit(cache=True)
def _step(
    past: float, others: Values, regime: Values, common: Common, own: Values, state: State
) -> tuple[float, float, float]:
    judge(past, common, state)
    keep(past, state)
    target = common.tail_probability
    base = time_weighted_quantile(target, own[0], others, common, state)
    return issue(base, target, common, state)


@njit(cache=True)
def _pass(
    score: Values, pooled: Values, regime: Values, common: Common, own: Values, state: State
) -> Values:
    out = np.empty((len(score), 3))
    for t in range(len(score)):
        past = score[t - common.lag] if t >= common.lag else np.nan
        out[t] = _step(past, pooled[t], regime[t], common, own, state)
    return out


@njit(cache=True)
def _each(
    turn: Places,
    past: Values,
    others: Values,
    regime: Values,
    common: Common,
    own: Values,
    stack: State,
) -> Values:
    out = np.empty((len(turn), 3))
    for j in range(len(turn)):
        out[j] = _step(past[j], others, regime[j], common, own, series_of(stack, turn[j]))
    return out


@dataclass(frozen=True, kw_only=True)
class TimeWeightedConformal(CoverageRule):
    r"""The quantile of the last scores with weights :math:`2^{-age/half\_life}`.

    Of scores that count less, fewer are there: next to a pooled quantile they count as the
    effective number :math:`(\sum w)^2 / \sum w^2`.

    Attributes
    ----------
    half_life : float
        Scores after which the weight has halved; infinity weighs all alike.
    window, needed, guard, name
        See :class:`.rule.CoverageRule`.
    """

    half_life: float = 500.0
    window: int = 1_000
    needed: int = 100
    guard: Guard | None = DEFAULT_GUARD
    name: str = "time-weighted"

    def machine(self, tail_probability: float) -> Machine:
        """Return the compiled side."""
        own = np.array([decay_of(self.half_life)])
        return Machine(step=_step, over=_pass, each=_each, own=own, memory=np.empty(0))


def decay_of(half_life: float) -> float:
    """Return the factor per score of a weight that halves in `half_life` scores."""
    if not half_life > 0.0:
        raise InputError(f"half_life must be positive, infinity for equal weights, was {half_life}")
    return float(0.5 ** (1.0 / half_life))
