"""Responsiveness: how far, how fast and how violently margins follow volatility."""

from .impulse import (
    SETTLED_PERIODS,
    ImpulseResponse,
    ImpulseResponses,
    impulse_response,
    impulse_responses,
)
from .movements import (
    INCREASE_HOURS,
    Episode,
    clock_increase,
    margin_movements,
    typical_movements,
)
from .ratio import Responsiveness, measure_responsiveness, responsiveness_ratio, volatility_moves
from .step_market import StepMarket

__all__ = [
    "INCREASE_HOURS",
    "SETTLED_PERIODS",
    "Episode",
    "ImpulseResponse",
    "ImpulseResponses",
    "Responsiveness",
    "StepMarket",
    "clock_increase",
    "impulse_response",
    "impulse_responses",
    "margin_movements",
    "measure_responsiveness",
    "responsiveness_ratio",
    "typical_movements",
    "volatility_moves",
]
