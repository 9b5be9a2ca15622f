"""Implied volatility: there and back, against a root finder, and on a real chain."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from foremargin.calibrate.options import black76, implied_volatility
from foremargin.calibrate.options.black import normalised_value
from foremargin.calibrate.options.implied import normalised_implied
from foremargin.errors import InputError


def elasticity(x: np.ndarray, s: np.ndarray) -> np.ndarray:
    """d ln b / d ln s: how much of a price's relative error the volatility carries."""
    slope = np.exp(-0.5 * ((x / s) ** 2 + (s / 2) ** 2)) / np.sqrt(2 * np.pi)
    return np.asarray(s * slope / normalised_value(x, s))


def test_there_and_back_over_250_orders_of_price() -> None:
    rng = np.random.default_rng(1)
    n = 60_000
    x = -(10.0 ** rng.uniform(-9, 1, n))
    x[:2_000] = 0.0
    s = 10.0 ** rng.uniform(-6, 0.9, n)
    b = normalised_value(x, s)
    held = (b > 1e-300) & (b < np.exp(x / 2) * (1 - 1e-3))
    assert held.sum() > 40_000
    assert np.log10(b[held].max() / b[held].min()) > 250
    got = normalised_implied(b[held], x[held])
    # A price's last digit moves the volatility by 1 / elasticity of it, and a little is lost in b.
    least = np.minimum(elasticity(x[held], s[held]), 1.0)
    assert np.all(np.abs(got / s[held] - 1.0) <= 2e-14 / least)
    np.testing.assert_allclose(got, s[held], rtol=1e-10)


@settings(max_examples=100, deadline=None)
@given(
    strike=st.floats(0.05, 20.0),
    expiry=st.floats(1e-4, 10.0),
    sigma=st.floats(0.02, 5.0),
    rate=st.floats(-0.05, 0.2),
    call=st.booleans(),
)
def test_the_volatility_reprices_the_option(
    strike: float, expiry: float, sigma: float, rate: float, call: bool
) -> None:
    option = {"expiry": expiry, "call": call, "rate": rate}
    price = black76(1.0, strike, sigma_ann=sigma, **option).value
    got = implied_volatility(price, 1.0, strike, outside="nan", **option)
    most = np.exp(-rate * expiry) * (1.0 if call else strike)
    if np.isnan(got):
        assert price >= most * (1 - 1e-15)  # the bound is reached to the last digit
        return
    again = black76(1.0, strike, sigma_ann=got, **option).value
    # Each of forward, discount and time value rounds once.
    np.testing.assert_allclose(again, price, rtol=2e-14, atol=4e-16 * max(1.0, strike))


def test_it_agrees_with_a_root_finder() -> None:
    rng = np.random.default_rng(2)
    strikes = rng.uniform(0.6, 1.7, 100)
    sigma = rng.uniform(0.15, 2.0, 100)
    call = strikes > 1.0
    price = black76(1.0, strikes, expiry=0.2, sigma_ann=sigma, call=call).value

    def root(i: int) -> float:
        def gap(v: float) -> float:
            return float(
                black76(1.0, strikes[i], expiry=0.2, sigma_ann=v, call=bool(call[i])).value
                - price[i]
            )

        return float(brentq(gap, 1e-4, 10.0, xtol=1e-14, rtol=1e-14))

    got = implied_volatility(price, 1.0, strikes, expiry=0.2, call=call)
    # The root finder stops at a volatility of which the price does not tell the last digits.
    np.testing.assert_allclose(got, [root(i) for i in range(100)], rtol=1e-9)
    np.testing.assert_allclose(got, sigma, rtol=1e-12)


def test_intrinsic_value_means_no_volatility() -> None:
    got = implied_volatility(
        np.array([0.0, 20.0]), 120.0, np.array([130.0, 100.0]), expiry=0.5, call=True
    )
    np.testing.assert_array_equal(got, 0.0)


OUTSIDE = [
    (19.0, 100.0, True, 0.5),  # below the intrinsic value
    (-1e-9, 130.0, True, 0.5),
    (120.0, 130.0, True, 0.5),  # a call is worth less than the forward
    (130.0, 130.0, False, 0.5),  # a put less than the strike
    (25.0, 100.0, True, 0.0),  # no volatility shows at expiry
]


@pytest.mark.parametrize(("price", "strike", "call", "expiry"), OUTSIDE)
def test_a_price_outside_its_bounds_is_an_error_or_nan(
    price: float, strike: float, call: bool, expiry: float
) -> None:
    with pytest.raises(InputError, match=r"found 1 of 1 outside, the first .* at position 0 with"):
        implied_volatility(price, 120.0, strike, expiry=expiry, call=call)
    got = implied_volatility(
        np.array([price, 25.0]),
        120.0,
        np.array([strike, 110.0]),
        expiry=np.array([expiry, 0.5]),
        call=np.array([call, True]),
        outside="nan",
    )
    assert np.isnan(got[0])
    assert got[1] > 0.0


def test_a_price_that_is_no_number_is_refused_even_so() -> None:
    with pytest.raises(InputError, match="price must be finite, found 1 of 1"):
        implied_volatility(np.nan, 100.0, 100.0, expiry=1.0, call=True, outside="nan")


def test_no_prices_give_no_volatilities() -> None:
    assert implied_volatility(np.zeros(0), 1.0, 1.0, expiry=1.0, call=True).shape == (0,)


def test_the_recorded_volatilities_of_a_chain_come_back(market_data: Path) -> None:
    path = market_data / "deribit_btc_option_chain_20200521.parquet"
    if not path.is_file():
        pytest.skip("the option chain is not in FOREMARGIN_DATA")
    chain = pd.read_parquet(path)
    years = (chain.expiration_timestamp - chain.timestamp).dt.total_seconds() / (365 * 86_400)
    forward = chain.underlying_price.to_numpy()
    call = (chain.option_type == "call").to_numpy()
    price = (chain.mark_price * chain.underlying_price).to_numpy()
    got = implied_volatility(
        price,
        forward,
        chain.strike.to_numpy(),
        expiry=years.to_numpy(),
        call=call,
        outside="nan",
    )
    outside_the_money = np.where(call, chain.strike >= forward, chain.strike <= forward)
    used = outside_the_money & (years.to_numpy() * 365 > 7)
    error = np.abs(got - chain.mark_iv.to_numpy() / 100)[used]
    assert used.sum() > 100
    assert np.isfinite(error).all()
    # Marks have six decimals of a coin and recorded volatilities two of a percent; closer to expiry
    # and in the money the digits of the mark hold less.
    assert np.median(error) < 1e-4
    assert np.quantile(error, 0.95) < 1e-3
