"""Grids and what a book makes on them, in full and by its Greeks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.calibrate.options import (
    Book,
    Kind,
    Marks,
    ScenarioGrid,
    VolShape,
    approximate_pnl,
    black76,
    grid_of,
    scenario_pnl,
    standard_grid,
)
from foremargin.errors import InputError, ShapeError

GRID = standard_grid(
    (-0.15, -0.05, 0.0, 0.05, 0.15), vol_up=0.45, vol_down=0.3, tails=((-0.5, 0.3), (1.0, 0.2))
)
DAY = 1 / 365


def test_the_shape_of_a_volatility_move() -> None:
    days = np.array([0.01, 1.0, 7.5, 30.0, 30.01, 120.0])
    got = VolShape().scale(days / 365)
    np.testing.assert_allclose(
        got, [30**0.3, 30**0.3, 4**0.3, 1.0, (30 / 30.01) ** 0.13, 0.25**0.13], rtol=1e-14
    )
    assert VolShape(floor_days=7.0).scale(np.array([DAY]))[0] == (30 / 7) ** 0.3


def test_a_fall_of_volatility_ends_at_zero() -> None:
    grid = grid_of([(0.0, -0.5, 1.0), (0.0, 0.6, 1.0)])
    sigma = grid.sigma_ann(np.array([0.8, 0.8]), np.array([DAY, 30 * DAY]))
    np.testing.assert_allclose(sigma, [[0.0, 0.4], [0.8 * (1 + 0.6 * 30**0.3), 1.28]], rtol=1e-14)


def test_the_standard_grid_is_the_product_and_its_tails() -> None:
    assert len(GRID) == 17
    last = GRID.frame().iloc[-2:]
    assert last.spot_move.tolist() == [-0.5, 1.0]
    assert last.vol_move.tolist() == [0.45, 0.45]
    assert last.weight.tolist() == [0.3, 0.2]


def test_full_revaluation_is_the_formula_at_every_node() -> None:
    book = Book.of([(Kind.CALL, 110.0, 9 * DAY, -2.0), (Kind.PUT, 90.0, 180 * DAY, 3.0)])
    marks = Marks.flat(book, spot=100.0, forward=101.0, sigma_ann=0.7, rate=0.04)
    got = scenario_pnl(book, marks, GRID).pnl
    for j in range(len(GRID)):
        for i, power in enumerate((0.30, 0.13)):
            days = (9, 180)[i]
            v = 0.7 * max(0.0, 1 + GRID.vol_move[j] * (30 / days) ** power)
            option = {"expiry": book.expiry[i], "call": i == 0, "rate": 0.04}
            then = black76(
                101 * (1 + GRID.spot_move[j]), book.strike[i], sigma_ann=v, **option
            ).value
            now = black76(101.0, book.strike[i], sigma_ann=0.7, **option).value
            want = GRID.weight[j] * book.quantity[i] * (then - now)
            assert got[j, i] == pytest.approx(want, rel=1e-12, abs=1e-12)


def test_linear_contracts_move_with_their_own_price() -> None:
    book = Book.of(
        [
            (Kind.FUTURE, np.nan, 0.5, 2.0),
            (Kind.PERP, np.nan, np.nan, -1.0),
            (Kind.SPOT, np.nan, np.nan, 4.0),
        ]
    )
    marks = Marks(
        spot=np.full(3, 100.0),
        forward=np.array([104.0, 100.5, 100.0]),
        sigma_ann=np.full(3, np.nan),
        rate=np.full(3, 0.05),
    )
    got = scenario_pnl(book, marks, grid_of([(0.1, 0.5, 1.0), (-1 / 3, 0.0, 0.5)]))
    np.testing.assert_allclose(
        got.pnl, [[20.8, -10.05, 40.0], [-104 / 3, 100.5 / 6, -200 / 3]], rtol=1e-13
    )
    assert got.loss() == pytest.approx(104 / 3 - 100.5 / 6 + 200 / 3)


def test_an_option_past_its_expiry_pays_its_intrinsic_value() -> None:
    book = Book.of([(Kind.CALL, 100.0, DAY, 1.0)])
    marks = Marks.flat(book, spot=100.0, sigma_ann=0.8)
    grid = ScenarioGrid(
        spot_move=np.array([0.1, -0.1]),
        vol_move=np.zeros(2),
        weight=np.ones(2),
        elapsed=np.full(2, 2 * DAY),
    )
    now = black76(100.0, 100.0, expiry=DAY, sigma_ann=0.8, call=True).value
    np.testing.assert_allclose(
        scenario_pnl(book, marks, grid).pnl[:, 0], [10 - now, -now], rtol=1e-12
    )


def test_losses_of_different_underlyings_are_added_and_never_offset(make_book) -> None:
    book, marks = make_book(3, n=20, underlyings=3)
    whole = scenario_pnl(book, marks, GRID)
    parts = []
    for name in sorted(set(book.underlying)):
        own = np.array([u == name for u in book.underlying])
        part = book.with_quantity(np.where(own, book.quantity, 0.0))
        parts.append(max(0.0, -scenario_pnl(part, marks, GRID).total().min()))
    assert whole.loss() == pytest.approx(sum(parts), rel=1e-12)
    assert whole.loss() >= max(0.0, -whole.total().min())
    assert list(whole.frame().columns[-3:]) == ["U0", "U1", "U2"]
    assert [whole.by_underlying()[j, i] for i, j in enumerate(whole.worst())] == list(
        whole.by_underlying().min(axis=0)
    )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), factor=st.floats(0.01, 100.0))
def test_loss_is_homogeneous_and_subadditive(make_book, seed: int, factor: float) -> None:
    book, marks = make_book(seed)
    other = book.with_quantity(np.random.default_rng(seed + 1).normal(size=len(book)))
    both = book.with_quantity(book.quantity + other.quantity)
    loss = scenario_pnl(book, marks, GRID).loss()
    assert scenario_pnl(book.times(factor), marks, GRID).loss() == pytest.approx(
        factor * loss, rel=1e-12
    )
    parts = loss + scenario_pnl(other, marks, GRID).loss()
    assert scenario_pnl(both, marks, GRID).loss() <= parts + 1e-9


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), up=st.floats(0.0, 1.0), more=st.floats(0.0, 1.0))
def test_a_wider_grid_never_asks_less_of_options_sold(
    make_book, seed: int, up: float, more: float
) -> None:
    book, marks = make_book(seed, sign=-1.0, linear=False)

    def loss(spot: float, vol: float) -> float:
        grid = standard_grid((-spot, 0.0, spot), vol_up=vol, vol_down=0.2)
        return scenario_pnl(book, marks, grid).loss()

    assert loss(0.1, up + more) >= loss(0.1, up) * (1 - 1e-12)
    assert loss(0.1 + 0.5 * more, up) >= loss(0.1, up) * (1 - 1e-12)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_options_bought_lose_no_more_than_they_are_worth(make_book, seed: int) -> None:
    book, marks = make_book(seed, sign=1.0, linear=False)
    worth = sum(
        q * black76(f, k, expiry=t, sigma_ann=v, call=c == Kind.CALL).value
        for q, f, k, t, v, c in zip(
            book.quantity,
            marks.forward,
            book.strike,
            book.expiry,
            marks.sigma_ann,
            book.kind,
            strict=True,
        )
    )
    assert scenario_pnl(book, marks, GRID).loss() <= worth * (1 + 1e-12)


def test_greeks_are_right_for_small_moves_and_their_error_is_of_third_order() -> None:
    book = Book.of([(Kind.CALL, 105.0, 40 * DAY, -1.0), (Kind.PUT, 95.0, 100 * DAY, 2.0)])
    marks = Marks.flat(book, spot=100.0, sigma_ann=0.6)

    def error(step: float) -> float:
        # Volatility and time move with the square of the spot, so that all terms are of one order.
        grid = ScenarioGrid(
            spot_move=np.array([step]),
            vol_move=np.array([step**2]),
            weight=np.ones(1),
            elapsed=np.array([step**2]),
        )
        return float(np.abs(approximate_pnl(book, marks, grid).error()[0]))

    assert error(0.02) / error(0.01) == pytest.approx(8.0, rel=0.15)  # halving is third order
    assert error(0.001) < 1e-6


def test_greeks_lack_margin_where_a_short_option_comes_into_the_money() -> None:
    book = Book.of([(Kind.CALL, 115.0, 2 * DAY, -1.0)])
    marks = Marks.flat(book, spot=100.0, sigma_ann=0.6)
    got = approximate_pnl(book, marks, GRID)
    assert got.missing() > 0.9 * got.full.loss() > 0.0
    frame = got.frame()
    np.testing.assert_allclose(frame.approximate - frame.full, frame.error, atol=1e-12)


def test_greeks_at_expiry_at_the_money_are_refused() -> None:
    book = Book.of([(Kind.CALL, 100.0, 0.0, -1.0)])
    marks = Marks.flat(book, spot=100.0, sigma_ann=0.6)
    with pytest.raises(InputError, match="gamma is infinite at the money at expiry, found 1 such"):
        approximate_pnl(book, marks, GRID)
    assert scenario_pnl(book, marks, GRID).loss() > 0.0
    assert np.isfinite(approximate_pnl(book.times(0.0), marks, GRID).error()).all()


def test_an_empty_book_loses_nothing() -> None:
    book = Book.of([])
    marks = Marks.flat(book, spot=100.0, sigma_ann=0.6)
    got = approximate_pnl(book, marks, GRID)
    assert got.full.loss() == got.approximate.loss() == 0.0
    assert got.full.pnl.shape == (17, 0)
    assert len(got.full.frame()) == 17


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([], "at least one node"),
        ([(-1.0, 0.0, 1.0)], "spot_move must be above -1, the lowest was -1.0"),
        ([(0.1, np.nan, 1.0)], "vol_move must be finite"),
        ([(0.1, 0.0, 1.5)], r"weight must be in \[0, 1\]"),
    ],
)
def test_nodes_that_mean_nothing_are_refused(nodes, message) -> None:
    with pytest.raises(InputError, match=message):
        grid_of(nodes)


def test_books_and_marks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="strike of options must be finite, found 1 of 1"):
        Book.of([(Kind.CALL, np.nan, 0.1, 1.0)])
    with pytest.raises(InputError, match="expiry of options and futures must be finite"):
        Book.of([(Kind.FUTURE, np.nan, np.nan, 1.0)])
    with pytest.raises(InputError, match="quantity must be finite"):
        Book.of([(Kind.PERP, np.nan, np.nan, np.inf)])
    with pytest.raises(InputError, match=r"kind must be a value of Kind, found \[9\]"):
        Book.of([(9, 1.0, 1.0, 1.0)])  # type: ignore[list-item]
    with pytest.raises(ShapeError, match="must be equally long vectors"):
        Book(kind=[1], strike=[1.0, 2.0], expiry=[1.0], quantity=[1.0], underlying=("A",))  # type: ignore[arg-type]
    book = Book.of([(Kind.CALL, 100.0, 0.1, 1.0), (Kind.PUT, 100.0, 0.1, 1.0)])
    few = Marks.flat(Book.of([(Kind.CALL, 100.0, 0.1, 1.0)]), spot=100.0, sigma_ann=0.5)
    with pytest.raises(ShapeError, match="one number for each of 2 positions"):
        scenario_pnl(book, few, GRID)
    with pytest.raises(InputError, match="sigma_ann of options must be finite, found 2 of 2"):
        scenario_pnl(book, Marks.flat(book, spot=100.0, sigma_ann=np.nan), GRID)
    with pytest.raises(InputError, match="vol_up and vol_down must not be negative"):
        standard_grid((0.1,), vol_up=-0.1, vol_down=0.1)
