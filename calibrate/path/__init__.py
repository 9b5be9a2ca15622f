"""How a margin may move: limits, the online rule that obeys them, and the offline optimum."""

from .excess import LimitExcess, limit_excess
from .limits import (
    Bound,
    Buffer,
    Headroom,
    Lift,
    Maintenance,
    MarginLimits,
    Notice,
    Precedence,
    SpeedLimit,
)
from .offline import OfflinePath, offline_path, path_cost
from .rule import MarginPath, margin_path, needed_headroom, rise_factors
from .stacked import StackedStepper, StackedSteps
from .stepper import MarginStep, MarginStepper
from .tool import limits_tool

__all__ = [
    "Bound",
    "Buffer",
    "Headroom",
    "Lift",
    "LimitExcess",
    "Maintenance",
    "MarginLimits",
    "MarginPath",
    "MarginStep",
    "MarginStepper",
    "Notice",
    "OfflinePath",
    "Precedence",
    "SpeedLimit",
    "StackedStepper",
    "StackedSteps",
    "limit_excess",
    "limits_tool",
    "margin_path",
    "needed_headroom",
    "offline_path",
    "path_cost",
    "rise_factors",
]
