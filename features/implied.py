"""Implied volatility, where a market quotes one: the market's own forecast."""

import numpy as np

from .feature import Feature
from .measures import Measures
from .moving import Values


def _log_implied_variance(m: Measures) -> Values:
    implied = m.field("implied_vol")
    variance = np.where(implied > 0.0, implied, np.nan) ** 2 / m.panel.periods_per_year
    return np.log(variance) - m.level


IMPLIED_FEATURES = (
    Feature(
        name="log_implied_variance",
        unit="log of decimal squared per period, minus the instrument's expanding mean",
        meaning="variance that option prices imply",
        compute=_log_implied_variance,
    ),
)
