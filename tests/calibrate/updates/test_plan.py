"""Staged plans: every stage passes, or the plan says by how much accounts must top up."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.calibrate.updates import (
    CAP_KINDS,
    Kind,
    Limit,
    Parameter,
    PlanStatus,
    RateLimits,
    Step,
    preflight,
    staged_plan,
)
from foremargin.errors import InputError

NOW = 1_000_000
PRICES = np.array([10.0, 4.0])
NONE = RateLimits()
NAMES = ("A", "B")
rates = st.integers(1, 40).map(lambda k: 50 * k)


@st.composite
def situations(draw, margins, state, update, near_margin):
    """Accounts near their margin, new margins of two instruments, limits on every step."""
    values: dict[Parameter, int] = {}
    asked: dict[Parameter, int] = {}
    for name in NAMES:
        for target in (values, asked):
            maintenance = draw(rates)
            target.update(margins(maintenance + draw(rates), maintenance, name=name))
    people = near_margin(draw, values, PRICES, NAMES)
    step = st.none() | st.integers(300, 2_000)
    rules = RateLimits(
        by_kind={
            kind: Limit(
                rise=Step(units=draw(step)), fall=Step(units=draw(step)), delay_s=draw(delays)
            )
            for kind in (Kind.MAINTENANCE_MARGIN, Kind.INITIAL_MARGIN)
        }
    )
    return people, state(values), update(asked), rules


delays = st.sampled_from([0, 50, 7_000])


def follows(plan, people, held, rules) -> None:
    """Send the stages one after the other, as a stranger would."""
    for report in plan.stages:
        sent = report.update
        assert preflight(sent, people, held, rules, PRICES).accepted
        held = sent.apply(held, time=sent.effective, limits=rules)
    assert held == plan.state


@settings(max_examples=50, deadline=None)
@given(data=st.data(), notice_s=st.sampled_from([0, 1_000]))
def test_every_stage_passes_and_a_plan_ends_at_the_target_or_says_who_must_top_up(
    margins, state, update, near_margin, data, notice_s
) -> None:
    people, held, sent, rules = data.draw(situations(margins, state, update, near_margin))
    plan = staged_plan(sent, people, held, rules, PRICES, notice_s=notice_s, most_stages=50)
    follows(plan, people, held, rules)
    if plan.complete:
        assert plan.remaining() == {}
        assert {p: plan.state.values[p] for p in sent.values} == dict(sent.values)
        assert len(plan.top_up) == 0
        return
    assert plan.status is PlanStatus.NEEDS_TOP_UP
    assert len(plan.top_up) > 0
    assert plan.remaining()
    cash = people.cash.copy()
    cash[plan.top_up.account] += plan.top_up.amount
    richer = replace(people, cash=cash)
    again = staged_plan(sent, richer, held, rules, PRICES, notice_s=notice_s, most_stages=50)
    assert again.complete
    # And the account that lacks most was not asked for more than it lacks.
    cash[plan.top_up.account[0]] -= plan.top_up.amount[0] * 0.01 + 1e-6
    poorer = replace(people, cash=cash)
    short = staged_plan(sent, poorer, held, rules, PRICES, notice_s=notice_s, most_stages=50)
    assert not short.complete


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_where_one_step_would_harm_nobody_stages_complete(
    margins, state, update, near_margin, data
) -> None:
    people, held, sent, rules = data.draw(situations(margins, state, update, near_margin))
    # Those that are liquidatable as it is are out: one stage may heal them and the next one not.
    kept = people.subset(np.setdiff1d(np.arange(len(people)), unhealthy(people, held)))
    one = preflight(sent, kept, held, NONE, PRICES)
    plan = staged_plan(sent, kept, held, rules, PRICES, notice_s=0, most_stages=50)
    assert plan.complete == one.accepted


def unhealthy(people, held) -> list[int]:
    out = []
    for k in range(len(people)):
        rows = slice(people.start[k], people.start[k + 1])
        value = people.quantity[rows] * PRICES[people.instrument[rows]]
        kinds = held.margin_rates(Kind.MAINTENANCE_MARGIN, NAMES)
        rate = kinds[people.instrument[rows], (people.quantity[rows] < 0).astype(int)]
        if people.cash[k] + value.sum() - (np.abs(value) * rate).sum() < 1e-9:
            out.append(k)
    return out


def test_initial_margin_comes_at_once_and_maintenance_after_the_notice(
    state, update, margins, accounts
) -> None:
    people = accounts([-90.0], [[10.0]])
    sent = update(margins(1_500, 800))
    plan = staged_plan(sent, people, state(), NONE, PRICES[:1], notice_s=5_000)
    first, second = plan.stages
    assert {p.kind for p in first.update.values} == {Kind.INITIAL_MARGIN}
    assert {p.kind for p in second.update.values} == {Kind.MAINTENANCE_MARGIN}
    assert first.update.effective == sent.effective
    assert second.update.effective == sent.announced + 5_000
    assert second.update.notice_s == 5_000
    assert second.update.expiry - second.update.effective == sent.expiry - sent.effective
    assert (second.update.previous_sequence, second.update.sequence) == (5, 6)
    table = plan.frame()
    assert table.stage.tolist() == [0, 0, 1, 1]
    assert table[["before", "after"]].to_numpy().tolist() == [[1_000, 1_500]] * 2 + [[500, 800]] * 2
    assert table.effective.iloc[-1].timestamp() == NOW + 10 + 5_000


def test_relief_waits_for_no_notice(state, update, margins, accounts) -> None:
    sent = update(margins(900, 400))
    plan = staged_plan(sent, accounts([1.0], [[1.0]]), state(), NONE, PRICES[:1], notice_s=5_000)
    assert [r.update.effective for r in plan.stages] == [sent.effective]


def test_a_lower_price_cap_waits_for_the_notice_and_a_higher_one_does_not(
    state, update, margins, accounts
) -> None:
    ratio, since, growth = (Parameter("A", kind) for kind in CAP_KINDS)
    cap = {ratio: Kind.SNAPSHOT_RATIO.whole(8.0), since: NOW, growth: 500}
    held, people = state({**margins(), **cap}), accounts([0.0], [[1.0]])
    for price, effective in ((7.0, NOW + 10 + 900), (9.0, NOW + 100)):
        sent = update({ratio: Kind.SNAPSHOT_RATIO.whole(price), since: NOW + 50})
        plan = staged_plan(sent, people, held, NONE, PRICES[:1], notice_s=900)
        assert plan.complete
        assert [r.update.effective for r in plan.stages] == [effective]


def test_an_account_that_lacks_money_is_named_with_what_it_lacks(
    state, update, margins, accounts
) -> None:
    people = accounts([-94.0, -50.0], [[10.0], [10.0]])  # equity 6 and 50, margin 5, then 8
    plan = staged_plan(update(margins(1_500, 800)), people, state(), NONE, PRICES[:1], notice_s=9)
    assert plan.status is PlanStatus.NEEDS_TOP_UP
    assert plan.top_up.account.tolist() == [0]
    assert plan.top_up.amount[0] == pytest.approx(2.0, rel=1e-9)
    # It goes as far as it can: 6 % leaves the account on its margin, within rounding below.
    assert {v for p, v in plan.state.values.items() if p.kind is Kind.MAINTENANCE_MARGIN} == {599}
    assert set(plan.remaining().values()) == {201}


@pytest.mark.parametrize(
    ("limit", "most_stages", "furthest"),
    [
        (Limit(bounds=(0, 700)), 20, 700),
        (Limit(rise=Step(units=0)), 20, 500),
        (Limit(rise=Step(units=10)), 5, 550),
    ],
)
def test_limits_that_leave_no_way_end_the_plan(
    state, update, margins, accounts, limit, most_stages, furthest
) -> None:
    rules = RateLimits(by_kind={Kind.MAINTENANCE_MARGIN: limit})
    people, sent = accounts([100.0], [[1.0]]), update(margins(1_000, 800))
    plan = staged_plan(
        sent, people, state(), rules, PRICES[:1], notice_s=0, most_stages=most_stages
    )
    assert plan.status is PlanStatus.LIMITED
    assert plan.remaining()
    assert len(plan.top_up) == 0
    reached = {v for p, v in plan.state.values.items() if p.kind is Kind.MAINTENANCE_MARGIN}
    assert reached == {furthest}


def test_delays_are_waited_for(state, update, margins, accounts) -> None:
    rules = RateLimits(by_kind={Kind.MAINTENANCE_MARGIN: Limit(rise=Step(units=100), delay_s=777)})
    sent = update(dict.fromkeys((p for p in margins() if p.kind is Kind.MAINTENANCE_MARGIN), 800))
    held = state(changed_at=dict.fromkeys(margins(), NOW))
    plan = staged_plan(sent, accounts([100.0], [[1.0]]), held, rules, PRICES[:1], notice_s=0)
    assert [r.update.effective for r in plan.stages] == [NOW + 777 * k for k in (1, 2, 3)]


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": 4, "previous_sequence": 3},
        {"values": {Parameter("A", Kind.MAINTENANCE_MARGIN, "long"): 1_001}},
    ],
)
def test_an_update_that_cannot_begin_has_no_stages(state, update, margins, accounts, changes):
    sent = update(**{"values": margins(1_500, 800), **changes})
    plan = staged_plan(sent, accounts([1.0], [[1.0]]), state(), NONE, PRICES[:1], notice_s=0)
    assert plan.status is PlanStatus.REFUSED
    assert (plan.stages, plan.state) == ((), state())
    assert plan.frame().empty


@pytest.mark.parametrize("changes", [{"notice_s": -1}, {"notice_s": 0, "most_stages": 0}])
def test_notice_and_stages_are_counts(state, update, margins, accounts, changes) -> None:
    with pytest.raises(InputError, match="notice_s must be at least 0 and most_stages at least 1"):
        staged_plan(update(margins()), accounts([], []), state(), NONE, PRICES[:1], **changes)


def test_an_account_healed_by_one_stage_and_harmed_by_later_ones_knows_its_whole_need(
    state, update, margins, accounts
) -> None:
    held = state({**margins(3_000, 1_000), **margins(3_000, 500, name="B")})
    people = accounts([-186.0], [[10.0, 25.0]], NAMES)  # equity 14, 15 needed; then 10; then 20
    sent = update(
        {
            Parameter(name, Kind.MAINTENANCE_MARGIN, side): units
            for name, units in (("A", 500), ("B", 1_500))
            for side in ("long", "short")
        }
    )
    rules = RateLimits(by_kind={Kind.MAINTENANCE_MARGIN: Limit(rise=Step(units=200))})
    plan = staged_plan(sent, people, held, rules, PRICES, notice_s=0)
    assert plan.status is PlanStatus.NEEDS_TOP_UP
    assert plan.top_up.amount.tolist() == [pytest.approx(6.0, rel=1e-9)]


def test_a_cap_that_is_higher_half_way_than_at_both_ends_asks_shorts_for_the_way(
    state, update, margins, accounts
) -> None:
    # The cap grows by 1 in 10⁶ s: 5 · 2 before, 10 · 1 at the target, 7.5 · 1.5 = 11.25 half-way.
    ratio, since, growth = (Parameter("A", kind) for kind in CAP_KINDS)
    cap = {ratio: Kind.SNAPSHOT_RATIO.whole(5.0), since: 0, growth: 315_360}
    half = Limit(rise=Step(units=Kind.SNAPSHOT_RATIO.whole(2.5)))
    people, held = accounts([110.0], [[-10.0]]), state({**margins(), **cap})
    sent = update({ratio: Kind.SNAPSHOT_RATIO.whole(10.0), since: NOW + 100})
    rules = RateLimits(by_kind={Kind.SNAPSHOT_RATIO: half})
    plan = staged_plan(sent, people, held, rules, np.array([12.0]), notice_s=0)
    assert plan.status is PlanStatus.NEEDS_TOP_UP
    # 100 s more of growth are 10⁻⁴ of the value.
    assert plan.top_up.amount.tolist() == [pytest.approx(112.5 * 1.05 - 110, rel=2e-3)]
    assert staged_plan(sent, people, held, NONE, np.array([12.0]), notice_s=0).complete
