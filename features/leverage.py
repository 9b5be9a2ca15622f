"""Signed moves: falls raise variance more than rises do.

Corsi and Reno (2012), Journal of Business and Economic Statistics 30(3) for leverage terms;
Patton and Sheppard (2015), Review of Economics and Statistics 97(3) for semivariance.
"""

import numpy as np
from numpy.typing import NDArray

from .feature import Feature, Measures
from .own_time import OwnTime, trailing_mean

_STANDARDISED = "returns per trailing thirty-day volatility"


def _standardised_return(measures: Measures, days: float, *, last: bool) -> NDArray[np.float64]:
    def compute(own: OwnTime) -> NDArray[np.float64]:
        window = 1 if last else own.span(days)
        total = trailing_mean(own.log_return, window, min_periods=1) * window
        variance = trailing_mean(measures.of(own, measures.variance), own.span(days=30))
        sigma = np.sqrt(np.where(variance > 0.0, variance, np.nan) * window)
        return np.asarray(total / sigma)

    return measures.scatter(compute)


def _semivariance_share(measures: Measures) -> NDArray[np.float64]:
    def compute(own: OwnTime) -> NDArray[np.float64]:
        window = own.span(days=7)
        negative, positive = (
            own.values("semivariance_negative"),
            own.values("semivariance_positive"),
        )
        squared = own.log_return**2
        negative = np.where(
            np.isfinite(negative), negative, np.where(own.log_return < 0, squared, 0)
        )
        positive = np.where(
            np.isfinite(positive), positive, np.where(own.log_return > 0, squared, 0)
        )
        known = np.isfinite(own.log_return)
        down = trailing_mean(np.where(known, negative, np.nan), window)
        both = trailing_mean(np.where(known, negative + positive, np.nan), window)
        return np.asarray(down / np.where(both > 0.0, both, np.nan) - 0.5)

    return measures.scatter(compute)


def _jump_share(measures: Measures) -> NDArray[np.float64]:
    def compute(own: OwnTime) -> NDArray[np.float64]:
        realized, bipower = own.values("realized_variance"), own.values("bipower_variance")
        safe = np.where(realized > 0.0, realized, np.nan)
        return np.asarray(np.clip(1.0 - bipower / safe, 0.0, 1.0))

    return measures.scatter(compute)


LEVERAGE_FEATURES = (
    Feature(
        name="fall_last",
        unit=_STANDARDISED,
        meaning="return of the last period if negative, else zero",
        compute=lambda measures: np.minimum(_standardised_return(measures, 1, last=True), 0.0),
    ),
    Feature(
        name="rise_last",
        unit=_STANDARDISED,
        meaning="return of the last period if positive, else zero",
        compute=lambda measures: np.maximum(_standardised_return(measures, 1, last=True), 0.0),
    ),
    Feature(
        name="return_week",
        unit=_STANDARDISED,
        meaning="return of the last seven days",
        compute=lambda measures: _standardised_return(measures, 7, last=False),
    ),
    Feature(
        name="return_month",
        unit=_STANDARDISED,
        meaning="return of the last thirty days",
        compute=lambda measures: _standardised_return(measures, 30, last=False),
    ),
    Feature(
        name="semivariance_share",
        unit="fraction, -0.5 to 0.5",
        meaning="share of the last week's variance that came from falls, minus one half",
        compute=_semivariance_share,
    ),
    Feature(
        name="jump_share",
        unit="fraction, 0 to 1",
        meaning="share of the last period's variance that came from jumps",
        compute=_jump_share,
    ),
)
