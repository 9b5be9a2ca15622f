"""Inverse contracts: closed forms, Greeks by differences, and what they are beside linear ones."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import integrate, stats

from foremargin.calibrate.options import (
    Book,
    Kind,
    Marks,
    ScenarioGrid,
    black76,
    grid_of,
    inverse_book_greeks,
    inverse_future_pnl,
    inverse_greeks,
    inverse_implied_volatility,
    inverse_margin,
    inverse_pnl,
    inverse_value,
    option_value,
    quote_pnl,
    scenario_pnl,
    standard_grid,
)
from foremargin.errors import InputError

Array = NDArray[np.float64]
MakeBook = Callable[..., tuple[Book, Marks]]

NAN = np.nan
GRID = standard_grid([0.1 * i for i in range(-4, 5)], vol_up=0.5, vol_down=0.3)


def later(grid: ScenarioGrid, years: float) -> ScenarioGrid:
    return ScenarioGrid(
        spot_move=grid.spot_move,
        vol_move=grid.vol_move,
        weight=grid.weight,
        elapsed=np.full(len(grid), years),
    )


@pytest.mark.parametrize("call", [True, False])
def test_the_value_is_the_mean_payoff_in_coins_under_the_measure_of_the_coin(call: bool) -> None:
    # Under the coin as numeraire the log of the price drifts up by half the variance.
    forward, strike, expiry, sigma = 9_000.0, 10_000.0, 0.3, 0.9
    total = sigma * np.sqrt(expiry)

    def paid(z: float) -> float:
        price = forward * np.exp(0.5 * total**2 + total * z)
        gain = price - strike if call else strike - price
        return float(max(gain, 0.0) / price * stats.norm.pdf(z))

    edge = (np.log(strike / forward) - 0.5 * total**2) / total
    wanted = sum(integrate.quad(paid, a, b, epsabs=1e-13)[0] for a, b in ((-9, edge), (edge, 9)))
    got = inverse_greeks(forward, strike, expiry=expiry, sigma_ann=sigma, call=call)
    assert float(got.coin.value) == pytest.approx(wanted, rel=1e-9)
    linear = black76(forward, strike, expiry=expiry, sigma_ann=sigma, call=call)
    assert float(got.coin.value) == pytest.approx(float(linear.value) / forward, rel=1e-15)


def test_at_expiry_a_call_pays_its_gain_in_coins_and_never_a_whole_one() -> None:
    spot = np.array([5_000.0, 10_000.0, 12_500.0, 1e9])
    got = inverse_greeks(spot, 10_000.0, expiry=0.0, sigma_ann=0.8, call=True).coin.value
    np.testing.assert_allclose(got, [0.0, 0.0, 0.2, 1.0 - 1e-5], rtol=1e-12)
    put = inverse_greeks(spot, 10_000.0, expiry=0.0, sigma_ann=0.8, call=False).coin.value
    np.testing.assert_allclose(put, [1.0, 0.0, 0.0, 0.0], rtol=1e-12)


def test_call_less_put_is_one_coin_less_the_strike_in_coins() -> None:
    forward = np.array([7_000.0, 10_000.0, 16_000.0])
    call, put = (
        inverse_greeks(forward, 10_000.0, expiry=0.2, sigma_ann=0.7, call=kind).coin
        for kind in (True, False)
    )
    np.testing.assert_allclose(call.value - put.value, 1.0 - 10_000.0 / forward, rtol=1e-12)
    np.testing.assert_allclose(call.delta - put.delta, 10_000.0 / forward**2, rtol=1e-12)


@pytest.mark.parametrize("unit", ["coin", "quote"])
@pytest.mark.parametrize("call", [True, False])
def test_greeks_are_the_differences_of_the_value(call: bool, unit: str) -> None:
    strike, expiry, sigma = 100.0, 0.25, 0.8
    forward = np.array([70.0, 95.0, 130.0])

    def value(f: Array = forward, t: float = expiry, s: float = sigma) -> Array:
        got = inverse_greeks(f, strike, expiry=t, sigma_ann=s, call=call)
        return np.asarray(getattr(got, unit).value)

    got = getattr(inverse_greeks(forward, strike, expiry=expiry, sigma_ann=sigma, call=call), unit)
    h = 1e-3
    up, down = value(forward + h), value(forward - h)
    np.testing.assert_allclose(got.delta, (up - down) / (2 * h), rtol=1e-6, atol=1e-12)
    h = 0.05
    up, down = value(forward + h), value(forward - h)
    second = (up - 2.0 * value() + down) / h**2
    np.testing.assert_allclose(got.gamma, second, rtol=1e-4, atol=1e-9)
    vega = (value(s=sigma + 1e-4) - value(s=sigma - 1e-4)) / 2e-4
    np.testing.assert_allclose(got.vega, vega, rtol=1e-6)
    theta = -(value(t=expiry + 1e-5) - value(t=expiry - 1e-5)) / 2e-5
    np.testing.assert_allclose(got.theta, theta, rtol=1e-6)
    assert not got.rho.any()


@settings(max_examples=60, deadline=None)
@given(
    moneyness=st.floats(0.5, 2.0),
    expiry=st.floats(0.01, 2.0),
    sigma=st.floats(0.3, 2.0),
    call=st.booleans(),
)
def test_the_volatility_of_a_price_in_coins_comes_back(
    moneyness: float, expiry: float, sigma: float, call: bool
) -> None:
    forward, strike = 30_000.0, 30_000.0 * moneyness
    price = inverse_greeks(forward, strike, expiry=expiry, sigma_ann=sigma, call=call).coin
    # In the money the digits of the time value are those left after the intrinsic one.
    if float(price.vega) * sigma < 1e-6:
        return
    got = inverse_implied_volatility(price.value, forward, strike, expiry=expiry, call=call)
    assert float(got) == pytest.approx(sigma, rel=1e-8)


def test_a_long_future_makes_face_over_entry_less_face_over_exit() -> None:
    got = inverse_future_pnl([10_000.0, -10_000.0], entry=50_000.0, exit=40_000.0)
    np.testing.assert_allclose(got, [0.2 - 0.25, 0.25 - 0.2], rtol=1e-12)
    # A move of a hundred-millionth keeps its digits.
    small = inverse_future_pnl(1.0, entry=1.0, exit=1.0 + 2.0**-27)
    assert float(small) == pytest.approx(2.0**-27 / (1.0 + 2.0**-27), rel=1e-15)
    book = Book.of([(Kind.PERP, NAN, NAN, 10_000.0), (Kind.SPOT, NAN, NAN, 3.0)])
    made = inverse_pnl(book, Marks.flat(book, spot=50_000.0, sigma_ann=NAN), GRID).pnl
    price = 50_000.0 * (1.0 + GRID.spot_move)
    np.testing.assert_allclose(made[:, 0], 10_000.0 / 50_000.0 - 10_000.0 / price, atol=1e-15)
    assert not made[:, 1].any()  # a coin is a coin


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    coins=st.floats(-5.0, 20.0),
    years=st.sampled_from([0.0, 3 / 365, 0.2]),
)
def test_in_currency_it_is_the_linear_book_and_the_move_of_the_coins_held(
    make_book: MakeBook, seed: int, coins: float, years: float
) -> None:
    book, marks = make_book(seed)
    grid = later(GRID, years)
    got = quote_pnl(book, marks, grid, coins=coins)
    # A face is face over forward units; what is fixed at the forward counts at the spot.
    basis = marks.spot / marks.forward
    units = np.where(book.option, book.quantity, book.quantity / marks.forward) * basis
    linear = scenario_pnl(book.with_quantity(units), marks, grid).total()
    scale = np.abs(units).sum() * 100.0
    own = coins * 100.0 * grid.spot_move
    np.testing.assert_allclose(got, linear + own, rtol=0.0, atol=1e-12 * (scale + 500.0))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_an_account_that_meets_the_margin_in_coins_is_solvent_in_currency_at_every_node(
    make_book: MakeBook, seed: int
) -> None:
    book, marks = make_book(seed)
    margin = inverse_margin(book, marks, GRID)
    value = float(inverse_value(book, marks).sum())
    cash = margin.requirement - value  # equity at the marks is exactly the requirement
    equity = 100.0 * margin.requirement + quote_pnl(book, marks, GRID, coins=cash)
    assert equity.min() >= -1e-10 * (1.0 + np.abs(equity).max())
    if margin.requirement > 0.0:
        # And no less would do.
        assert equity.min() == pytest.approx(0.0, abs=1e-9 * (1.0 + np.abs(equity).max()))


def test_who_is_long_needs_more_coins_than_the_linear_margin_is_worth_today() -> None:
    # A fall of 40 %: face 1000 at 100 loses 1000 / 60 - 10 coins, not 400 / 100.
    grid = grid_of([(-0.4, 0.0, 1.0), (0.4, 0.0, 1.0)])
    margins = {}
    for face in (1_000.0, -1_000.0):
        book = Book.of([(Kind.PERP, NAN, NAN, face)])
        marks = Marks.flat(book, spot=100.0, sigma_ann=NAN)
        margins[face] = inverse_margin(book, marks, grid).requirement
    assert margins[1_000.0] == pytest.approx(1_000.0 / 60.0 - 10.0)
    assert margins[-1_000.0] == pytest.approx(10.0 - 1_000.0 / 140.0)
    assert margins[1_000.0] > 4.0 > margins[-1_000.0]


def test_a_short_call_covered_by_coins_never_loses_more_than_them() -> None:
    book = Book.of([(Kind.CALL, 100.0, 30 / 365, -2.0)])
    marks = Marks.flat(book, spot=100.0, sigma_ann=0.8)
    wide = standard_grid([0.5, 2.0, 50.0, 1e6], vol_up=1.0, vol_down=0.0)
    margin = inverse_margin(book, marks, wide)
    sold = -margin.net_option_value
    assert margin.net_option_value == pytest.approx(float(option_value(book, marks).sum()) / 100.0)
    # All cash needed: premium and loss together are the two coins that cover the calls.
    assert margin.cash_requirement == pytest.approx(margin.grid_loss + sold)
    assert 1.9 < margin.cash_requirement < 2.0


def test_greeks_of_a_book_hedge_it() -> None:
    book = Book.of(
        [
            (Kind.CALL, 110.0, 0.2, -3.0),
            (Kind.PUT, 90.0, 0.1, 2.0),
            (Kind.PERP, NAN, NAN, 40.0),
            (Kind.SPOT, NAN, NAN, 5.0),
        ]
    )
    marks = Marks.flat(book, spot=100.0, sigma_ann=0.8)
    greeks = inverse_book_greeks(book, marks)
    assert greeks["delta"][2:].tolist() == pytest.approx([40.0 / 100.0**2, 0.0])
    assert greeks["gamma"][2:].tolist() == pytest.approx([-80.0 / 100.0**3, 0.0])
    h = 1e-4
    nodes = grid_of([(-h, 0.0, 1.0), (h, 0.0, 1.0)])
    made = inverse_pnl(book, marks, nodes).pnl
    np.testing.assert_allclose((made[1] - made[0]) / (200.0 * h), greeks["delta"], atol=1e-9)
    hedge = -greeks["delta"].sum() * 100.0**2
    quantity = book.quantity.copy()
    quantity[2] += hedge
    hedged = inverse_book_greeks(book.with_quantity(quantity), marks)
    assert hedged["delta"].sum() == pytest.approx(0.0, abs=1e-15)


def test_margin_in_coins_is_homogeneous_and_takes_amounts_in_coins() -> None:
    book = Book.of([(Kind.CALL, 110.0, 0.2, -3.0), (Kind.PERP, NAN, NAN, 200.0)])
    marks = Marks.flat(book, spot=100.0, sigma_ann=0.8)
    one, two = (inverse_margin(b, marks, GRID).requirement for b in (book, book.times(2.0)))
    assert two == pytest.approx(2.0 * one)
    more = inverse_margin(book, marks, GRID, minimum=one + 1.0, contingencies={"pin": 0.5})
    assert more.requirement == pytest.approx(one + 1.5)


def test_a_node_counts_with_its_weight_and_no_rate_is_read() -> None:
    book = Book.of([(Kind.PUT, 90.0, 0.3, -2.0), (Kind.PERP, NAN, NAN, 100.0)])
    marks = Marks.flat(book, spot=100.0, sigma_ann=0.8)
    rated = Marks.flat(book, spot=100.0, sigma_ann=0.8, rate=0.2)
    whole, third = (grid_of([(-0.3, 0.2, share), (0.3, 0.2, share)]) for share in (1.0, 0.3))
    made = inverse_pnl(book, marks, whole).pnl
    np.testing.assert_allclose(inverse_pnl(book, marks, third).pnl, 0.3 * made, rtol=1e-14)
    np.testing.assert_array_equal(inverse_pnl(book, rated, whole).pnl, made)
    np.testing.assert_array_equal(inverse_value(book, rated), inverse_value(book, marks))


def test_coins_in_the_book_are_worth_themselves_and_are_no_options() -> None:
    book = Book.of([(Kind.CALL, 110.0, 0.2, 3.0), (Kind.SPOT, NAN, NAN, 5.0)])
    marks = Marks.flat(book, spot=100.0, sigma_ann=0.8)
    value = inverse_value(book, marks)
    assert value[1] == 5.0
    assert inverse_margin(book, marks, GRID).net_option_value == pytest.approx(value[0])
    # Coins as a position and coins as cash are the same.
    alone = book.take(np.array([True, False]))
    at = marks.take(np.array([True, False]))
    np.testing.assert_allclose(
        quote_pnl(book, marks, GRID, coins=1.0), quote_pnl(alone, at, GRID, coins=6.0), rtol=1e-12
    )


def test_what_is_no_single_coin_is_refused() -> None:
    rows = [(Kind.PERP, NAN, NAN, 1.0)]
    one = Book.of(rows, underlying="BTC")
    marks = Marks.flat(one, spot=100.0, sigma_ann=NAN)
    two = Book(
        kind=np.repeat(one.kind, 2),
        strike=np.full(2, NAN),
        expiry=np.full(2, NAN),
        quantity=np.ones(2),
        underlying=("BTC", "ETH"),
    )
    both = Marks.flat(two, spot=100.0, sigma_ann=NAN)
    with pytest.raises(InputError, match=r"one underlying, had \['BTC', 'ETH'\]"):
        inverse_pnl(two, both, GRID)
    part = grid_of([(-0.5, 0.0, 0.3)])
    with pytest.raises(InputError, match=r"count whole, the least weight was 0\.3"):
        quote_pnl(one, marks, part, coins=1.0)
    same = Book.of(rows * 2)
    apart = Marks(
        spot=np.array([100.0, 101.0]),
        forward=np.full(2, 100.0),
        sigma_ann=np.full(2, NAN),
        rate=np.zeros(2),
    )
    with pytest.raises(InputError, match="marked at one spot, found 2 spots"):
        quote_pnl(same, apart, GRID, coins=1.0)
    with pytest.raises(InputError, match="exit must be positive"):
        inverse_future_pnl(1.0, entry=1.0, exit=0.0)
    with pytest.raises(InputError, match="coins must be finite"):
        quote_pnl(one, marks, GRID, coins=np.inf)


def test_an_empty_book_needs_no_coins() -> None:
    book = Book.of([])
    marks = Marks.flat(book, spot=100.0, sigma_ann=0.5)
    assert inverse_margin(book, marks, GRID).requirement == 0.0
