"""Which regime a market is in, from what was known at each close."""

from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..features import History

_ELEVATED, _STRESSED = 0.8, 0.95
_NEEDED = 100  # own periods before a quantile of the past means something


class Regime(StrEnum):
    """Level of recent volatility against the instrument's own past."""

    CALM = "calm"
    """Below the 80 % quantile of the past."""
    ELEVATED = "elevated"
    """Between the 80 % and the 95 % quantile."""
    STRESSED = "stressed"
    """Above the 95 % quantile."""
    UNKNOWN = "unknown"
    """Too little past."""


def market_regime(history: History) -> NDArray[np.str_]:
    """Classify every period, shape (n_periods, n_instruments), of strings of :class:`Regime`.

    The variance of the last week, relative to the instrument's level, against the quantiles of
    its own past up to and including the period.
    """
    week = history.features.column("log_variance_week")
    out = np.full(week.shape, Regime.UNKNOWN.value, dtype="<U8")
    for i in range(week.shape[1]):
        rows = np.flatnonzero(np.isfinite(week[:, i]))
        past = pd.Series(week[rows, i]).expanding(min_periods=_NEEDED)
        elevated, stressed = past.quantile(_ELEVATED), past.quantile(_STRESSED)
        known = elevated.notna()
        label = np.select(
            [~known, week[rows, i] > stressed, week[rows, i] > elevated],
            [Regime.UNKNOWN.value, Regime.STRESSED.value, Regime.ELEVATED.value],
            Regime.CALM.value,
        )
        out[rows, i] = label
    return out
