"""Split conformal prediction on a sliding window: every score counts the same.

Vovk, Gammerman and Shafer (2005); Lei, G'Sell, Rinaldo, Tibshirani and Wasserman (2018), Journal of
the American Statistical Association 113(523). With exchangeable scores the next one exceeds the
quantile at (n + 1)(1 - p) with probability p. Scores in time are not exchangeable, and the rule
answers to no breach.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from .guard import DEFAULT_GUARD, Guard
from .kernel import (
    Common,
    Places,
    State,
    Values,
    issue,
    judge,
    keep,
    sample_quantile,
    series_of,
)
from .machine import Machine
from .rule import CoverageRule


@njit(cache=True)
def _step(
    past: float, others: Values, regime: Values, common: Common, own: Values, state: State
) -> tuple[float, float, float]:
    judge(past, common, state)
    keep(past, state)
    target = common.tail_probability
    return issue(sample_quantile(target, others, common, state), target, common, state)


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
class SlidingConformal(CoverageRule):
    """The quantile of the last scores; a window longer than the series is split conformal.

    Attributes
    ----------
    window, needed, guard, name
        See :class:`.rule.CoverageRule`.
    """

    window: int = 1_000
    needed: int = 100
    guard: Guard | None = DEFAULT_GUARD
    name: str = "sliding"

    def machine(self, tail_probability: float) -> Machine:
        """Return the compiled side."""
        return Machine(step=_step, over=_pass, each=_each, own=np.empty(0), memory=np.empty(0))
