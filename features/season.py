"""Season of the period that follows: weekday, and hour of the week for shorter periods.

In markets that never close the weekday is worth more than any other single feature
(research of this project); for exchanges it is small.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .feature import Feature
from .measures import Measures
from .moving import Values

_SLOTS = 168  # hours of a week
_PRIOR_PERIODS = 8.0  # weight of "there is no season" in each slot, periods


@njit(cache=True)
def _season_ahead(
    deviation: Values,
    present: NDArray[np.bool_],
    slot_of_next: NDArray[np.int64],
    ahead: NDArray[np.int64],
    week: NDArray[np.int64],
    tally: Values,
    slots: NDArray[np.int64],
    seen: NDArray[np.int64],
) -> Values:
    """Mean over the next `ahead` periods of the shrunk deviation seen so far in their slots.

    The slots after the next one are read off the same place a week before.
    """
    total, count = tally[0], tally[1]
    n_rows, n_columns = deviation.shape
    out = np.full((n_rows, n_columns), np.nan)
    for i in range(n_columns):
        for t in range(n_rows):
            if not present[t, i]:
                continue
            if seen[i] > 0 and np.isfinite(deviation[t, i]):
                slot = slots[i, (seen[i] - 1) % week[i]]
                total[i, slot] += deviation[t, i]
                count[i, slot] += 1.0
            week_known = seen[i] >= week[i]
            if ahead[i] == 1 or week_known:
                mean = 0.0
                for step in range(ahead[i]):
                    place = (seen[i] + step) % week[i]  # holds the slot of a week before
                    slot = slot_of_next[t, i] if step == 0 else slots[i, place]
                    mean += total[i, slot] / (count[i, slot] + _PRIOR_PERIODS)
                out[t, i] = mean / ahead[i]
            slots[i, seen[i] % week[i]] = slot_of_next[t, i]
            seen[i] += 1
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class _Season:
    """Deviations seen so far by hour of the week, and the slots of the last week."""

    tally: Values
    slots: NDArray[np.int64]
    seen: NDArray[np.int64]

    @classmethod
    def fresh(cls, week: NDArray[np.int64]) -> Self:
        k = len(week)
        return cls(
            tally=np.zeros((2, k, _SLOTS)),
            slots=np.zeros((k, int(week.max(initial=1))), dtype=np.int64),
            seen=np.zeros(k, dtype=np.int64),
        )


def season_ahead(m: Measures, log_variance: Values, *, days: float) -> Values:
    """Mean over the next `days` of how a log variance has differed so far in their slots.

    Relative to its four-week mean, shrunk to zero; less than a period of days gives the next slot.
    Shape (n_periods, n_instruments).
    """
    deviation = log_variance - m.mean(log_variance, days=28)
    week = m.span(days=7)
    ahead = np.minimum(m.span(days), week)
    state = m.remember(lambda: _Season.fresh(week))
    kept = (state.tally, state.slots, state.seen)
    return np.asarray(_season_ahead(deviation, m.present, m.slot_of_next(), ahead, week, *kept))


SEASON_FEATURES = (
    Feature(
        name="season_next",
        unit="log of a ratio to the four-week mean",
        meaning="how variance has differed so far in the weekday and hour of the next period",
        compute=lambda m: season_ahead(m, m.log_variance, days=0),
    ),
    Feature(
        name="season_eight_hours",
        unit="log of a ratio to the four-week mean",
        meaning="the same, mean over the next eight hours",
        compute=lambda m: season_ahead(m, m.log_variance, days=1 / 3),
        intraday_only=True,
    ),
    Feature(
        name="season_day",
        unit="log of a ratio to the four-week mean",
        meaning="the same, mean over the next day",
        compute=lambda m: season_ahead(m, m.log_variance, days=1),
        intraday_only=True,
    ),
)
