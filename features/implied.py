"""Implied volatility, where a market quotes one: the market's own forecast."""

import numpy as np

from .feature import Feature
from .measures import Measures
from .moving import Values


def _log_variance(m: Measures) -> Values:
    implied = m.field("implied_vol")
    variance = np.where(implied > 0.0, implied, np.nan) ** 2 / m.panel.periods_per_year
    return np.asarray(np.log(variance))


def _log_implied_variance(m: Measures) -> Values:
    return m.once(_log_variance) - m.level


def _change(m: Measures, days: float) -> Values:
    now = m.once(_log_variance)
    return now - m.lag(now, periods=m.span(days))


def _against_month(m: Measures) -> Values:
    now = m.once(_log_variance)
    return now - m.mean(now, days=30)


IMPLIED_FEATURES = (
    Feature(
        name="log_implied_variance",
        unit="log of decimal squared per period, minus the instrument's expanding mean",
        meaning="variance that option prices imply",
        compute=_log_implied_variance,
    ),
)

_CHANGE = "log of a ratio of implied variances"

IMPLIED_CHANGE_FEATURES = (
    Feature(
        name="implied_change_day",
        unit=_CHANGE,
        meaning="implied variance against a day (or one period) before",
        compute=lambda m: _change(m, 1),
        look_back_days=3,
    ),
    Feature(
        name="implied_change_week",
        unit=_CHANGE,
        meaning="implied variance against a week before",
        compute=lambda m: _change(m, 7),
        look_back_days=10,
    ),
    Feature(
        name="implied_against_month",
        unit=_CHANGE,
        meaning="implied variance against its mean log over thirty days",
        compute=_against_month,
        look_back_days=30,
    ),
)
"""What option prices have learnt lately: the news that realised variance has not shown yet."""
