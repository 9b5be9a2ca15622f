"""From forecast to margin: tails, coverage, limits, liquidity, options, portfolios, policies."""

from . import addons, coverage, laws, liquidity, options, path, portfolio, updates, venues
from .market import MarginMarket, SideSeries
from .policies import (
    ALL_POLICIES,
    EMIR_TOOLS,
    PREDICTIVE_POLICIES,
    REACTIVE_POLICIES,
    Filtered,
    Fixed,
    Historical,
    Policy,
    Predictive,
    Tool,
    WithTool,
)
from .probabilities import (
    Calibration,
    CalibrationMap,
    fit_calibration,
    with_calibrated_probabilities,
)
from .regime import Regime, market_regime
from .schedule import SIDES, Generation, MarginSchedule, MarginStatus
from .stress import with_stress_probability
from .tails import with_tails

__all__ = [
    "ALL_POLICIES",
    "EMIR_TOOLS",
    "PREDICTIVE_POLICIES",
    "REACTIVE_POLICIES",
    "SIDES",
    "Calibration",
    "CalibrationMap",
    "Filtered",
    "Fixed",
    "Generation",
    "Historical",
    "MarginMarket",
    "MarginSchedule",
    "MarginStatus",
    "Policy",
    "Predictive",
    "Regime",
    "SideSeries",
    "Tool",
    "WithTool",
    "addons",
    "coverage",
    "fit_calibration",
    "laws",
    "liquidity",
    "market_regime",
    "options",
    "path",
    "portfolio",
    "updates",
    "venues",
    "with_calibrated_probabilities",
    "with_stress_probability",
    "with_tails",
]
