"""Conformal PI and PID control: a tracker, an integrator, and a forecast of the quantile.

Angelopoulos, Candes and Tibshirani (2023), "Conformal PID Control for Time Series Prediction",
NeurIPS.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from ...errors import InputError
from .guard import DEFAULT_GUARD, Guard
from .kernel import (
    JUDGED,
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
from .tracking import anchored, check_rate

# The paper's integrator is infinite from pi/2 on; a margin must be a number. What the guarantee
# loses by the stop the tracker and the guard keep.
_STEEPEST = 1.5

_RATE, _INTEGRAL, _SATURATION, _SCORECASTER = 0, 1, 2, 3


@njit(cache=True)
def _integrated(excess: float, judged: float, own: Values) -> float:
    angle = excess * np.log(judged + 1.0) / (own[_SATURATION] * (judged + 1.0))
    return float(own[_INTEGRAL] * np.tan(min(max(angle, -_STEEPEST), _STEEPEST)))


@njit(cache=True)
def _step(
    past: float, others: Values, regime: Values, common: Common, own: Values, state: State
) -> tuple[float, float, float]:
    judge(past, common, state)
    keep(past, state)
    target = common.tail_probability
    if own[_SCORECASTER] > 0.0:
        base = sample_quantile(target, others, common, state)
    else:
        base = anchored(others, common, state)
    excess = excess_breaches(common, state)
    judged = state.memory[JUDGED] / common.lag
    base += own[_RATE] * excess + _integrated(excess, judged, own)
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
class ConformalPid(CoverageRule):
    r"""Tracker plus saturating integrator, around the sliding quantile (PID) or a start (PI).

    .. math::

        q_t = \hat q_t + \eta x_t + K \tan\!\left(\frac{x_t \ln(n_t + 1)}{C (n_t + 1)}\right)

    with :math:`x_t` the breaches beyond the expected ones and :math:`n_t` the scores judged, both
    over the lag. The angle stops at 1.5, where the tangent is 14. The scorecaster
    :math:`\hat q_t` is the quantile of the last scores; the paper's learns from covariates, which
    here the forecast of volatility has done. Both terms rise with *x*, so the bound of
    :class:`.guard.Guard` holds.

    Attributes
    ----------
    rate : float
        :math:`\eta`: what a breach adds to the multiple, unit of the scores.
    integral : float
        *K*, unit of the scores; 0 leaves the integrator out.
    saturation : float
        *C*: the larger, the later the integrator is steep.
    scorecaster : bool
        Whether to forecast the quantile; without, it starts from the first one.
    window, needed, guard, name
        See :class:`.rule.CoverageRule`.
    """

    rate: float = 0.1
    integral: float = 1.0
    saturation: float = 1.0
    scorecaster: bool = True
    window: int = 1_000
    needed: int = 100
    guard: Guard | None = DEFAULT_GUARD
    name: str = "pid"

    def machine(self, tail_probability: float) -> Machine:
        """Return the compiled side."""
        check_rate(self.rate)
        if not (0.0 <= self.integral < np.inf and 0.0 < self.saturation < np.inf):
            raise InputError(
                "integral must be finite and not negative, saturation finite and positive, were "
                f"{self.integral} and {self.saturation}"
            )
        numbers = (self.rate, self.integral, self.saturation, float(self.scorecaster))
        return Machine(
            step=_step, over=_pass, each=_each, own=np.array(numbers), memory=np.array([np.nan])
        )
