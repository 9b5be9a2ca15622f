"""Log range variance without its season: what is left over is what a shock has changed.

A quiet hour of the night says as much about tomorrow as a busy one of the afternoon, once both
are measured against what is usual for them (Andersen and Bollerslev 1997, Journal of Empirical
Finance 4(2-3)). The variance is the realised range, whose noise is a fraction of that of squared
returns of the same bars; averages are exponential, at half-lives from hours to a month.
"""

import numpy as np

from .feature import Feature
from .measures import Measures
from .moving import Values
from .season import season_ahead
from .variance import floored_log_range

_UNIT = "log of a ratio to the instrument's expanding mean, season taken out"
_HOUR = 1.0 / 24.0


def _adjusted(m: Measures) -> Values:
    """Log range less the season of its own slot, as that was known before the period."""
    log_range = m.once(floored_log_range)
    return np.asarray(log_range - m.lag(season_ahead(m, log_range, days=0.0)))


def _level(m: Measures) -> Values:
    return m.expanding_mean(m.once(_adjusted))


def _lagged(m: Measures, periods: int) -> Values:
    return m.lag(m.once(_adjusted), periods=periods) - m.once(_level)


def _day_ago(m: Measures) -> Values:
    # The period that follows is at the time of day of the one `day - 1` periods ago.
    return m.lag(m.once(_adjusted), periods=m.span(days=1) - 1) - m.once(_level)


def _averaged(m: Measures, days: float) -> Values:
    return m.ewma(m.once(_adjusted), half_life_days=days) - m.once(_level)


def _late(m: Measures) -> Values:
    late, whole = m.field("late_range"), m.field("realized_range")
    both = (late > 0.0) & (whole > 0.0)
    return np.log(np.where(both, late, np.nan) / np.where(both, whole, np.nan))


ADJUSTED_FEATURES = (
    Feature(
        name="adjusted_last",
        unit=_UNIT,
        meaning="range variance of the last period",
        compute=lambda m: m.once(_adjusted) - m.once(_level),
    ),
    Feature(
        name="adjusted_previous",
        unit=_UNIT,
        meaning="range variance of the period before the last",
        compute=lambda m: _lagged(m, 1),
    ),
    Feature(
        name="adjusted_before_previous",
        unit=_UNIT,
        meaning="range variance of the period before that",
        compute=lambda m: _lagged(m, 2),
    ),
    Feature(
        name="adjusted_day_ago",
        unit=_UNIT,
        meaning="range variance a day before the next period",
        compute=_day_ago,
        intraday_only=True,
    ),
    Feature(
        name="adjusted_two_hours",
        unit=_UNIT,
        meaning="exponential mean, half-life two hours",
        compute=lambda m: _averaged(m, 2 * _HOUR),
        intraday_only=True,
    ),
    Feature(
        name="adjusted_six_hours",
        unit=_UNIT,
        meaning="exponential mean, half-life six hours",
        compute=lambda m: _averaged(m, 6 * _HOUR),
        intraday_only=True,
    ),
    Feature(
        name="adjusted_day",
        unit=_UNIT,
        meaning="exponential mean, half-life one day",
        compute=lambda m: _averaged(m, 1),
    ),
    Feature(
        name="adjusted_three_days",
        unit=_UNIT,
        meaning="exponential mean, half-life three days",
        compute=lambda m: _averaged(m, 3),
    ),
    Feature(
        name="adjusted_ten_days",
        unit=_UNIT,
        meaning="exponential mean, half-life ten days",
        compute=lambda m: _averaged(m, 10),
    ),
    Feature(
        name="adjusted_month",
        unit=_UNIT,
        meaning="exponential mean, half-life thirty days",
        compute=lambda m: _averaged(m, 30),
    ),
    Feature(
        name="late_range_share",
        unit="log of a ratio",
        meaning="range variance of the last quarter of the period over that of the whole",
        compute=_late,
    ),
)
