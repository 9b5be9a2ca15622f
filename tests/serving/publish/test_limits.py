"""Limits: what is reachable is accepted, and missing an update never stops the next."""

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from foremargin.errors import InputError
from foremargin.serving.publish import (
    Check,
    Held,
    Limits,
    RegimeLimit,
    content_refusal,
    with_add_on,
)
from foremargin.serving.publish.limits import reachable

SIDE = st.tuples(st.integers(1, 3_000), st.integers(1, 3_000)).map(lambda m: (max(m), min(m)))
MARGINS = st.tuples(SIDE, SIDE).map(lambda sides: (*sides[0], *sides[1]))
STEPS = st.builds(
    RegimeLimit,
    rise_bps=st.integers(0, 400),
    fall_bps=st.integers(0, 400),
    period_s=st.integers(1, 100),
)


def limits_of(step, **changes):
    return Limits(unknown=step, calm=step, elevated=step, stressed=step, **changes)


def with_margins(update, margins, **changes):
    names = update.__struct_fields__[1:5]
    return msgspec.structs.replace(update, **dict(zip(names, margins, strict=True)), **changes)


@pytest.fixture(scope="session")
def following(update, domain, now):
    """The update after another, with other margins, some seconds later."""

    def make(before, margins, *, after_s):
        at = before.valid_from + after_s
        return with_margins(
            before,
            margins,
            seq=before.seq + 1,
            prev_seq=before.seq,
            prev_digest=domain.digest(before),
            observation_time=at - 5,
            valid_from=at,
            valid_until=at + 600,
        )

    return make


@given(before=MARGINS, wanted=MARGINS, step=STEPS, after_s=st.integers(0, 300))
def test_what_is_reachable_is_accepted_and_between(
    update, domain, following, before, wanted, step, after_s
) -> None:
    limits = limits_of(step, floor_bps=20, cap_bps=2_500)
    first = with_margins(update(), before)
    assume(content_refusal(first, None, limits, epoch=1, now=first.valid_from) is None)
    held = Held(update=first, digest=domain.digest(first))
    at = first.valid_from + after_s
    reached = reachable(wanted, held, limits, regime=1, at=at)
    second = following(first, reached, after_s=after_s)
    assert content_refusal(second, held, limits, epoch=1, now=at) is None
    for a, b, target in zip(before, reached, wanted, strict=True):
        assert min(a, target) <= b <= max(a, target)


@given(before=MARGINS, wanted=MARGINS, step=STEPS, after_s=st.integers(0, 300))
def test_one_share_of_the_way_explains_both_margins_of_a_side(
    update, domain, before, wanted, step, after_s
) -> None:
    first = with_margins(update(), before)
    held = Held(update=first, digest=domain.digest(first))
    at = first.valid_from + after_s
    reached = reachable(wanted, held, limits_of(step), regime=1, at=at)
    for side in (0, 2):
        low, high = 0.0, 1.0
        for a, b, target in list(zip(before, reached, wanted, strict=True))[side : side + 2]:
            if a == target:
                continue
            # b is the ceiling of a + share * (target - a): both ends of the shares that give it
            ends = sorted([(b - 1 - a) / (target - a), (b - a) / (target - a)])
            low, high = max(low, ends[0]), min(high, ends[1])
        assert low <= high + 1e-9  # float division


@given(before=MARGINS, wanted=MARGINS)
def test_what_is_within_the_limits_is_reached_whole(update, domain, before, wanted) -> None:
    free = limits_of(RegimeLimit(rise_bps=3_000, fall_bps=3_000, period_s=1))
    first = with_margins(update(), before)
    held = Held(update=first, digest=domain.digest(first))
    assert reachable(wanted, held, free, regime=1, at=first.valid_from + 1) == wanted


