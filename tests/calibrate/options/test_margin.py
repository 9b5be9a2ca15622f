"""The margin of a book: its parts add up, and options bought count once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.calibrate.options import (
    Book,
    Kind,
    Marks,
    option_margin,
    option_value,
    short_option_minimum,
    standard_grid,
)
from foremargin.errors import InputError

GRID = standard_grid((-0.15, 0.0, 0.15), vol_up=0.5, vol_down=0.3, tails=((1.0, 0.3),))


def test_the_components_add_up(make_book) -> None:
    book, marks = make_book(1, n=15, sign=-1.0)
    got = option_margin(book, marks, GRID, minimum=1e6, contingencies={"pin": 2.0, "skew": 3.5})
    assert got.grid_loss == got.scenarios.loss() > 0.0
    assert got.minimum_top_up == pytest.approx(1e6 - got.grid_loss)
    assert got.requirement == pytest.approx(1e6 + 5.5)
    assert got.cash_requirement == pytest.approx(1e6 + 5.5 - got.net_option_value)
    amount = got.frame().set_index("component").amount
    parts = amount[["grid_loss", "minimum_top_up", "pin", "skew"]].sum()
    assert parts == pytest.approx(amount.requirement) == got.requirement


def test_a_minimum_below_the_grid_loss_adds_nothing(make_book) -> None:
    book, marks = make_book(2, sign=-1.0, linear=False)
    least = short_option_minimum(book, marks, rate=1e-4)
    got = option_margin(book, marks, GRID, minimum=least)
    assert 0.0 < least < got.grid_loss == got.requirement
    assert got.minimum_top_up == 0.0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.0, 1.0))
def test_a_credit_for_options_bought_never_makes_a_requirement_negative(
    make_book, seed: int, share: float
) -> None:
    book, marks = make_book(seed)
    got = option_margin(book, marks, GRID, long_option_share=share)
    without = option_margin(book, marks, GRID)
    assert got.requirement == without.requirement
    assert 0.0 <= got.cash_requirement <= without.cash_requirement
    assert got.long_option_credit <= share * max(option_value(book, marks).sum(), 0.0) + 1e-12


def test_options_bought_and_paid_for_need_no_cash_when_their_value_counts_in_full() -> None:
    book = Book.of([(Kind.CALL, 100.0, 0.1, 2.0)])
    marks = Marks.flat(book, spot=100.0, sigma_ann=0.6)
    got = option_margin(book, marks, GRID, long_option_share=1.0)
    assert 0.0 < got.grid_loss <= got.net_option_value
    assert got.cash_requirement == 0.0


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), extra=st.floats(0.0, 1e6))
def test_a_contingency_only_ever_adds(make_book, seed: int, extra: float) -> None:
    book, marks = make_book(seed)
    without = option_margin(book, marks, GRID).requirement
    with_it = option_margin(book, marks, GRID, contingencies={"extra": extra}).requirement
    assert with_it == pytest.approx(without + extra)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"contingencies": {"gift": -1.0}}, "gift must not be negative"),
        ({"contingencies": {"gift": np.nan}}, "gift must be finite"),
        ({"contingencies": {"grid_loss": 1.0}}, r"name of a component, found \['grid_loss'\]"),
        ({"minimum": -1.0}, "minimum must not be negative"),
        ({"long_option_share": 1.1}, "long_option_share must be in"),
    ],
)
def test_amounts_that_would_lower_margin_are_refused(option, message: str) -> None:
    book = Book.of([(Kind.CALL, 100.0, 0.1, 2.0)])
    marks = Marks.flat(book, spot=100.0, sigma_ann=0.6)
    with pytest.raises(InputError, match=message):
        option_margin(book, marks, GRID, **option)
