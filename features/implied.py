"""Implied volatility, where a market quotes one: the market's own forecast."""

import numpy as np
from numpy.typing import NDArray

from .feature import Feature, Measures
from .own_time import OwnTime


def _log_implied_variance(measures: Measures) -> NDArray[np.float64]:
    def compute(own: OwnTime) -> NDArray[np.float64]:
        implied = own.values("implied_vol")
        variance = np.where(implied > 0.0, implied, np.nan) ** 2 / own.periods_per_year
        return np.log(variance)

    return measures.scatter(compute) - measures.level


IMPLIED_FEATURES = (
    Feature(
        name="log_implied_variance",
        unit="log of decimal squared per period, minus the instrument's expanding mean",
        meaning="variance that option prices imply",
        compute=_log_implied_variance,
    ),
)
