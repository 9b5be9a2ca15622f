r"""Tests of whether one policy's loss is lower than another's, or than all others'.

All statistics are built on a loss difference :math:`d_t = a_t - b_t`, one number per origin;
positive means *a* is worse. Average over instruments per origin first: shocks are shared, so
instruments are not independent observations.
"""

from .confidence_set import ModelConfidenceSet, model_confidence_set
from .diebold_mariano import diebold_mariano
from .elementary_scores import quantile_elementary_score, shortfall_elementary_score
from .giacomini_white import DecisionRule, decision_rule, giacomini_white
from .multivariate_giacomini_white import multivariate_giacomini_white
from .murphy import murphy_quantile, murphy_shortfall
from .murphy_diagram import MurphyBand, MurphyDiagram
from .newey_west import newey_west_t
from .power import DetectableDifference, detectable_difference
from .superior_ability import SuperiorAbility, superior_predictive_ability

__all__ = [
    "DecisionRule",
    "DetectableDifference",
    "ModelConfidenceSet",
    "MurphyBand",
    "MurphyDiagram",
    "SuperiorAbility",
    "decision_rule",
    "detectable_difference",
    "diebold_mariano",
    "giacomini_white",
    "model_confidence_set",
    "multivariate_giacomini_white",
    "murphy_quantile",
    "murphy_shortfall",
    "newey_west_t",
    "quantile_elementary_score",
    "shortfall_elementary_score",
    "superior_predictive_ability",
]
