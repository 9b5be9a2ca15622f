"""Season of the period that follows: weekday, and hour of the week for shorter periods.

In markets that never close the weekday is worth more than any other single feature
(research of this project); for exchanges it is small. An hour of the week is seen 52 times a
year, so that its season is mostly that of the same hour of all workdays, or of all weekends.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .feature import Feature
from .measures import Measures
from .moving import Values
from .variance import floored_log_range

_SLOTS = 168  # hours of a week
_DAY = 24
_KINDS = 2 * _DAY  # hours of a workday, and those of a day of the weekend
_KIND_PRIOR = 8.0  # weight of "there is no season" in the hour of a kind of day, periods
_SLOT_PRIORS = (2.0, 500.0)  # between which "as at this hour of such days" weighs, periods


@njit(cache=True)
def _kind_of(slot: int) -> int:
    return slot % _DAY + (_DAY if slot >= 5 * _DAY else 0)


@njit(cache=True)
def _learn(total: Values, count: Values, spread: Values, slot: int, deviation: float) -> None:
    """Add a deviation to its slot and kind, and to the sums of squares of all of them."""
    spread[0] += deviation * deviation
    spread[3] += 1.0
    for k, place in enumerate((slot, _SLOTS + _kind_of(slot))):
        before = total[place] ** 2 / count[place] if count[place] > 0.0 else 0.0
        total[place] += deviation
        count[place] += 1.0
        spread[1 + k] += total[place] ** 2 / count[place] - before
        spread[4 + k] += count[place] == 1.0


@njit(cache=True)
def _slot_prior(spread: Values) -> float:
    """Noise variance of one period over the variance of slots around their kinds, bounded.

    Both from an analysis of variance of the deviations so far.
    """
    low, high = _SLOT_PRIORS
    n, n_slots, n_kinds = spread[3], spread[4], spread[5]
    if n <= 2.0 * n_slots or n_slots <= n_kinds:
        return high  # too early to tell
    noise = (spread[0] - spread[1]) / (n - n_slots)
    between = (spread[1] - spread[2]) / (n_slots - n_kinds)
    surplus = (between - noise) * n_slots / n
    if surplus <= noise / high:
        return high
    return float(max(low, noise / surplus))


@njit(cache=True)
def _slot_mean(total: Values, count: Values, slot: int, prior: float) -> float:
    """Mean deviation of a slot, shrunk to that of its kind, which is shrunk to zero."""
    kind = _SLOTS + _kind_of(slot)
    usual = total[kind] / (count[kind] + _KIND_PRIOR)
    return float((total[slot] + prior * usual) / (count[slot] + prior))


@njit(cache=True)
def _season_ahead(
    deviation: Values,
    slot_of_next: NDArray[np.int64],
    ahead: NDArray[np.int64],
    week: NDArray[np.int64],
    tally: Values,
    spread: Values,
    slots: NDArray[np.int64],
    seen: NDArray[np.int64],
) -> Values:
    """Mean over the next `ahead` periods of the shrunk deviation seen so far in their slots.

    The next slot is negative where the instrument is absent; those after it are read off the same
    place a week before.
    """
    n_rows, n_columns = deviation.shape
    out = np.full((n_rows, n_columns), np.nan)
    for i in range(n_columns):
        total, count, own = tally[0, i], tally[1, i], slots[i, : week[i]]
        for t in range(n_rows):
            if slot_of_next[t, i] < 0:
                continue
            if seen[i] > 0 and np.isfinite(deviation[t, i]):
                _learn(total, count, spread[i], own[(seen[i] - 1) % week[i]], deviation[t, i])
            if ahead[i] == 1 or seen[i] >= week[i]:
                prior = _slot_prior(spread[i])
                mean = 0.0
                for step in range(ahead[i]):
                    place = (seen[i] + step) % week[i]  # holds the slot of a week before
                    slot = slot_of_next[t, i] if step == 0 else own[place]
                    mean += _slot_mean(total, count, slot, prior)
                out[t, i] = mean / ahead[i]
            own[seen[i] % week[i]] = slot_of_next[t, i]
            seen[i] += 1
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class _Season:
    """What is carried from row to row.

    Attributes
    ----------
    tally : ndarray, shape (2, n_instruments, 216)
        Sums and numbers of the deviations so far, by hour of the week, then of a kind of day.
    spread : ndarray, shape (n_instruments, 6)
        Sum of their squares, the parts that means by slot and by kind explain, and how many
        deviations, slots and kinds there were.
    slots : ndarray of int64, shape (n_instruments, periods of a week)
        Slots of the last week.
    seen : ndarray of int64, shape (n_instruments,)
        Periods so far.
    """

    tally: Values
    spread: Values
    slots: NDArray[np.int64]
    seen: NDArray[np.int64]

    @classmethod
    def fresh(cls, week: NDArray[np.int64]) -> Self:
        k = len(week)
        return cls(
            tally=np.zeros((2, k, _SLOTS + _KINDS)),
            spread=np.zeros((k, 6)),
            slots=np.zeros((k, int(week.max(initial=1))), dtype=np.int64),
            seen=np.zeros(k, dtype=np.int64),
        )


def season_ahead(m: Measures, log_variance: Values, *, days: float) -> Values:
    """Mean over the next `days` of how a log variance has differed so far in their slots.

    Relative to its four-week mean. A slot is an hour of the week; it is shrunk to the same hour of
    all workdays, or of all days of weekends, as much as its own past is noise (empirical Bayes:
    Morris 1983, Journal of the American Statistical Association 78(381)), and these to zero. Less
    than a period of days gives the next slot. Shape (n_periods, n_instruments).
    """
    deviation = log_variance - m.mean(log_variance, days=28)
    week = m.span(days=7)
    ahead = np.minimum(m.span(days), week)
    state = m.remember(lambda: _Season.fresh(week))
    kept = (state.tally, state.spread, state.slots, state.seen)
    next_slot = np.where(m.present, m.slot_of_next(), -1)
    return np.asarray(_season_ahead(deviation, next_slot, ahead, week, *kept))


SEASON_FEATURES = (
    Feature(
        name="season_next",
        unit="log of a ratio to the four-week mean",
        meaning="how variance has differed so far in the weekday and hour of the next period",
        compute=lambda m: season_ahead(m, m.once(floored_log_range), days=0),
    ),
    Feature(
        name="season_eight_hours",
        unit="log of a ratio to the four-week mean",
        meaning="the same, mean over the next eight hours",
        compute=lambda m: season_ahead(m, m.once(floored_log_range), days=1 / 3),
        intraday_only=True,
    ),
    Feature(
        name="season_day",
        unit="log of a ratio to the four-week mean",
        meaning="the same, mean over the next day",
        compute=lambda m: season_ahead(m, m.once(floored_log_range), days=1),
        intraday_only=True,
    ),
)
