"""What a consumer makes of an update."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremargin.calibrate.updates import (
    CAP_KINDS,
    Excess,
    Kind,
    Limit,
    Parameter,
    RateLimits,
    Reason,
    Step,
    clamped,
)
from foremargin.errors import InputError

NOW = 1_000_000
INITIAL = Parameter("A", Kind.INITIAL_MARGIN, "long")
MAINTENANCE = Parameter("A", Kind.MAINTENANCE_MARGIN, "long")
RATIO, SINCE, GROWTH = (Parameter("A", kind) for kind in CAP_KINDS)

units = st.integers(1, 2_000)
steps = st.builds(
    Step,
    units=st.none() | st.integers(0, 500),
    basis_points=st.none() | st.integers(0, 8_000),
)
limits_ = st.builds(
    Limit,
    bounds=st.tuples(st.integers(0, 300), st.none() | st.integers(300, 1_500)),
    rise=steps,
    fall=steps,
)


def limits(*, initial: Limit | None = None, maintenance: Limit | None = None) -> RateLimits:
    pairs = {INITIAL: initial, MAINTENANCE: maintenance}
    return RateLimits(by_parameter={p: limit for p, limit in pairs.items() if limit is not None})


def allowed(limit: Limit, before: int, after: int) -> bool:
    """Write the rule out again, by search and not by formula."""
    lowest, highest = limit.bounds
    if after == before:
        return True
    step = limit.rise if after > before else limit.fall
    size = abs(after - before)
    return (
        lowest <= after <= (10**9 if highest is None else highest)
        and (step.units is None or size <= step.units)
        and (step.basis_points is None or size * 10_000 <= step.basis_points * before)
    )


@given(limit=limits_, before=units, asked=units)
def test_a_clamped_value_is_the_allowed_one_nearest_to_what_was_asked(limit, before, asked) -> None:
    way = range(before, asked + (1 if asked >= before else -1), 1 if asked >= before else -1)
    nearest = [value for value in way if allowed(limit, before, value)][-1]
    assert limit.reachable(before, asked) == nearest


@given(limit=limits_, before=units, asked=units)
def test_a_clamp_is_what_the_state_accepts_and_refuses_what_is_clamped(
    state, update, margins, limit, before, asked
) -> None:
    held = state(margins(5_000, before))
    rules = limits(maintenance=limit)
    outcome = clamped(update({MAINTENANCE: asked}), rules, held)
    reached = outcome.result[MAINTENANCE]
    # What a clamp leaves, sent by itself, needs no clamp.
    assert clamped(update({MAINTENANCE: reached}), rules, held).whole
    refused = update({MAINTENANCE: asked}).refusals(held, time=NOW + 100, limits=rules)
    assert outcome.whole == (not refused)


def test_each_rule_of_excess_does_what_it_says(state, update) -> None:
    sent = update({INITIAL: 1_200, MAINTENANCE: 600})
    for excess, initial, maintenance, reasons in (
        (Excess.CLAMP, 1_100, 600, [Reason.UNEQUAL_SHARES]),
        (Excess.SKIP, 1_000, 600, [Reason.UNEQUAL_SHARES]),
        (Excess.REJECT, 1_000, 500, [Reason.REJECTED]),
    ):
        rules = limits(initial=Limit(rise=Step(units=100), on_excess=excess))
        outcome = clamped(sent, rules, state())
        assert dict(outcome.result) == {INITIAL: initial, MAINTENANCE: maintenance}
        assert [r.reason for r in outcome.refusals] == reasons
        assert outcome.state is not None
        assert outcome.state.values[INITIAL] == initial
        assert outcome.state.sequence == (4 if excess is Excess.REJECT else 5)


def test_what_is_too_soon_stays_even_where_it_would_be_clamped(state, update) -> None:
    rules = limits(initial=Limit(rise=Step(units=100), delay_s=NOW + 101))
    outcome = clamped(update({INITIAL: 1_200}), rules, state())
    assert outcome.result[INITIAL] == 1_000
    assert [r.reason for r in outcome.refusals] == [Reason.NO_EFFECT]
    assert clamped(update({INITIAL: 1_200}), rules, state(), time=NOW + 101).result[INITIAL] == 1100


def test_equal_shares_are_consistent_although_nothing_was_whole(state, update) -> None:
    half = Limit(rise=Step(units=100)), Limit(rise=Step(units=50))
    outcome = clamped(
        update({INITIAL: 1_200, MAINTENANCE: 600}),
        limits(initial=half[0], maintenance=half[1]),
        state(),
    )
    assert not outcome.whole
    assert outcome.refusals == ()
    assert set(outcome.shares().values()) == {Fraction(1, 2)}


@given(initial=st.integers(1_001, 9_000), maintenance=st.integers(501, 900), f=st.fractions(0, 1))
def test_a_scaled_update_never_moves_by_unequal_shares(
    state, update, initial, maintenance, f
) -> None:
    sent = update({INITIAL: initial, MAINTENANCE: maintenance})
    part = sent.scaled(state(), f).values
    rules = RateLimits(
        by_parameter={p: Limit(rise=Step(units=v - state().values[p])) for p, v in part.items()}
    )
    reasons = [r.reason for r in clamped(sent, rules, state()).refusals]
    assert reasons in ([], [Reason.NO_EFFECT])


@given(
    ways=st.lists(st.integers(1, 3_000), min_size=2, max_size=2),
    gone=st.lists(st.integers(0, 3_000), min_size=2, max_size=2),
)
def test_shares_that_no_rounding_explains_are_told_apart(state, update, margins, ways, gone):
    # Without rounding: gone_0 / way_0 and gone_1 / way_1 differ by more than one unit of each.
    gone = [min(g, w) for g, w in zip(gone, ways, strict=True)]
    names = [Parameter(name, Kind.MAINTENANCE_MARGIN, "long") for name in "AB"]
    held = state({**margins(9_000, 500), **margins(9_000, 500, name="B")})
    rules = RateLimits(
        by_parameter={p: Limit(rise=Step(units=g)) for p, g in zip(names, gone, strict=True)}
    )
    sent = update({p: 500 + w for p, w in zip(names, ways, strict=True)})
    reasons = {r.reason for r in clamped(sent, rules, held).refusals}
    apart = abs(gone[0] * ways[1] - gone[1] * ways[0]) >= ways[0] + ways[1]
    assert (Reason.UNEQUAL_SHARES in reasons) == (apart and any(gone))


def test_a_result_that_does_not_fit_together_has_no_state(state, update) -> None:
    # Maintenance moves whole above an initial margin that may not move.
    sent = update({INITIAL: 2_000, MAINTENANCE: 1_500})
    outcome = clamped(sent, limits(initial=Limit(rise=Step(units=0))), state())
    assert outcome.state is None
    assert [r.reason for r in outcome.refusals] == [Reason.INCOHERENT, Reason.UNEQUAL_SHARES]


def test_the_table_shows_asked_result_and_share(state, update) -> None:
    sent = update({INITIAL: 1_200, MAINTENANCE: 500})
    table = clamped(sent, limits(initial=Limit(rise=Step(units=50))), state()).frame()
    assert table[["before", "asked", "result"]].to_numpy().tolist() == [
        [1_000, 1_200, 1_050],
        [500, 500, 500],
    ]
    assert table.share.iloc[0] == 0.25
    assert table.share.isna().tolist() == [False, True]


def test_a_parameter_limit_takes_the_place_of_that_of_its_kind() -> None:
    own, common = Limit(delay_s=1), Limit(delay_s=2)
    rules = RateLimits(by_kind={Kind.INITIAL_MARGIN: common}, by_parameter={INITIAL: own})
    assert rules.of(INITIAL) == own
    assert rules.of(Parameter("A", Kind.INITIAL_MARGIN, "short")) == common
    assert rules.of(MAINTENANCE) == Limit()


def test_a_parameter_the_consumer_does_not_have_is_refused(state, update) -> None:
    with pytest.raises(InputError, match=r"one of the state's, found \['A snapshot-ratio'\]"):
        clamped(update({RATIO: 1}), RateLimits(), state())


@pytest.mark.parametrize("step", [{"units": -1}, {"basis_points": 1.5}])
def test_a_step_is_a_whole_number(step) -> None:
    with pytest.raises(InputError, match="must be a whole number of at least 0, was"):
        Step(**step)


@pytest.mark.parametrize("field", [{"bounds": (5, 4)}, {"bounds": (-1, 4)}, {"delay_s": -1}])
def test_a_limit_that_allows_nothing_is_not_built(field) -> None:
    with pytest.raises(InputError, match="bounds must be ordered and at least 0"):
        Limit(**field)
