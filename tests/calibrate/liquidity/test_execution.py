"""Optimal liquidation: closed forms, limits, a simulation, and a search that knows no formula."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import optimize

from foremargin.calibrate.liquidity import LiquidationPlan, almgren_chriss
from foremargin.errors import InputError, ShapeError

SIGMA, TEMPORARY, PERMANENT, HALF_SPREAD = 0.95, 2.5e-6, 2.5e-7, 0.0625
"""The example of Almgren and Chriss (2001): money per share, days; a million shares."""
X = 1e6


def plan(
    risk_aversion: float | NDArray[np.float64], *, n_periods: int = 5, **more
) -> LiquidationPlan:
    given = {
        "sigma": SIGMA,
        "temporary": TEMPORARY,
        "permanent": PERMANENT,
        "half_spread": HALF_SPREAD,
    } | more
    return almgren_chriss(X, n_periods=n_periods, risk_aversion=risk_aversion, **given)


def test_the_example_of_the_paper() -> None:
    got = plan(1e-6)
    # kappa: 2 (cosh kappa - 1) = 1e-6 * 0.95² / (2.5e-6 - 1.25e-7) = 0.38; half-life 1 / kappa
    np.testing.assert_allclose(got.half_life, 1.0 / np.arccosh(1.0 + 0.19), rtol=1e-12)
    assert round(float(got.half_life), 1) == 1.6
    even = plan(0.0)
    # X²(gamma/2) + epsilon X + (eta - gamma/2) X²/T, and sigma² X² T (1 - 1/N)(1 - 1/2N) / 3
    np.testing.assert_allclose(even.expected_cost, 125_000 + 62_500 + 475_000, rtol=1e-12)
    np.testing.assert_allclose(
        even.cost_variance, 0.9025e12 * 5 / 3 * (1 - 1 / 5) * (1 - 1 / 10), rtol=1e-12
    )


@pytest.mark.parametrize("period", [1.0, 0.25])
@pytest.mark.parametrize("risk_aversion", [1e-8, 1e-6, 3e-5])
def test_cost_and_variance_are_those_of_the_closed_form(
    risk_aversion: float, period: float
) -> None:
    n = 12
    got = plan(risk_aversion, n_periods=n, period=period)
    net = TEMPORARY - 0.5 * PERMANENT * period
    kappa = np.arccosh(1.0 + 0.5 * risk_aversion * SIGMA**2 * period**2 / net) / period
    horizon, k, t = n * period, kappa, period
    sinh = np.sinh
    cost = 0.5 * PERMANENT * X**2 + HALF_SPREAD * X
    cost += (
        net
        * X**2
        * np.tanh(0.5 * k * t)
        * (t * sinh(2 * k * horizon) + 2 * horizon * sinh(k * t))
        / (2 * t**2 * sinh(k * horizon) ** 2)
    )
    variance = 0.5 * SIGMA**2 * X**2
    variance *= t * sinh(k * horizon) * np.cosh(k * (horizon - t)) - horizon * sinh(k * t)
    variance /= sinh(k * horizon) ** 2 * sinh(k * t)
    # Differences of large hyperbolic functions cost the closed form some digits.
    np.testing.assert_allclose(got.expected_cost, cost, rtol=1e-8)
    np.testing.assert_allclose(got.cost_variance, variance, rtol=1e-8)


def test_cost_and_variance_are_those_of_simulated_sales() -> None:
    got = plan(1e-6)
    rng = np.random.default_rng(11)
    n_paths, price = 200_000, 50.0
    received = np.zeros(n_paths)
    quoted = np.full(n_paths, price)
    for sold in got.trades:
        received += sold * (quoted - HALF_SPREAD - TEMPORARY * sold)
        quoted += SIGMA * rng.normal(size=n_paths) - PERMANENT * sold
    cost = X * price - received
    std = np.sqrt(float(got.cost_variance))
    # Five standard errors of a mean and of a standard deviation.
    assert abs(cost.mean() - got.expected_cost) < 5 * std / np.sqrt(n_paths)
    assert abs(cost.std() / std - 1.0) < 5 / np.sqrt(2 * n_paths)


@pytest.mark.parametrize("risk_aversion", [0.0, 1e-7, 1e-6, 1e-5])
def test_no_other_plan_is_better(risk_aversion: float) -> None:
    got = plan(risk_aversion, n_periods=6)
    net = TEMPORARY - 0.5 * PERMANENT

    def objective(inner: NDArray[np.float64]) -> float:
        held = np.concatenate([[1.0], inner, [0.0]])
        sold = -np.diff(held)
        return float(net * (sold @ sold) + risk_aversion * SIGMA**2 * (held[1:] @ held[1:])) / net

    found = optimize.minimize(objective, np.full(5, 0.5), method="BFGS", options={"gtol": 1e-9})
    # The search stops within about 1e-6 of the minimum of a parabola.
    np.testing.assert_allclose(got.holdings[1:-1] / X, found.x, atol=1e-5)


def test_without_risk_aversion_the_line_is_straight_and_the_half_life_infinite() -> None:
    got = plan(0.0, n_periods=8)
    np.testing.assert_allclose(got.holdings, X * (1.0 - np.arange(9) / 8), rtol=1e-14)
    assert got.half_life == np.inf
    near = plan(1e-25, n_periods=8)
    np.testing.assert_allclose(near.holdings[:-1], got.holdings[:-1], rtol=1e-9)


def test_with_endless_risk_aversion_all_is_sold_at_once() -> None:
    got = plan(1e12)
    assert got.trades[0] > (1.0 - 1e-12) * X
    np.testing.assert_allclose(got.expected_cost, 125_000 + 62_500 + 2.375e6, rtol=1e-9)
    assert np.sqrt(got.cost_variance) < 1.0  # of a value of fifty millions


def test_one_period_leaves_no_choice() -> None:
    for risk_aversion in (0.0, 1e-3):
        got = plan(risk_aversion, n_periods=1)
        np.testing.assert_array_equal(got.holdings, [X, 0.0])
        assert got.cost_variance == 0.0


def test_the_frontier_trades_cost_for_risk() -> None:
    got = plan(np.geomspace(1e-9, 1e-3, 40))
    table = got.frontier()
    assert (table.expected_cost.diff().dropna() > 0.0).all()
    assert (table.cost_std.diff().dropna() < 0.0).all()
    assert (table.half_life.diff().dropna() < 0.0).all()
    # Its slope is the price of variance: dE = -lambda dV along the frontier.
    middle = np.sqrt(table.risk_aversion[1:].to_numpy() * table.risk_aversion[:-1].to_numpy())
    slope = -np.diff(got.expected_cost) / np.diff(got.cost_variance)
    # Between neighbours, which are 42 % apart, the slope lies between theirs.
    np.testing.assert_allclose(slope, middle, rtol=0.05)


def test_the_least_cost_at_risk_lies_inside_the_frontier() -> None:
    got = plan(np.geomspace(1e-9, 1e-3, 200))
    at_risk = got.cost_at_risk(sigma_multiple=2.33)
    np.testing.assert_allclose(
        at_risk, got.expected_cost + 2.33 * np.sqrt(got.cost_variance), rtol=1e-14
    )
    assert 0 < int(at_risk.argmin()) < 199


@given(
    risk_aversion=st.floats(min_value=0.0, max_value=1e6),
    n_periods=st.integers(min_value=1, max_value=60),
    period=st.floats(min_value=0.01, max_value=5.0),
)
@settings(max_examples=100)
def test_a_plan_only_sells_and_sells_all(
    risk_aversion: float, n_periods: int, period: float
) -> None:
    got = plan(risk_aversion, n_periods=n_periods, period=period)
    assert got.holdings[0] == X
    assert got.holdings[-1] == 0.0
    assert (got.trades >= 0.0).all()
    np.testing.assert_allclose(got.trades.sum(), X, rtol=1e-12)
    # Nobody sells later what could as well be sold earlier.
    assert (np.diff(got.trades) <= 1e-9 * X).all()


def test_many_positions_at_once_are_the_plans_of_each() -> None:
    quantity, aversion = np.array([[1e5], [1e6]]), np.array([0.0, 1e-7, 1e-5])
    both = almgren_chriss(
        quantity, n_periods=4, sigma=SIGMA, temporary=TEMPORARY, risk_aversion=aversion
    )
    assert both.holdings.shape == (2, 3, 5)
    for i in range(2):
        for j in range(3):
            one = almgren_chriss(
                float(quantity[i, 0]),
                n_periods=4,
                sigma=SIGMA,
                temporary=TEMPORARY,
                risk_aversion=float(aversion[j]),
            )
            np.testing.assert_allclose(both.holdings[i, j], one.holdings, rtol=1e-14)
            np.testing.assert_allclose(both.expected_cost[i, j], one.expected_cost, rtol=1e-14)
            np.testing.assert_allclose(both.cost_variance[i, j], one.cost_variance, rtol=1e-14)
    table = both.frame()
    assert len(table) == 2 * 3 * 5
    np.testing.assert_allclose(table.groupby("plan").sold.sum(), np.repeat([1e5, 1e6], 3))


def test_other_arguments_broadcast_too() -> None:
    got = plan(0.0, half_spread=np.array([0.0, 0.5]))
    assert got.holdings.shape == (2, 6)
    np.testing.assert_allclose(np.diff(got.expected_cost), 0.5 * X, rtol=1e-12)


def test_plans_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        plan(0.0).holdings[0] = 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_periods": 0}, "n_periods must be a whole number, at least 1, was 0"),
        ({"n_periods": 2.5}, "n_periods must be a whole number, at least 1, was 2.5"),
        ({"permanent": 5e-6}, "temporary must exceed half of permanent times period, found 1"),
        ({"sigma": np.nan}, "sigma must be zero or more and finite, found nan"),
        ({"temporary": 0.0}, "temporary must be positive"),
        ({"period": np.inf}, "period must be positive and finite"),
        ({"risk_aversion": -1e-6}, "risk_aversion must be zero or more"),
        ({"sigma": 1e200, "risk_aversion": 1.0}, "must be a finite number"),
    ],
)
def test_arguments_out_of_range_are_refused(change: dict[str, float], message: str) -> None:
    arguments = {"risk_aversion": 1e-6} | change
    with pytest.raises(InputError, match=message):
        plan(**arguments)  # type: ignore[arg-type]


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"permanent \(3,\)"):
        plan(np.ones(2), permanent=np.zeros(3))
