"""Liquidity from volume: how much trades, and how far a traded unit moves the price.

Amihud (2002), Journal of Financial Markets 5(1).
"""

import numpy as np
from numpy.typing import NDArray

from .feature import Feature, Measures
from .own_time import OwnTime, trailing_mean

DETREND_DAYS = 90
"""Illiquidity falls for years as a market grows; it is measured against its last ninety days."""


def log_amihud(own: OwnTime) -> NDArray[np.float64]:
    """Log Amihud illiquidity: absolute return per quote currency traded, shape (n,).

    A period without a move or without trades says nothing and is NaN.
    """
    move, value = np.abs(own.log_return), own.values("quote_volume")
    usable = (move > 0.0) & (value > 0.0)
    ratio = np.divide(move, value, out=np.full(len(move), np.nan), where=usable)
    return np.asarray(np.log(ratio))


def detrended_log_amihud(own: OwnTime) -> NDArray[np.float64]:
    """Log Amihud illiquidity minus its mean over the last ninety days, shape (n,)."""
    raw = log_amihud(own)
    return raw - trailing_mean(raw, own.span(DETREND_DAYS))


def _illiquidity(measures: Measures, days: float) -> NDArray[np.float64]:
    def compute(own: OwnTime) -> NDArray[np.float64]:
        raw = log_amihud(own)
        recent = trailing_mean(raw, own.span(days))
        return recent - trailing_mean(raw, own.span(DETREND_DAYS))

    return measures.scatter(compute)


def _volume(measures: Measures) -> NDArray[np.float64]:
    def compute(own: OwnTime) -> NDArray[np.float64]:
        volume = own.values("volume")
        safe = np.where(volume > 0.0, volume, np.nan)
        usual = trailing_mean(safe, own.span(days=30))
        return np.log(safe / usual)

    return measures.scatter(compute)


LIQUIDITY_FEATURES = (
    Feature(
        name="volume_ratio",
        unit="log of a ratio",
        meaning="volume of the last period against the mean of thirty days",
        compute=_volume,
    ),
    Feature(
        name="illiquidity_week",
        unit="log of a ratio",
        meaning="Amihud illiquidity of the last week against ninety days",
        compute=lambda measures: _illiquidity(measures, 7),
    ),
)
