"""DtACI: adaptive conformal inference at several gains, weighted by how well each has done.

Gibbs and Candes (2024), "Conformal Inference for Online Prediction with Arbitrary Distribution
Shifts", Journal of Machine Learning Research 25(162); the deterministic form.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from ...errors import InputError
from ..empirical import HIGHEST_LEVEL, LOWEST_LEVEL
from .guard import DEFAULT_GUARD, Guard
from .kernel import (
    FIRST_FREE,
    RING,
    Common,
    Places,
    State,
    Values,
    issue,
    judge,
    keep,
    sample_quantile,
    series_of,
    within_levels,
)
from .machine import Machine
from .rule import CoverageRule

_HALVINGS = 60  # more than the bits of a double


@njit(cache=True)
def _deepest_level(past: float, others: Values, common: Common, state: State) -> float:
    """Return the largest level at which the sample before `past` would have covered it.

    Kept at most 3 tail, and 0 below tail/4: beyond, all experts lose or gain alike.
    """
    low = common.tail_probability * LOWEST_LEVEL
    high = common.tail_probability * HIGHEST_LEVEL
    if past <= sample_quantile(high, others, common, state):
        return high
    if past > sample_quantile(low, others, common, state):
        return 0.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        if past <= sample_quantile(middle, others, common, state):
            low = middle
        else:
            high = middle
    return low


@njit(cache=True)
def _learn(deepest: float, common: Common, own: Values, state: State) -> None:
    """Move the level of every expert, and the weights by quantile losses of the levels."""
    n = len(own) - 2
    learning, sharing = own[n], own[n + 1]
    target = common.tail_probability
    aimed_tails = state.memory[FIRST_FREE : FIRST_FREE + n]
    weights = state.memory[FIRST_FREE + n : FIRST_FREE + 2 * n]
    then = state.pending[state.place[RING], 1:]
    for k in range(n):
        short = deepest - then[k]
        loss = target * short - min(0.0, short)
        weights[k] *= np.exp(-learning / common.lag * loss)
        breach = 1.0 if short < 0.0 else 0.0
        step = own[k] * target / common.lag
        aimed_tails[k] = within_levels(aimed_tails[k] + step * (target - breach), common)
    total = weights.sum()
    for k in range(n):
        weights[k] = (1.0 - sharing) * weights[k] / total + sharing / n


@njit(cache=True)
def _step(
    past: float, others: Values, regime: Values, common: Common, own: Values, state: State
) -> tuple[float, float, float]:
    n = len(own) - 2
    aimed_tails = state.memory[FIRST_FREE : FIRST_FREE + n]
    weights = state.memory[FIRST_FREE + n : FIRST_FREE + 2 * n]
    if np.isfinite(judge(past, common, state)):
        _learn(_deepest_level(past, others, common, state), common, own, state)
    keep(past, state)
    state.pending[state.place[RING], 1:] = aimed_tails
    aimed_tail = within_levels((weights * aimed_tails).sum() / weights.sum(), common)
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
class AggregatedConformal(CoverageRule):
    r"""A level that is the weighted mean of those of several adaptive rules.

    With :math:`\beta_t` the largest level at which the sample before it covers score t, expert *k*
    at level :math:`a^k` moves by :math:`\gamma_k (p - 1\{\beta_t < a^k\})`, and its weight by
    :math:`e^{-\eta\ell}` with :math:`\ell = p(\beta_t - a^k) - \min(0, \beta_t - a^k)`; then all
    weights are mixed with equal ones by :math:`\sigma = 1/(2I)`. As the paper proposes,

    .. math:: \eta = \sqrt{\frac{3}{I}\,\frac{\ln(KI) + 2}{(1-p)^2 p^3 + p^2 (1-p)^3}} .

    Each level stays in [p/4, 3p], and so does their mean; experts forget what they owe at a bound,
    the guard does not. With a lag the rank is among the scores known when score t is, which are
    `lag` - 1 more than at its origin, and both rates are divided by it.

    Attributes
    ----------
    gains : tuple of float
        :math:`\gamma_k` as shares of the tail probability, positive.
    interval : int
        *I*, number of scores over which the weights are to be good.
    window, needed, guard, name
        See :class:`.rule.CoverageRule`.
    """

    gains: tuple[float, ...] = (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
    interval: int = 1_000
    window: int = 1_000
    needed: int = 100
    guard: Guard | None = DEFAULT_GUARD
    name: str = "dtaci"

    def learning_rate(self, tail_probability: float) -> float:
        r"""Return :math:`\eta`."""
        p, n = tail_probability, self.interval
        spread = (1.0 - p) ** 2 * p**3 + p**2 * (1.0 - p) ** 3
        return float(np.sqrt(3.0 / n * (np.log(len(self.gains) * n) + 2.0) / spread))

    def machine(self, tail_probability: float) -> Machine:
        """Return the compiled side."""
        if not self.gains or not all(0.0 < gain < np.inf for gain in self.gains):
            raise InputError(f"gains must be finite and positive, at least one, were {self.gains}")
        if self.interval < 1:
            raise InputError(f"interval must be at least 1, was {self.interval}")
        n = len(self.gains)
        sharing = 1.0 / (2.0 * self.interval)
        return Machine(
            step=_step,
            over=_pass,
            each=_each,
            own=np.array([*self.gains, self.learning_rate(tail_probability), sharing]),
            memory=np.concatenate([np.full(n, tail_probability), np.full(n, 1.0 / n)]),
            n_pending=n,
        )
