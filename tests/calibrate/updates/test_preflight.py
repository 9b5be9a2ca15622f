"""Pre-flight: an update that passes harms nobody, one that does not says whom."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
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
    preflight,
)

NOW = 1_000_000
PRICES = np.array([10.0, 4.0])
NONE = RateLimits()
NAMES = ("A", "B")
RATIO, SINCE, GROWTH = (Parameter("A", kind) for kind in CAP_KINDS)
MAINTENANCE = {
    n: [Parameter(n, Kind.MAINTENANCE_MARGIN, s) for s in ("long", "short")] for n in NAMES
}

rates = st.integers(1, 40).map(lambda k: 50 * k)


@st.composite
def situations(draw, margins, state, update, near_margin):
    """Accounts near their margin, and an update of margins, a cap or both."""
    values: dict[Parameter, int] = {}
    asked: dict[Parameter, int] = {}
    for name in NAMES:
        values |= margins(draw(rates) + 2_000, draw(rates), name=name)
        if draw(st.booleans()):
            asked |= margins(draw(rates) + 2_000, draw(rates), name=name)
    capped = draw(st.sampled_from([8.0, 12.0]))
    cap = {RATIO: Kind.SNAPSHOT_RATIO.whole(capped), SINCE: NOW - 10**6, GROWTH: 2_000}
    values |= cap
    counted = np.array([min(PRICES[0], capped), PRICES[1]])
    people = near_margin(draw, values, counted, NAMES)
    if not asked or draw(st.booleans()):
        ratio = draw(st.integers(70, 110).map(lambda k: k / 10))
        asked |= {RATIO: Kind.SNAPSHOT_RATIO.whole(ratio), SINCE: NOW - draw(st.integers(0, 10**6))}
    step = st.none() | st.integers(0, 400)
    excess = draw(st.sampled_from(Excess))
    rules = RateLimits(
        by_kind={
            kind: Limit(rise=Step(units=draw(step)), fall=Step(units=draw(step)), on_excess=excess)
            for kind in (Kind.MAINTENANCE_MARGIN, Kind.INITIAL_MARGIN)
        }
    )
    return people, state(values), update(asked), draw(st.sampled_from([NONE, rules]))


def exact_headroom(people, held, *, time):
    """Equity less maintenance margin in fractions, account by account."""
    prices = held.capped_prices(PRICES, NAMES, time=time)
    rooms = []
    for k in range(len(people)):
        room = Fraction(float(people.cash[k]))
        for j in range(people.start[k], people.start[k + 1]):
            i, amount = people.instrument[j], Fraction(float(people.quantity[j]))
            value = amount * Fraction(float(prices[i]))
            rate = held.values[MAINTENANCE[NAMES[i]][0 if amount > 0 else 1]]
            room += value - abs(value) * Fraction(rate, 10_000)
        rooms.append(room)
    return rooms


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_an_accepted_update_never_turns_a_healthy_account_unhealthy(
    margins, state, update, near_margin, data
) -> None:
    people, held, sent, rules = data.draw(situations(margins, state, update, near_margin))
    report: Any = preflight(sent, people, held, rules, PRICES)
    time = sent.effective
    before = exact_headroom(people, held, time=time)
    if report.outcome.state is None:
        assert Reason.INCOHERENT in report.reasons
        return
    after = exact_headroom(people, report.outcome.state, time=time)
    fallen = {k for k in range(len(people)) if before[k] >= 0 > after[k]}
    assert fallen <= set(report.liquidated.account.tolist())
    # Who is named without having fallen stands within rounding of the margin.
    for k in set(report.liquidated.account.tolist()) - fallen:
        assert abs(after[k]) < 1e-6 or abs(before[k]) < 1e-6
    if report.accepted:
        assert not fallen
        assert report.safe_update == sent


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_refused_update_names_an_account_or_what_does_not_fit(
    margins, state, update, near_margin, data
) -> None:
    people, held, sent, rules = data.draw(situations(margins, state, update, near_margin))
    report: Any = preflight(sent, people, held, rules, PRICES)
    if report.accepted:
        return
    assert (Reason.LIQUIDATES in report.reasons) == (len(report.liquidated) > 0)
    consumer = {r.reason for r in report.outcome.refusals}
    assert set(report.reasons) == consumer | ({Reason.LIQUIDATES} & set(report.reasons))
    if Reason.UNEQUAL_SHARES in report.reasons:
        shares = report.outcome.shares().values()
        assert max(shares) > min(shares)
    # What is offered instead passes, and is a step on the same way.
    if report.safe_update is not None:
        assert preflight(report.safe_update, people, held, rules, PRICES).accepted
        assert report.safe_update.values == sent.scaled(held, report.safe_fraction).values


@settings(max_examples=40, deadline=None)
@given(share=st.integers(1, 99), target=st.integers(600, 4_000))
def test_the_safe_fraction_ends_where_the_tightest_account_does(
    state, update, margins, accounts, share, target
) -> None:
    # One long of 1,000 with headroom for `share` per cent of the rise, in closed form.
    room = 1_000.0 * (target - 500) / 10_000 * share / 100
    held = state(margins(5_000, 500))
    people = accounts([-1_000.0 + 50.0 + room + 1e-6, 0.0], [[100.0], [5.0]])
    sent = update(dict.fromkeys(MAINTENANCE["A"], target))
    report: Any = preflight(sent, people, held, NONE, np.array([10.0]))
    assert report.reasons == (Reason.LIQUIDATES,)
    # The largest whole rise: margins are rounded up, so the fraction may end up to a unit lower.
    largest = (target - 500) * share // 100
    safe = report.safe_update
    assert (safe.values[MAINTENANCE["A"][0]] - 500 if safe else 0) == largest


def test_the_worst_accounts_come_first_with_what_they_lack(state, update, accounts) -> None:
    people = accounts([-940.0, -949.0, -700.0, -960.0], [[100.0]] * 4)
    report: Any = preflight(
        update(dict.fromkeys(MAINTENANCE["A"], 800)), people, state(), NONE, np.array([10.0])
    )
    # Equities 60, 51, 300, 40 against 50 before and 80 after: the last was not healthy before.
    assert report.liquidated.account.tolist() == [1, 0]
    np.testing.assert_allclose(report.liquidated.amount, [29.0, 20.0], rtol=1e-9)
    assert report.liquidated.notional.tolist() == [1_000.0, 1_000.0]
    assert report.liquidated.frame(most=1).account.tolist() == [1]
    row: Any = report.frame().iloc[0]
    assert (row.accepted, row.reasons, row.n_liquidated) == (False, "liquidates", 2)
    assert row.liquidated_notional == 2_000.0
    with pytest.raises(ValueError, match="read-only"):
        report.liquidated.account[0] = 0


def test_a_rise_of_initial_margin_calls_and_does_not_liquidate(state, update, accounts) -> None:
    people = accounts([-850.0, -950.0, -500.0], [[100.0]] * 3)
    rise = {Parameter("A", Kind.INITIAL_MARGIN, s): 2_000 for s in ("long", "short")}
    report: Any = preflight(update(rise), people, state(), NONE, np.array([10.0]))
    # Equities 150, 50, 500 against 100 before and 200 after: 50 more, 100 more, none.
    assert report.accepted
    assert report.called.account.tolist() == [1, 0]
    np.testing.assert_allclose(report.called.amount, [100.0, 50.0], rtol=1e-12)
    assert report.called.notional.sum() == 2_000.0


def test_an_account_that_was_liquidatable_already_is_not_the_updates_doing(
    state, update, accounts
) -> None:
    people = accounts([-990.0], [[100.0]])
    sent = update(dict.fromkeys(MAINTENANCE["A"], 900))
    assert preflight(sent, people, state(), NONE, np.array([10.0])).accepted


def test_an_account_on_its_margin_stands_as_long_as_nothing_it_holds_changes(
    state, update, margins, accounts
) -> None:
    held = state({**margins(), **margins(name="B")})
    people = accounts([-95.0], [[10.0, 0.0]], NAMES)  # equity 5 of 100: exactly 5 %
    other = update(dict.fromkeys(MAINTENANCE["B"], 900))
    assert preflight(other, people, held, NONE, PRICES).accepted
    own = update(dict.fromkeys(MAINTENANCE["A"], 501))
    assert preflight(own, people, held, NONE, PRICES).reasons == (Reason.LIQUIDATES,)
    lower = update(dict.fromkeys(MAINTENANCE["A"], 499))
    assert preflight(lower, people, held, NONE, PRICES).accepted


def test_a_short_is_hurt_by_a_cap_that_rises(state, update, margins, accounts) -> None:
    cap = {RATIO: Kind.SNAPSHOT_RATIO.whole(8.0), SINCE: NOW, GROWTH: 0}
    held = state({**margins(), **cap})
    people = accounts([86.0], [[-10.0]])  # 80 owed at the cap, 4 of margin, 2 to spare
    lifted = update({RATIO: Kind.SNAPSHOT_RATIO.whole(9.0)})
    report: Any = preflight(lifted, people, held, NONE, np.array([10.0]))
    assert report.reasons == (Reason.LIQUIDATES,)
    assert report.prices.loc["A"].tolist() == [10.0, 8.0, 9.0, pytest.approx(0.1)]
    # 86 >= 10 r (1 + 5 %) gives r = 8.190...
    assert float(report.safe_fraction) == pytest.approx(86 / 10.5 - 8, rel=1e-6)  # bisected


def test_orders_and_times_that_do_not_fit_are_refused_without_a_smaller_step(
    state, update, accounts
) -> None:
    people = accounts([-945.0], [[100.0]])
    sent = update(dict.fromkeys(MAINTENANCE["A"], 900), sequence=9, previous_sequence=8)
    report: Any = preflight(sent, people, state(), NONE, np.array([10.0]), time=NOW + 300)
    assert report.reasons == (Reason.GAP, Reason.EXPIRED)
    assert (report.safe_fraction, report.safe_update, len(report.liquidated)) == (0, None, 0)
    unknown = update({Parameter("A", Kind.POSITION_CAP): 5})
    report = preflight(unknown, people, state(), NONE, np.array([10.0]))
    assert (report.reasons, report.outcome) == ((Reason.UNKNOWN,), None)


def test_a_consumer_that_rejects_leaves_accounts_alone_and_takes_a_smaller_step(
    state, update, accounts
) -> None:
    people = accounts([-945.0], [[100.0]])
    rules = RateLimits(
        by_kind={
            Kind.MAINTENANCE_MARGIN: Limit(rise=Step(basis_points=500), on_excess=Excess.REJECT)
        }
    )
    sent = update(dict.fromkeys(MAINTENANCE["A"], 700))
    report: Any = preflight(sent, people, state(), rules, np.array([10.0]))
    assert report.reasons == (Reason.REJECTED,)
    assert report.safe_fraction == Fraction(25, 200)
    assert set(report.safe_update.values.values()) == {525}


def test_a_smaller_step_within_the_limits_is_tried_on_all_accounts(state, update, accounts) -> None:
    # The whole is rejected and harms nobody; the half that is allowed would harm one account.
    people = accounts([-940.0, -500.0], [[100.0]] * 2)  # equity 60: good for 6 %
    rules = RateLimits(
        by_kind={Kind.MAINTENANCE_MARGIN: Limit(rise=Step(units=200), on_excess=Excess.REJECT)}
    )
    sent = update(dict.fromkeys(MAINTENANCE["A"], 900))
    report: Any = preflight(sent, people, state(), rules, np.array([10.0]))
    assert report.reasons == (Reason.REJECTED,)
    assert set(report.safe_update.values.values()) == {599}  # at 600 it is within rounding
