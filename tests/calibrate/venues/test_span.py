"""SPAN: the sixteen scenarios by hand, both conventions, spreads and minimum."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.calibrate.options import Book, Kind, Marks, black76, book_greeks
from foremargin.calibrate.venues.span import (
    THREE_RANGES,
    TWO_RANGES,
    Span,
    margin,
    risk_array,
    with_forecast,
)
from foremargin.errors import InputError

RULES = Span(price_range=180.0, vol_range=0.08)
NAN = np.nan


def future(*rows: tuple[float, float]) -> tuple[Book, Marks]:
    book = Book.of([(Kind.FUTURE, NAN, expiry, q) for expiry, q in rows])
    return book, Marks.flat(book, spot=1500.0, sigma_ann=NAN)


@pytest.mark.parametrize(("extremes", "last"), [(TWO_RANGES, 126.0), (THREE_RANGES, 178.2)])
def test_the_risk_array_of_a_future(extremes: Any, last: float) -> None:
    book, marks = future((0.2, 1.0))
    got = risk_array(book, marks, parameters=replace(RULES, extremes=extremes))[:, 0]
    third = 60.0
    want = [0, 0, -1, -1, 1, 1, -2, -2, 2, 2, -3, -3, 3, 3]
    np.testing.assert_allclose(got[:14], third * np.array(want), atol=1e-10)
    np.testing.assert_allclose(got[14:], [-last, last], rtol=1e-12)


def test_the_risk_array_of_an_option_is_its_value_now_less_its_value_then() -> None:
    book = Book.of([(Kind.PUT, 1400.0, 0.2, -5.0)])
    marks = Marks.flat(book, spot=1500.0, sigma_ann=0.5, rate=0.02)
    rules = replace(RULES, look_ahead=1 / 365)
    got = risk_array(book, marks, parameters=rules)[:, 0]

    def value(price: float, sigma: float, expiry: float) -> float:
        return float(
            black76(price, 1400.0, expiry=expiry, sigma_ann=sigma, call=False, rate=0.02).value
        )

    now, left = value(1500.0, 0.5, 0.2), 0.2 - 1 / 365
    assert got[0] == pytest.approx(now - value(1500.0, 0.58, left), rel=1e-12)
    assert got[9] == pytest.approx(now - value(1380.0, 0.42, left), rel=1e-12)
    assert got[12] == pytest.approx(now - value(1320.0, 0.58, left), rel=1e-12)
    assert got[15] == pytest.approx(0.35 * (now - value(1140.0, 0.5, left)), rel=1e-12)
    result = margin(book, marks, parameters=rules)
    assert result.scanning_risk == pytest.approx(-5 * got[12], rel=1e-12)
    assert result.active_scenario == 13
    assert result.requirement == pytest.approx(-5 * got[12] + 5 * now, rel=1e-12)


def test_an_option_far_out_of_the_money_is_caught_by_an_extreme_or_by_the_minimum() -> None:
    book = Book.of([(Kind.CALL, 1850.0, 3 / 365, -10.0)])
    marks = Marks.flat(book, spot=1500.0, sigma_ann=0.3)
    got = margin(book, marks, parameters=RULES)
    assert got.active_scenario == 15
    floor = margin(book, marks, parameters=replace(RULES, short_option_charge=50.0))
    assert floor.risk == floor.short_option_minimum == 500.0 > got.risk
    assert floor.scanning_risk == got.scanning_risk


def test_a_calendar_spread_pays_for_each_spread_and_an_outright_does_not() -> None:
    rules = replace(RULES, spread_charge=12.0)
    got = margin(*future((0.1, 5.0), (0.4, -3.0), (0.7, -1.0)), parameters=rules)
    assert got.inter_month_charge == pytest.approx(4 * 12.0)
    assert got.scanning_risk == pytest.approx(180.0)
    assert got.risk == pytest.approx(228.0)
    assert margin(*future((0.1, 5.0), (0.4, 3.0)), parameters=rules).inter_month_charge == 0.0


def test_the_minimum_is_a_floor_under_scanning_risk_and_spreads_together() -> None:
    book = Book.of(
        [
            (Kind.FUTURE, NAN, 0.1, 2.0),
            (Kind.FUTURE, NAN, 0.4, -2.0),
            (Kind.CALL, 9000.0, 0.1, -1.0),
        ]
    )
    marks = Marks.flat(book, spot=1500.0, sigma_ann=0.1)
    got = margin(
        book, marks, parameters=replace(RULES, spread_charge=12.0, short_option_charge=30.0)
    )
    assert got.inter_month_charge == pytest.approx(24.0)
    assert got.risk == got.short_option_minimum == 30.0


def test_options_form_spreads_by_their_delta() -> None:
    book = Book.of([(Kind.CALL, 1500.0, 0.1, 4.0), (Kind.FUTURE, NAN, 0.4, -3.0)])
    marks = Marks.flat(book, spot=1500.0, sigma_ann=0.4)
    delta = book_greeks(book, marks)["delta"][0]
    got = margin(book, marks, parameters=replace(RULES, spread_charge=1.0))
    assert got.inter_month_charge == pytest.approx(delta)
    assert 2.0 < delta < 3.0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), factor=st.floats(0.01, 100.0))
def test_scanning_risk_is_homogeneous_and_a_merged_book_never_asks_for_more(
    make_option_book, seed: int, factor: float
) -> None:
    book, marks = make_option_book(seed)
    other = book.with_quantity(np.random.default_rng(seed + 1).normal(size=len(book)))
    both = book.with_quantity(book.quantity + other.quantity)
    rules = replace(RULES, short_option_charge=1.0)
    one, two, merged, scaled = (
        margin(b, marks, parameters=rules) for b in (book, other, both, book.times(factor))
    )
    assert merged.risk <= (one.risk + two.risk) * (1 + 1e-12)
    assert scaled.risk == pytest.approx(factor * one.risk, rel=1e-10)
    assert merged.scanning_risk >= 0.0


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), price=st.floats(1.0, 2.0), vol=st.floats(0.0, 0.5))
def test_margin_of_options_sold_rises_with_both_ranges(
    make_option_book, seed: int, price: float, vol: float
) -> None:
    book, marks = make_option_book(seed, sign=-1.0)
    least = margin(book, marks, parameters=RULES).scanning_risk
    for wider in (
        replace(RULES, vol_range=RULES.vol_range + vol),
        replace(RULES, price_range=RULES.price_range * price),
    ):
        assert margin(book, marks, parameters=wider).scanning_risk >= least * (1 - 1e-12)


def test_a_forecast_widens_the_ranges_and_never_goes_below_the_house(make_law) -> None:
    numbers: dict[str, Any] = {"confidence_level": 0.99, "price": 1500.0, "sigma_ann": 0.5}
    assert with_forecast(RULES, make_law(0.005), **numbers) == RULES
    reach = np.sqrt(-2 * np.log(0.01))
    wild = with_forecast(RULES, make_law(0.06), **numbers)
    assert wild.price_range == pytest.approx(1500 * np.expm1(0.06 * reach))
    # Reached between two of the points at which the region is looked at.
    assert wild.vol_range == pytest.approx(0.5 * np.expm1(0.15 * reach), rel=1e-3)
    asked = with_forecast(RULES, make_law(0.005), keep_minimum=False, **numbers)
    assert asked.price_range == pytest.approx(1500 * np.expm1(0.005 * reach))


def test_an_empty_account_needs_nothing() -> None:
    book = Book.of([])
    got = margin(book, Marks.flat(book, spot=1.0, sigma_ann=1.0), parameters=RULES)
    assert got.risk == got.requirement == 0.0


def test_what_cannot_be_margined_is_refused() -> None:
    book, marks = future((0.2, 1.0))
    with pytest.raises(
        InputError, match=r"widest fall, 1600\.0, must leave every price above zero"
    ):
        margin(book, marks, parameters=replace(RULES, price_range=800.0))
    with pytest.raises(InputError, match="price_range must be positive"):
        Span(price_range=0.0, vol_range=0.1)
    with pytest.raises(InputError, match="vol_range must not be negative"):
        Span(price_range=1.0, vol_range=-0.1)
    with pytest.raises(InputError, match=r"share must be in \[0, 1\]"):
        replace(TWO_RANGES, share=35.0)
    two = Book(
        kind=[Kind.PERP, Kind.PERP],  # type: ignore[arg-type]
        strike=np.full(2, NAN),
        expiry=np.full(2, NAN),
        quantity=np.ones(2),
        underlying=("GOLD", "OIL"),
    )
    with pytest.raises(InputError, match=r"one underlying, had \['GOLD', 'OIL'\]"):
        margin(two, Marks.flat(two, spot=1e4, sigma_ann=0.0), parameters=RULES)
