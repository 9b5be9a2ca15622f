"""What was knowable: variance measures, causal features, forward targets."""

from .feature import Feature
from .features import (
    ALL_FEATURES,
    CORE_FEATURES,
    FEATURE_SETS,
    Features,
    build_features,
    chosen_features,
)
from .history import History, build_history
from .measures import Measures, Memory
from .own_time import OwnTime, own_times
from .ranges import garman_klass_variance, overnight_variance, parkinson_variance
from .standardise import Standardiser, fit_standardiser
from .stream import FeatureStream
from .targets import Targets, build_targets
from .variance import best_variance, panel_variance, range_variance, variance_measure

__all__ = [
    "ALL_FEATURES",
    "CORE_FEATURES",
    "FEATURE_SETS",
    "Feature",
    "FeatureStream",
    "Features",
    "History",
    "Measures",
    "Memory",
    "OwnTime",
    "Standardiser",
    "Targets",
    "best_variance",
    "build_features",
    "build_history",
    "build_targets",
    "chosen_features",
    "fit_standardiser",
    "garman_klass_variance",
    "overnight_variance",
    "own_times",
    "panel_variance",
    "parkinson_variance",
    "range_variance",
    "variance_measure",
]
