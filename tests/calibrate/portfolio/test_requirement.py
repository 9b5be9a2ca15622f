"""Requirements: netting within limits, and never above the sum of the parts."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from foremargin.calibrate.portfolio import (
    AccountMargin,
    Accounts,
    Concentration,
    MarginRules,
    ScenarioSet,
    account_margin,
    portfolio_margin,
    stressed_correlation,
)
from foremargin.errors import InputError, ShapeError

Array = NDArray[np.float64]
MakeAccounts = Callable[..., Accounts]

UNDERLYING = np.array([7, 7, 7, 2, 2, 4])


def drawn(make_accounts: MakeAccounts) -> tuple[Accounts, ScenarioSet]:
    rng = np.random.default_rng(12)
    accounts = make_accounts(rng, n_accounts=400, n_instruments=6)
    market = rng.standard_t(4, size=200)
    return accounts, ScenarioSet(pnl=market + rng.normal(size=(6, 200)))


def lowest_of(margin: AccountMargin, rules: MarginRules) -> Array:
    return (1.0 - rules.diversification_cap) * margin.stand_alone


@pytest.mark.parametrize("measure", ["expected_shortfall", "worst"])
@pytest.mark.parametrize("cap", [0.0, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("stress", [0.0, 0.5, 1.0])
def test_the_requirement_lies_between_the_netted_book_and_the_sum_of_its_parts(
    make_accounts: MakeAccounts, measure: str, cap: float, stress: float
) -> None:
    accounts, scenarios = drawn(make_accounts)
    rules = MarginRules(
        confidence_level=0.97,
        measure=measure,
        diversification_cap=cap,
        correlation_stress=stress,
    )
    margin = account_margin(accounts, scenarios, UNDERLYING, rules=rules)
    rounding = 1e-12 * margin.stand_alone.max()
    assert (margin.total <= margin.stand_alone + rounding).all()
    assert (margin.total >= margin.netted).all()
    assert (margin.total >= lowest_of(margin, rules) - rounding).all()
    if cap == 0.0 or stress == 1.0:
        np.testing.assert_allclose(margin.total, margin.stand_alone, rtol=1e-12)
    if cap == 1.0 and stress == 0.0:
        np.testing.assert_array_equal(margin.total, margin.netted)
        assert (margin.netted < 0.9 * margin.stand_alone).sum() > 100


def test_the_parts_are_the_margins_of_each_underlying_alone(make_accounts: MakeAccounts) -> None:
    accounts, scenarios = drawn(make_accounts)
    rules = MarginRules(confidence_level=0.97)
    margin = account_margin(accounts, scenarios, UNDERLYING, rules=rules)
    total = np.zeros(accounts.n_accounts)
    for name in (2, 4, 7):
        keep = UNDERLYING[accounts.instrument] == name
        alone = Accounts.from_positions(
            accounts.owner()[keep],
            accounts.instrument[keep],
            accounts.quantity[keep],
            n_accounts=accounts.n_accounts,
        )
        total += portfolio_margin(alone, scenarios, confidence_level=0.97)
    np.testing.assert_allclose(margin.stand_alone, total, rtol=1e-12)


def test_spot_perpetual_and_future_of_one_underlying_are_netted_without_limit() -> None:
    move = np.random.default_rng(1).normal(size=100)
    basis = 0.01 * np.random.default_rng(2).normal(size=100)
    scenarios = ScenarioSet(pnl=np.stack([move, move + basis, move]))
    accounts = Accounts.from_positions(
        [0, 0, 1, 2, 3, 3], [0, 1, 0, 1, 0, 2], [1.0, -1.0, 1.0, -1.0, 1.0, -1.0], n_accounts=4
    )
    rules = MarginRules(confidence_level=0.95, diversification_cap=0.0, correlation_stress=1.0)
    hedged, long, short, other = account_margin(accounts, scenarios, [0, 0, 9], rules=rules).total
    # What is left is the basis; another underlying offsets nothing under these limits.
    basis_risk = np.sort(basis)[-5:].mean()
    np.testing.assert_allclose(hedged, basis_risk, rtol=1e-9)
    assert hedged < 0.05 * (long + short)
    np.testing.assert_allclose(other, long + np.sort(move)[-5:].mean(), rtol=1e-12)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("strength", [0.2, 0.7])
def test_the_correlation_add_on_is_that_of_stressed_correlations_if_normal(
    sign: float, strength: float
) -> None:
    # Normal scenarios built from correlation 0.5, and the margin by its closed form.
    correlation = np.array([[1.0, 0.5], [0.5, 1.0]])
    sigma, quantity = np.array([2.0, 1.0]), np.array([1.0, 3.0 * sign])
    half = np.random.default_rng(3).normal(size=(2, 50_000))
    half = np.linalg.cholesky(correlation) @ np.linalg.solve(
        np.linalg.cholesky(half @ half.T / 50_000), half
    )
    pnl = sigma[:, None] * np.hstack([half, -half])
    accounts = Accounts.from_positions([0, 0], [0, 1], quantity, n_accounts=1)
    rules = MarginRules(confidence_level=0.99, diversification_cap=1.0, correlation_stress=strength)
    margin = account_margin(accounts, ScenarioSet(pnl=pnl), [0, 1], rules=rules)
    stressed = stressed_correlation(correlation, quantity, strength=strength)
    exposure = quantity * sigma
    multiple = stats.norm.pdf(stats.norm.ppf(0.99)) / 0.01
    expected = multiple * np.sqrt(exposure @ stressed @ exposure)
    # A shortfall of 1,000 scenarios has a standard error of 1 %; three of them.
    np.testing.assert_allclose(margin.total, expected, rtol=0.03)
    assert margin.correlation_add_on.item() > 0.05 * margin.netted.item() * strength


def test_a_large_position_pays_for_its_time_to_close() -> None:
    scenarios = ScenarioSet(pnl=np.random.default_rng(5).normal(size=(2, 100)))
    accounts = Accounts.from_positions(
        [0, 1, 2, 2, 3], [0, 0, 0, 1, 0], [1.0, 9.0, 9.0, -8.0, -9.0], n_accounts=4
    )
    sizes = Concentration(size=np.array([1.0, 1.0]), capacity={0: 4.0})
    rules = MarginRules(confidence_level=0.95)
    small, large, netted, short = account_margin(
        accounts, scenarios, [0, 0], rules=rules, concentration=sizes
    ).concentration_add_on
    alone = portfolio_margin(accounts, scenarios, confidence_level=0.95)
    assert small == 0.0
    # Nine against four take 9/4 of the horizon: the loss grows by its root.
    np.testing.assert_allclose(large, (1.5 - 1.0) * alone[1], rtol=1e-12)
    np.testing.assert_allclose(short, (1.5 - 1.0) * alone[3], rtol=1e-12)
    assert netted == 0.0


def test_what_a_hedge_saves_is_never_lost_to_concentration() -> None:
    move = np.random.default_rng(6).normal(size=100)
    scenarios = ScenarioSet(pnl=np.stack([move, move]))
    accounts = Accounts.from_positions(
        [0, 0, 1, 2], [0, 1, 0, 1], [20.0, -12.0, 20.0, -12.0], n_accounts=3
    )
    sizes = Concentration(size=np.array([1.0, 1.0]), capacity={0: 4.0})
    both, one, other = account_margin(
        accounts,
        scenarios,
        [0, 0],
        rules=MarginRules(confidence_level=0.95),
        concentration=sizes,
    ).total
    assert both < one + other


def test_the_frame_has_a_row_for_each_account_and_empty_accounts_are_zero() -> None:
    accounts = Accounts.from_positions([], [], [], n_accounts=2)
    margin = account_margin(
        accounts,
        ScenarioSet(pnl=np.array([[1.0, -1.0]])),
        [0],
        rules=MarginRules(confidence_level=0.9),
        concentration=Concentration(size=np.ones(1), capacity={}),
    )
    assert margin.frame().to_numpy().tolist() == [[0.0] * 6] * 2
    assert margin.frame().columns[-1] == "total"


def test_input_that_makes_no_sense_is_refused() -> None:
    accounts = Accounts.from_positions([0], [0], [1.0], n_accounts=1)
    scenarios = ScenarioSet(pnl=np.array([[1.0, -1.0]]))
    rules = MarginRules(confidence_level=0.9)
    with pytest.raises(InputError, match=r"diversification_cap must be in \[0, 1\], was 80"):
        MarginRules(confidence_level=0.9, diversification_cap=80)
    with pytest.raises(InputError, match=r"correlation_stress must be in \[0, 1\], was nan"):
        MarginRules(confidence_level=0.9, correlation_stress=np.nan)
    with pytest.raises(ShapeError, match=r"underlying must have shape \(1,\)"):
        account_margin(accounts, scenarios, [0, 1], rules=rules)
    with pytest.raises(InputError, match=r"capacity must be positive and finite, was \{3: 0\.0\}"):
        Concentration(size=np.ones(1), capacity={3: 0.0})
    with pytest.raises(InputError, match="size must be one-dimensional and finite"):
        Concentration(size=np.array([np.nan]), capacity={})
    for size, message in (
        (1, r"capacity must name every underlying held, lacks \[0\]"),
        (2, "size"),
    ):
        concentration = Concentration(size=np.ones(size), capacity={})
        with pytest.raises(InputError, match=message):
            account_margin(accounts, scenarios, [0], rules=rules, concentration=concentration)
