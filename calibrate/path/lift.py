"""What is aimed at above the target: stressed weight, buffer and headroom, compiled."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..empirical import keep_score, read_tail
from .kernel import Terms, highest_rise, in_force, shift_in
from .limits import Bound, Buffer, Headroom, MarginLimits

_STRESS, _BUFFER, _HEADROOM = int(Bound.STRESS), int(Bound.BUFFER), int(Bound.HEADROOM)


class LiftTerms(NamedTuple):
    """The lifts as numbers that compiled code reads; a size or budget of 0 is no such lift."""

    stress_weight: float
    buffer_size: float
    release_tail: float
    refill: float
    buffer_needed: int
    budget: float
    headroom_needed: int
    until_known: float


class Seen(NamedTuple):
    """Past values in the order they came (a ring) and sorted; `cursor` holds count and head."""

    ordered: NDArray[np.float64]
    queue: NDArray[np.float64]
    cursor: NDArray[np.int64]


def lift_terms_of(limits: MarginLimits) -> LiftTerms:
    """Translate a specification."""
    buffer = limits.lift.buffer
    headroom = limits.lift.headroom
    some_buffer = buffer if buffer is not None else Buffer()
    some_headroom = headroom if headroom is not None else Headroom()
    return LiftTerms(
        stress_weight=float(limits.lift.stress_weight),
        buffer_size=float(some_buffer.size) if buffer is not None else 0.0,
        release_tail=1.0 - some_buffer.release_quantile,
        refill=float(some_buffer.refill),
        buffer_needed=some_buffer.needed,
        budget=float(some_headroom.budget) if headroom is not None else 0.0,
        headroom_needed=some_headroom.needed,
        until_known=float(some_headroom.until_known),
    )


@njit(cache=True)
def _keep(seen: Seen, value: float) -> int:
    count, head = keep_score(seen.ordered, seen.queue, seen.cursor[0], seen.cursor[1], value)
    seen.cursor[0], seen.cursor[1] = count, head
    return count


@njit(cache=True)
def _buffer_share(lift: LiftTerms, seen: Seen, share: float, base: float) -> float:
    """Share of the buffer that is held; `share` is what was held one period before."""
    count = _keep(seen, base)
    if count < lift.buffer_needed:
        return lift.buffer_size
    release, _ = read_tail(seen.ordered, count, lift.release_tail)
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
    lift: LiftTerms,
    base: float,
    need: float,
    share: NDArray[np.float64],
    targets: Seen,
    needs: Seen,
) -> tuple[float, int]:
    """Return the share by which to lift, and what lifted; `share` and what was seen move on."""
    buffer, headroom = 0.0, 0.0
    if lift.buffer_size > 0.0:
        buffer = _buffer_share(lift, targets, share[0], base)
        share[0] = buffer
    if lift.budget > 0.0:
        count = _keep(needs, need)
        headroom = lift.until_known
        if count >= lift.headroom_needed:
            headroom, _ = read_tail(needs.ordered, count, lift.budget)
    if headroom > buffer:
        return headroom, _HEADROOM
    return buffer, _BUFFER if buffer > 0.0 else 0


@njit(cache=True)
def stressed_target(lift: LiftTerms, target: float, stressed: float) -> tuple[float, int]:
    """Blend target and stressed margin where that is above the target."""
    if lift.stress_weight == 0.0:
        return target, 0
    blend = (1.0 - lift.stress_weight) * target + lift.stress_weight * stressed
    return (blend, _STRESS) if blend > target else (target, 0)
