"""Paradex: scenarios by hand, the minimum by delta, the provisions, and the rule's guarantees."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.calibrate.options import Book, Kind, Marks, black76
from foremargin.calibrate.venues.paradex import BTC_ETH, HYPE_CL, margin, with_forecast
from foremargin.errors import InputError


def test_a_call_sold_loses_most_at_the_end_of_the_ladder_with_volatility_up() -> None:
    book = Book.of([(Kind.CALL, 1600.0, 7 / 365, -2.0)])
    marks = Marks.flat(book, spot=1500.0, sigma_ann=0.7)
    got = margin(book, marks)
    option = {"expiry": 7 / 365, "call": True}
    up = 0.7 * (1 + 0.40 * (30 / 7) ** 0.30)
    then = float(black76(1740.0, 1600.0, sigma_ann=up, **option).value)
    now = float(black76(1500.0, 1600.0, sigma_ann=0.7, **option).value)
    assert got.scenario_loss == got.initial == pytest.approx(2 * (then - now), rel=1e-12)
    assert got.maintenance == pytest.approx(then - now, rel=1e-12)


def test_a_straddle_bought_loses_most_inside_the_ladder_with_volatility_down() -> None:
    book = Book.of([(Kind.CALL, 1500.0, 0.5, 1.0), (Kind.PUT, 1500.0, 0.5, 1.0)])
    marks = Marks.flat(book, spot=1500.0, sigma_ann=0.7)
    down = 0.7 * (1 - 0.22 * (30 / 182.5) ** 0.13)

    def value(price: float, sigma: float) -> float:
        option = {"expiry": 0.5, "sigma_ann": sigma}
        return sum(float(black76(price, 1500.0, call=c, **option).value) for c in (True, False))

    # Half a year out its lowest value is below the strike: a lognormal price has its median there.
    least = min(value(1500.0 * (1 + move), down) for move in (-0.08, -0.04, 0.0))
    want = value(1500.0, 0.7) - least
    assert margin(book, marks).scenario_loss == pytest.approx(want, rel=1e-12)


def test_hedged_perpetuals_pay_the_minimum_by_delta() -> None:
    book = Book.of([(Kind.PERP, np.nan, np.nan, 3.0), (Kind.FUTURE, np.nan, 0.2, -2.0)])
    hedged = book.with_quantity(np.array([2.0, -2.0]))
    marks = Marks.flat(book, spot=1500.0, sigma_ann=0.0)
    got = margin(hedged, marks)
    assert got.scenario_loss == 0.0
    assert got.initial == pytest.approx(0.01 * 2 * 1500)
    outright = margin(book, marks)
    assert outright.minimum == pytest.approx((0.02 * 1 + 0.01 * 2) * 1500)
    assert outright.initial == outright.scenario_loss == pytest.approx(0.16 * 1500)


def test_provisions_for_funding_and_fees() -> None:
    book = Book.of([(Kind.PERP, np.nan, np.nan, 3.0), (Kind.CALL, 1500.0, 0.1, -1.0)])
    marks = Marks.flat(book, spot=1500.0, sigma_ann=0.7)
    plain = margin(book, marks)
    pays = margin(book, marks, funding_rate=1e-4, fee_rate=3e-4)
    assert pays.funding_provision == pytest.approx(3 * 1500 * 1e-4)
    assert pays.fee_provision == pytest.approx(4 * 1500 * 3e-4)
    assert pays.initial == pytest.approx(plain.initial + 0.45 + 1.8)
    assert pays.maintenance == pytest.approx(0.5 * pays.initial)
    receives = margin(book, marks, funding_rate=-1e-4)
    assert receives.funding_provision == 0.0


def test_each_underlying_has_its_own_worst_scenario_and_minimum() -> None:
    book = Book(
        kind=[Kind.PERP, Kind.PERP, Kind.FUTURE],  # type: ignore[arg-type]
        strike=np.full(3, np.nan),
        expiry=np.array([np.nan, np.nan, 0.5]),
        quantity=np.array([1.0, 2.0, -2.0]),
        underlying=("BTC", "ETH", "ETH"),
    )
    marks = Marks.flat(book, spot=100.0, sigma_ann=0.0)
    got = margin(book, marks)
    assert got.scan == pytest.approx(16.0 + 0.01 * 200)
    assert got.scenario_loss == pytest.approx(16.0)


def test_the_second_set_is_wider() -> None:
    book = Book.of([(Kind.PERP, np.nan, np.nan, -1.0)])
    marks = Marks.flat(book, spot=100.0, sigma_ann=0.0)
    assert margin(book, marks, parameters=HYPE_CL).initial == pytest.approx(28.0)
    assert len(BTC_ETH.grid) == len(HYPE_CL.grid) == 27  # see the module: the venue has 24 of them


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), factor=st.floats(0.01, 100.0))
def test_margin_is_homogeneous_and_a_merged_book_never_asks_for_more(
    make_option_book, seed: int, factor: float
) -> None:
    book, marks = make_option_book(seed)
    other = book.with_quantity(np.random.default_rng(seed + 1).normal(size=len(book)))
    both = book.with_quantity(book.quantity + other.quantity)
    one, two, merged, scaled = (
        margin(b, marks, funding_rate=1e-4, fee_rate=3e-4).initial
        for b in (book, other, both, book.times(factor))
    )
    assert merged <= (one + two) * (1 + 1e-12)
    assert scaled == pytest.approx(factor * one, rel=1e-10)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), more=st.floats(0.0, 1.0))
def test_margin_of_options_sold_rises_with_the_shocks(
    make_option_book, seed: int, more: float
) -> None:
    book, marks = make_option_book(seed, sign=-1.0)
    wider = replace(BTC_ETH, vol_up=BTC_ETH.vol_up + more)
    assert margin(book, marks, parameters=wider).initial >= margin(book, marks).initial * (
        1 - 1e-12
    )


def test_a_forecast_widens_the_shocks_and_never_goes_below_the_venue(make_law) -> None:
    book = Book.of([(Kind.PERP, np.nan, np.nan, -1.0)])
    marks = Marks.flat(book, spot=100.0, sigma_ann=0.0)
    assert with_forecast(BTC_ETH, make_law(0.01), confidence_level=0.99) == BTC_ETH
    reach = np.expm1(0.08 * np.sqrt(-2 * np.log(0.01)))
    wild = with_forecast(BTC_ETH, make_law(0.08), confidence_level=0.99)
    assert margin(book, marks, parameters=wild).initial == pytest.approx(100 * reach)
    asked = with_forecast(BTC_ETH, make_law(0.02), confidence_level=0.99, keep_minimum=False)
    reach = np.expm1(0.02 * np.sqrt(-2 * np.log(0.01)))
    assert margin(book, marks, parameters=asked).initial == pytest.approx(100 * reach)


def test_an_empty_account_needs_nothing() -> None:
    book = Book.of([])
    assert margin(book, Marks.flat(book, spot=1.0, sigma_ann=1.0)).initial == 0.0


def test_numbers_that_mean_nothing_are_refused() -> None:
    book = Book.of([(Kind.PERP, np.nan, np.nan, 1.0)])
    marks = Marks.flat(book, spot=1.0, sigma_ann=1.0)
    with pytest.raises(InputError, match="funding_rate must be finite"):
        margin(book, marks, funding_rate=np.nan)
    with pytest.raises(InputError, match="fee_rate must not be negative"):
        margin(book, marks, fee_rate=-1e-4)
    with pytest.raises(InputError, match="spot_moves must go both ways"):
        replace(BTC_ETH, spot_moves=(0.1, 0.2))
    with pytest.raises(InputError, match=r"maintenance_share must be in \[0, 1\]"):
        replace(BTC_ETH, maintenance_share=1.5)
