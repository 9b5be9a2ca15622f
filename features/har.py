"""Heterogeneous autoregressive terms: log variance averaged over a day, a week, a month.

Corsi (2009), Journal of Financial Econometrics 7(2). Averages are of variances, then logs, and
everything is relative to the instrument's own long-run level, so that instruments can be pooled
(Bollerslev, Hood, Huss and Pedersen 2018, Review of Financial Studies 31(7)).
"""

import numpy as np

from .feature import Feature
from .measures import Measures
from .moving import Values

_LOG = "log of decimal squared per period, minus the instrument's expanding mean"


def _averaged(m: Measures, days: float) -> Values:
    return np.log(m.mean(np.exp(m.log_variance), days=days)) - m.level


def _week_ago(m: Measures) -> Values:
    # The period that follows has the same weekday (and hour) as the one `week - 1` periods ago.
    return m.lag(m.log_variance, periods=m.span(days=7) - 1) - m.level


HAR_FEATURES = (
    Feature(
        name="log_variance_last",
        unit=_LOG,
        meaning="variance of the last period",
        compute=lambda m: m.log_variance - m.level,
    ),
    Feature(
        name="log_variance_previous",
        unit=_LOG,
        meaning="variance of the period before the last",
        compute=lambda m: m.lag(m.log_variance) - m.level,
    ),
    Feature(
        name="log_variance_day",
        unit=_LOG,
        meaning="mean variance of the last day",
        compute=lambda m: _averaged(m, 1),
        intraday_only=True,
    ),
    Feature(
        name="log_variance_week",
        unit=_LOG,
        meaning="mean variance of the last seven days",
        compute=lambda m: _averaged(m, 7),
    ),
    Feature(
        name="log_variance_month",
        unit=_LOG,
        meaning="mean variance of the last thirty days",
        compute=lambda m: _averaged(m, 30),
    ),
    Feature(
        name="log_variance_quarter",
        unit=_LOG,
        meaning="mean variance of the last ninety days",
        compute=lambda m: _averaged(m, 90),
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
        compute=lambda m: m.std(m.log_variance, days=30),
    ),
)
