"""Adaptive conformal inference: the level answers to breaches.

Gibbs and Candes (2021), "Adaptive Conformal Inference Under Distribution Shift", NeurIPS: after
every outcome the level moves by ``rate * (tail_probability - breach)``.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from ...errors import InputError
from .guard import DEFAULT_GUARD, Guard
from .kernel import (
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
    within_levels,
)
from .machine import Machine
from .rule import CoverageRule


@njit(cache=True)
def _step(
    past: float, others: Values, regime: Values, common: Common, own: Values, state: State
) -> tuple[float, float, float]:
    judge(past, common, state)
    keep(past, state)
    aimed_tail = common.tail_probability * (1.0 - own[0] * excess_breaches(common, state))
    aimed_tail = within_levels(aimed_tail, common)
    return issue(sample_quantile(aimed_tail, others, common, state), aimed_tail, common, state)


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
class AdaptiveConformal(CoverageRule):
    r"""The quantile of the last scores at a level that breaches lower and their absence raises.

    :math:`a_t = p\,(1 - \gamma' x_t)` kept in [p/4, 3p], with :math:`x_t` the breaches beyond the
    expected ones, over the lag. Unbounded, this is the paper's recursion with
    :math:`\gamma = \gamma' p / L`, summed up. The sum goes on while the level is at a bound: the
    breaches of that time are owed and not forgotten, which is what the guarantee needs.

    Attributes
    ----------
    gain : float
        :math:`\gamma'`: share of the tail probability by which a breach lowers the level. The
        default guard takes over where a gain of a twentieth has brought the level to its bounds;
        with another one give it `excess` 0.75 / gain and `shortfall` 2 / gain.
    window, needed, guard, name
        See :class:`.rule.CoverageRule`.
    """

    gain: float = 0.05
    window: int = 1_000
    needed: int = 100
    guard: Guard | None = DEFAULT_GUARD
    name: str = "aci"

    def machine(self, tail_probability: float) -> Machine:
        """Return the compiled side."""
        if not 0.0 <= self.gain < np.inf:
            raise InputError(f"gain must be finite and not negative, was {self.gain}")
        return Machine(
            step=_step, over=_pass, each=_each, own=np.array([self.gain]), memory=np.empty(0)
        )
