"""States and updates: all or nothing, in order, within what fits together."""

from dataclasses import FrozenInstanceError
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremargin.calibrate.updates import (
    CAP_KINDS,
    Kind,
    Limit,
    Parameter,
    ParameterState,
    RateLimits,
    Reason,
    Step,
)
from foremargin.errors import InputError

NOW = 1_000_000
INITIAL = Parameter("A", Kind.INITIAL_MARGIN, "long")
MAINTENANCE = Parameter("A", Kind.MAINTENANCE_MARGIN, "long")
RATIO, SINCE, GROWTH = (Parameter("A", kind) for kind in CAP_KINDS)


def only(limit: Limit) -> RateLimits:
    return RateLimits(by_parameter={INITIAL: limit})


def test_applying_makes_a_new_state_and_leaves_the_old_one(state, update) -> None:
    old = state()
    new = update({INITIAL: 1_200, MAINTENANCE: 500}).apply(old, time=NOW + 150)
    assert (new.values[INITIAL], old.values[INITIAL]) == (1_200, 1_000)
    assert (new.sequence, new.effective, new.age_s(NOW + 250)) == (5, NOW + 150, 100)
    # What was named but did not move keeps the time of its last change.
    assert (new.changed_at[INITIAL], new.changed_at[MAINTENANCE]) == (NOW + 150, 0)


def test_nobody_can_write_into_a_state_or_an_update(state, update) -> None:
    held, sent = state(), update({INITIAL: 1_200})
    for frozen in (held.values, held.changed_at, sent.values):
        with pytest.raises(TypeError, match="does not support item assignment"):
            frozen[INITIAL] = 1
    with pytest.raises(FrozenInstanceError, match="cannot assign"):
        sent.sequence = 9


@pytest.mark.parametrize(
    ("values", "changes", "time", "reason"),
    [
        ({INITIAL: 1_200}, {"sequence": 4, "previous_sequence": 3}, 150, Reason.REPLAY),
        ({INITIAL: 1_200}, {"sequence": 7, "previous_sequence": 6}, 150, Reason.GAP),
        ({INITIAL: 1_200}, {"sequence": 7, "previous_sequence": 3}, 150, Reason.GAP),
        ({INITIAL: 1_200}, {}, 99, Reason.NOT_YET),
        ({INITIAL: 1_200}, {"announced": 0, "effective": 0}, -1, Reason.NOT_YET),
        ({INITIAL: 1_200}, {}, 200, Reason.EXPIRED),
        ({Parameter("B", Kind.POSITION_CAP): 3}, {}, 150, Reason.UNKNOWN),
        ({INITIAL: 499}, {}, 150, Reason.INCOHERENT),
        ({MAINTENANCE: 1_001}, {}, 150, Reason.INCOHERENT),
        ({MAINTENANCE: 0}, {}, 150, Reason.INCOHERENT),
    ],
)
def test_an_update_that_does_not_fit_is_refused_with_its_reason(
    state, update, values, changes, time, reason
) -> None:
    sent = update(values, **changes)
    assert [r.reason for r in sent.refusals(state(), time=NOW + time)] == [reason]
    with pytest.raises(InputError, match=f"must be refused: {reason.value}: "):
        sent.apply(state(), time=NOW + time)


@pytest.mark.parametrize(
    ("limit", "asked", "reason"),
    [
        (Limit(bounds=(0, 1_199)), 1_200, Reason.OUT_OF_BOUNDS),
        (Limit(bounds=(901, None)), 900, Reason.OUT_OF_BOUNDS),
        (Limit(rise=Step(units=199)), 1_200, Reason.TOO_LARGE),
        (Limit(rise=Step(basis_points=1_999)), 1_200, Reason.TOO_LARGE),
        (Limit(fall=Step(units=99)), 900, Reason.TOO_LARGE),
        (Limit(delay_s=NOW + 151), 1_200, Reason.TOO_SOON),
    ],
)
def test_a_limit_holds_to_the_last_unit(state, update, limit, asked, reason) -> None:
    refusals = update({INITIAL: asked}).refusals(state(), time=NOW + 150, limits=only(limit))
    assert [(r.reason, r.parameter) for r in refusals] == [(reason, INITIAL)]
    loose = {
        Limit(bounds=(0, 1_199)): Limit(bounds=(0, 1_200)),
        Limit(bounds=(901, None)): Limit(bounds=(900, None)),
        Limit(rise=Step(units=199)): Limit(rise=Step(units=200), fall=Step(units=0)),
        Limit(rise=Step(basis_points=1_999)): Limit(rise=Step(basis_points=2_000)),
        Limit(fall=Step(units=99)): Limit(fall=Step(units=100), rise=Step(units=0)),
        Limit(delay_s=NOW + 151): Limit(delay_s=NOW + 150),
    }[limit]
    assert not update({INITIAL: asked}).refusals(state(), time=NOW + 150, limits=only(loose))


