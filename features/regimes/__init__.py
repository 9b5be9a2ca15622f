"""Statistical regimes in real time, and stress labels whose thresholds were known."""

from .features import REGIME_FEATURES
from .jump_filter import DownsideFeatures, JumpFilter
from .jump_model import JumpParameters, fit_jump_model, online_states
from .labels import (
    EXTREME_VARIANCE_STRESS,
    LIQUIDITY_STRESS,
    TURBULENCE_STRESS,
    VARIANCE_STRESS,
    LabelRule,
    StressLabels,
    onsets,
    past_threshold,
    stress_ahead,
    stress_now,
)
from .markov_switching import (
    Order,
    Shocks,
    SwitchingParameters,
    filtered_probabilities,
    fit_switching,
)
from .switching_filter import SwitchingFilter

__all__ = [
    "EXTREME_VARIANCE_STRESS",
    "LIQUIDITY_STRESS",
    "REGIME_FEATURES",
    "TURBULENCE_STRESS",
    "VARIANCE_STRESS",
    "DownsideFeatures",
    "JumpFilter",
    "JumpParameters",
    "LabelRule",
    "Order",
    "Shocks",
    "StressLabels",
    "SwitchingFilter",
    "SwitchingParameters",
    "filtered_probabilities",
    "fit_jump_model",
    "fit_switching",
    "online_states",
    "onsets",
    "past_threshold",
    "stress_ahead",
    "stress_now",
]
