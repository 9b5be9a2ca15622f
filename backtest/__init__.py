"""Replay of margin policies, and the tests and metrics that compare them."""

from ._results import TestResult
from .bootstrap import BootstrapInterval, bootstrap_interval, stationary_block_indices
from .cells import Cells, make_cells
from .comparison import ModelConfidenceSet, diebold_mariano, model_confidence_set, newey_west_t
from .controls import CONTROL_POLICIES
from .coverage import (
    TrafficLight,
    TrafficLightZone,
    basel_traffic_light,
    binomial_coverage,
    christoffersen_conditional_coverage,
    christoffersen_independence,
    dynamic_quantile,
    holm,
    kupiec_pof,
    kupiec_tuff,
)
from .discrimination import (
    brier_loss,
    brier_skill_score,
    expected_calibration_error,
    log_loss,
    pr_auc,
    reliability_curve,
    roc_auc,
)
from .expected_shortfall import (
    JointRegression,
    acerbi_szekely_minimally_biased,
    acerbi_szekely_z1,
    acerbi_szekely_z2,
    acerbi_szekely_z3,
    expected_shortfall_regression,
    joint_regression,
    mcneil_frey,
    nolde_ziegel,
)
from .losses import fz0_loss, qlike_loss, quantile_loss, shortfall
from .procyclicality import large_increase_share, largest_increase, peak_to_trough
from .replay import Replay, replay
from .scores import Grouping, score_forecasts, score_side_by_side
from .side_by_side import Family, SideBySide, row_notes, side_by_side
from .verdict import Verdict, judge

__all__ = [
    "CONTROL_POLICIES",
    "BootstrapInterval",
    "Cells",
    "Family",
    "Grouping",
    "JointRegression",
    "ModelConfidenceSet",
    "Replay",
    "SideBySide",
    "TestResult",
    "TrafficLight",
    "TrafficLightZone",
    "Verdict",
    "acerbi_szekely_minimally_biased",
    "acerbi_szekely_z1",
    "acerbi_szekely_z2",
    "acerbi_szekely_z3",
    "basel_traffic_light",
    "binomial_coverage",
    "bootstrap_interval",
    "brier_loss",
    "brier_skill_score",
    "christoffersen_conditional_coverage",
    "christoffersen_independence",
    "diebold_mariano",
    "dynamic_quantile",
    "expected_calibration_error",
    "expected_shortfall_regression",
    "fz0_loss",
    "holm",
    "joint_regression",
    "judge",
    "kupiec_pof",
    "kupiec_tuff",
    "large_increase_share",
    "largest_increase",
    "log_loss",
    "make_cells",
    "mcneil_frey",
    "model_confidence_set",
    "newey_west_t",
    "nolde_ziegel",
    "peak_to_trough",
    "pr_auc",
    "qlike_loss",
    "quantile_loss",
    "reliability_curve",
    "replay",
    "roc_auc",
    "row_notes",
    "score_forecasts",
    "score_side_by_side",
    "shortfall",
    "side_by_side",
    "stationary_block_indices",
]
