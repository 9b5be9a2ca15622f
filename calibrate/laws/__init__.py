"""Laws of scores: what a tail is read from, once volatility is divided out.

A score is the loss of one side over the volatility that was forecast for it. A law is fitted to
past scores and gives their quantile and the mean beyond it; times today's volatility they are value
at risk and expected shortfall.
"""

from .empirical import Empirical
from .horizon import VarianceRecursion, simulate_horizon, simulated_tails
from .law import ScoreLaw, Tail, law_tails, rolling_law
from .normal import Normal, normal_tail
from .pareto import Pareto
from .skew_t import SkewT, skew_t_tail
from .student_t import StudentT, student_t_tail

SCORE_LAWS: tuple[ScoreLaw, ...] = (
    Normal(),
    StudentT(),
    SkewT(),
    Empirical(),
    Pareto(),
    Empirical(pooled=True),
    Pareto(pooled=True),
)
"""Every law, parametric ones first; a new one is one file and one entry."""

__all__ = [
    "SCORE_LAWS",
    "Empirical",
    "Normal",
    "Pareto",
    "ScoreLaw",
    "SkewT",
    "StudentT",
    "Tail",
    "VarianceRecursion",
    "law_tails",
    "normal_tail",
    "rolling_law",
    "simulate_horizon",
    "simulated_tails",
    "skew_t_tail",
    "student_t_tail",
]
