"""Black-76 and Black-Scholes against exact arithmetic, differences, and their own limits."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erfc

from foremargin.calibrate.options import Greeks, black76, black_scholes
from foremargin.calibrate.options.black import log_moneyness, normalised_value
from foremargin.errors import InputError

PI = Decimal(
    "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862"
)


def exact_cdf(u: Decimal) -> Decimal:
    """1/2 + phi(u) (u + u^3/3 + u^5/15 + ...), with as many digits as the context holds."""
    term, total, k = u, u, 1
    while abs(term) > abs(total) * Decimal(10) ** -110 and k < 20_000:
        k += 2
        term = term * u * u / k
        total += term
    return Decimal("0.5") + total * (-u * u / 2).exp() / (2 * PI).sqrt()


def exact_normalised(x: float, s: float) -> float:
    """b(x, s) = e^(x/2) N(x/s + s/2) - e^(-x/2) N(x/s - s/2).

    Pi has 80 digits only, which is enough where the tail itself is not below 1e-60.
    """
    with localcontext() as context:
        context.prec = 120
        dx, ds = Decimal(x), Decimal(s)
        h, t, half = dx / ds, ds / 2, dx / 2
        return float(half.exp() * exact_cdf(h + t) - (-half).exp() * exact_cdf(h - t))


# Farther out than 14 standard deviations the reference would need more digits of pi.
POINTS = [
    (x, s)
    for x in (0.0, -1e-12, -1e-6, -1e-3, -0.05, -0.4, -1.5)
    for s in (1e-3, 0.02, 0.19, 0.21, 0.9, 3.0)
    if abs(x / s) < 14.0
]


@pytest.mark.parametrize(("x", "s"), POINTS)
def test_the_normalised_value_has_its_digits_near_and_far_from_the_money(
    x: float, s: float
) -> None:
    # The exponent -h²/2 rounds by h² ulps, and no better value can be had from a rounded x.
    np.testing.assert_allclose(
        normalised_value(np.array([x]), np.array([s]))[0],
        exact_normalised(x, s),
        rtol=1e-14 * (1.0 + (x / s) ** 2),
    )


def test_both_branches_meet() -> None:
    x = -np.geomspace(1e-10, 3.0, 200)
    below = normalised_value(x, np.full(200, 0.2 * (1 - 1e-15)))
    above = normalised_value(x, np.full(200, 0.2 * (1 + 1e-15)))
    held = above > 1e-300
    # Left of the seam a Taylor series, right of it a difference that has lost a digit or two.
    np.testing.assert_allclose(below[held], above[held], rtol=1e-11)


def test_log_moneyness_keeps_its_digits_at_the_money() -> None:
    forward = np.array([100.00000001, 100.0, 1e6, 1e-6])
    got = log_moneyness(forward, np.array([100.0, 100.0, 1.0, 1.0]))
    shift = (forward[0] - 100.0) / 100.0
    np.testing.assert_allclose(
        got, [shift - shift**2 / 2, 0.0, 6 * np.log(10), -6 * np.log(10)], rtol=1e-15
    )


def plain(forward, strike, expiry, sigma_ann, rate, call):
    """The textbook formula for complex arguments."""
    total = sigma_ann * expiry**0.5
    d1 = np.log(forward / strike) / total + total / 2
    sign = 1.0 if call else -1.0

    def cdf(z):
        return 0.5 * erfc(-z / np.sqrt(2.0))

    inside = sign * (forward * cdf(sign * d1) - strike * cdf(sign * (d1 - total)))
    return np.exp(-rate * expiry) * inside


def complex_step(function, at: float) -> float:
    """Derivative to the last digit: nothing is subtracted."""
    return float(np.imag(function(at + 1e-30j)) / 1e-30)


CASES = [
    (100.0, 80.0, 0.5, 0.6, 0.03, True),
    (100.0, 120.0, 0.02, 0.9, 0.0, True),
    (1500.0, 1500.0, 0.0159, 1.05, -0.01, False),
    (100.0, 140.0, 2.0, 0.2, 0.05, False),
]


@pytest.mark.parametrize("case", CASES)
def test_greeks_are_the_derivatives_of_the_formula(case) -> None:
    f, k, t, v, r, call = case
    got = black76(f, k, expiry=t, sigma_ann=v, call=call, rate=r)
    want = {
        "value": plain(f, k, t, v, r, call),
        "delta": complex_step(lambda z: plain(z, k, t, v, r, call), f),
        "vega": complex_step(lambda z: plain(f, k, t, z, r, call), v),
        "theta": -complex_step(lambda z: plain(f, k, z, v, r, call), t),
        "rho": complex_step(lambda z: plain(f, k, t, v, z, call), r),
    }
    for name, value in want.items():
        # The reference subtracts two terms of the size of the forward.
        np.testing.assert_allclose(
            getattr(got, name), value, rtol=1e-11, atol=1e-13 * f, err_msg=name
        )
    step = 1e-4 * f
    up, down = (
        black76(f + d, k, expiry=t, sigma_ann=v, call=call, rate=r).delta for d in (step, -step)
    )
    # A central difference is off by step²/6 of the third derivative.
    np.testing.assert_allclose(got.gamma, (up - down) / (2 * step), rtol=1e-5)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("carry", [None, 0.0, -0.04])
def test_with_carry_the_greeks_are_those_of_the_spot(case, carry) -> None:
    s, k, t, v, r, call = case
    b = r if carry is None else carry
    yield_rate = r - b
    got = black_scholes(s, k, expiry=t, sigma_ann=v, call=call, rate=r, carry=carry)

    def value(spot=s, expiry=t, rate=r):
        forward = spot * np.exp((rate - yield_rate) * expiry)
        return plain(forward, k, expiry, v, rate, call)

    want = {
        "value": value(),
        "delta": complex_step(lambda z: value(spot=z), s),
        "theta": -complex_step(lambda z: value(expiry=z), t),
        "rho": complex_step(lambda z: value(rate=z), r),
    }
    for name, number in want.items():
        np.testing.assert_allclose(
            getattr(got, name), number, rtol=1e-11, atol=1e-13 * s, err_msg=name
        )
    step = 1e-4 * s
    up, down = (
        black_scholes(s + d, k, expiry=t, sigma_ann=v, call=call, rate=r, carry=carry).delta
        for d in (step, -step)
    )
    np.testing.assert_allclose(got.gamma, (up - down) / (2 * step), rtol=1e-5)


def test_a_textbook_value() -> None:
    # Hull, "Options, Futures, and Other Derivatives": S 42, K 40, r 10 %, sigma 20 %, half a year.
    call, put = (
        black_scholes(42, 40, expiry=0.5, sigma_ann=0.2, call=c, rate=0.1).value
        for c in (True, False)
    )
    np.testing.assert_allclose([call, put], [4.76, 0.81], atol=0.005)  # printed to the cent


positive = st.floats(1e-3, 1e5)


@settings(max_examples=60, deadline=None)
@given(
    forward=positive,
    moneyness=st.floats(0.01, 100.0),
    expiry=st.floats(0.0, 20.0),
    sigma=st.floats(0.0, 5.0),
    rate=st.floats(-0.1, 0.3),
)
def test_put_call_parity_and_bounds(
    forward: float, moneyness: float, expiry: float, sigma: float, rate: float
) -> None:
    strike = forward * moneyness
    both = np.array([True, False])
    got = black76(forward, strike, expiry=expiry, sigma_ann=sigma, call=both, rate=rate)
    discount = np.exp(-rate * expiry)
    scale = discount * max(forward, strike)
    difference = got.value[0] - got.value[1] - discount * (forward - strike)
    assert abs(difference) <= 4e-16 * scale
    assert got.delta[0] - got.delta[1] == pytest.approx(discount, rel=1e-14)
    assert got.gamma[0] == got.gamma[1]
    assert got.vega[0] == got.vega[1]
    intrinsic = discount * np.maximum([forward - strike, strike - forward], 0.0)
    most = discount * np.array([forward, strike])
    assert np.all(got.value >= intrinsic)
    assert np.all(got.value <= most * (1 + 1e-15))


@settings(max_examples=60, deadline=None)
@given(sigma=st.floats(0.0, 4.0), more=st.floats(1e-3, 1.0), moneyness=st.floats(0.2, 5.0))
def test_value_rises_with_volatility_and_scales_with_the_price(
    sigma: float, more: float, moneyness: float
) -> None:
    def value(v: float, scale: float = 1.0) -> float:
        forward, strike = scale, scale * moneyness
        return float(black76(forward, strike, expiry=0.3, sigma_ann=v, call=True).value)

    assert value(sigma + more) >= value(sigma)
    assert value(sigma, 1024.0) == 1024.0 * value(sigma)


def limit(forward: float, *, expiry: float, sigma: float, call: bool) -> Greeks:
    return black76(forward, 100.0, expiry=expiry, sigma_ann=sigma, call=call, rate=0.05)


@pytest.mark.parametrize(("expiry", "sigma"), [(0.0, 0.8), (0.5, 0.0), (0.0, 0.0)])
def test_without_volatility_left_an_option_is_what_it_pays(expiry: float, sigma: float) -> None:
    discount = np.exp(-0.05 * expiry)
    for call, forward, pays, slope in [
        (True, 110.0, 10.0, 1.0),
        (True, 90.0, 0.0, 0.0),
        (False, 90.0, 10.0, -1.0),
        (False, 110.0, 0.0, 0.0),
    ]:
        got = limit(forward, expiry=expiry, sigma=sigma, call=call)
        assert got.value == discount * pays
        assert got.delta == discount * slope
        assert got.gamma == 0.0
        assert got.vega == 0.0
        assert got.theta == 0.05 * got.value
        assert got.rho == -expiry * got.value


def test_exactly_at_the_money_the_limits_are_one_half_and_infinite() -> None:
    now = limit(100.0, expiry=0.0, sigma=0.8, call=True)
    assert now.value == 0.0
    assert now.delta == 0.5
    assert now.gamma == np.inf
    assert now.theta == -np.inf
    assert now.vega == 0.0
    calm = limit(100.0, expiry=0.25, sigma=0.0, call=False)
    assert calm.delta == pytest.approx(-0.5 * np.exp(-0.0125), rel=1e-15)
    assert calm.gamma == np.inf
    assert calm.theta == 0.0
    # An option at the money is worth sigma F sqrt(T / 2 pi) for small sigma.
    assert calm.vega == pytest.approx(np.exp(-0.0125) * 100 * 0.5 / np.sqrt(2 * np.pi), rel=1e-15)


def test_shapes_broadcast_and_results_are_read_only() -> None:
    got = black76(
        np.array([90.0, 100.0, 110.0]),
        np.array([[95.0], [105.0]]),
        expiry=0.1,
        sigma_ann=0.5,
        call=np.array([[True], [False]]),
    )
    assert got.value.shape == (2, 3)
    with pytest.raises(ValueError, match="read-only"):
        got.value[0, 0] = 1.0
    assert black76(np.zeros(0), 1.0, expiry=1.0, sigma_ann=1.0, call=True).value.shape == (0,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"forward": 0.0}, "forward must be positive, found 1 of 1"),
        ({"strike": -1.0}, "strike must be positive"),
        ({"forward": np.nan}, "forward must be finite, found 1 of 1 NaN or infinite"),
        ({"expiry": -0.1}, "expiry must not be negative"),
        ({"sigma_ann": [0.2, -0.2]}, "sigma_ann must not be negative, found 1 of 2"),
        ({"sigma_ann": np.inf}, "sigma_ann must be finite"),
        ({"rate": np.nan}, "rate must be finite"),
        ({"call": 1}, "call must be True for calls and False for puts, had type int"),
    ],
)
def test_numbers_that_are_none_are_refused(change, message) -> None:
    numbers = {"forward": 100.0, "strike": 100.0, "expiry": 1.0, "sigma_ann": 0.2, "call": True}
    numbers |= change
    with pytest.raises(InputError, match=message):
        black76(numbers.pop("forward"), numbers.pop("strike"), **numbers)
