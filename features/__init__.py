"""What was knowable: variance measures, causal features, forward targets."""

from .audit import (
    LeakReport,
    LeakTest,
    LeakVerdict,
    ModelVerdict,
    audit_lookahead,
    audit_pipeline,
)
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
from .ranges import (
    garman_klass_variance,
    overnight_variance,
    parkinson_variance,
    rogers_satchell_variance,
    yang_zhang_variance,
)
from .standardise import Standardiser, fit_standardiser
from .stream import FeatureStream
from .targets import Targets, build_targets
from .thresholds import Thresholds, ThresholdStream
from .variance import best_variance, range_variance, variance_measure
from .whole_day import whole_day_variance

__all__ = [
    "ALL_FEATURES",
    "CORE_FEATURES",
    "FEATURE_SETS",
    "Feature",
    "FeatureStream",
    "Features",
    "History",
    "LeakReport",
    "LeakTest",
    "LeakVerdict",
    "Measures",
    "Memory",
    "ModelVerdict",
    "OwnTime",
    "Standardiser",
    "Targets",
    "ThresholdStream",
    "Thresholds",
    "audit_lookahead",
    "audit_pipeline",
    "best_variance",
    "build_features",
    "build_history",
    "build_targets",
    "chosen_features",
    "fit_standardiser",
    "garman_klass_variance",
    "overnight_variance",
    "own_times",
    "parkinson_variance",
    "range_variance",
    "rogers_satchell_variance",
    "variance_measure",
    "whole_day_variance",
    "yang_zhang_variance",
]
