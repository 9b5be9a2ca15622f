"""Regime-weighted conformal prediction: recent scores from markets like today's count more.

Schmitt (2026), "Regime-Weighted Conformal" value at risk, arXiv 2602.03903: weights that fall with
age times a kernel of the distance between regimes; time weights alone where too few scores are
left.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from ...errors import InputError
from .guard import DEFAULT_GUARD, Guard
from .kernel import (
    COUNT,
    HEAD,
    RING,
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
from .weighted import decay_of, time_weighted_quantile, weighted_quantile

_AGING, _PRECISION, _FEWEST = 0, 1, 2


@njit(cache=True)
def _weights(regime: Values, own: Values, state: State) -> Values:
    """Return the weights by slot; 0 where the regime of the score is not known."""
    count, slot = state.place[COUNT], state.place[HEAD] - 1
    out = np.zeros(count)
    for age in range(1, count + 1):
        slot = slot if slot >= 0 else count - 1
        distance = 0.0
        for j in range(len(regime)):
            distance += (state.notes[slot, j] - regime[j]) ** 2
        if np.isfinite(distance):
            out[slot] = np.exp(-own[_AGING] * age - 0.5 * own[_PRECISION] * distance)
        slot -= 1
    return out


@njit(cache=True)
def _sums(weights: Values, state: State) -> tuple[float, float]:
    """Sum of the weights and of their squares, by rank: slots differ once a state was saved."""
    total, squares = 0.0, 0.0
    for rank in range(len(weights)):
        weight = weights[state.order[rank]]
        total += weight
        squares += weight * weight
    return total, squares


@njit(cache=True)
def _base(regime: Values, others: Values, common: Common, own: Values, state: State) -> float:
    target, decay = common.tail_probability, np.exp(-own[_AGING])
    if state.place[COUNT] >= common.needed and np.isfinite(regime).all():
        weights = _weights(regime, own, state)
        total, squares = _sums(weights, state)
        # Not by dividing: all weights may have underflowed.
        if squares > 0.0 and total * total >= own[_FEWEST] * squares:
            mine = weighted_quantile(target, decay, weights, total, state)
            pooled = pooled_quantile(target, others, common)
            return mixed(mine, total * total / squares, pooled, common)
    return time_weighted_quantile(target, decay, others, common, state)


@njit(cache=True)
def _step(
    past: float, others: Values, regime: Values, common: Common, own: Values, state: State
) -> tuple[float, float, float]:
    judge(past, common, state)
    keep(past, state)
    state.pending[state.place[RING], 1:] = regime
    base = _base(regime, others, common, own, state)
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
class RegimeWeightedConformal(CoverageRule):
    r"""The quantile with weights :math:`2^{-age/half\_life}\, e^{-|z_s - z_t|^2 / (2 h^2)}`.

    *z* is the state of the market at the origin of a score and now; bring its columns to one scale.
    The score to come has a weight of one. Where the effective number
    :math:`(\sum w)^2 / \sum w^2` is below `fewest`, or the regime is not known, time weights alone
    decide. Every origin costs time in proportion to the window.

    Attributes
    ----------
    half_life : float
        Scores after which the weight has halved.
    bandwidth : float
        *h*, in the unit of the regimes.
    fewest : float
        Effective number of scores below which regimes are not weighed.
    columns : int
        Columns of the regimes.
    window, needed, guard, name
        See :class:`.rule.CoverageRule`.
    """

    half_life: float = 500.0
    bandwidth: float = 1.0
    fewest: float = 250.0
    columns: int = 1
    window: int = 1_000
    needed: int = 100
    guard: Guard | None = DEFAULT_GUARD
    name: str = "regime-weighted"

    @property
    def n_regimes(self) -> int:
        """Columns of the regimes."""
        return self.columns

    def machine(self, tail_probability: float) -> Machine:
        """Return the compiled side."""
        if self.columns < 1 or not (0.0 < self.bandwidth < np.inf and 0.0 <= self.fewest < np.inf):
            raise InputError(
                "columns must be at least 1, bandwidth finite and positive, fewest finite and not "
                f"negative, were {self.columns}, {self.bandwidth} and {self.fewest}"
            )
        own = np.array([-np.log(decay_of(self.half_life)), self.bandwidth**-2, self.fewest])
        n = self.columns
        return Machine(
            step=_step, over=_pass, each=_each, own=own, memory=np.empty(0), n_pending=n, n_notes=n
        )
