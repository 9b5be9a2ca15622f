"""What is aimed at above the target: stressed weight, buffer and headroom, compiled."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..empirical import tail_depth
from ..upper_end import COUNT, KEPT, keep_score, upper_quantile
from .kernel import Terms, highest_rise, in_force, shift_in
from .limits import Bound, Buffer, MarginLimits

_STRESS, _BUFFER, _HEADROOM = int(Bound.STRESS), int(Bound.BUFFER), int(Bound.HEADROOM)


class LiftTerms(NamedTuple):
    """The lifts as numbers that compiled code reads; a buffer of size 0 is none."""

    stress_weight: float
    buffer_size: float
    release_tail: float
    release_depth: int
    refill: float
    buffer_needed: int
    budget: float
    rate: float


class Seen(NamedTuple):
    """Past values in a window of :mod:`foremargin.calibrate.upper_end`."""

    upper: NDArray[np.float64]
    queue: NDArray[np.float64]
    place: NDArray[np.int64]


def lift_terms_of(limits: MarginLimits) -> LiftTerms:
    """Translate a specification."""
    buffer = limits.lift.buffer
    headroom = limits.lift.headroom
    some_buffer = buffer if buffer is not None else Buffer()
    return LiftTerms(
        stress_weight=float(limits.lift.stress_weight),
        buffer_size=float(some_buffer.size) if buffer is not None else 0.0,
        release_tail=1.0 - some_buffer.release_quantile,
        release_depth=release_depth(some_buffer),
        refill=float(some_buffer.refill),
        buffer_needed=some_buffer.needed,
        budget=float(headroom.budget) if headroom is not None else 0.0,
        rate=float(headroom.rate) if headroom is not None else 0.0,
    )


def release_depth(buffer: Buffer) -> int:
    """Return how many of the largest targets the release of a buffer is read from."""
    return int(tail_depth(buffer.window, 1.0 - buffer.release_quantile))


@njit(cache=True)
def _buffer_share(lift: LiftTerms, seen: Seen, share: float, base: float) -> float:
    """Share of the buffer that is held; `share` is what was held one period before."""
    keep_score(seen.upper, seen.queue, seen.place, lift.release_depth, base)
    count = seen.place[COUNT]
    if count < lift.buffer_needed:
        return lift.buffer_size
    largest = seen.upper[: seen.place[KEPT]]
    release = upper_quantile(largest, seen.queue[:count], lift.release_tail)
    allowed = max(min(lift.buffer_size, release / base - 1.0), 0.0)
    return float(min(allowed, share + lift.refill))


@njit(cache=True)
def shadow_step(terms: Terms, shadow: NDArray[np.float64], target: float) -> float:
    """Move the shadow and return the headroom that would have sufficed, a share of the target.

    The shadow follows the target under rise limits and notice and knows no other constraint.
    """
    shift_in(shadow, min(target, highest_rise(terms, shadow)))
    return max(target / in_force(terms, shadow) - 1.0, 0.0)


@njit(cache=True)
def lift_step(
    lift: LiftTerms, base: float, held: NDArray[np.float64], seen: Seen
) -> tuple[float, int]:
    """Return the share by which to lift, and what lifted.

    `held` has the shares of buffer and headroom; the buffer in it and `seen` move on in place.
    """
    if lift.buffer_size > 0.0:
        held[0] = _buffer_share(lift, seen, held[0], base)
    if held[1] > held[0]:
        return held[1], _HEADROOM
    return held[0], _BUFFER if held[0] > 0.0 else 0


@njit(cache=True)
def owed_step(lift: LiftTerms, held: NDArray[np.float64], below: bool) -> None:
    """Move the headroom in `held` by what the period was: below target or not."""
    held[1] = max(held[1] + lift.rate * ((1.0 if below else 0.0) - lift.budget), 0.0)


@njit(cache=True)
def stressed_target(lift: LiftTerms, target: float, stressed: float) -> tuple[float, int]:
    """Blend target and stressed margin where that is above the target."""
    if lift.stress_weight == 0.0:
        return target, 0
    blend = (1.0 - lift.stress_weight) * target + lift.stress_weight * stressed
    return (blend, _STRESS) if blend > target else (target, 0)
