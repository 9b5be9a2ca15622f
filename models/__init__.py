"""Forecasters: a specification is fitted on the past and forecasts variance, tails and stress."""

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
from .network import RegimeNetwork, TrainingPlan
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

ALL_FORECASTERS: tuple[Forecaster, ...] = (
    Ewma(decay=0.94),
    Ewma(decay=0.97),
    Ewma(decay=0.99),
    *(Garch(volatility=v, distribution=d) for v in Volatility for d in Distribution),
    *(LevelHar(form=form) for form in LevelForm),
    LogHar(),
    ExtendedHar(),
    PooledHar(),
    PooledHar(qlike_prior=QLIKE_PRIOR),
    CombinedHar(),
    PooledStress(),
    RegimeNetwork(),
    RealizedGarch(),
    TailHar(),
    TailRecursion(law=TailLaw.ASYMMETRIC),
    TailRecursion(law=TailLaw.SCORE_DRIVEN),
)
"""Every registered forecaster; the conformance tests run for each."""

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
