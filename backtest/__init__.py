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
from .losses import fz0_loss, qlike_loss, quantile_loss, shortfall
from .procyclicality import large_increase_share, largest_increase, peak_to_trough
from .replay import Replay, replay
from .scores import score_forecasts
from .verdict import Verdict, judge

__all__ = [
    "CONTROL_POLICIES",
    "BootstrapInterval",
    "Cells",
    "ModelConfidenceSet",
    "Replay",
    "TestResult",
    "TrafficLight",
    "TrafficLightZone",
    "Verdict",
    "basel_traffic_light",
    "binomial_coverage",
    "bootstrap_interval",
    "christoffersen_conditional_coverage",
    "christoffersen_independence",
    "diebold_mariano",
    "dynamic_quantile",
    "fz0_loss",
    "holm",
    "judge",
    "kupiec_pof",
    "kupiec_tuff",
    "large_increase_share",
    "largest_increase",
    "make_cells",
    "model_confidence_set",
    "newey_west_t",
    "peak_to_trough",
    "qlike_loss",
    "quantile_loss",
    "replay",
    "score_forecasts",
    "shortfall",
    "stationary_block_indices",
]
