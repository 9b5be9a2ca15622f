"""Quantile tracking: the margin multiple itself goes up with a breach and down without one.

Angelopoulos, Candes and Tibshirani (2023), "Conformal PID Control for Time Series Prediction",
NeurIPS: online gradient descent on the quantile loss, ``q += rate * (breach - tail_probability)``.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from ...errors import InputError
from .guard import DEFAULT_GUARD, Guard
from .kernel import (
    COUNT,
    FIRST_FREE,
    Common,
    Places,
    State,
    Values,
    excess_breaches,
    issue,
    judge,
    keep,
    sample_quantile,
    series_of,
)
from .machine import Machine
from .rule import CoverageRule

_START = FIRST_FREE


@njit(cache=True)
def anchored(others: Values, common: Common, state: State) -> float:
    """Return where the tracker starts: the quantile at the origin that first has enough scores.

    Until then it is the pooled quantile, if there is one, as it is at each origin.
    """
    if np.isfinite(state.memory[_START]):
        return float(state.memory[_START])
    start = sample_quantile(common.tail_probability, others, common, state)
    if state.place[COUNT] >= common.needed:
        state.memory[_START] = start
    return start


@njit(cache=True)
def _step(
    past: float, others: Values, regime: Values, common: Common, own: Values, state: State
) -> tuple[float, float, float]:
    judge(past, common, state)
    keep(past, state)
    start = anchored(others, common, state)
    base = start + own[0] * excess_breaches(common, state)
    return issue(base, common.tail_probability, common, state)


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
class QuantileTracking(CoverageRule):
    r"""A multiple that starts at the sample quantile and then follows its breaches alone.

    :math:`q_t = q_0 + \eta x_t`, the recursion summed up. It needs no guard for a guarantee: with
    all scores in an interval of length *R* that holds :math:`q_0`, the proof of
    :class:`.guard.Guard` gives :math:`-L (R/\eta + p) \le B - pN \le L (R/\eta + 1 - p)`. The guard
    makes it the logarithm of *R* instead.

    Attributes
    ----------
    rate : float
        :math:`\eta`: what a breach adds to the multiple, unit of the scores.
    window, needed, guard, name
        See :class:`.rule.CoverageRule`; the scores kept serve only to start from.
    """

    rate: float = 0.1
    window: int = 100
    needed: int = 100
    guard: Guard | None = DEFAULT_GUARD
    name: str = "tracking"

    def machine(self, tail_probability: float) -> Machine:
        """Return the compiled side."""
        check_rate(self.rate)
        return Machine(
            step=_step, over=_pass, each=_each, own=np.array([self.rate]), memory=np.array([np.nan])
        )


def check_rate(rate: float) -> None:
    """Raise unless a tracker can follow its breaches at this rate."""
    if not 0.0 < rate < np.inf:
        raise InputError(f"rate must be finite and positive, was {rate}")
