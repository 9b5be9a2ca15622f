"""Accounts: flat arrays, valued as a plain loop over exact fractions would."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.calibrate import SIDES
from foremargin.calibrate.updates import Accounts, Kind, Parameter, preflight
from foremargin.calibrate.updates.accounts import headroom, terms_of
from foremargin.calibrate.updates.limits import RateLimits
from foremargin.errors import InputError, ShapeError

NOW = 1_000_000
PRICES = np.array([100.0, 3.0])

amounts = st.floats(-1e6, 1e6).map(lambda x: round(x, 4))


@settings(deadline=None)  # the first call compiles
@given(
    cash=st.lists(amounts, min_size=3, max_size=3),
    quantity=st.lists(amounts, min_size=6, max_size=6),
)
def test_headroom_is_equity_less_margin_of_each_position(
    state, margins, accounts, cash, quantity
) -> None:
    both = accounts(cash, np.reshape(quantity, (3, 2)), ("A", "B"))
    held = state({**margins(1_000, 500), **margins(4_000, 2_500, name="B")})
    terms = terms_of(held, PRICES, both.instruments, time=NOW)
    rooms = headroom(both, terms, terms)
    for k, row in enumerate(np.reshape(quantity, (3, 2))):
        values = [Fraction(float(q)) * p for q, p in zip(row, (100, 3), strict=True)]
        equity = Fraction(cash[k]) + sum(values)
        maintenance = abs(values[0]) / 20 + abs(values[1]) / 4
        initial = abs(values[0]) / 10 + abs(values[1]) * Fraction("0.4")
        slack = float(rooms.slack[k])
        assert abs(Fraction(rooms.before[k]) - (equity - maintenance)) <= slack
        assert abs(Fraction(rooms.call_before[k]) - max(initial - equity, Fraction(0))) <= slack
        assert abs(Fraction(rooms.notional[k]) - sum(map(abs, values))) <= slack
    assert not rooms.touched.any()


def test_the_two_sides_have_their_own_margin(state, margins, accounts) -> None:
    values, names = margins(), [Parameter("A", Kind.MAINTENANCE_MARGIN, s) for s in SIDES]
    before, after = (
        terms_of(state({**values, **dict(zip(names, rates, strict=True))}), prices, ["A"], time=NOW)
        for rates, prices in (((500, 800), np.array([100.0])), ((600, 900), np.array([110.0])))
    )
    rooms = headroom(accounts([0.0, 200.0], [[1.0], [-1.0]]), before, after)
    np.testing.assert_allclose(rooms.before, [100 - 5, 200 - 100 - 8], rtol=1e-14)
    np.testing.assert_allclose(rooms.after, [110 - 6.6, 200 - 110 - 9.9], rtol=1e-14)


def test_only_the_side_that_changes_is_touched(state, margins, update, accounts) -> None:
    people = accounts([-94.5, 105.5], [[1.0], [-1.0]])  # equity 5.5, 5 of it needed
    short = Parameter("A", Kind.MAINTENANCE_MARGIN, "short")
    report = preflight(update({short: 600}), people, state(), RateLimits(), np.array([100.0]))
    assert report.liquidated.account.tolist() == [1]


def test_a_subset_keeps_each_accounts_own_positions(accounts) -> None:
    whole = accounts([1.0, 2.0, 3.0], [[1, 2], [0, 0], [0, 3]], ("A", "B"))
    part = whole.subset(np.array([2, 1]))
    assert part.cash.tolist() == [3.0, 2.0]
    assert part.start.tolist() == [0, 1, 1]
    assert (part.instrument.tolist(), part.quantity.tolist()) == ([1], [3.0])
    assert len(whole.subset(np.zeros(0, dtype=np.int64))) == 0


def test_no_accounts_and_no_positions_are_accounts_too(state, update, accounts) -> None:
    sent = update({p: 900 for p in state().values if p.kind is Kind.MAINTENANCE_MARGIN})
    for nobody in (accounts([], []), accounts([-5.0], [[0.0]])):
        report = preflight(sent, nobody, state(), RateLimits(), np.array([1.0]))
        assert report.accepted
        assert len(report.liquidated) == len(report.called) == 0


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"cash": [1.0, np.nan]}, InputError, "cash must be one-dimensional, float64, without NaN"),
        ({"cash": [1.0, np.inf]}, InputError, "cash and quantity must be finite"),
        ({"cash": [1.0]}, ShapeError, "start must be one longer than cash"),
        ({"instrument": [0, 2]}, InputError, "instrument must be from 0 to 1, found 0 to 2"),
        ({"instrument": [-1, 0]}, InputError, "instrument must be from 0 to 1, found -1 to 0"),
        ({"instrument": [0.5, 0]}, InputError, "instrument must be one-dimensional, int64"),
        ({"instrument": [0]}, ShapeError, "instrument as long as quantity; were 3, 2, 1, 2"),
        ({"start": [0, 3, 2]}, InputError, "start must rise from 0 to 2"),
        ({"start": [1, 1, 2]}, InputError, "start must rise from 0 to 2"),
        ({"start": [0, 1, 1]}, InputError, "start must rise from 0 to 2"),
        ({"instruments": ("A", "A")}, InputError, "instruments must be named once each"),
    ],
)
def test_arrays_that_do_not_describe_accounts_are_refused(accounts, changes, error, match) -> None:
    whole = accounts([1.0, 2.0], [[1, 0], [0, 1]], ("A", "B"))
    with pytest.raises(error, match=match):
        replace(whole, **changes)


def test_accounts_do_not_change_with_the_arrays_they_came_from() -> None:
    cash, nothing = np.array([1.0]), np.zeros(0, dtype=np.int64)
    whole = Accounts(
        instruments=("A",),
        cash=cash,
        start=np.array([0, 0]),
        instrument=nothing,
        quantity=nothing.astype(np.float64),
    )
    cash[0] = 9.0
    assert whole.cash[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        whole.cash[0] = 1.0


@pytest.mark.parametrize("price", [0.0, -1.0, np.nan, np.inf])
def test_a_price_that_is_none_is_refused(state, update, accounts, price) -> None:
    sent = update({p: 900 for p in state().values if p.kind is Kind.MAINTENANCE_MARGIN})
    with pytest.raises(InputError, match="prices must be positive and finite, A was"):
        preflight(sent, accounts([1.0], [[1.0]]), state(), RateLimits(), np.array([price]))
    with pytest.raises(ShapeError, match=r"prices must have shape \(1,\), was \(2,\)"):
        preflight(sent, accounts([1.0], [[1.0]]), state(), RateLimits(), np.array([1.0, 1.0]))


def test_positions_beyond_the_float_range_are_refused(state, update, accounts) -> None:
    sent = update({p: 900 for p in state().values if p.kind is Kind.MAINTENANCE_MARGIN})
    with pytest.raises(InputError, match="positions must have a finite value"):
        preflight(sent, accounts([1.0], [[1e300]]), state(), RateLimits(), np.array([1e300]))
