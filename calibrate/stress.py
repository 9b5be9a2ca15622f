"""Probability of stress from the errors that a variance forecast made before.

The forward variance is the forecast times a past multiplicative error; the share of past errors
that would carry it over the stress threshold is the probability. It is filtered historical
simulation of the variance instead of the return.
"""

from dataclasses import replace

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..features import History
from ..models import Forecast
from .tails import NEEDED, WINDOW_SESSIONS


def with_stress_probability(forecast: Forecast, history: History, *, first_row: int) -> Forecast:
    """Fill the stress probability of a forecast that has none of its own.

    Parameters
    ----------
    forecast : Forecast
        Over consecutive panel rows.
    history : History
        The panel, the outcomes and the thresholds known at each origin.
    first_row : int
        Panel row of the first origin.
    """
    if forecast.stress_probability is not None:
        return forecast
    out = np.full(forecast.variance.shape, np.nan)
    origins = slice(first_row, first_row + len(forecast.origin))
    realized = history.targets.variance[origins]
    threshold = history.targets.stress_threshold[origins]
    present = history.panel.present[origins]
    for i in range(len(forecast.instruments)):
        own = np.flatnonzero(present[:, i])
        window = int(history.panel.periods_per_session[i]) * WINDOW_SESSIONS
        for k, horizon in enumerate(forecast.horizons):
            forecast_variance = forecast.variance[own, i, k]
            out[own, i, k] = _share_above(
                realized[own, i, k] / forecast_variance,
                threshold[own, i, k] / forecast_variance,
                horizon,
                window,
                min(NEEDED, window),
            )
    return replace(forecast, stress_probability=out)


@njit(cache=True)
def _share_above(
    error: NDArray[np.float64],
    needed_error: NDArray[np.float64],
    lag: int,
    window: int,
    needed: int,
) -> NDArray[np.float64]:
    """Share of the last known errors above the one that would mean stress, shape (n,)."""
    n = len(error)
    out = np.full(n, np.nan)
    kept = np.empty(window)
    count, head = 0, 0
    for t in range(n):
        if t >= lag and np.isfinite(error[t - lag]):
            kept[head] = error[t - lag]
            head = (head + 1) % window
            count = min(count + 1, window)
        if count >= needed and np.isfinite(needed_error[t]):
            above = 0
            for i in range(count):
                if kept[i] > needed_error[t]:
                    above += 1
            out[t] = above / count
    return out
