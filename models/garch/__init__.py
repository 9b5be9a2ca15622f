"""The GARCH family: estimation of many series at once, and a forecaster for every instrument."""

from .batch import FitStatus, GarchBatch, fit_garch_batch
from .fit import GarchFit
from .forecaster import FittedGarch, Garch
from .options import Distribution, GarchModel, Mean, StartVariance, Volatility
from .rolling import fit_garch_rolling
from .single import fit_garch

__all__ = [
    "Distribution",
    "FitStatus",
    "FittedGarch",
    "Garch",
    "GarchBatch",
    "GarchFit",
    "GarchModel",
    "Mean",
    "StartVariance",
    "Volatility",
    "fit_garch",
    "fit_garch_batch",
    "fit_garch_rolling",
]
