"""Margins of accounts: equal to the plain computation, coherent, and strict about input."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from foremargin.calibrate.portfolio import Accounts, RiskMeasure, ScenarioSet, portfolio_margin
from foremargin.errors import InputError, ShapeError

Array = NDArray[np.float64]
MakeAccounts = Callable[..., Accounts]

MEASURES = [measure.value for measure in RiskMeasure]


def plain_risk(
    accounts: Accounts, scenarios: ScenarioSet, *, confidence_level: float, measure: str
) -> Array:
    """Sort all losses and add them up, for weights of any kind."""
    shape = (accounts.n_accounts, scenarios.n_instruments)
    held = sp.csr_matrix((accounts.quantity, accounts.instrument, accounts.offsets), shape=shape)
    loss = -np.asarray(held @ scenarios.pnl)
    if measure == "worst":
        return np.asarray(loss.max(axis=1))
    order = np.argsort(-loss, axis=1)
    ordered = np.take_along_axis(loss, order, axis=1)
    weight = scenarios.weights[order]
    before = np.cumsum(weight, axis=1) - weight
    tail = 1.0 - confidence_level
    taken = np.clip(tail - before, 0.0, weight)
    if measure == "expected_shortfall":
        return np.asarray((taken * ordered).sum(axis=1) / taken.sum(axis=1))
    at = np.sum(before + weight < tail - 1e-12, axis=1)
    return np.asarray(ordered[np.arange(len(ordered)), np.minimum(at, ordered.shape[1] - 1)])


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("confidence_level", [0.6, 0.975, 0.99, 0.9999])
@pytest.mark.parametrize("n_scenarios", [1, 15, 64, 500])
@pytest.mark.parametrize("weighted", [False, True])
def test_margins_are_those_of_sorting_everything(
    make_accounts: MakeAccounts,
    measure: str,
    confidence_level: float,
    n_scenarios: int,
    weighted: bool,
) -> None:
    rng = np.random.default_rng(n_scenarios)
    accounts = make_accounts(rng, n_accounts=200, n_instruments=30)
    scenarios = ScenarioSet(
        pnl=rng.standard_t(4, size=(30, n_scenarios)),
        weight=rng.uniform(0.1, 2.0, size=n_scenarios) if weighted else None,
    )
    rule: dict[str, Any] = {"confidence_level": confidence_level, "measure": measure}
    margin = portfolio_margin(accounts, scenarios, **rule)
    expected = np.maximum(plain_risk(accounts, scenarios, **rule), 0.0)
    gross = plain_gross(accounts, scenarios)
    # Both round sums of a dozen products, in another order.
    np.testing.assert_allclose(margin, expected, rtol=0.0, atol=1e-14 * gross.max())


def given_scenarios(pnl: Any, weight: Any = None) -> ScenarioSet:
    return ScenarioSet(pnl=pnl, weight=weight)


def plain_gross(accounts: Accounts, scenarios: ScenarioSet) -> Array:
    size = np.abs(accounts.quantity) * np.abs(scenarios.pnl).max(axis=1)[accounts.instrument]
    return np.bincount(accounts.owner(), weights=size, minlength=accounts.n_accounts).astype(float)


def test_margins_do_not_depend_on_the_number_of_threads(make_accounts: MakeAccounts) -> None:
    rng = np.random.default_rng(1)
    accounts = make_accounts(rng, n_accounts=5_000, n_instruments=20)
    scenarios = ScenarioSet(pnl=rng.normal(size=(20, 64)))
    threads = numba.get_num_threads()
    margins = []
    with pytest.MonkeyPatch.context() as patch:
        for count in (1, 3):
            patch.setattr(numba, "get_num_threads", lambda count=count: count)
            margins.append(portfolio_margin(accounts, scenarios, confidence_level=0.99))
    assert numba.get_num_threads() == threads
    np.testing.assert_array_equal(margins[0], margins[1])
    np.testing.assert_array_equal(
        margins[0][-7:],
        portfolio_margin(accounts, scenarios, confidence_level=0.99)[-7:],
    )


def test_the_shortfall_of_normal_scenarios_is_that_of_the_normal_law() -> None:
    # Scenarios at the mid-points of equally likely slices of the law.
    n = 200_000
    scenarios = ScenarioSet(pnl=stats.norm.ppf((np.arange(n) + 0.5) / n)[None, :])
    accounts = Accounts.from_positions([0], [0], [3.0], n_accounts=1)
    z = stats.norm.ppf(0.99)
    shortfall = portfolio_margin(accounts, scenarios, confidence_level=0.99)
    quantile = portfolio_margin(accounts, scenarios, confidence_level=0.99, measure="value_at_risk")
    # The slice at the end of the law is represented by its mid-point, and so is the quantile's,
    # half a slice away: 0.5 / 200,000 over a density of 0.027.
    np.testing.assert_allclose(shortfall, 3.0 * stats.norm.pdf(z) / 0.01, rtol=2e-5)
    np.testing.assert_allclose(quantile, 3.0 * z, rtol=5e-5)


def test_the_edge_of_the_tail_counts_in_part() -> None:
    # Losses 9, 7, 5, ...; a tail of 2.5 scenarios holds two and a half of them.
    pnl = -np.array([[9.0, 1.0, 5.0, 7.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    accounts = Accounts.from_positions([0], [0], [1.0], n_accounts=1)
    margin = portfolio_margin(accounts, ScenarioSet(pnl=pnl), confidence_level=0.75)
    np.testing.assert_allclose(margin, (9.0 + 7.0 + 0.5 * 5.0) / 2.5, rtol=1e-15)


def test_value_at_risk_is_the_larger_where_two_would_do() -> None:
    scenarios = ScenarioSet(pnl=-np.arange(500.0)[None, :])
    accounts = Accounts.from_positions([0], [0], [1.0], n_accounts=1)
    margin = portfolio_margin(accounts, scenarios, confidence_level=0.99, measure="value_at_risk")
    # Five of 500 losses are a tail of exactly 1 %: 495 is the fifth, 494 the sixth.
    assert margin.item() == 495.0


finite = st.floats(-1e3, 1e3, allow_subnormal=False)


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    measure=st.sampled_from(["expected_shortfall", "worst"]),
    confidence_level=st.sampled_from([0.5, 0.8, 0.975, 0.99]),
)
def test_a_book_never_asks_for_more_than_its_parts(
    data: st.DataObject, measure: str, confidence_level: float
) -> None:
    n_scenarios = data.draw(st.integers(1, 40))
    rows = st.lists(finite, min_size=n_scenarios, max_size=n_scenarios)
    scenarios = ScenarioSet(pnl=np.array([data.draw(rows), data.draw(rows)]))
    units = [data.draw(finite), data.draw(finite)]
    accounts = Accounts.from_positions([0, 0, 1, 2], [0, 1, 0, 1], [*units, *units], n_accounts=3)
    book, one, other = portfolio_margin(
        accounts, scenarios, confidence_level=confidence_level, measure=measure
    )
    assert book <= one + other + 1e-9 * (1.0 + one + other)  # rounding of products up to 1e6


@pytest.mark.parametrize("measure", MEASURES)
def test_margins_scale_with_the_book_and_shift_with_cash(
    make_accounts: MakeAccounts, measure: str
) -> None:
    rng = np.random.default_rng(5)
    accounts = make_accounts(rng, n_accounts=50, n_instruments=8)
    pnl = rng.normal(size=(8, 100))
    base = portfolio_margin(accounts, ScenarioSet(pnl=pnl), confidence_level=0.95, measure=measure)
    tripled = Accounts(
        offsets=accounts.offsets,
        instrument=accounts.instrument,
        quantity=3.0 * accounts.quantity,
    )
    np.testing.assert_allclose(
        portfolio_margin(tripled, ScenarioSet(pnl=pnl), confidence_level=0.95, measure=measure),
        3.0 * base,
        rtol=1e-12,
    )
    owner = np.arange(50)
    with_cash = accounts.together(
        Accounts.from_positions(owner, np.full(50, 8), np.ones(50), n_accounts=50)
    )
    certain = ScenarioSet(pnl=np.vstack([pnl, np.full(100, -0.25)]))
    shifted = portfolio_margin(with_cash, certain, confidence_level=0.95, measure=measure)
    holding = np.diff(accounts.offsets) > 0
    np.testing.assert_allclose(shifted[holding], base[holding] + 0.25, rtol=1e-12)


def test_a_perfect_hedge_and_an_empty_account_ask_for_nothing() -> None:
    move = np.random.default_rng(2).normal(size=64)
    scenarios = ScenarioSet(pnl=np.stack([move, 10.0 * move, np.abs(move)]))
    accounts = Accounts.from_positions([0, 0, 2], [0, 1, 2], [1_000.0, -100.0, 5.0], n_accounts=4)
    margin = portfolio_margin(accounts, scenarios, confidence_level=0.99)
    # Account 2 gains in every scenario: that is no collateral.
    np.testing.assert_allclose(margin, np.zeros(4), atol=1e-9)
    assert (margin >= 0.0).all()


def test_a_short_option_is_netted_with_its_hedge_scenario_by_scenario() -> None:
    spot = 100.0 * np.exp(np.linspace(-0.3, 0.3, 61))
    call = np.maximum(spot - 100.0, 0.0)
    scenarios = ScenarioSet(pnl=np.stack([spot - 100.0, call]))
    accounts = Accounts.from_positions([0, 1, 1], [1, 0, 1], [-1.0, 1.0, -1.0], n_accounts=2)
    naked, covered = portfolio_margin(accounts, scenarios, confidence_level=0.99, measure="worst")
    np.testing.assert_allclose(naked, 100.0 * np.expm1(0.3), rtol=1e-12)
    np.testing.assert_allclose(covered, -100.0 * np.expm1(-0.3), rtol=1e-12)


def test_stress_scenarios_share_their_probability() -> None:
    base = ScenarioSet(pnl=-np.arange(100.0)[None, :])
    stressed = base.with_stress([[-1_000.0, -2_000.0]], probability=0.01)
    np.testing.assert_allclose(stressed.weights[-2:], 0.005, rtol=1e-14)
    np.testing.assert_allclose(stressed.weights[:-2], 0.0099, rtol=1e-14)
    accounts = Accounts.from_positions([0], [0], [1.0], n_accounts=1)
    margin = portfolio_margin(accounts, stressed, confidence_level=0.98)
    # Both stresses, 99 with its 0.0099, and what is left of the tail with 98.
    expected = (0.005 * 3_000.0 + 0.0099 * 99.0 + 0.0001 * 98.0) / 0.02
    np.testing.assert_allclose(margin, expected, rtol=1e-12)


def test_a_position_without_scenarios_is_refused() -> None:
    accounts = Accounts.from_positions([0], [1], [1.0], n_accounts=1)
    with pytest.raises(InputError, match="instrument 1 has none among 1"):
        portfolio_margin(accounts, given_scenarios([[1.0, 2.0]]), confidence_level=0.99)


@pytest.mark.parametrize("confidence_level", [99.0, 0.01, 1.0, np.nan])
def test_a_confidence_level_is_not_a_percentage(confidence_level: float) -> None:
    accounts = Accounts.from_positions([0], [0], [1.0], n_accounts=1)
    with pytest.raises(InputError, match=r"write 0\.99 for 99 %"):
        portfolio_margin(accounts, given_scenarios([[1.0]]), confidence_level=confidence_level)


def test_unknown_measures_and_overflowing_books_are_refused() -> None:
    accounts = Accounts.from_positions([0], [0], [1e200], n_accounts=1)
    scenarios = given_scenarios([[1e200]])
    with pytest.raises(InputError, match="measure must be one of"):
        portfolio_margin(accounts, scenarios, confidence_level=0.99, measure="cvar")
    with pytest.raises(InputError, match="overflow"):
        portfolio_margin(accounts, scenarios, confidence_level=0.99)


@pytest.mark.parametrize(
    ("pnl", "weight", "message"),
    [
        ([[1.0, np.nan]], None, "pnl must be finite, is not for 1 instruments"),
        ([[1.0, np.inf]], None, "pnl must be finite"),
        ([[1.0, 2.0]], [1.0, 0.0], "weight must be positive and finite"),
        ([[1.0, 2.0]], [1.0, np.nan], "weight must be positive and finite"),
        ([[1.0, 2.0]], [1.0], r"weight must have shape \(2,\)"),
        ([1.0, 2.0], None, "n_instruments, n_scenarios"),
        (np.empty((2, 0)), None, "at least one scenario"),
    ],
)
def test_scenarios_that_are_not_numbers_are_refused(pnl: Any, weight: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        given_scenarios(pnl, weight)


def test_stress_scenarios_need_every_instrument() -> None:
    scenarios = given_scenarios([[1.0], [2.0]])
    with pytest.raises(ShapeError, match=r"must have shape \(2, n_stress\)"):
        scenarios.with_stress([[1.0]], probability=0.1)
    with pytest.raises(InputError, match=r"probability must be in \(0, 1\)"):
        scenarios.with_stress([[1.0], [1.0]], probability=1.0)
