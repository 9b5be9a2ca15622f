"""The calculator: observations in, calculated margins out, the same numbers as the backtest."""

from ...bundles import SERVING_FILES
from .calculator import Calculator
from .prices import PriceRules
from .rungs import GarchRung, GivesProbabilities, LinearRung, OnlineForecaster, SeesThePrice

__all__ = [
    "SERVING_FILES",
    "Calculator",
    "GarchRung",
    "GivesProbabilities",
    "LinearRung",
    "OnlineForecaster",
    "PriceRules",
    "SeesThePrice",
]
