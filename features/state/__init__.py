"""The state of the market as a whole: correlation, turbulence, macro, liquidity, leadership."""

from .absorption import ABSORPTION_FEATURES, Absorption
from .comoments import Comoments
from .correlation import CORRELATION_FEATURES, MarketCorrelation, RollingMarketCorrelation
from .lead_lag import LEAD_LAG_FEATURES, LeadLag, LeadPath
from .liquidity import (
    CONTRACTION_FEATURES,
    ContractionPath,
    LiquidityContraction,
    LiquidityWindows,
)
from .macro import MACRO_FEATURES, RealizedOfLevel
from .position import Change, Score, Shift
from .turbulence import TURBULENCE_FEATURES, Turbulence, TurbulencePath

STATE_FEATURES = (
    *CORRELATION_FEATURES,
    *TURBULENCE_FEATURES,
    *ABSORPTION_FEATURES,
    *MACRO_FEATURES,
    *CONTRACTION_FEATURES,
    *LEAD_LAG_FEATURES,
)
"""Every feature of the market's state."""

__all__ = [
    "STATE_FEATURES",
    "Absorption",
    "Change",
    "Comoments",
    "ContractionPath",
    "LeadLag",
    "LeadPath",
    "LiquidityContraction",
    "LiquidityWindows",
    "MarketCorrelation",
    "RealizedOfLevel",
    "RollingMarketCorrelation",
    "Score",
    "Shift",
    "Turbulence",
    "TurbulencePath",
]
