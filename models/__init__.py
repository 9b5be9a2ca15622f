"""Forecasters: a specification is fitted on the past and forecasts variance, tails and stress.

What needs PyTorch is imported when it is asked for: who serves forecasts has no use for it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .block import Block, BlockTask, fit_block
from .ewma import Ewma
from .fitted_mixture import FittedMixture
from .fitted_window import FittedOnWindow
from .forecast import REGIMES, TAIL_PROBABILITIES, Forecast, join_forecasts
from .forecaster import FittedForecaster, Forecaster, WarmForecaster
from .garch import (
    Distribution,
    FitStatus,
    Garch,
    GarchBatch,
    GarchFit,
    Mean,
    StartVariance,
    Volatility,
    fit_garch,
    fit_garch_batch,
    fit_garch_rolling,
)
from .mixture import WEIGHT_COLUMNS, Mixture, MixtureWeights, stacked_logs
from .online import OnlineGarch, OnlineLogHar
from .realized_garch import RealizedGarch, RealizedGarchFit, fit_realized_garch
from .regressions import (
    QLIKE_PRIOR,
    CombinedHar,
    ExtendedHar,
    LevelForm,
    LevelHar,
    LogHar,
    PooledHar,
)
from .state import State, from_state, read_state, to_state, write_state
from .stress import PooledStress
from .tails import TailHar, TailLaw, TailRecursion

if TYPE_CHECKING:
    from .network import RegimeNetwork, TrainingPlan
    from .registry import ALL_FORECASTERS

_WITH_TORCH = {
    "ALL_FORECASTERS": ".registry",
    "RegimeNetwork": ".network",
    "TrainingPlan": ".network",
}

ALL_MIXTURES: tuple[Mixture, ...] = (
    Mixture(
        name="mixture",
        members=("regime-network", "har-combined", "gjr-t"),
        tellers=("regime-network", "stress-pooled"),
    ),
)
"""Every registered mixture of forecasters."""

__all__ = [
    "ALL_FORECASTERS",
    "ALL_MIXTURES",
    "QLIKE_PRIOR",
    "REGIMES",
    "TAIL_PROBABILITIES",
    "WEIGHT_COLUMNS",
    "Block",
    "BlockTask",
    "CombinedHar",
    "Distribution",
    "Ewma",
    "ExtendedHar",
    "FitStatus",
    "FittedForecaster",
    "FittedMixture",
    "FittedOnWindow",
    "Forecast",
    "Forecaster",
    "Garch",
    "GarchBatch",
    "GarchFit",
    "LevelForm",
    "LevelHar",
    "LogHar",
    "Mean",
    "Mixture",
    "MixtureWeights",
    "OnlineGarch",
    "OnlineLogHar",
    "PooledHar",
    "PooledStress",
    "RealizedGarch",
    "RealizedGarchFit",
    "RegimeNetwork",
    "StartVariance",
    "State",
    "TailHar",
    "TailLaw",
    "TailRecursion",
    "TrainingPlan",
    "Volatility",
    "WarmForecaster",
    "fit_block",
    "fit_garch",
    "fit_garch_batch",
    "fit_garch_rolling",
    "fit_realized_garch",
    "from_state",
    "join_forecasts",
    "read_state",
    "stacked_logs",
    "to_state",
    "write_state",
]


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WITH_TORCH[name], __name__), name)