@given(
    start=MARGINS,
    steps=st.lists(st.tuples(MARGINS, st.integers(0, 300)), min_size=2, max_size=6),
    step=STEPS,
    taken=st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_a_consumer_that_leaves_updates_out_takes_the_next_one(
    update, domain, following, start, steps, step, taken
) -> None:
    limits = limits_of(step)
    last = with_margins(update(), start)
    theirs = Held(update=last, digest=domain.digest(last))
    for k, (wanted, after_s) in enumerate(steps):
        ours = Held(update=last, digest=domain.digest(last))
        at = last.valid_from + after_s
        last = following(last, reachable(wanted, ours, limits, regime=1, at=at), after_s=after_s)
        if taken[k] or k == len(steps) - 1:
            assert content_refusal(last, theirs, limits, epoch=1, now=at) is None
            theirs = Held(update=last, digest=domain.digest(last))


def test_rises_and_falls_have_their_own_limits_by_regime(update, domain, following) -> None:
    calm = RegimeLimit(rise_bps=100, fall_bps=50, period_s=60)
    stressed = RegimeLimit(rise_bps=400, fall_bps=10, period_s=60)
    limits = Limits(calm=calm, stressed=stressed)
    first = with_margins(update(), (800, 500, 900, 600))
    held = Held(update=first, digest=domain.digest(first))

    def refused(margins, regime, after_s=60):
        second = following(first, margins, after_s=after_s)
        second = msgspec.structs.replace(second, regime=regime)
        found = content_refusal(second, held, limits, epoch=1, now=second.valid_from)
        return found and found.check

    up, down = (900, 500, 900, 600), (750, 500, 900, 600)
    assert refused(up, 1) is None
    assert refused((901, 500, 900, 600), 1) is Check.STEP_TOO_LARGE
    assert refused((1_200, 500, 900, 600), 3) is None
    assert refused((1_201, 500, 900, 600), 3) is Check.STEP_TOO_LARGE
    assert refused(down, 1) is None
    assert refused(down, 3) is Check.STEP_TOO_LARGE
    assert refused((749, 500, 900, 600), 1) is Check.STEP_TOO_LARGE
    assert refused(up, 1, after_s=59) is Check.STEP_TOO_LARGE
    assert refused((1_000, 500, 900, 600), 1, after_s=120) is None
    assert refused((800, 551, 900, 600), 1, after_s=60) is None
    assert refused((800, 449, 900, 600), 1, after_s=60) is Check.STEP_TOO_LARGE
    assert refused((800, 500, 900, 701), 1, after_s=60) is Check.STEP_TOO_LARGE


@given(
    margins=MARGINS,
    first=st.integers(0, 10**7),
    later=st.integers(0, 10**7),
    rate=st.integers(0, 2_000),
    largest=st.integers(0, 20_000),
)
def test_an_add_on_grows_with_time_and_never_lowers(margins, first, later, rate, largest) -> None:
    limits = Limits(add_on_per_hour_bps=rate, largest_add_on_bps=largest, cap_bps=2_000)
    a = with_add_on(margins, limits, stale_s=first)
    b = with_add_on(margins, limits, stale_s=first + later)
    assert all(m <= x <= y for m, x, y in zip(margins, a, b, strict=True))
    assert (a[0] >= a[1], a[2] >= a[3]) == (True, True)
    assert max(b) <= max(2_000, *margins)


def test_an_add_on_is_rounded_up() -> None:
    limits = Limits(add_on_per_hour_bps=500, largest_add_on_bps=10_000)
    assert with_add_on((1_000, 999, 7, 3), limits, stale_s=3_600) == (1_050, 1_049, 8, 4)
    assert with_add_on((1_000, 999, 7, 3), limits, stale_s=1) == (1_001, 1_000, 8, 4)
    assert with_add_on((1_000, 999, 7, 3), limits, stale_s=0) == (1_000, 999, 7, 3)
    assert with_add_on((1_000, 999, 7, 3), limits, stale_s=10**6) == (2_000, 1_998, 14, 6)


def test_limits_must_fit_the_contract() -> None:
    with pytest.raises(InputError, match="period_s must be at least 1, was 0"):
        RegimeLimit(rise_bps=1, fall_bps=1, period_s=0)
    with pytest.raises(InputError, match="rise_bps must be from 0 to 4294967295, was -1"):
        RegimeLimit(rise_bps=-1, fall_bps=1, period_s=1)
    with pytest.raises(InputError, match="max_age_s must be from 0 to 4294967295, was 4294967296"):
        Limits(max_age_s=2**32)
    with pytest.raises(InputError, match="floor_bps must be from 1 to cap_bps, were 0 and 10000"):
        Limits(floor_bps=0)
    with pytest.raises(InputError, match="floor_bps must be from 1 to cap_bps, were 20 and 10"):
        Limits(floor_bps=20, cap_bps=10)
