"""Euler allocation: adds up, scales, is the gradient, and knows a hedge."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.calibrate.portfolio import (
    Accounts,
    RiskMeasure,
    ScenarioSet,
    allocate,
    portfolio_margin,
)
from foremargin.errors import InputError

Array = NDArray[np.float64]
MakeAccounts = Callable[..., Accounts]
by_measure = pytest.mark.parametrize("measure", [measure.value for measure in RiskMeasure])


def with_quantity(accounts: Accounts, quantity: Array) -> Accounts:
    return Accounts(offsets=accounts.offsets, instrument=accounts.instrument, quantity=quantity)


@by_measure
@pytest.mark.parametrize("weighted", [False, True])
def test_contributions_add_up_to_the_margin(
    make_accounts: MakeAccounts, measure: str, weighted: bool
) -> None:
    rng = np.random.default_rng(3)
    accounts = make_accounts(rng, n_accounts=300, n_instruments=9)
    scenarios = ScenarioSet(
        pnl=rng.standard_t(4, size=(9, 150)),
        weight=rng.uniform(0.5, 1.0, size=150) if weighted else None,
    )
    found = allocate(accounts, scenarios, confidence_level=0.95, measure=measure)
    margin = portfolio_margin(accounts, scenarios, confidence_level=0.95, measure=measure)
    total = np.bincount(accounts.owner(), weights=found.contribution, minlength=300)
    np.testing.assert_allclose(np.maximum(found.risk, 0.0), margin, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(total, found.risk, rtol=1e-12, atol=1e-12)


@by_measure
def test_contributions_are_homogeneous(make_accounts: MakeAccounts, measure: str) -> None:
    rng = np.random.default_rng(4)
    accounts = make_accounts(rng, n_accounts=50, n_instruments=9)
    scenarios = ScenarioSet(pnl=rng.normal(size=(9, 150)))
    base = allocate(accounts, scenarios, confidence_level=0.95, measure=measure)
    more = allocate(
        with_quantity(accounts, 2.5 * accounts.quantity),
        scenarios,
        confidence_level=0.95,
        measure=measure,
    )
    np.testing.assert_allclose(more.contribution, 2.5 * base.contribution, rtol=1e-9, atol=1e-12)


@by_measure
def test_a_contribution_is_the_quantity_times_the_derivative(measure: str) -> None:
    rng = np.random.default_rng(6)
    accounts = Accounts.from_positions([0] * 4, range(4), [1.0, -2.0, 0.5, 3.0], n_accounts=1)
    scenarios = ScenarioSet(pnl=rng.normal(size=(4, 333)))
    rule: dict[str, Any] = {"confidence_level": 0.97, "measure": measure}
    # Without neighbours the value at risk is differentiated in its own scenario.
    found = allocate(accounts, scenarios, neighbours=0, **rule)
    step = 1e-6
    for i in range(4):
        bump = step * (np.arange(4) == i)
        up, down = (
            portfolio_margin(
                with_quantity(accounts, accounts.quantity + s * bump), scenarios, **rule
            )
            for s in (1.0, -1.0)
        )
        slope = (up - down).item() / (2 * step)
        # The measures are piecewise linear: the step stays within a piece.
        np.testing.assert_allclose(found.contribution[i], accounts.quantity[i] * slope, rtol=1e-7)


def test_normal_risk_is_split_as_covariances_are() -> None:
    # For normal results both measures split as q_i (C q)_i / (q' C q).
    rng = np.random.default_rng(10)
    covariance = np.array([[4.0, 1.0, -0.5], [1.0, 2.0, 0.3], [-0.5, 0.3, 1.0]])
    half = rng.normal(size=(3, 100_000))
    pnl = np.linalg.cholesky(covariance) @ np.hstack([half, -half])
    quantity = np.array([1.0, 2.0, -1.5])
    accounts = Accounts.from_positions([0] * 3, range(3), quantity, n_accounts=1)
    expected = quantity * (covariance @ quantity) / (quantity @ covariance @ quantity)
    for measure, neighbours, tolerance in (
        # Standard errors: residual deviation 1 to 2 over a margin near 9, means of 10,000
        # and some 3,000 scenarios; four of them.
        ("expected_shortfall", 0, 0.01),
        ("value_at_risk", 2_000, 0.02),
    ):
        found = allocate(
            accounts,
            ScenarioSet(pnl=pnl),
            confidence_level=0.95,
            measure=measure,
            neighbours=neighbours,
        )
        np.testing.assert_allclose(
            found.contribution / found.risk, expected, rtol=0.0, atol=tolerance
        )


def test_scenarios_that_tie_at_the_edge_share_alike() -> None:
    # A tail of two scenarios: one of 8 and one of three that lose 4, each by another instrument.
    pnl = -np.array(
        [[8.0, 4.0, 0.0, 0.0, 1.0], [0.0, 0.0, 4.0, 0.0, 1.0], [0.0, 0.0, 0.0, 4.0, 1.0]]
    )
    accounts = Accounts.from_positions([0] * 3, range(3), [1.0] * 3, n_accounts=1)
    found = allocate(accounts, ScenarioSet(pnl=pnl), confidence_level=0.6)
    np.testing.assert_allclose(
        found.contribution, [(8.0 + 4.0 / 3.0) / 2.0, 2.0 / 3.0, 2.0 / 3.0], rtol=1e-12
    )


def test_a_value_at_risk_that_its_neighbours_do_not_show_is_shared_by_gross_losses() -> None:
    # Losses of the book around its value at risk: 10, 1 and -11. Their weighted mean is a tenth of
    # the value at risk, which a factor of ten would blow up into contributions of hundreds.
    first = np.array([10.0, 40.0, -30.0, -50.0, -50.0])
    second = np.array([0.0, -39.0, 19.0, -50.0, -50.0])
    accounts = Accounts.from_positions([0, 0], [0, 1], [1.0, 1.0], n_accounts=1)
    found = allocate(
        accounts,
        ScenarioSet(pnl=-np.stack([first, second])),
        confidence_level=0.6,
        measure="value_at_risk",
        neighbours=1,
    )
    weight = np.array([0.3, 0.4, 0.3, 0.0, 0.0])
    mean = np.array([weight @ first, weight @ second])
    gross = np.array([weight @ np.abs(first), weight @ np.abs(second)])
    assert found.risk.item() == 1.0
    assert 0.0 < mean.sum() < 0.5
    missing = 1.0 - mean.sum()
    np.testing.assert_allclose(found.contribution, mean + missing * gross / gross.sum(), rtol=1e-12)


@by_measure
def test_a_hedge_contributes_less_than_nothing(measure: str) -> None:
    move = np.random.default_rng(7).normal(size=200)
    accounts = Accounts.from_positions([0, 0], [0, 1], [2.0, -1.0], n_accounts=1)
    found = allocate(
        accounts,
        ScenarioSet(pnl=np.stack([move, move])),
        confidence_level=0.95,
        measure=measure,
    )
    np.testing.assert_allclose(
        found.contribution, [2.0 * found.risk.item(), -found.risk.item()], rtol=1e-12
    )


def test_neighbours_are_not_negative_and_empty_accounts_have_no_risk() -> None:
    accounts = Accounts.from_positions([], [], [], n_accounts=2)
    scenarios = ScenarioSet(pnl=np.array([[1.0, 2.0]]))
    assert allocate(accounts, scenarios, confidence_level=0.9).risk.tolist() == [0.0, 0.0]
    with pytest.raises(InputError, match="neighbours must not be negative, was -1"):
        allocate(accounts, scenarios, confidence_level=0.9, neighbours=-1)
