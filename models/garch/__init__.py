"""The GARCH family: estimation of many series at once, and a forecaster for every instrument."""

from .forecaster import Distribution, Garch, GarchFit, StartVariance, Volatility, fit_garch

__all__ = ["Distribution", "Garch", "GarchFit", "StartVariance", "Volatility", "fit_garch"]
