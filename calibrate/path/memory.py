"""What the rule remembers between two periods, and one whole period on it."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..upper_end import new_window
from .kernel import Terms, margin_step, reachable_level
from .lift import LiftTerms, Seen, lift_step, owed_step, release_depth, shadow_step, stressed_target
from .limits import MarginLimits

COLUMNS = ("aim", "lift", "asked", "announced", "initial_margin", "maintenance_margin")
"""What a period writes, in this order."""


class Memory(NamedTuple):
    """Arrays that a period changes in place.

    Attributes
    ----------
    announced : ndarray, shape (memory,)
        Announced levels, oldest first; infinite before the first period.
    delivered : ndarray, shape (wait + 1,)
        Initial margins in force, oldest first.
    held : ndarray, shape (2,)
        Buffer and headroom held, shares of the target.
    seen : Seen
        Past targets, for the release of the buffer.
    """

    announced: NDArray[np.float64]
    delivered: NDArray[np.float64]
    held: NDArray[np.float64]
    seen: Seen


def new_memory(limits: MarginLimits, start: float | None) -> Memory:
    """Return the memory before the first period; `start` is the margin in force until then."""
    level = np.inf if start is None else start
    buffer, headroom = limits.lift.buffer, limits.lift.headroom
    return Memory(
        announced=np.full(limits.memory, level),
        delivered=np.full(limits.maintenance.wait + 1, level),
        held=np.array(
            [
                buffer.size if buffer is not None else 0.0,
                headroom.size if headroom is not None else 0.0,
            ]
        ),
        seen=Seen(*new_window(1, 1))
        if buffer is None
        else Seen(*new_window(buffer.window, release_depth(buffer))),
    )


@njit(cache=True)
def one_period(
    terms: Terms,
    lift: LiftTerms,
    memory: Memory,
    growth: NDArray[np.float64],
    given: tuple[float, float, float],
    expected: NDArray[np.float64],
    row: NDArray[np.float64],
) -> int:
    """Decide the margin of one period.

    Parameters
    ----------
    terms, lift : Terms, LiftTerms
        The limits.
    memory : Memory
        Moves on in place.
    growth : ndarray
        Of :func:`.growth_factors`, for at least as many periods as `expected` has.
    given : tuple of float
        Target, stressed margin (0 where it has no weight) and required level (0 for none).
    expected : ndarray, shape (k,)
        Targets expected in 1, ..., k periods; k may be 0.
    row : ndarray, shape (6,)
        Filled with :data:`COLUMNS`.

    Returns
    -------
    int
        Values of :class:`.Bound`.
    """
    target, stressed, required = given
    base, bits = stressed_target(lift, target, stressed)
    share, lifted = lift_step(lift, base, memory.held, memory.seen)
    aim = (1.0 + share) * base
    reachable = reachable_level(terms, growth, memory.announced, expected)
    if memory.announced[-1] == np.inf:
        # Nothing is in force yet: the first level is what is asked.
        first = min(max(max(aim, required), max(terms.floor, reachable)), terms.cap)
        memory.announced[:] = first
        memory.delivered[:] = first
    asked, moved = margin_step(terms, memory.announced, memory.delivered, aim, required, reachable)
    margin = memory.delivered[-1]
    owed_step(lift, memory.held, margin < min(target, terms.cap))
    row[0], row[1], row[2], row[3] = aim, share, asked, memory.announced[-1]
    row[4] = margin
    row[5] = terms.ratio * np.min(memory.delivered)
    return bits | lifted | moved


@njit(cache=True)
def every_period(
    terms: Terms,
    lift: LiftTerms,
    memory: Memory,
    growth: NDArray[np.float64],
    given: NDArray[np.float64],
    expected: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Apply :func:`one_period` to the rows of `given` (n, 3) and `expected` (n, k) in turn."""
    n = len(given)
    rows, bound = np.empty((n, 6)), np.zeros(n, dtype=np.int64)
    for t in range(n):
        now = (given[t, 0], given[t, 1], given[t, 2])
        bound[t] = one_period(terms, lift, memory, growth, now, expected[t], rows[t])
    return rows, bound


@njit(cache=True)
def shadow_needs(
    terms: Terms, shadow: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Apply :func:`.shadow_step` to every target."""
    need = np.empty(len(target))
    for t in range(len(target)):
        need[t] = shadow_step(terms, shadow, target[t])
    return need
