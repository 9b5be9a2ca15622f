"""What all rules of coverage control share, compiled: scores kept, breaches judged, quantiles read.

One origin after the other. At origin t the score of origin t - lag becomes known: it is judged
against the quantile that was issued for it, and kept; then the rule reads a quantile and issues it.
The same functions serve a pass over an array and a single step, so that both give the same bits.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..empirical import HIGHEST_LEVEL, LOWEST_LEVEL

Values = NDArray[np.float64]
Places = NDArray[np.int64]

BREACHES, JUDGED, FIRST_FREE = 0, 1, 2
"""Places in the memory: breaches so far, scores judged so far, and what a rule adds."""

COUNT, HEAD, RING = 0, 1, 2
"""Places of the three whole numbers: scores kept, slot of the oldest, slot of the origin."""


class Common(NamedTuple):
    """Numbers that every rule needs.

    Attributes
    ----------
    tail_probability : float
        Target breach rate.
    lag : int
        Periods after which the score of an origin is known.
    needed : int
        Fewest scores.
    pooled_weight : float
        Own scores that the pooled quantile counts as.
    excess, shortfall, growth, unit : float
        See :class:`.guard.Guard`; a growth of zero is no guard.
    """

    tail_probability: float
    lag: int
    needed: int
    pooled_weight: float
    excess: float
    shortfall: float
    growth: float
    unit: float


class State(NamedTuple):
    """What a controller remembers; changed in place.

    Attributes
    ----------
    queue : ndarray, shape (window,)
        Scores by slot, a ring.
    notes : ndarray, shape (window, n_notes)
        What was noted at the origins of those scores and is kept with them.
    order : ndarray of int32, shape (window,)
        Slots by rising score; among equal scores the older comes first.
    place : ndarray of int64, shape (3,)
        At :data:`COUNT`, :data:`HEAD` and :data:`RING`.
    pending : ndarray, shape (lag, 1 + n_pending)
        Quantile and notes, kept ones first, of the origins whose scores are not known yet, a ring.
    memory : ndarray, shape (n_memory,)
        Counts, then what the rule adds.
    """

    queue: Values
    notes: Values
    order: NDArray[np.int32]
    place: NDArray[np.int64]
    pending: Values
    memory: Values


@njit(cache=True)
def series_of(stack: State, k: int) -> State:
    """Return the state of one series of a stack: arrays with one more axis in front, as views."""
    return State(
        stack.queue[k],
        stack.notes[k],
        stack.order[k],
        stack.place[k],
        stack.pending[k],
        stack.memory[k],
    )


@njit(cache=True)
def judge(past: float, common: Common, state: State) -> float:
    """Count the newly known score and whether it was a breach; NaN where it cannot be judged."""
    issued = state.pending[state.place[RING], 0]
    if not (np.isfinite(past) and np.isfinite(issued)):
        return np.nan
    breach = 1.0 if past > issued else 0.0
    state.memory[BREACHES] += breach
    state.memory[JUDGED] += 1.0
    return breach


@njit(cache=True)
def excess_breaches(common: Common, state: State) -> float:
    """Return known breaches beyond the expected ones, divided by the lag.

    From the two counts and not by adding up differences: nothing is lost to rounding, however long.
    """
    breaches, judged = state.memory[BREACHES], state.memory[JUDGED]
    return float((breaches - common.tail_probability * judged) / common.lag)


@njit(cache=True)
def _first_at_least(value: float, state: State) -> int:
    low, high = 0, state.place[COUNT]
    while low < high:
        middle = (low + high) // 2
        if state.queue[state.order[middle]] < value:
            low = middle + 1
        else:
            high = middle
    return int(low)


@njit(cache=True)
def _first_above(value: float, state: State) -> int:
    low, high = 0, state.place[COUNT]
    while low < high:
        middle = (low + high) // 2
        if state.queue[state.order[middle]] <= value:
            low = middle + 1
        else:
            high = middle
    return int(low)


@njit(cache=True)
def _shift_down(order: NDArray[np.int32], first: int, last: int) -> None:
    # Views that start at zero: no check of the sign is needed then, and it is six times faster.
    into, out_of = order[first:last], order[first + 1 : last + 1]
    for i in range(len(into)):
        into[i] = out_of[i]


@njit(cache=True)
def _shift_up(order: NDArray[np.int32], first: int, last: int) -> None:
    into, out_of = order[first + 1 : last + 1], order[first:last]
    for i in range(len(into) - 1, -1, -1):
        into[i] = out_of[i]


@njit(cache=True)
def keep(past: float, state: State) -> None:
    """Keep a known score with the notes of its origin; the oldest goes where the window is full."""
    if not np.isfinite(past):
        return
    order, count, window = state.order, state.place[COUNT], len(state.queue)
    to = _first_above(past, state)
    if count < window:
        slot, hole = count, count
        state.place[COUNT] = count + 1
    else:
        slot = state.place[HEAD]
        hole = _first_at_least(state.queue[slot], state)  # the oldest of its equals is the first
        state.place[HEAD] = (slot + 1) % window
    if hole < to:
        to -= 1
        _shift_down(order, hole, to)
    else:
        _shift_up(order, to, hole)
    order[to] = slot
    state.queue[slot] = past
    for j in range(state.notes.shape[1]):
        state.notes[slot, j] = state.pending[state.place[RING], 1 + j]


@njit(cache=True)
def own_quantile(tail_probability: float, state: State) -> float:
    """Return the quantile at (count + 1)(1 - tail), interpolated, within the sample."""
    queue, order, count = state.queue, state.order, state.place[COUNT]
    position = (count + 1.0) * (1.0 - tail_probability) - 1.0
    if position >= count - 1.0:
        return float(queue[order[count - 1]])
    if position <= 0.0:
        return float(queue[order[0]])
    below = int(position)
    lower, upper = queue[order[below]], queue[order[below + 1]]
    # Exact where both are equal: a tied loss must not breach a margin made of itself.
    return float(min(lower + (position - below) * (upper - lower), upper))


@njit(cache=True)
def pooled_quantile(tail_probability: float, others: Values, common: Common) -> float:
    """Interpolate a row of pooled quantiles between their levels, linear in logs; NaN if none."""
    last = len(others) - 1
    if last < 1:
        return np.nan
    lowest = common.tail_probability * LOWEST_LEVEL
    share = np.log(tail_probability / lowest) / np.log(HIGHEST_LEVEL / LOWEST_LEVEL)
    position = min(max(share, 0.0), 1.0) * last
    below = min(int(position), last - 1)
    step = position - below
    return float((1.0 - step) * others[below] + step * others[below + 1])


@njit(cache=True)
def mixed(own: float, size: float, others: float, common: Common) -> float:
    """Mean of the own and the pooled quantile, weighted by `size` own scores; NaN if neither is."""
    if not np.isfinite(own):
        return others
    share = size / (size + common.pooled_weight) if np.isfinite(others) else 1.0
    return own if share == 1.0 else share * own + (1.0 - share) * others


@njit(cache=True)
def sample_quantile(tail_probability: float, others: Values, common: Common, state: State) -> float:
    """Quantile of the scores kept, each counting the same, mixed with the pooled one."""
    count = state.place[COUNT]
    own = own_quantile(tail_probability, state) if count >= common.needed else np.nan
    return mixed(own, count, pooled_quantile(tail_probability, others, common), common)


@njit(cache=True)
def within_levels(tail_probability: float, common: Common) -> float:
    """Keep a tail probability inside [tail/4, 3 tail]."""
    target = common.tail_probability
    return float(min(max(tail_probability, target * LOWEST_LEVEL), target * HIGHEST_LEVEL))


@njit(cache=True)
def correction(excess: float, common: Common) -> float:
    """Return what the guard adds to a quantile; see :class:`.guard.Guard`."""
    if common.growth == 0.0:
        return 0.0
    if excess > common.excess:
        return float(common.unit * np.expm1(common.growth * (excess - common.excess)))
    if excess < -common.shortfall:
        return float(-common.unit * np.expm1(common.growth * (-common.shortfall - excess)))
    return 0.0


@njit(cache=True)
def issue(
    base: float, tail_probability: float, common: Common, state: State
) -> tuple[float, float, float]:
    """Add the guard's correction, remember the quantile for its origin, and move on.

    Returns
    -------
    quantile, tail_probability, correction : float
        NaN, all three, where there is no quantile.
    """
    quantile, aimed, added = np.nan, np.nan, np.nan
    if np.isfinite(base):
        added = correction(excess_breaches(common, state), common)
        quantile, aimed = base + added, tail_probability
    ring = state.place[RING]
    state.pending[ring, 0] = quantile
    state.place[RING] = (ring + 1) % len(state.pending)
    return quantile, aimed, added
