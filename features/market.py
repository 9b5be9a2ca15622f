"""What the other instruments show: the common level of volatility."""

import warnings

import numpy as np
from numpy.typing import NDArray

from .feature import Feature, Measures
from .own_time import OwnTime, trailing_mean


def _market_mean(measures: Measures, days: float) -> NDArray[np.float64]:
    centred = measures.log_variance - measures.level

    def compute(own: OwnTime) -> NDArray[np.float64]:
        return trailing_mean(measures.of(own, centred), own.span(days))

    each = measures.scatter(compute)
    with warnings.catch_warnings():
        # A row in which no instrument is known yet has no market; NaN is the right answer.
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        mean = np.nanmean(each, axis=1, keepdims=True)
    return np.where(measures.panel.present, mean, np.nan)


MARKET_FEATURES = (
    Feature(
        name="market_day",
        unit="log of a ratio to the long-run level",
        meaning="mean over instruments of the last day's log variance",
        compute=lambda measures: _market_mean(measures, 1),
    ),
    Feature(
        name="market_week",
        unit="log of a ratio to the long-run level",
        meaning="mean over instruments of the last week's log variance",
        compute=lambda measures: _market_mean(measures, 7),
    ),
)
