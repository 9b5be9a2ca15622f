"""Coverage control: online rules that turn a stream of scores into a margin multiple."""

from .adaptive import AdaptiveConformal
from .aggregated import AggregatedConformal
from .controller import CoverageController
from .guard import Guard
from .machine import CoverageRun
from .pid import ConformalPid
from .regime import RegimeWeightedConformal
from .rule import CoverageRule
from .sliding import SlidingConformal
from .stacked import StackedController
from .tracking import QuantileTracking
from .weighted import TimeWeightedConformal

ALL_RULES: tuple[CoverageRule, ...] = (
    SlidingConformal(),
    AdaptiveConformal(),
    QuantileTracking(),
    ConformalPid(name="pi", scorecaster=False),
    ConformalPid(),
    AggregatedConformal(),
    TimeWeightedConformal(),
    RegimeWeightedConformal(),
)
"""Every rule, with its guard; the tests of this package run for each."""

__all__ = [
    "ALL_RULES",
    "AdaptiveConformal",
    "AggregatedConformal",
    "ConformalPid",
    "CoverageController",
    "CoverageRule",
    "CoverageRun",
    "Guard",
    "QuantileTracking",
    "RegimeWeightedConformal",
    "SlidingConformal",
    "StackedController",
    "TimeWeightedConformal",
]