def test_nothing_moves_when_one_of_several_is_refused(state, update) -> None:
    old = state()
    with pytest.raises(InputError, match="too-large: A long initial-margin may move by 1 units"):
        update({INITIAL: 1_200, MAINTENANCE: 600}).apply(
            old, time=NOW + 150, limits=only(Limit(rise=Step(units=1)))
        )
    assert old == state()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"values": {}}, "must change at least one parameter"),
        ({"values": {INITIAL: 0.12}}, "must be a whole number of units, was 0.12; write Kind"),
        ({"values": {INITIAL: np.nan}}, "must be a whole number of units, was nan"),
        ({"values": {INITIAL: True}}, "must be a whole number of units, was True"),
        ({"values": {INITIAL: 2**32}}, "must be from 0 to 4294967295 units, was 4294967296"),
        ({"sequence": 4}, "sequence must be above previous_sequence"),
        ({"announced": NOW + 101}, "order announced, effective, expiry"),
        ({"expiry": NOW + 100}, "order announced, effective, expiry"),
    ],
)
def test_an_update_that_cannot_be_meant_is_not_built(update, changes, match) -> None:
    with pytest.raises(InputError, match=match):
        update(**{"values": {INITIAL: 1_200}, **changes})


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({INITIAL: 400}, "must not be above the initial margin, was 500 bps above 400"),
        ({RATIO: 5, GROWTH: 1}, "needs snapshot-time beside it"),
        ({RATIO: 0, SINCE: 5, GROWTH: 1}, "snapshot-ratio must be positive"),
        ({RATIO: 5, SINCE: NOW + 1, GROWTH: 1}, "snapshot-time must not be after 1000000"),
        ({Parameter("B", Kind.INITIAL_MARGIN, "long"): 5}, "needs maintenance-margin beside it"),
    ],
)
def test_a_state_that_does_not_fit_together_is_not_built(state, margins, changes, match) -> None:
    with pytest.raises(InputError, match=match):
        state({**margins(), **changes})


def test_the_cap_grows_linearly_from_its_snapshot(state, margins) -> None:
    year = 365 * 24 * 3600
    one = Kind.SNAPSHOT_RATIO.whole(2.0)
    held = state({**margins(), RATIO: one, SINCE: NOW, GROWTH: 1_000})
    assert held.price_cap("A", time=NOW) == 2
    assert held.price_cap("A", time=NOW + year) == Fraction("2.2")
    assert held.price_cap("A", time=NOW + year // 2) == Fraction("2.1")
    assert held.price_cap("B", time=NOW) is None
    with pytest.raises(InputError, match="A: a cap begins at its snapshot, 1000000; was 999999"):
        held.price_cap("A", time=NOW - 1)


@given(price=st.floats(0.5, 4.0), after_s=st.integers(0, 10**9), units=st.integers(1, 4 * 10**18))
def test_a_price_that_counts_is_never_above_market_or_cap(state, margins, price, after_s, units):
    held = state({**margins(), RATIO: units, SINCE: NOW, GROWTH: 700})
    counted = held.capped_prices(np.array([price]), ["A"], time=NOW + after_s)[0]
    cap = held.price_cap("A", time=NOW + after_s)
    assert Fraction(counted) <= cap
    assert counted <= price
    # And no lower than it has to be: the next float is above one of the two.
    assert counted == price or Fraction(np.nextafter(counted, 9.0)) > cap


@given(
    before=st.integers(1, 3_000),
    asked=st.integers(1, 3_000),
    part=st.fractions(0, 1),
    finer=st.fractions(0, 1),
)
def test_a_smaller_share_lies_on_the_way_and_ends_are_exact(
    state, update, margins, before, asked, part, finer
) -> None:
    held, sent = state(margins(5_000, before)), update({MAINTENANCE: asked})
    assert sent.scaled(held, Fraction(0)).values == {MAINTENANCE: before}
    assert sent.scaled(held, Fraction(1)).values == sent.values
    low, high = sorted([part, finer])
    near, far = (sent.scaled(held, f).values[MAINTENANCE] - before for f in (low, high))
    assert abs(near) <= abs(far) <= abs(asked - before)
    assert 0 <= far - high * (asked - before) < 1  # a margin is rounded up


def test_a_share_beyond_the_way_is_refused(state, update) -> None:
    with pytest.raises(InputError, match="fraction must be from 0 to 1, was 2"):
        update({INITIAL: 1_200}).scaled(state(), Fraction(2))


def test_the_difference_names_every_parameter_in_its_own_unit(state, update) -> None:
    cap = Parameter("A", Kind.POSITION_CAP)
    held = state({**state().values, cap: 0})
    table = update({INITIAL: 1_200, cap: 70}).diff(held).set_index("kind")
    row = table.loc["initial-margin"]
    assert (row.side, row.before, row.after, row.change) == ("long", 1_000, 1_200, 0.02)
    assert row.relative == 0.2
    assert table.loc["position-cap", "change"] == 70.0
    assert np.isnan(table.loc["position-cap", "relative"])
    with pytest.raises(InputError, match="A position-cap must be one of the state's parameters"):
        update({cap: 70}).diff(state())


def test_the_table_of_a_state_has_units_and_values(state) -> None:
    row = state().frame().iloc[0]
    assert (row.instrument, row.kind, row.side, row.units) == ("A", "initial-margin", "long", 1_000)
    assert row.value == 0.1
    assert row.changed_at.timestamp() == 0.0


def test_instruments_without_margins_are_named(state) -> None:
    held: ParameterState = state()
    with pytest.raises(InputError, match="found none for B long initial-margin, B short"):
        held.margin_rates(Kind.INITIAL_MARGIN, ["A", "B"])
