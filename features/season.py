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
def _season_of_next(
    deviation: NDArray[np.float64], slot_of_next: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Shrunk mean deviation seen so far in the slot of the next period."""
    total = np.zeros(_SLOTS)
    count = np.zeros(_SLOTS)
    out = np.empty(len(deviation))
    for t in range(len(deviation)):
        if t > 0 and np.isfinite(deviation[t]):
            slot = slot_of_next[t - 1]
            total[slot] += deviation[t]
            count[slot] += 1.0
        slot = slot_of_next[t]
        out[t] = total[slot] / (count[slot] + _PRIOR_PERIODS)
    return out


def _season(measures: Measures) -> NDArray[np.float64]:
    def compute(own: OwnTime) -> NDArray[np.float64]:
        log_variance = measures.of(own, measures.log_variance)
        deviation = log_variance - trailing_mean(log_variance, own.span(days=28))
        return np.asarray(_season_of_next(deviation, own.slot()))

    return measures.scatter(compute)


SEASON_FEATURES = (
    Feature(
        name="season_next",
        unit="log of a ratio to the four-week mean",
        meaning="how variance has differed so far in the weekday and hour of the next period",
        compute=_season,
    ),
)
