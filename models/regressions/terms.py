"""Terms: the features that regressions are made of, wherever a panel has them."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...features import ALL_FEATURES, History, build_features, chosen_features
from ...markets import Panel

_INTRADAY_ONLY = frozenset(feature.name for feature in ALL_FEATURES if feature.intraday_only)

HAR_TERMS = (*("log_variance_last", "log_variance_day", "log_variance_week", "log_variance_month"),)
"""The heterogeneous autoregression: last period, day, week and month."""

EXPONENTIAL_TERMS = (
    *("adjusted_last", "adjusted_previous", "adjusted_two_hours", "adjusted_six_hours"),
    *("adjusted_day", "adjusted_three_days", "adjusted_ten_days", "adjusted_month"),
)
"""Exponential means instead of windows (Bollerslev, Hood, Huss and Pedersen 2018), of the log
variance without its season."""

SEASON_TERMS = ("season_next", "season_eight_hours", "season_day", "log_variance_week_ago")
"""Weekday and hour of what follows."""

LEVERAGE_TERMS = (
    *("fall_last", "rise_last", "return_week", "return_month", "semivariance_share"),
    *("fall_day_against_level", "fall_week_against_level", "fall_month_against_level"),
    *("signed_jump_last", "signed_jump_fall", "signed_jump_week", "signed_jump_month"),
)
"""Falls raise variance: returns, and the signs of the moves inside a period."""

MEASUREMENT_TERMS = (
    *("jump_share", "bipower_ratio_last", "bipower_ratio_week", "bipower_ratio_month"),
    *("median_ratio_last", "median_ratio_week", "kernel_ratio_last", "kernel_ratio_week"),
    *("noise_last", "noise_of_news"),
)
"""How much of the last variance was jump, or noise."""

MARKET_TERMS = ("market_day", "market_week")
"""Variance of the other instruments."""

OWN_TERMS = (*SEASON_TERMS, *LEVERAGE_TERMS, *MEASUREMENT_TERMS)
"""Everything about the instrument itself, beside an autoregression and implied variance."""

IMPLIED_TERM = "log_implied_variance"
"""What option prices say."""


def with_features(history: History, names: Sequence[str]) -> History:
    """Return a history that has these features, or sets of them, too.

    Those that it lacks are computed from its panel: a regression looks the same whichever
    features an experiment names.
    """
    have = history.features
    wanted = [feature.name for feature in chosen_features(history.panel, names)]
    absent = [name for name in wanted if name not in have.names]
    if not absent:
        return history
    more = build_features(history.panel, names=absent)
    both = replace(
        have,
        names=(*have.names, *more.names),
        values=np.concatenate([have.values, more.values], axis=-1),
    )
    return replace(history, features=both)


def terms_at(panel: Panel, names: Sequence[str]) -> list[str]:
    """Return the terms that say something at the period length of a panel.

    Terms for periods shorter than a day are left out of longer ones, where they say what another
    term says.
    """
    daily = panel.periods_per_day <= 1.0
    return [name for name in names if not (daily and name in _INTRADAY_ONLY)]


def term_values(history: History, names: Sequence[str]) -> NDArray[np.float64]:
    """Return terms, shape (n_periods, n_instruments, n_terms); NaN where unknown.

    Which they are says :func:`terms_at`.
    """
    names = terms_at(history.panel, names)
    known = with_features(history, names).features
    return known.values[:, :, [known.names.index(name) for name in names]]
