"""Impact: reference values, powers, averages over the fills, and what a pool really charges."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from foremargin.calibrate.liquidity import (
    average_fill_cost,
    constant_product_cost,
    constant_product_impact,
    critical_leverage,
    depth_impact,
    fit_impact,
    impact_solvency_floor,
    linear_impact,
    power_law_impact,
    quantity_at_cost,
    square_root_impact,
)
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError

some = st.floats(min_value=1e-6, max_value=1e6)
exponents = st.floats(min_value=0.2, max_value=1.5)


def test_the_square_root_law_is_sigma_times_the_root_of_the_share_of_volume() -> None:
    got = square_root_impact(np.array([0.0, 1.0, 4.0]), 100.0, sigma=0.03, coefficient=0.8)
    np.testing.assert_allclose(got, [0.0, 0.0024, 0.0048], rtol=1e-14)


@given(size=some, volume=some, sigma=some, exponent=exponents, factor=some)
@settings(max_examples=60)
def test_impact_grows_with_the_power_of_size_and_in_proportion_to_volatility(
    size: float, volume: float, sigma: float, exponent: float, factor: float
) -> None:
    base = power_law_impact(size, volume, sigma=sigma, exponent=exponent)
    larger = power_law_impact(factor * size, volume, sigma=sigma, exponent=exponent)
    wilder = power_law_impact(size, volume, sigma=factor * sigma, exponent=exponent)
    np.testing.assert_allclose(larger, factor**exponent * base, rtol=1e-10)
    np.testing.assert_allclose(wilder, factor * base, rtol=1e-10)


@pytest.mark.parametrize("exponent", [0.4, 0.5, 1.0, 1.3])
def test_the_average_fill_costs_the_mean_of_the_impact_on_the_way(exponent: float) -> None:
    def on_the_way(size: float) -> float:
        return float(power_law_impact(size, 50.0, sigma=0.04, exponent=exponent))

    mean = integrate.quad(on_the_way, 0.0, 7.0, epsabs=1e-12)[0] / 7.0
    got = average_fill_cost(on_the_way(7.0), exponent=exponent)
    np.testing.assert_allclose(got, mean, rtol=1e-7)  # the integrator has a cusp at zero


def test_a_linear_law_costs_half_of_its_end_impact_on_average() -> None:
    moved = linear_impact(np.array([0.0, 2e6]), slope=1e-9)
    np.testing.assert_allclose(moved, [0.0, 2e-3], rtol=1e-14)
    np.testing.assert_allclose(average_fill_cost(moved, exponent=1.0), [0.0, 1e-3], rtol=1e-14)


def test_a_flow_of_twice_the_depth_moves_the_price_by_one_tick() -> None:
    got = depth_impact(np.array([0.0, 300.0, 600.0]), 150.0, tick=1e-4)
    np.testing.assert_allclose(got, [0.0, 1e-4, 2e-4], rtol=1e-14)


@given(cost=some, volume=some, sigma=some, exponent=exponents)
@settings(max_examples=60)
def test_the_size_at_a_cost_costs_that(
    cost: float, volume: float, sigma: float, exponent: float
) -> None:
    law = {"sigma": sigma, "coefficient": 0.7, "exponent": exponent}
    size = quantity_at_cost(cost * sigma, volume, **law)
    np.testing.assert_allclose(impact_solvency_floor(size, volume, **law), cost * sigma, rtol=1e-10)


def test_the_solvency_floor_has_its_reference_value() -> None:
    floor = impact_solvency_floor(0.1, 1.0, sigma=0.05)
    np.testing.assert_allclose(floor, 0.010540925533894598, rtol=1e-14)  # 2/3 * .05 * sqrt(.1)
    assert round(100.0 * float(floor), 4) == 1.0541
    assert round(float(critical_leverage(floor)), 2) == 94.87
    # Y and sigma enter as a product only.
    same = impact_solvency_floor(0.1, 1.0, sigma=0.1, coefficient=0.5)
    np.testing.assert_allclose(same, floor, rtol=1e-14)


def test_an_account_at_the_floor_has_nothing_left_after_it_has_sold_everything() -> None:
    quantity, volume, sigma, price = 400.0, 1_000.0, 0.06, 250.0
    floor = impact_solvency_floor(quantity, volume, sigma=sigma, exponent=0.6, coefficient=1.4)
    debt = quantity * price * (1.0 - float(floor))
    parts = np.linspace(0.0, quantity, 200_001)
    middle = 0.5 * (parts[1:] + parts[:-1])
    filled = price * (
        1.0 - power_law_impact(middle, volume, sigma=sigma, exponent=0.6, coefficient=1.4)
    )
    received = float((filled * np.diff(parts)).sum())
    # The midpoint rule of 200,000 parts; equity at the mark was a few thousand.
    assert abs(received - debt) < 1e-3
    assert quantity * price - debt > 1_000.0


def test_no_position_has_no_floor_and_may_have_any_leverage() -> None:
    assert impact_solvency_floor(0.0, 5.0, sigma=0.1) == 0.0
    assert critical_leverage(0.0) == np.inf


# Pools


def _sell(x: float, y: float, dx: float, fee: float) -> tuple[float, float]:
    """Sell into reserves by the product rule; price after and average price."""
    out = y - x * y / (x + dx * (1.0 - fee))
    return (y - out) / (x + dx), out / dx


def _buy(x: float, y: float, dx: float, fee: float) -> tuple[float, float]:
    paid = (x * y / (x - dx) - y) / (1.0 - fee)
    return (y + paid) / (x - dx), paid / dx


@pytest.mark.parametrize("fee", [0.0, 0.003, 0.3])
@pytest.mark.parametrize("size", [1.0, 40.0, 99.0, 3_000.0])
def test_a_pool_charges_what_its_product_says(size: float, fee: float) -> None:
    x, y = 100.0, 5_000.0
    price = y / x
    after, average = _sell(x, y, size, fee)
    got = constant_product_impact(size, x, side="long", fee=fee)
    np.testing.assert_allclose(got, 1.0 - after / price, rtol=1e-11)
    got = constant_product_cost(size, x, side="long", fee=fee)
    np.testing.assert_allclose(got, 1.0 - average / price, rtol=1e-11)
    if size < x:
        after, average = _buy(x, y, size, fee)
        got = constant_product_impact(size, x, side="short", fee=fee)
        np.testing.assert_allclose(got, after / price - 1.0, rtol=1e-11)
        got = constant_product_cost(size, x, side="short", fee=fee)
        np.testing.assert_allclose(got, average / price - 1.0, rtol=1e-11)


def test_without_a_fee_selling_back_what_was_bought_restores_the_price() -> None:
    up = float(constant_product_impact(20.0, 100.0, side="short"))
    down = float(constant_product_impact(20.0, 80.0, side="long"))
    np.testing.assert_allclose((1.0 + up) * (1.0 - down), 1.0, rtol=1e-14)


@pytest.mark.parametrize("side", ["long", "short"])
def test_a_small_trade_moves_the_log_price_by_twice_its_share_of_the_pool(side: str) -> None:
    share = np.array([1e-4, 1e-5, 1e-12])
    sign = -1.0 if side == "long" else 1.0
    moved = np.log1p(sign * constant_product_impact(share, 1.0, side=side))
    # The next term is of the order of the share itself.
    assert (np.abs(moved / (2.0 * sign * share) - 1.0) < share + 1e-15).all()
    cost = constant_product_cost(share, 1.0, side=side)
    assert (np.abs(cost / share - 1.0) < 1.1 * share).all()


def test_a_fee_is_what_a_tiny_trade_costs_and_leaves_the_price() -> None:
    np.testing.assert_allclose(
        constant_product_cost(1e-15, 1.0, side="long", fee=0.003), 0.003, rtol=1e-11
    )
    assert constant_product_impact(0.0, 1.0, side="short", fee=0.003) == 0.0


# Fits


def test_the_coefficient_of_costs_made_by_the_law_is_found() -> None:
    rng = np.random.default_rng(3)
    size, volume = 10.0 ** rng.uniform(3, 7, size=4_000), 1e9
    sigma = rng.uniform(0.01, 0.08, size=4_000)
    noise = np.exp(0.4 * rng.normal(size=4_000))
    cost = noise * impact_solvency_floor(size, volume, sigma=sigma, coefficient=0.9)
    fitted = fit_impact(cost, size, np.array(volume), sigma=sigma)
    # Standard error of a mean log of 4,000 is 0.0063; five of them.
    assert abs(np.log(fitted.coefficient / 0.9)) < 0.032
    assert abs(fitted.log_error - 0.4) < 5 * 0.4 / np.sqrt(2 * 4_000)
    covered = cost <= impact_solvency_floor(
        size, volume, sigma=sigma, coefficient=fitted.prudent(2.0)
    )
    assert abs(covered.mean() - 0.97725) < 5 * np.sqrt(0.0228 / 4_000) + 0.003


@pytest.mark.parametrize("coin", ["BTC", "ETH", "SOL"])
def test_recorded_costs_of_a_million_have_a_coefficient_of_the_order_of_one(
    coin: str, market_data: Path
) -> None:
    books = pd.read_parquet(market_data / "perp_spread_depth_1m.parquet")
    books = books[books.error.isna() & (books.exchange == "binance") & (books.ticker == coin)]
    minute = books.ts_minute_utc.diff() == pd.Timedelta(minutes=1)
    variance = (np.log(books.mid_price).diff()[minute] ** 2).mean()
    bars = pd.read_parquet(market_data / f"perp_klines_1m/{coin}USDT.parquet")
    volume = float((bars.volume * bars.close).mean() * 1_440)  # of other months: none was recorded
    slippage = books[["ask_slip_1m", "bid_slip_1m"]].mean(axis=1, skipna=False).dropna()
    cost = 1e-4 * (slippage - 0.5 * books.spread_bps[slippage.index]).to_numpy()
    fitted = fit_impact(
        cost[cost > 0.0],
        np.array(1e6),
        np.array(volume),
        sigma=np.array(np.sqrt(1_440 * variance)),
    )
    assert fitted.n_records > 200
    assert 1.0 / 3.0 < fitted.coefficient < 3.0


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"quantity": -1.0}, "quantity must be zero or more and finite, found -1"),
        ({"quantity": np.nan}, "quantity must be zero or more and finite, found nan"),
        ({"volume": 0.0}, "volume must be positive and finite, found 0"),
        ({"volume": np.inf}, "volume must be positive and finite, found inf"),
        ({"sigma": np.array([0.1, np.nan, -2.0])}, "sigma must be .* found nan and 1 more"),
        ({"coefficient": 0.0}, "coefficient must be positive"),
        ({"exponent": -0.5}, "exponent must be positive"),
        ({"volume": 1e-300, "quantity": 1e300}, "impact must be a finite number"),
    ],
)
def test_numbers_out_of_range_are_refused(change: dict[str, float], message: str) -> None:
    arguments = {"quantity": 1.0, "volume": 1.0, "sigma": 0.1, "coefficient": 1.0} | change
    size, volume = arguments.pop("quantity"), arguments.pop("volume")
    with pytest.raises(InputError, match=message):
        impact_solvency_floor(size, volume, **arguments)


def test_shapes_that_do_not_fit_are_named() -> None:
    with pytest.raises(ShapeError, match=r"quantity \(2,\), volume \(\), sigma \(3,\)"):
        square_root_impact(np.ones(2), 1.0, sigma=np.ones(3))


def test_no_positions_have_no_impacts() -> None:
    assert square_root_impact(np.empty(0), 1.0, sigma=0.1).shape == (0,)


def test_a_pool_refuses_what_it_cannot_do() -> None:
    with pytest.raises(InputError, match="a short must be smaller than the pool"):
        constant_product_impact(100.0, 100.0, side="short")
    with pytest.raises(InputError, match=r"side must be one of \['long', 'short'\], was 'sell'"):
        constant_product_cost(1.0, 100.0, side="sell")
    with pytest.raises(InputError, match=r"fee must be in \[0, 1\), was 1.0"):
        constant_product_cost(1.0, 100.0, side="long", fee=1.0)


def test_a_fit_needs_two_costs_and_all_of_them_positive() -> None:
    one, two = np.ones(1), np.ones(2)
    with pytest.raises(NotEnoughHistoryError, match="at least two costs are needed, found 1"):
        fit_impact(one, one, one, sigma=one)
    with pytest.raises(InputError, match="cost must be positive"):
        fit_impact(np.array([0.1, 0.0]), two, two, sigma=two)
