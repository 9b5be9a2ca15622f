"""Probability of stress from the errors that a variance forecast made before.

The forward variance is the forecast times a past multiplicative error; the share of past errors
that would carry it over the stress threshold is the probability. It is filtered historical
simulation of the variance instead of the return. A share of few errors is a coarse number, and
may be 0 or 1: a lognormal law with the mean and the spread of the same errors counts as fifty of
them.
"""

from dataclasses import replace
from math import erfc

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..features import History
from ..models import Forecast
from .tails import NEEDED, WINDOW_SESSIONS

_LOGNORMAL_WEIGHT = 50.0  # in errors that do not overlap
_SMALLEST = 0.02  # of the forecast


def with_stress_probability(
    forecast: Forecast, history: History, *, first_row: int, from_row: int | None = None
) -> Forecast:
    """Fill the stress probability of a forecast that has none of its own.

    Parameters
    ----------
    forecast : Forecast
        Over consecutive panel rows.
    history : History
        The panel, the outcomes and the thresholds known at each origin.
    first_row : int
        Panel row of the first origin.
    from_row : int, optional
        Panel row from which they are needed; NaN before it. By default all are.
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
        first = 0 if from_row is None else int(np.searchsorted(own, from_row - first_row))
        window = int(history.panel.periods_per_session[i]) * WINDOW_SESSIONS
        for k, horizon in enumerate(forecast.horizons):
            forecast_variance = forecast.variance[own, i, k]
            out[own, i, k] = _share_above(
                _log_ratio(realized[own, i, k], forecast_variance),
                _log_ratio(threshold[own, i, k], forecast_variance),
                horizon,
                window,
                min(NEEDED, window),
                first,
            )
    return replace(forecast, stress_probability=out)


def _log_ratio(variance: NDArray[np.float64], forecast: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of how many times the forecast; a price that stood still has no log, and counts low."""
    return np.asarray(np.log(np.maximum(variance / forecast, _SMALLEST)))


def _share_above(
    error: NDArray[np.float64],
    needed_error: NDArray[np.float64],
    lag: int,
    window: int,
    needed: int,
    first: int = 0,
) -> NDArray[np.float64]:
    """Share of the last known log errors above the one that would mean stress, shape (n,).

    Errors of neighbouring origins overlap: `lag` of them count for one. Origins before `first` are
    NaN.
    """
    # Places among all errors, later ones too, only serve to count those of the window.
    order = np.sort(error[np.isfinite(error)])
    place = np.searchsorted(order, error)
    needed_place = np.searchsorted(order, needed_error, side="right")
    return _window_shares(error, needed_error, place, needed_place, (lag, window, needed, first))


@njit(cache=True)
def _window_shares(
    error: NDArray[np.float64],
    needed_error: NDArray[np.float64],
    place: NDArray[np.intp],
    needed_place: NDArray[np.intp],
    rule: tuple[int, int, int, int],
) -> NDArray[np.float64]:
    """Count with a tree over places (Fenwick 1994), and take moments from running sums."""
    lag, window, needed, first = rule
    n = len(error)
    out = np.full(n, np.nan)
    tree = np.zeros(n + 1, dtype=np.int64)
    kept = np.empty(n, dtype=np.int64)  # rows of the known errors
    total, squares = np.zeros(n + 1), np.zeros(n + 1)
    known = 0
    for t in range(n):
        if t >= lag and np.isfinite(error[t - lag]):
            kept[known] = t - lag
            apart = error[t - lag] - error[kept[0]]
            total[known + 1] = total[known] + apart
            squares[known + 1] = squares[known] + apart * apart
            _count(tree, place[t - lag], 1)
            if known >= window:
                _count(tree, place[kept[known - window]], -1)
            known += 1
        count = min(known, window)
        if t >= first and count >= needed and np.isfinite(needed_error[t]):
            share = 1.0 - _below(tree, needed_place[t]) / count
            mean = (total[known] - total[known - count]) / count
            square = (squares[known] - squares[known - count]) / count
            spread = np.sqrt(max(square - mean * mean, 0.0))
            distance = needed_error[t] - (error[kept[0]] + mean)
            lognormal = 0.5 * erfc(distance / (np.sqrt(2.0) * max(spread, 1e-12)))
            weight = _LOGNORMAL_WEIGHT / (_LOGNORMAL_WEIGHT + count / lag)
            out[t] = weight * lognormal + (1.0 - weight) * share
    return out


@njit(cache=True)
def _count(tree: NDArray[np.int64], place: int, change: int) -> None:
    i = place + 1
    while i < len(tree):
        tree[i] += change
        i += i & -i


@njit(cache=True)
def _below(tree: NDArray[np.int64], place: int) -> int:
    """Return how many counted places are smaller."""
    total, i = 0, place
    while i > 0:
        total += tree[i]
        i -= i & -i
    return total
