"""Signed moves: falls raise variance more than rises do.

Corsi and Reno (2012), Journal of Business and Economic Statistics 30(3) for leverage terms;
Patton and Sheppard (2015), Review of Economics and Statistics 97(3) for semivariance.
"""

import numpy as np

from .feature import Feature
from .measures import Measures
from .moving import Values

_STANDARDISED = "returns per trailing thirty-day volatility"


def _last_return(m: Measures) -> Values:
    return m.log_return / _sigma(m)


def _standardised_return(m: Measures, days: float) -> Values:
    window = m.span(days)
    total = m.mean(m.log_return, days=days, min_periods=1) * window
    return np.asarray(total / (_sigma(m) * np.sqrt(window)))


def _sigma(m: Measures) -> Values:
    variance = m.mean(m.variance, days=30)
    return np.sqrt(np.where(variance > 0.0, variance, np.nan))


def _semivariance_share(m: Measures) -> Values:
    squared, known = m.log_return**2, np.isfinite(m.log_return)
    sides = []
    for name, fell in (("negative", True), ("positive", False)):
        side = m.field(f"semivariance_{name}")
        own = np.where((m.log_return < 0) == fell, squared, 0.0)
        sides.append(np.where(known, np.where(np.isfinite(side), side, own), np.nan))
    down = m.mean(sides[0], days=7)
    both = m.mean(sides[0] + sides[1], days=7)
    return np.asarray(down / np.where(both > 0.0, both, np.nan) - 0.5)


def _jump_share(m: Measures) -> Values:
    realized, bipower = m.field("realized_variance"), m.field("bipower_variance")
    safe = np.where(realized > 0.0, realized, np.nan)
    return np.asarray(np.clip(1.0 - bipower / safe, 0.0, 1.0))


LEVERAGE_FEATURES = (
    Feature(
        name="fall_last",
        unit=_STANDARDISED,
        meaning="return of the last period if negative, else zero",
        compute=lambda m: np.minimum(_last_return(m), 0.0),
    ),
    Feature(
        name="rise_last",
        unit=_STANDARDISED,
        meaning="return of the last period if positive, else zero",
        compute=lambda m: np.maximum(_last_return(m), 0.0),
    ),
    Feature(
        name="return_week",
        unit=_STANDARDISED,
        meaning="return of the last seven days",
        compute=lambda m: _standardised_return(m, 7),
    ),
    Feature(
        name="return_month",
        unit=_STANDARDISED,
        meaning="return of the last thirty days",
        compute=lambda m: _standardised_return(m, 30),
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

_AGAINST_LEVEL = "return per period over long-run volatility per period"


def _fall_against_level(m: Measures, mean_return: Values) -> Values:
    return np.minimum(mean_return / np.exp(0.5 * m.level), 0.0)


FALL_FEATURES = (
    Feature(
        name="fall_day_against_level",
        unit=_AGAINST_LEVEL,
        meaning="return of the last period over the long-run volatility if negative, else zero",
        compute=lambda m: _fall_against_level(m, m.log_return),
    ),
    Feature(
        name="fall_week_against_level",
        unit=_AGAINST_LEVEL,
        meaning="the same of the mean return of the last seven days",
        compute=lambda m: _fall_against_level(m, m.mean(m.log_return, days=7)),
    ),
    Feature(
        name="fall_month_against_level",
        unit=_AGAINST_LEVEL,
        meaning="the same of the mean return of the last thirty days",
        compute=lambda m: _fall_against_level(m, m.mean(m.log_return, days=30)),
    ),
)
"""Falls that do not look smaller because volatility has risen already."""
