"""What was knowable: variance measures, causal features, forward targets."""

from .feature import Feature, Measures
from .features import ALL_FEATURES, Features, build_features
from .history import History, build_history
from .own_time import OwnTime, own_times
from .targets import Targets, build_targets
from .variance import (
    best_variance,
    garman_klass_variance,
    overnight_variance,
    panel_variance,
    parkinson_variance,
    range_variance,
    variance_measure,
)

__all__ = [
    "ALL_FEATURES",
    "Feature",
    "Features",
    "History",
    "Measures",
    "OwnTime",
    "Targets",
    "best_variance",
    "build_features",
    "build_history",
    "build_targets",
    "garman_klass_variance",
    "overnight_variance",
    "own_times",
    "panel_variance",
    "parkinson_variance",
    "range_variance",
    "variance_measure",
]
