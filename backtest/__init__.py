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
from .disclosure import disclosure_table, pooled_disclosure
from .discrimination import (
    brier_loss,
    brier_skill_score,
    expected_calibration_error,
    log_loss,
    pr_auc,
    reliability_curve,
    roc_auc,
)
from .episodes import Episode
from .losses import absolute_log_error, fz0_loss, qlike_loss, quantile_loss, shortfall
from .naive_regimes import REGIME_REFERENCES, naive_regimes
from .procyclicality import large_increase_share, largest_increase, peak_to_trough
from .ranked_probability import (
    class_accuracy_score,
    class_log_loss,
    ranked_probability_loss,
    ranked_probability_skill_score,
)
from .replay import Replay, replay
from .scenarios import ALL_SCENARIOS, Scenario, check_scenario, scenario_named
from .scores import Grouping, score_forecasts, score_side_by_side
from .side_by_side import Family, SideBySide, row_notes, side_by_side
from .verdict import Verdict, judge

__all__ = [
    "ALL_SCENARIOS",
    "CONTROL_POLICIES",
    "REGIME_REFERENCES",
    "BootstrapInterval",
    "Cells",
    "Episode",
    "Family",
    "Grouping",
    "ModelConfidenceSet",
    "Replay",
    "Scenario",
    "SideBySide",
    "TestResult",
    "TrafficLight",
    "TrafficLightZone",
    "Verdict",
    "absolute_log_error",
    "basel_traffic_light",
    "binomial_coverage",
    "bootstrap_interval",
    "brier_loss",
    "brier_skill_score",
    "check_scenario",
    "christoffersen_conditional_coverage",
    "christoffersen_independence",
    "class_accuracy_score",
    "class_log_loss",
    "diebold_mariano",
    "disclosure_table",
    "dynamic_quantile",
    "expected_calibration_error",
    "fz0_loss",
    "holm",
    "judge",
    "kupiec_pof",
    "kupiec_tuff",
    "large_increase_share",
    "largest_increase",
    "log_loss",
    "make_cells",
    "model_confidence_set",
    "naive_regimes",
    "newey_west_t",
    "peak_to_trough",
    "pooled_disclosure",
    "pr_auc",
    "qlike_loss",
    "quantile_loss",
    "ranked_probability_loss",
    "ranked_probability_skill_score",
    "reliability_curve",
    "replay",
    "roc_auc",
    "row_notes",
    "scenario_named",
    "score_forecasts",
    "score_side_by_side",
    "shortfall",
    "side_by_side",
    "stationary_block_indices",
]
