"""Illiquidity so far, at several half-lives: what tomorrow's illiquidity is regressed on.

All are logs of the price impact of traded value (Amihud 2002, Journal of Financial Markets 5(1))
against ninety days. The impact of ranges is the less noisy twin of that of returns.
"""

import numpy as np

from ..feature import Feature
from ..measures import Measures
from ..moving import Values
from ..season import season_ahead
from .volume import DETREND_DAYS, detrended_log_amihud, log_amihud

_UNIT = "log of a ratio"


def _log_field(m: Measures, name: str) -> Values:
    values = m.field(name)
    return np.asarray(np.log(np.where(values > 0.0, values, np.nan)))


def _log_range_impact(m: Measures) -> Values:
    """Log range per traded value: mean over the bars inside, else of the period."""
    inside = m.field("range_illiquidity")
    high, low, value = m.field("high"), m.field("low"), m.field("quote_volume")
    whole = np.log(np.where(low > 0.0, high / low, np.nan)) / np.where(value > 0.0, value, np.nan)
    impact = np.where(np.isfinite(inside), inside, whole)
    return np.asarray(np.log(np.where(impact > 0.0, impact, np.nan)))


def _range_impact(m: Measures) -> Values:
    raw = m.once(_log_range_impact)
    return raw - m.mean(raw, days=DETREND_DAYS)


def _late(m: Measures) -> Values:
    raw = _log_field(m, "late_range_illiquidity")
    return raw - m.mean(raw, days=DETREND_DAYS)


def _week_ago(m: Measures, values: Values) -> Values:
    # The period that follows has the same weekday (and hour) as the one `week - 1` periods ago.
    return m.lag(values, periods=m.span(days=7) - 1)


def _trend(m: Measures) -> Values:
    raw = m.once(log_amihud)
    return m.mean(raw, days=30) - m.mean(raw, days=DETREND_DAYS)


ILLIQUIDITY_FEATURES = (
    Feature(
        name="illiquidity_last",
        unit=_UNIT,
        meaning="Amihud illiquidity of the last period against ninety days",
        compute=lambda m: m.once(detrended_log_amihud),
        look_back_days=DETREND_DAYS,
    ),
    Feature(
        name="illiquidity_week_ago",
        unit=_UNIT,
        meaning="the same of the period a week before the next one",
        compute=lambda m: _week_ago(m, m.once(detrended_log_amihud)),
        look_back_days=DETREND_DAYS + 7,
    ),
    *(
        Feature(
            name=f"illiquidity_{label}",
            unit=_UNIT,
            meaning=f"the same, exponential mean with a half-life of {days} days",
            compute=lambda m, days=days: m.ewma(  # type: ignore[misc]
                m.once(detrended_log_amihud), half_life_days=days
            ),
        )
        for label, days in (("two_days", 2), ("five_days", 5), ("fifteen_days", 15))
    ),
    Feature(
        name="range_illiquidity_last",
        unit=_UNIT,
        meaning="range per traded value of the last period against ninety days",
        compute=lambda m: m.once(_range_impact),
        look_back_days=DETREND_DAYS,
    ),
    Feature(
        name="range_illiquidity_week_ago",
        unit=_UNIT,
        meaning="range per traded value of the period a week before the next one",
        compute=lambda m: _week_ago(m, m.once(_range_impact)),
        look_back_days=DETREND_DAYS + 7,
    ),
    *(
        Feature(
            name=f"range_illiquidity_{label}",
            unit=_UNIT,
            meaning=f"range per traded value, exponential mean with a half-life of {days} days",
            compute=lambda m, days=days: m.ewma(  # type: ignore[misc]
                m.once(_range_impact), half_life_days=days
            ),
        )
        for label, days in (("day", 1), ("three_days", 3), ("ten_days", 10))
    ),
    Feature(
        name="range_illiquidity_late",
        unit=_UNIT,
        meaning="range per traded value of the last quarter of the period against ninety days",
        compute=_late,
        look_back_days=DETREND_DAYS,
    ),
    Feature(
        name="illiquidity_trend",
        unit=_UNIT,
        meaning="Amihud illiquidity of thirty days against ninety days",
        compute=_trend,
        look_back_days=DETREND_DAYS,
    ),
    Feature(
        name="illiquidity_season",
        unit="log of a ratio to the four-week mean",
        meaning="how Amihud illiquidity has differed so far in the slot of the next period",
        compute=lambda m: season_ahead(m, m.once(log_amihud), days=0.0),
    ),
)
