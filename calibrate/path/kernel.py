"""One period of the rule, compiled; the pass over an array and the stepper both call it."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .limits import Bound, MarginLimits, Precedence

_FLOOR, _REQUIRED, _FORECAST = int(Bound.FLOOR), int(Bound.REQUIRED), int(Bound.FORECAST)
_CAP, _THRESHOLD, _NOTICE = int(Bound.CAP), int(Bound.THRESHOLD), int(Bound.NOTICE)
_RISE_PERIOD, _RISE_WINDOW = int(Bound.RISE_PERIOD), int(Bound.RISE_WINDOW)
_FALL_PERIOD, _FALL_WINDOW = int(Bound.FALL_PERIOD), int(Bound.FALL_WINDOW)
_EMERGENCY, _MISSED = int(Bound.EMERGENCY), int(Bound.REQUIRED_MISSED)
_MAINTENANCE_WAIT = int(Bound.MAINTENANCE_WAIT)


class Terms(NamedTuple):
    """The limits as numbers that compiled code reads.

    `span`, `rise` and `fall` have one element per speed limit: its periods, and the factors
    1 + u and 1 - d.
    """

    floor: float
    cap: float
    span: NDArray[np.int64]
    rise: NDArray[np.float64]
    fall: NDArray[np.float64]
    notice: int
    falls_wait: bool
    threshold: float
    coverage_first: bool
    ratio: float


def terms_of(limits: MarginLimits) -> Terms:
    """Translate a specification."""
    return Terms(
        floor=float(limits.floor),
        cap=float(limits.cap),
        span=np.array([each.periods for each in limits.speed], dtype=np.int64),
        rise=np.array([1.0 + each.rise for each in limits.speed], dtype=np.float64),
        fall=np.array([1.0 - each.fall for each in limits.speed], dtype=np.float64),
        notice=limits.notice.periods,
        falls_wait=limits.notice.falls,
        threshold=float(limits.threshold),
        coverage_first=limits.precedence is Precedence.COVERAGE_FIRST,
        ratio=float(limits.maintenance.ratio),
    )


@njit(cache=True)
def shift_in(levels: NDArray[np.float64], newest: float) -> None:
    """Drop the oldest level, at the front, and append the newest."""
    for i in range(len(levels) - 1):
        levels[i] = levels[i + 1]
    levels[-1] = newest


@njit(cache=True)
def highest_rise(terms: Terms, announced: NDArray[np.float64]) -> float:
    """Highest next level under the rise limits; they never force a fall."""
    highest = np.inf
    for w in range(len(terms.span)):
        highest = min(highest, terms.rise[w] * np.min(announced[-terms.span[w] :]))
    return float(max(highest, announced[-1]))


@njit(cache=True)
def deepest_fall(terms: Terms, announced: NDArray[np.float64]) -> float:
    """Lowest next level under the fall limits."""
    lowest = 0.0
    for w in range(len(terms.span)):
        lowest = max(lowest, terms.fall[w] * np.max(announced[-terms.span[w] :]))
    return lowest


@njit(cache=True)
def in_force(terms: Terms, announced: NDArray[np.float64]) -> float:
    """Margin that the announced levels make, the newest one included."""
    first = len(announced) - 1 - terms.notice
    return float(announced[first]) if terms.falls_wait else float(np.min(announced[first:]))


@njit(cache=True)
def growth_factors(terms: Terms, periods: int) -> NDArray[np.float64]:
    """Largest factor by which a level may have risen after 0, 1, ..., `periods` periods."""
    growth = np.ones(periods + 1)
    for i in range(1, periods + 1):
        highest = np.inf
        for w in range(len(terms.span)):
            highest = min(highest, terms.rise[w] * growth[max(i - terms.span[w], 0)])
        growth[i] = highest
    return growth


@njit(cache=True)
def _ceilings(terms: Terms, announced: NDArray[np.float64], periods: int) -> NDArray[np.float64]:
    """Highest levels that past announcements leave open in 1, 2, ... periods, wherever we go now.

    The past binds through windows that reach back before the present decision.
    """
    lowest = announced.copy()
    for i in range(len(lowest) - 2, -1, -1):
        lowest[i] = min(lowest[i], lowest[i + 1])
    ceiling = np.full(periods + 1, np.inf)
    for i in range(1, periods + 1):
        for w in range(len(terms.span)):
            back = terms.span[w] - i
            if back > 0:
                ceiling[i] = min(ceiling[i], terms.rise[w] * lowest[-back])
            if i > 1:
                ceiling[i] = min(ceiling[i], terms.rise[w] * ceiling[max(i - terms.span[w], 1)])
    return ceiling


@njit(cache=True)
def reachable_level(
    terms: Terms,
    growth: NDArray[np.float64],
    announced: NDArray[np.float64],
    expected: NDArray[np.float64],
) -> float:
    """Smallest level now from which every expected target can be reached in time.

    A target that the past or the cap has put out of reach counts as the highest level open there.
    """
    periods = len(expected) - terms.notice
    ceiling = _ceilings(terms, announced, max(periods, 0))
    level = 0.0
    for j in range(len(expected)):
        ahead = j + 1 - terms.notice
        if ahead <= 0:
            level = max(level, expected[j])
        else:
            open_there = min(min(expected[j], ceiling[ahead]), terms.cap)
            level = max(level, open_there / growth[ahead])
    return level


@njit(cache=True)
def _asked(terms: Terms, aim: float, required: float, reachable: float) -> tuple[float, int]:
    """Level asked for before limits on its movement, and what lifted or cut it."""
    bits = 0
    level = aim
    if terms.floor > level:
        level, bits = terms.floor, _FLOOR
    if required > level:
        level, bits = required, _REQUIRED
    if reachable > level:
        level, bits = reachable, _FORECAST
    if level > terms.cap:
        level = terms.cap
        bits |= _CAP
    return level, bits


@njit(cache=True)
def _rise(terms: Terms, announced: NDArray[np.float64], asked: float) -> tuple[float, int]:
    bits = 0
    level = min(max(asked, (1.0 + terms.threshold) * announced[-1]), terms.cap)
    highest = highest_rise(terms, announced)
    if level > asked and highest > asked:
        bits |= _THRESHOLD
    if highest < level:
        for w in range(len(terms.span)):
            if terms.rise[w] * np.min(announced[-terms.span[w] :]) <= highest:
                bits |= _RISE_PERIOD if terms.span[w] == 1 else _RISE_WINDOW
    return min(level, highest), bits


@njit(cache=True)
def _fall(terms: Terms, announced: NDArray[np.float64], asked: float) -> tuple[float, int]:
    bits = 0
    previous = announced[-1]
    lowest = deepest_fall(terms, announced)
    level = asked
    if lowest > asked:
        level = lowest
        for w in range(len(terms.span)):
            if terms.fall[w] * np.max(announced[-terms.span[w] :]) >= lowest:
                bits |= _FALL_PERIOD if terms.span[w] == 1 else _FALL_WINDOW
    if level < previous and level > (1.0 - terms.threshold) * previous:
        return previous, bits | _THRESHOLD
    return level, bits


@njit(cache=True)
def margin_step(
    terms: Terms,
    announced: NDArray[np.float64],
    delivered: NDArray[np.float64],
    aim: float,
    required: float,
    reachable: float,
) -> tuple[float, int]:
    """Decide one level and say what bound; `announced` and `delivered` move on in place.

    Parameters
    ----------
    terms : Terms
        The limits.
    announced : ndarray, shape (memory,)
        Levels announced, oldest first.
    delivered : ndarray, shape (wait + 1,)
        Margins in force, oldest first.
    aim, required, reachable : float
        Lifted target, required level, and level that keeps expected targets within reach.

    Returns
    -------
    asked : float
        Level before the limits on its movement.
    bits : int
        Values of :class:`.Bound`.
    """
    asked, bits = _asked(terms, aim, required, reachable)
    if asked > announced[-1]:
        level, moved = _rise(terms, announced, asked)
    else:
        level, moved = _fall(terms, announced, asked)
    bits |= moved
    shift_in(announced, level)
    obligation = min(max(terms.floor, required), terms.cap)
    if terms.coverage_first and in_force(terms, announced) < obligation:
        bits |= _EMERGENCY
        for i in range(len(announced) - 1 - terms.notice, len(announced)):
            announced[i] = max(announced[i], obligation)
    margin = in_force(terms, announced)
    if margin != announced[-1]:
        bits |= _NOTICE
    if margin < required:
        bits |= _MISSED
    shift_in(delivered, margin)
    if np.min(delivered) < margin:
        bits |= _MAINTENANCE_WAIT
    return asked, bits
