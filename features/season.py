"""Season of the period that follows: weekday, and hour of the week for shorter periods.

In markets that never close the weekday is worth more than any other single feature
(research of this project); for exchanges it is small.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .feature import Feature, Measures
from .own_time import OwnTime, trailing_mean

_SLOTS = 168  # hours of a week
_PRIOR_PERIODS = 8.0  # weight of "there is no season" in each slot, periods


@njit(cache=True)
def _season_ahead(
    deviation: NDArray[np.float64], slot_of_next: NDArray[np.intp], ahead: int, week: int
) -> NDArray[np.float64]:
    """Mean over the next `ahead` periods of the shrunk deviation seen so far in their slots.

    The slots after the next one are read off the same place a week before.
    """
    total = np.zeros(_SLOTS)
    count = np.zeros(_SLOTS)
    out = np.full(len(deviation), np.nan)
    for t in range(len(deviation)):
        if t > 0 and np.isfinite(deviation[t]):
            slot = slot_of_next[t - 1]
            total[slot] += deviation[t]
            count[slot] += 1.0
        if ahead > 1 and t < week:
            continue
        mean = 0.0
        for step in range(ahead):
            slot = slot_of_next[t] if step == 0 else slot_of_next[t - week + step]
            mean += total[slot] / (count[slot] + _PRIOR_PERIODS)
        out[t] = mean / ahead
    return out


def _season(measures: Measures, *, days: float) -> NDArray[np.float64]:
    def compute(own: OwnTime) -> NDArray[np.float64]:
        log_variance = measures.of(own, measures.log_variance)
        deviation = log_variance - trailing_mean(log_variance, own.span(days=28))
        week = own.span(days=7)
        ahead = min(own.span(days), week)
        return np.asarray(_season_ahead(deviation, own.slot(), ahead, week))

    return measures.scatter(compute)


SEASON_FEATURES = (
    Feature(
        name="season_next",
        unit="log of a ratio to the four-week mean",
        meaning="how variance has differed so far in the weekday and hour of the next period",
        compute=lambda measures: _season(measures, days=0),
    ),
    Feature(
        name="season_eight_hours",
        unit="log of a ratio to the four-week mean",
        meaning="the same, mean over the next eight hours",
        compute=lambda measures: _season(measures, days=1 / 3),
        intraday_only=True,
    ),
    Feature(
        name="season_day",
        unit="log of a ratio to the four-week mean",
        meaning="the same, mean over the next day",
        compute=lambda measures: _season(measures, days=1),
        intraday_only=True,
    ),
)
