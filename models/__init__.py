"""Forecasters: a specification is fitted on the past and forecasts variance, tails and stress."""

from .block import Block, fit_block
from .ewma import Ewma
from .forecast import TAIL_PROBABILITIES, Forecast, join_forecasts
from .forecaster import FittedForecaster, Forecaster, WarmForecaster
from .garch import Distribution, Garch, GarchFit, StartVariance, Volatility, fit_garch
from .mixture import WEIGHT_COLUMNS, Mixture, MixtureWeights
from .network import RegimeNetwork, TrainingPlan
from .regressions import LogHar, PooledHar

ALL_FORECASTERS: tuple[Forecaster, ...] = (
    Ewma(decay=0.94),
    Ewma(decay=0.97),
    Ewma(decay=0.99),
    *(Garch(volatility=v, distribution=d) for v in Volatility for d in Distribution),
    LogHar(),
    PooledHar(),
    RegimeNetwork(),
)
"""Every registered forecaster; the conformance tests run for each."""

ALL_MIXTURES: tuple[Mixture, ...] = (
    Mixture(name="mixture", members=("regime-network", "har-pooled", "gjr-t")),
)
"""Every registered mixture of forecasters."""

__all__ = [
    "ALL_FORECASTERS",
    "ALL_MIXTURES",
    "TAIL_PROBABILITIES",
    "WEIGHT_COLUMNS",
    "Block",
    "Distribution",
    "Ewma",
    "FittedForecaster",
    "Forecast",
    "Forecaster",
    "Garch",
    "GarchFit",
    "LogHar",
    "Mixture",
    "MixtureWeights",
    "PooledHar",
    "RegimeNetwork",
    "StartVariance",
    "TrainingPlan",
    "Volatility",
    "WarmForecaster",
    "fit_block",
    "fit_garch",
    "join_forecasts",
]
