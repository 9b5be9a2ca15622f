"""Derive's PMRM: the published portfolio to its last digit, and what the rule guarantees."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.calibrate.options import Book, Kind, Marks, black76, scenario_pnl
from foremargin.calibrate.venues import derive_pmrm
from foremargin.calibrate.venues.derive_pmrm import LIVE, TESTS, margin, with_forecast
from foremargin.errors import InputError

YEARS = 500_400 / (365 * 86_400)


def one_call(quantity: float, *, spot: float = 1500.0) -> tuple[Book, Marks]:
    book = Book.of([(Kind.CALL, 1500.0, YEARS, quantity)])
    # The forward is printed with four decimals, 1500.8333; with one third the published results
    # come out to the last printed digit, all cut off and not rounded.
    forward = spot + 2.5 / 3
    return book, Marks.flat(book, spot=spot, forward=forward, sigma_ann=1.047884494, rate=0.03)


def cut(value: float) -> float:
    """Keep four decimals as integers on a chain do: towards zero."""
    return float(np.trunc(value * 1e4) / 1e4)


def test_the_published_portfolio() -> None:
    got = margin(*one_call(-1.0), parameters=TESTS)
    assert cut(got.mark_to_market) == -79.3716
    assert cut(-got.scenario_loss) == -207.3969
    assert cut(got.maintenance) == -301.7685
    assert cut(got.initial) == -368.4876
    assert got.static_contingency == 15.0
    worst = TESTS.grid.frame().iloc[got.worst_scenario]
    assert (worst.spot_move, worst.vol_move) == (0.15, 0.45)


def test_with_the_printed_forward_it_is_within_its_rounding() -> None:
    book, marks = one_call(-1.0)
    marks = replace(marks, forward=np.array([1500.8333]))
    got = margin(book, marks, parameters=TESTS)
    # Delta is about one half and the forward's last digit stands for 0.00005.
    assert got.mark_to_market == pytest.approx(-79.3716, abs=1e-4)
    assert got.maintenance == pytest.approx(-301.7685, abs=1e-4)
    assert got.initial == pytest.approx(-368.4876, abs=1e-4)


def test_the_live_parameters_have_23_scenarios_and_ask_for_more() -> None:
    assert len(LIVE.grid) == 23
    assert len(TESTS.grid) == 21
    got = margin(*one_call(-1.0))
    option = {"expiry": YEARS, "call": True}
    up = 1.047884494 * (1 + 0.60 * (30 / (YEARS * 365)) ** 0.3)
    forward = 1500 + 2.5 / 3
    now = float(black76(forward, 1500.0, sigma_ann=1.047884494, **option).value)
    then = float(black76(1.2 * forward, 1500.0, sigma_ann=up, **option).value)
    assert got.scenario_loss == pytest.approx(then - now, rel=1e-13)
    assert got.maintenance == pytest.approx(-now - (then - now + 30.0), rel=1e-13)
    assert got.initial == pytest.approx(-now - 1.25 * (then - now + 30.0), rel=1e-13)


def test_options_bought_back_other_losses_at_a_discount() -> None:
    book, marks = one_call(2.0)
    got = margin(book, marks, parameters=TESTS)
    grid = TESTS.grid
    value = got.mark_to_market + scenario_pnl(book, replace(marks, rate=np.zeros(1)), grid).total()
    discount = 0.95 * np.exp(-YEARS * (4 * 0.03 + 0.05))
    assert got.maintenance == pytest.approx(discount * value.min(), rel=1e-13)
    assert got.static_contingency == 0.0


def test_perpetuals_spot_and_cash() -> None:
    rows = [(Kind.PERP, np.nan, np.nan, -2.0), (Kind.SPOT, np.nan, np.nan, 2.0)]
    book = Book.of(rows)
    marks = Marks.flat(book, spot=1500.0, sigma_ann=0.0)
    got = margin(book, marks, cash=100.0)
    assert got.scenario_loss == 0.0
    assert got.static_contingency == pytest.approx(0.03 * 4 * 1500)
    assert got.mark_to_market == 3000.0
    assert got.maintenance == pytest.approx(3100 - 180)
    assert got.initial == pytest.approx(3100 - 1.25 * 180)


def test_a_spread_over_two_expiries_pays_the_basis_contingency() -> None:
    rules = replace(
        TESTS,
        spot_moves=(-1e-9, 1e-9),
        vol_up=0.0,
        vol_down=0.0,
        static_discount=1.0,
        static_rate_add=0.0,
    )
    book = Book.of([(Kind.CALL, 1200.0, 0.1, -1.0), (Kind.CALL, 1200.0, 0.5, 1.0)])
    marks = Marks.flat(book, spot=1500.0, sigma_ann=0.4)
    got = margin(book, marks, parameters=rules)
    want = 0.0
    for expiry, q in ((0.1, -1.0), (0.5, 1.0)):
        values = [
            q * float(black76(f, 1200.0, expiry=expiry, sigma_ann=0.4, call=True).value)
            for f in (1500.0, 1575.0, 1425.0)
        ]
        want += max(0.0, values[0] - min(values[1:])) * (0.25 + 0.01 * expiry)
    assert got.basis_contingency == pytest.approx(want, rel=1e-12)
    assert got.basis_contingency > got.scenario_loss
    # The option sold is alone in its expiry, 1 % of spot.
    assert got.maintenance_requirement == pytest.approx(want + 15.0, rel=1e-12)


def test_oracles_in_doubt_and_a_lost_peg_raise_initial_margin_only() -> None:
    book, marks = one_call(-2.0)
    plain = margin(book, marks, parameters=TESTS)
    doubt = margin(book, marks, parameters=TESTS, confidence=np.array([0.4]))
    assert doubt.confidence_contingency == pytest.approx(0.6 * 0.5 * 2 * 1500)
    assert doubt.maintenance == plain.maintenance
    assert doubt.initial == pytest.approx(plain.initial - doubt.confidence_contingency)
    sure = margin(book, marks, parameters=TESTS, confidence=np.array([0.6]))
    assert sure.confidence_contingency == 0.0
    peg = margin(book, marks, parameters=TESTS, stable_price=0.93)
    assert peg.initial_factor == pytest.approx(1.3 + 2 * 0.05)
    assert peg.maintenance == plain.maintenance
    assert margin(book, marks, parameters=TESTS, stable_price=1.02).initial_factor == 1.3


def test_the_lowest_confidence_of_an_expiry_counts_for_all_of_it() -> None:
    book = Book.of([(Kind.CALL, 1500.0, YEARS, -1.0), (Kind.PUT, 1400.0, YEARS, -1.0)])
    marks = Marks.flat(book, spot=1500.0, sigma_ann=0.8)
    got = margin(book, marks, parameters=TESTS, confidence=np.array([0.5, 1.0]))
    assert got.confidence_contingency == pytest.approx(0.5 * 0.5 * 2 * 1500)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), factor=st.floats(0.01, 100.0))
def test_margin_is_homogeneous_and_a_merged_book_never_asks_for_more(
    make_option_book, seed: int, factor: float
) -> None:
    book, marks = make_option_book(seed)
    other = book.with_quantity(np.random.default_rng(seed + 1).normal(size=len(book)))
    both = book.with_quantity(book.quantity + other.quantity)
    confidence = np.full(len(book), 0.3)
    one, two, merged, scaled = (
        margin(b, marks, confidence=confidence) for b in (book, other, both, book.times(factor))
    )
    for kind in ("maintenance_requirement", "initial_requirement"):
        whole = getattr(merged, kind)
        assert whole <= (getattr(one, kind) + getattr(two, kind)) * (1 + 1e-12)
        assert getattr(scaled, kind) == pytest.approx(factor * getattr(one, kind), rel=1e-10)
        assert whole >= 0.0


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), more=st.floats(0.0, 1.0))
def test_margin_of_options_sold_rises_with_the_shocks(
    make_option_book, seed: int, more: float
) -> None:
    book, marks = make_option_book(seed, sign=-1.0)
    wider = replace(LIVE, vol_up=LIVE.vol_up + more)
    least = margin(book, marks).maintenance_requirement
    assert margin(book, marks, parameters=wider).maintenance_requirement >= least * (1 - 1e-12)


def test_a_forecast_widens_the_shocks_and_never_goes_below_the_venue(make_law) -> None:
    book, marks = one_call(-1.0)
    calm = with_forecast(LIVE, make_law(0.01), confidence_level=0.99)
    assert calm == LIVE
    wild = with_forecast(LIVE, make_law(0.12), confidence_level=0.99)
    assert max(wild.edge_moves) > 0.2
    assert wild.vol_up > 0.6
    assert margin(book, marks, parameters=wild).initial < margin(book, marks).initial
    asked = with_forecast(LIVE, make_law(0.01), confidence_level=0.99, keep_minimum=False)
    assert max(asked.edge_moves) == pytest.approx(np.expm1(0.01 * np.sqrt(-2 * np.log(0.01))))
    assert margin(book, marks, parameters=asked).initial > margin(book, marks).initial


def test_an_empty_account_needs_nothing() -> None:
    book = Book.of([])
    got = margin(book, Marks.flat(book, spot=1.0, sigma_ann=1.0), cash=5.0)
    assert got.maintenance == got.initial == 5.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"confidence": np.array([1.2])}, r"confidence must be in \[0, 1\]"),
        ({"confidence": np.ones(2)}, r"confidence must have shape \(1,\)"),
        ({"stable_price": 0.0}, "stable_price must be positive"),
        ({"cash": np.nan}, "cash must be finite"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        margin(*one_call(-1.0), **change)


def test_what_the_venue_does_not_margin_together_is_refused() -> None:
    future = Book.of([(Kind.FUTURE, np.nan, 0.1, 1.0)])
    with pytest.raises(InputError, match="no dated futures, found 1"):
        margin(future, Marks.flat(future, spot=1.0, sigma_ann=0.0))
    two = Book(
        kind=[Kind.PERP, Kind.PERP],  # type: ignore[arg-type]
        strike=np.full(2, np.nan),
        expiry=np.full(2, np.nan),
        quantity=np.ones(2),
        underlying=("BTC", "ETH"),
    )
    with pytest.raises(InputError, match=r"one underlying, had \['BTC', 'ETH'\]"):
        margin(two, Marks.flat(two, spot=1.0, sigma_ann=0.0))
    with pytest.raises(InputError, match="must go both ways"):
        replace(derive_pmrm.LIVE, spot_moves=(0.1,), edge_moves=())
    with pytest.raises(InputError, match="initial_factor must be at least 1"):
        replace(derive_pmrm.LIVE, initial_factor=0.9)
