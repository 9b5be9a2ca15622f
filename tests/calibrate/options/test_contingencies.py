"""Contingencies: they only add, they grow with the book, and they see what a grid does not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.calibrate.options import (
    Book,
    Kind,
    Marks,
    basis_risk,
    black76,
    book_greeks,
    pin_risk,
    scenario_pnl,
    short_option_minimum,
    skew_risk,
    standard_grid,
    vega_expansion,
)
from foremargin.errors import InputError

DAY = 1 / 365
CHARGES = {
    "pin": lambda book, marks: pin_risk(book, marks, rate=0.05, window_days=10.0, width=0.5),
    "vega": lambda book, marks: vega_expansion(book, marks, vol_move=0.3, probability=0.4),
    "minimum": lambda book, marks: short_option_minimum(book, marks, rate=0.01),
    "basis": lambda book, marks: basis_risk(book, marks, at_least=0.01, per_year=0.05),
    "skew": lambda book, marks: skew_risk(book, marks, steepening=0.1),
}
each = pytest.mark.parametrize("name", CHARGES)


def sold(*rows: tuple[Kind, float, float, float]) -> tuple[Book, Marks]:
    book = Book.of(rows)
    return book, Marks.flat(book, spot=100.0, sigma_ann=0.8)


@each
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), factor=st.floats(0.01, 100.0))
def test_a_charge_is_never_negative_and_grows_with_the_book(
    make_book, name: str, seed: int, factor: float
) -> None:
    book, marks = make_book(seed, underlyings=2)
    charge = CHARGES[name](book, marks)
    assert charge >= 0.0
    assert CHARGES[name](book.times(factor), marks) == pytest.approx(factor * charge, rel=1e-9)


@each
def test_options_sold_are_charged_and_an_empty_book_is_not(name: str, make_book) -> None:
    book, marks = make_book(5, n=30, sign=-1.0)
    assert CHARGES[name](book, marks) > 0.0
    empty = Book.of([])
    assert CHARGES[name](empty, Marks.flat(empty, spot=1.0, sigma_ann=1.0)) == 0.0


@each
def test_missing_marks_are_refused(name: str) -> None:
    book = Book.of([(Kind.CALL, 100.0, 5 * DAY, -1.0)])
    with pytest.raises(InputError, match="sigma_ann of options must be finite"):
        CHARGES[name](book, Marks.flat(book, spot=100.0, sigma_ann=np.nan))


@pytest.mark.parametrize("name", ["pin", "vega", "minimum"])
def test_options_bought_cost_nothing(name: str, make_book) -> None:
    book, marks = make_book(6, n=30, sign=1.0)
    assert CHARGES[name](book, marks) == 0.0


def test_pin_risk_grows_towards_the_strike_and_the_expiry() -> None:
    def charge(strike: float, days: float) -> float:
        book, marks = sold((Kind.CALL, strike, days * DAY, -3.0))
        return pin_risk(book, marks, rate=0.04, window_days=2.0, width=0.05)

    assert charge(100.0, 0.0) == pytest.approx(0.04 * 100 * 3)
    assert charge(100.0, 1.0) == pytest.approx(0.5 * charge(100.0, 0.0))
    assert charge(100.0 * np.exp(0.025), 0.0) == pytest.approx(0.5 * charge(100.0, 0.0))
    assert charge(100.0, 2.0) == charge(106.0, 0.0) == 0.0


def test_a_put_bought_at_the_same_strike_takes_pin_risk_away() -> None:
    book, marks = sold((Kind.CALL, 100.0, DAY, -3.0), (Kind.PUT, 100.0, DAY, 2.0))
    alone, its_marks = sold((Kind.CALL, 100.0, DAY, -1.0))
    assert pin_risk(book, marks, rate=0.04) == pin_risk(alone, its_marks, rate=0.04) > 0.0


def test_vega_of_one_expiry_does_not_pay_for_another() -> None:
    near, far = (Kind.CALL, 100.0, 10 * DAY, -4.0), (Kind.CALL, 100.0, 180 * DAY, 1.0)
    book, marks = sold(near, far)
    vega = book_greeks(book, marks)["vega"][0]
    want = 0.25 * 0.5 * -vega * 0.8 * 3**0.30
    assert vega_expansion(book, marks, vol_move=0.5, probability=0.25) == pytest.approx(want)
    same, its_marks = sold(near, (Kind.PUT, 100.0, 10 * DAY, 4.0))
    assert vega_expansion(same, its_marks, vol_move=0.5) == pytest.approx(0.0, abs=1e-9)


def test_the_minimum_holds_far_out_of_the_money_and_longs_elsewhere_do_not_help() -> None:
    book, marks = sold((Kind.PUT, 20.0, 5 * DAY, -7.0), (Kind.PUT, 21.0, 5 * DAY, 7.0))
    assert short_option_minimum(book, marks, rate=0.01) == pytest.approx(7.0)
    closed, its_marks = sold((Kind.PUT, 20.0, 5 * DAY, -7.0), (Kind.PUT, 20.0, 5 * DAY, 7.0))
    assert short_option_minimum(closed, its_marks, rate=0.01) == 0.0


def test_a_calendar_spread_of_futures_is_free_on_a_grid_and_pays_for_its_basis() -> None:
    book, marks = sold((Kind.FUTURE, np.nan, 0.25, -2.0), (Kind.PERP, np.nan, np.nan, 3.0))
    pair = book.with_quantity(np.array([-2.0, 2.0]))
    grid = standard_grid((-0.2, 0.2), vol_up=0.5, vol_down=0.3)
    assert scenario_pnl(pair, marks, grid).loss() == 0.0
    # 3 x 100 x 1 % against 2 x 100 x (1 % + 4 % x 0.25): the smaller side.
    assert basis_risk(book, marks, at_least=0.01, per_year=0.04) == pytest.approx(3.0)
    assert basis_risk(pair, marks, at_least=0.01, per_year=0.04) == pytest.approx(2.0)
    outright = book.with_quantity(np.array([2.0, 3.0]))
    assert basis_risk(outright, marks, at_least=0.01, per_year=0.04) == 0.0


def test_the_basis_of_one_underlying_is_not_that_of_another() -> None:
    book = Book(
        kind=[Kind.FUTURE, Kind.PERP],  # type: ignore[arg-type]
        strike=np.full(2, np.nan),
        expiry=np.array([0.25, np.nan]),
        quantity=np.array([-2.0, 2.0]),
        underlying=("A", "B"),
    )
    marks = Marks.flat(book, spot=100.0, sigma_ann=0.0)
    assert basis_risk(book, marks, at_least=0.01, per_year=0.04) == 0.0


def test_a_risk_reversal_pays_for_the_skew() -> None:
    book, marks = sold((Kind.CALL, 120.0, 30 * DAY, 1.0), (Kind.PUT, 83.0, 30 * DAY, -1.0))
    total = 0.8 * np.sqrt(30 * DAY)
    want = []
    for side in (1.0, -1.0):
        change = np.zeros(())
        for k, call, q in ((120.0, True, 1.0), (83.0, False, -1.0)):
            steps = np.log(k / 100.0) / total
            option = {"expiry": 30 * DAY, "call": call}
            then = black76(100.0, k, sigma_ann=0.8 * (1 + side * 0.1 * steps), **option).value
            change = change + q * (then - black76(100.0, k, sigma_ann=0.8, **option).value)
        want.append(change)
    assert skew_risk(book, marks, steepening=0.1) == pytest.approx(max(0.0, -min(want)), rel=1e-12)
    straddle, its_marks = sold(
        (Kind.CALL, 100.0, 30 * DAY, -1.0), (Kind.PUT, 100.0, 30 * DAY, -1.0)
    )
    assert skew_risk(straddle, its_marks, steepening=0.1) == 0.0


@pytest.mark.parametrize(
    ("charge", "message"),
    [
        (lambda b, m: pin_risk(b, m, rate=-0.1), "rate must not be negative"),
        (
            lambda b, m: pin_risk(b, m, rate=0.1, width=0.0),
            "window_days and width must be positive",
        ),
        (
            lambda b, m: vega_expansion(b, m, vol_move=0.1, probability=1.5),
            "probability must be in",
        ),
        (lambda b, m: vega_expansion(b, m, vol_move=np.nan), "vol_move must be finite"),
        (lambda b, m: short_option_minimum(b, m, rate=-1.0), "rate must not be negative"),
        (lambda b, m: basis_risk(b, m, at_least=0.1, per_year=-1.0), "must not be negative"),
        (lambda b, m: skew_risk(b, m, steepening=0.6), "steepening must be in"),
    ],
)
def test_a_charge_that_would_pay_is_refused(charge, message: str) -> None:
    with pytest.raises(InputError, match=message):
        charge(*sold((Kind.CALL, 100.0, DAY, -1.0)))
