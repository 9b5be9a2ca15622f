"""The regime forecaster: one PyTorch network for all instruments and horizons."""

from .forecaster import RegimeNetwork
from .training import TrainingPlan

__all__ = ["RegimeNetwork", "TrainingPlan"]
