"""Heterogeneous autoregressive terms: log variance averaged over a day, a week, a month.

Corsi (2009), Journal of Financial Econometrics 7(2). Averages are of variances, then logs, and
everything is relative to the instrument's own long-run level, so that instruments can be pooled
(Bollerslev, Hood, Huss and Pedersen 2018, Review of Financial Studies 31(7)).
"""

import numpy as np
from numpy.typing import NDArray

from .feature import Feature, Measures
from .own_time import OwnTime, lagged, trailing_mean, trailing_std

_LOG = "log of decimal squared per period, minus the instrument's expanding mean"


def _averaged(measures: Measures, days: float) -> NDArray[np.float64]:
    def compute(own: OwnTime) -> NDArray[np.float64]:
        floored = np.exp(measures.of(own, measures.log_variance))
        return np.log(trailing_mean(floored, own.span(days)))

    return measures.scatter(compute) - measures.level


def _last(measures: Measures) -> NDArray[np.float64]:
    return measures.log_variance - measures.level


def _previous(measures: Measures) -> NDArray[np.float64]:
    log_variance = measures.scatter(lambda own: lagged(measures.of(own, measures.log_variance), 1))
    return log_variance - measures.level


def _week_ago(measures: Measures) -> NDArray[np.float64]:
    # The period that follows has the same weekday (and hour) as the one `week - 1` periods ago.
    def compute(own: OwnTime) -> NDArray[np.float64]:
        return lagged(measures.of(own, measures.log_variance), own.span(days=7) - 1)

    return measures.scatter(compute) - measures.level


def _vol_of_vol(measures: Measures) -> NDArray[np.float64]:
    def compute(own: OwnTime) -> NDArray[np.float64]:
        return trailing_std(measures.of(own, measures.log_variance), own.span(days=30))

    return measures.scatter(compute)


HAR_FEATURES = (
    Feature(
        name="log_variance_last",
        unit=_LOG,
        meaning="variance of the last period",
        compute=_last,
    ),
    Feature(
        name="log_variance_previous",
        unit=_LOG,
        meaning="variance of the period before the last",
        compute=_previous,
    ),
    Feature(
        name="log_variance_day",
        unit=_LOG,
        meaning="mean variance of the last day",
        compute=lambda measures: _averaged(measures, 1),
        intraday_only=True,
    ),
    Feature(
        name="log_variance_week",
        unit=_LOG,
        meaning="mean variance of the last seven days",
        compute=lambda measures: _averaged(measures, 7),
    ),
    Feature(
        name="log_variance_month",
        unit=_LOG,
        meaning="mean variance of the last thirty days",
        compute=lambda measures: _averaged(measures, 30),
    ),
    Feature(
        name="log_variance_quarter",
        unit=_LOG,
        meaning="mean variance of the last ninety days",
        compute=lambda measures: _averaged(measures, 90),
    ),
    Feature(
        name="log_variance_week_ago",
        unit=_LOG,
        meaning="variance of the period in the season of the next one, a week before it",
        compute=_week_ago,
    ),
    Feature(
        name="vol_of_vol",
        unit="standard deviation of log variance",
        meaning="how restless the variance was over thirty days",
        compute=_vol_of_vol,
    ),
)
