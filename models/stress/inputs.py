"""What the stress model looks at: named features, and the weekday of the period that follows."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...features import FEATURE_SETS, History, Measures, build_features

Array = NDArray[np.float64]

VARIANCE_FEATURES = (
    *("log_variance_last", "log_variance_week", "log_variance_month", "log_variance_week_ago"),
    *("adjusted_last", "adjusted_three_days", "adjusted_ten_days", "season_next"),
    *("market_day", "market_week", "volume_ratio", "log_implied_variance"),
    *(feature.name for feature in FEATURE_SETS["news"]),
)
"""Features that the variance ahead is regressed on."""

ILLIQUIDITY_FEATURES = tuple(feature.name for feature in FEATURE_SETS["illiquidity"])
"""The same for the illiquidity ahead."""

_HOURS, _WEEKDAYS = 24, 7


def make_inputs(history: History, names: Sequence[str]) -> Array:
    """Return the named features and weekdays, shape (n_periods, n_instruments, n_inputs).

    What the experiment has not prepared is computed here from the panel. Six columns say on which
    weekday the next period begins (none is 1 for a Monday): instruments of a market that never
    closes share their week, and the calendar is known ahead.
    """
    prepared = history.features
    missing = [name for name in names if name not in prepared.names]
    computed = build_features(history.panel, names=missing) if missing else prepared
    values = [(prepared if name in prepared.names else computed).column(name) for name in names]
    weekday = Measures(panel=history.panel).slot_of_next() // _HOURS
    indicator = (weekday[..., None] == np.arange(1, _WEEKDAYS)).astype(np.float64)
    return np.concatenate([np.stack(values, axis=-1), indicator], axis=-1)
