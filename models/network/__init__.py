"""The regime forecaster: one PyTorch network for all instruments and horizons."""

from .attribution import explain, permutation_importance
from .forecaster import FittedRegimeNetwork, RegimeNetwork
from .plan import TrainingPlan

__all__ = [
    "FittedRegimeNetwork",
    "RegimeNetwork",
    "TrainingPlan",
    "explain",
    "permutation_importance",
]
