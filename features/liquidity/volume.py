"""Liquidity from volume: how much trades, and how far a traded unit moves the price.

Amihud (2002), Journal of Financial Markets 5(1).
"""

import numpy as np

from ..feature import Feature
from ..measures import Measures
from ..moving import Values

DETREND_DAYS = 90
"""Illiquidity falls for years as a market grows; it is measured against its last ninety days."""


def log_amihud(m: Measures) -> Values:
    """Log Amihud illiquidity: absolute return per quote currency traded.

    The mean over the bars inside the period where there are any, of the period as a whole
    elsewhere: one return of a day is mostly noise. A period without a move or without trades says
    nothing and is NaN.
    """
    inside, value = m.field("bar_amihud"), m.field("quote_volume")
    whole = np.abs(m.log_return) / np.where(value > 0.0, value, np.nan)
    impact = np.where(np.isfinite(inside), inside, whole)
    return np.asarray(np.log(np.where(impact > 0.0, impact, np.nan)))


def detrended_log_amihud(m: Measures) -> Values:
    """Log Amihud illiquidity minus its mean over the last ninety days."""
    raw = log_amihud(m)
    return raw - m.mean(raw, days=DETREND_DAYS)


def _illiquidity(m: Measures, days: float) -> Values:
    raw = log_amihud(m)
    return m.mean(raw, days=days) - m.mean(raw, days=DETREND_DAYS)


def _volume(m: Measures) -> Values:
    volume = m.field("volume")
    safe = np.where(volume > 0.0, volume, np.nan)
    return np.log(safe / m.mean(safe, days=30))


LIQUIDITY_FEATURES = (
    Feature(
        name="volume_ratio",
        unit="log of a ratio",
        meaning="volume of the last period against the mean of thirty days",
        compute=_volume,
        look_back_days=30,
    ),
    Feature(
        name="illiquidity_week",
        unit="log of a ratio",
        meaning="Amihud illiquidity of the last week against ninety days",
        compute=lambda m: _illiquidity(m, 7),
        look_back_days=DETREND_DAYS,
    ),
)
