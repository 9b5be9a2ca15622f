"""Vega: reference values, the closed form against quadrature, and its inverse."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from foremargin.calibrate.venues import Position
from foremargin.calibrate.venues.vega import (
    HOURS_PER_YEAR,
    MarginRule,
    RiskModel,
    margin_parts,
    risk_factors,
)
from foremargin.errors import InputError

moderate = settings(max_examples=50, deadline=None)


def by_quadrature(sigma: float, years: float, tail: float, drift: float) -> tuple[float, float]:
    """Mean loss in the worst outcomes, as an integral of the quantile of the price."""
    spread = sigma * math.sqrt(years)

    def price(z: float) -> float:
        return math.exp((drift - 0.5 * sigma**2) * years + spread * z) * stats.norm.pdf(z)

    z = stats.norm.ppf(tail)
    low, _ = integrate.quad(price, -40.0, z, epsabs=1e-14, epsrel=1e-12)
    high, _ = integrate.quad(price, -z, 40.0, epsabs=1e-14, epsrel=1e-12)
    return 1.0 - low / tail, high / tail - 1.0


def test_the_risk_factors_of_the_specification() -> None:
    long, short = risk_factors(1.0, horizon_years=1.0 / HOURS_PER_YEAR, tail_probability=0.01)
    assert long == pytest.approx(0.0281150524, abs=5e-11)
    assert short == pytest.approx(0.0288223713, abs=5e-11)


def test_the_margin_of_the_specification() -> None:
    parts = margin_parts(np.array(-1.0), np.array(15_900.0), slippage=0.25, risk_factor=0.1)
    assert parts["slippage"] + parts["risk"] == 5_565.0


@pytest.mark.parametrize("sigma", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("years", [1.0 / HOURS_PER_YEAR, 0.1])
@pytest.mark.parametrize("tail", [0.001, 0.05])
@pytest.mark.parametrize("drift", [0.0, 0.3, -0.3])
def test_the_closed_form_is_the_integral(
    sigma: float, years: float, tail: float, drift: float
) -> None:
    closed = risk_factors(sigma, horizon_years=years, tail_probability=tail, drift=drift)
    # The integral's own error is near 1e-12 and is divided by a tail of 1e-3.
    np.testing.assert_allclose(closed, by_quadrature(sigma, years, tail, drift), atol=1e-9)


@moderate
@given(sigma=st.floats(0.01, 5.0), hours=st.floats(0.5, 200.0), tail=st.floats(0.001, 0.2))
def test_a_risk_factor_gives_back_its_volatility(sigma: float, hours: float, tail: float) -> None:
    model = RiskModel(sigma_ann=sigma, horizon_h=hours, tail_probability=tail, drift=0.1)
    for side in ("long", "short"):
        factor = model.risk_factor(side)
        if factor > 1e-4:  # with less, what is left of 1 - (1 - f) has few digits
            assert model.sigma_for(factor, side=side) == pytest.approx(sigma, rel=1e-7)


@moderate
@given(a=st.floats(0.0, 5.0), b=st.floats(0.0, 5.0))
def test_risk_factors_do_not_fall_with_volatility_and_a_short_has_the_larger(
    a: float, b: float
) -> None:
    long, short = risk_factors(np.sort([a, b]), horizon_years=0.01, tail_probability=0.01)
    assert long[0] <= long[1]
    assert short[0] <= short[1]
    assert np.all(short >= long)


def test_without_volatility_there_is_no_risk() -> None:
    long, short = risk_factors(0.0, horizon_years=1.0, tail_probability=0.01)
    # The normal law and its inverse undo each other to the last digits.
    np.testing.assert_allclose([long, short], 0.0, atol=1e-13)


def test_a_drift_never_makes_a_risk_factor_negative() -> None:
    model = RiskModel(sigma_ann=0.01, horizon_h=HOURS_PER_YEAR, drift=2.0)
    assert model.risk_factor("long") == 0.0
    assert model.risk_factor("short") > 5.0


def test_the_levels_are_multiples_of_maintenance() -> None:
    rule = MarginRule(model=RiskModel(sigma_ann=1.0), slippage=0.25)
    margin = rule.margin(Position(size=[1.0, -1.0], price=15_900.0))
    np.testing.assert_allclose(margin.levels["search"], 1.1 * margin.maintenance)
    np.testing.assert_allclose(margin.initial, 1.2 * margin.maintenance)
    np.testing.assert_allclose(margin.levels["release"], 1.3 * margin.maintenance)
    np.testing.assert_allclose(
        margin.rate("maintenance"), [0.25 + 0.0281150524, 0.25 + 0.0288223713], atol=5e-11
    )


def test_a_forecast_volatility_takes_the_place_of_the_voted_one_when_it_is_higher() -> None:
    rule = MarginRule(model=RiskModel(sigma_ann=1.0), slippage=0.0)
    assert rule.with_volatility(1.5).model.sigma_ann == 1.5
    assert rule.with_volatility(0.5) == rule
    assert rule.with_volatility(0.5, may_lower=True).model.sigma_ann == 0.5


def test_slippage_that_covers_the_forecast_leaves_sigma_alone() -> None:
    rule = MarginRule(model=RiskModel(sigma_ann=1.0), slippage=0.25)
    assert rule.with_forecast(0.2) is rule
    with pytest.raises(InputError, match=r"slippage of 0\.25 alone covers"):
        rule.with_forecast(0.2, may_lower=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RiskModel(sigma_ann=0.0), "must be positive and finite"),
        (lambda: RiskModel(sigma_ann=np.nan), "must be positive and finite"),
        (lambda: RiskModel(sigma_ann=1.0, drift=np.inf), "drift finite"),
        (lambda: RiskModel(sigma_ann=1.0, tail_probability=0.99), "tail_probability must be in"),
        (
            lambda: RiskModel(sigma_ann=1.0).sigma_for(1.0, side="long"),
            "no volatility gives a long",
        ),
        (lambda: RiskModel(sigma_ann=1.0).sigma_for(99.0, side="short"), "a short's below 99"),
        (lambda: risk_factors(-1.0, horizon_years=1.0, tail_probability=0.1), "not be negative"),
        (
            lambda: MarginRule(model=RiskModel(sigma_ann=1.0), slippage=-1.0),
            "slippage must be at least 0",
        ),
        (
            lambda: MarginRule(model=RiskModel(sigma_ann=1.0), slippage=0.0, search=1.25),
            "1 < search < initial < release",
        ),
    ],
)
def test_what_makes_no_rule_is_refused(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()
