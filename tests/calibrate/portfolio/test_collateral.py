"""Haircuts and collateral: floors, pegs, limits, and collateral that falls with the book."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from foremargin.calibrate.portfolio import (
    Accounts,
    CollateralTerms,
    CollateralValue,
    MarginRules,
    ScenarioSet,
    collateral_value,
    depeg_haircut,
    haircut,
    linear_pnl,
    portfolio_margin,
)
from foremargin.errors import InputError, ShapeError

Array = NDArray[np.float64]
RULES = MarginRules(confidence_level=0.95)


def test_a_haircut_is_the_loss_over_the_time_it_takes_to_sell() -> None:
    found = haircut([0.1, 0.1, 0.1], horizon=2.0, liquidation_horizon=[8.0, 2.0, 0.5])
    # Faster than the horizon is not scaled down.
    np.testing.assert_allclose(found, -np.expm1([-0.2, -0.1, -0.1]), rtol=1e-14)


def test_currency_and_asset_are_lost_at_once_but_no_more_than_all() -> None:
    both = haircut(0.2, horizon=1, liquidation_horizon=1, currency_log_value_at_risk=0.1)
    one, other = (haircut(v, horizon=1, liquidation_horizon=1) for v in (0.2, 0.1))
    np.testing.assert_allclose(1.0 - both, (1.0 - one) * (1.0 - other), rtol=1e-14)
    assert max(one, other) < both < one + other
    assert haircut(50.0, horizon=1, liquidation_horizon=100) == 1.0


def test_the_floor_holds_in_calm_times() -> None:
    found = haircut([0.01, 0.5], horizon=1, liquidation_horizon=1, floor=0.05)
    np.testing.assert_allclose(found, [0.05, -np.expm1(-0.5)], rtol=1e-14)


@settings(max_examples=50, deadline=None)
@given(
    risk=st.floats(0.0, 5.0),
    more=st.floats(0.0, 5.0),
    time=st.floats(0.01, 50.0),
    longer=st.floats(0.0, 50.0),
    floor=st.floats(0.0, 1.0),
)
def test_more_risk_and_more_time_never_lower_a_haircut(
    risk: float, more: float, time: float, longer: float, floor: float
) -> None:
    base = haircut(risk, horizon=1, liquidation_horizon=time, floor=floor)
    assert base <= haircut(risk + more, horizon=1, liquidation_horizon=time, floor=floor)
    assert base <= haircut(risk, horizon=1, liquidation_horizon=time + longer, floor=floor)
    assert floor <= base <= 1.0


def test_the_peg_rule_is_that_of_derive() -> None:
    # Peg parameters 0.99 x 4 of the live scripts: at 0.95 the factor rises by 0.16.
    found = depeg_haircut(
        [1.01, 0.99, 0.95, 0.5], probability=0.0, loss_given_depeg=0.0, tail_probability=0.01
    )
    np.testing.assert_allclose(found, [0.0, 0.0, 0.16, 1.0], rtol=1e-12)


@pytest.mark.parametrize("probability", [0.0, 0.002, 0.01, 0.3])
def test_the_forecast_of_a_depeg_is_a_shortfall(probability: float) -> None:
    # The same from scenarios: lose 0.4 with the probability, nothing otherwise.
    found = depeg_haircut(1.0, probability=probability, loss_given_depeg=0.4, tail_probability=0.01)
    n = 10_000
    gone = np.arange(n) < round(probability * n)
    scenarios = ScenarioSet(pnl=np.where(gone, -0.4, 0.0)[None, :])
    accounts = Accounts.from_positions([0], [0], [1.0], n_accounts=1)
    margin = portfolio_margin(accounts, scenarios, confidence_level=0.99)
    np.testing.assert_allclose(found, margin.item(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log_value_at_risk": np.nan}, "log_value_at_risk must be finite"),
        ({"log_value_at_risk": -0.1}, "log_value_at_risk must be finite and not negative"),
        ({"currency_log_value_at_risk": np.inf}, "currency_log_value_at_risk must be finite"),
        ({"liquidation_horizon": 0.0}, "liquidation_horizon must be positive"),
        ({"horizon": 0.0}, "horizon and liquidation_horizon must be positive"),
        ({"horizon": np.nan}, "horizon and liquidation_horizon must be positive"),
        ({"floor": 5.0}, r"floor must be in \[0, 1\]"),
    ],
)
def test_haircuts_without_a_forecast_are_refused(change: dict[str, float], message: str) -> None:
    given = {"log_value_at_risk": 0.1, "horizon": 1.0, "liquidation_horizon": 1.0} | change
    with pytest.raises(InputError, match=message):
        haircut(given.pop("log_value_at_risk"), **given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"price": np.nan}, "price must be finite"),
        ({"probability": 1.5}, r"probability must be in \[0, 1\]"),
        ({"loss_given_depeg": -0.1}, "loss_given_depeg must be finite and not negative"),
        ({"tail_probability": 0.99}, r"write 0\.01 for 1 %"),
        ({"threshold": 99.0}, r"threshold must be in \(0, 1\]"),
        ({"factor": np.inf}, "factor finite"),
    ],
)
def test_pegs_that_make_no_sense_are_refused(change: dict[str, float], message: str) -> None:
    given = {
        "price": 1.0,
        "probability": 0.01,
        "loss_given_depeg": 0.1,
        "tail_probability": 0.01,
    } | change
    with pytest.raises(InputError, match=message):
        depeg_haircut(given.pop("price"), **given)


# Instruments: a coin, a coin that falls with it twice as far, cash.
PRICE = np.array([100.0, 50.0, 1.0])
MOVES = np.random.default_rng(4).normal(0.0, 0.03, size=400)
SCENARIOS = ScenarioSet(pnl=linear_pnl(PRICE, np.stack([MOVES, 2.0 * MOVES, 0.0 * MOVES])))


def valued(
    book: Accounts, collateral: Accounts, *, haircuts: list[float], limit: float = 1.0
) -> CollateralValue:
    return collateral_value(
        book,
        collateral,
        SCENARIOS,
        terms=CollateralTerms(
            price=PRICE, haircut=np.array(haircuts), limit=np.array([limit, limit, 1.0])
        ),
        requirement=portfolio_margin(book, SCENARIOS, confidence_level=0.95),
        rules=RULES,
    )


def one(instrument: int, quantity: float) -> Accounts:
    return Accounts.from_positions([0], [instrument], [quantity], n_accounts=1)


def test_collateral_that_falls_with_the_book_is_charged_what_its_haircut_misses() -> None:
    long, short = one(0, 10.0), one(0, -10.0)
    coins = one(1, 1.0)
    alone = portfolio_margin(coins, SCENARIOS, confidence_level=0.95).item()
    wrong = valued(long, coins, haircuts=[0.0, 0.05, 0.0])
    # Both lose in the same scenarios: the shortfalls add up.
    np.testing.assert_allclose(wrong.wrong_way, alone - 0.05 * 50.0, rtol=1e-9)
    right = valued(short, coins, haircuts=[0.0, 0.05, 0.0])
    assert right.wrong_way.item() == 0.0
    strict = valued(long, coins, haircuts=[0.0, alone / 50.0 + 1e-12, 0.0])
    assert strict.wrong_way.item() == 0.0
    np.testing.assert_allclose(
        wrong.excess, 50.0 * 0.95 - wrong.wrong_way - wrong.requirement, rtol=1e-12
    )


def test_what_a_book_gains_even_in_its_tail_is_no_reason_to_charge_its_collateral() -> None:
    # The book makes five whatever happens, the collateral loses eight; its haircut takes six.
    scenarios = ScenarioSet(pnl=np.array([[5.0] * 4, [-8.0, 0.0, 1.0, 2.0]]))
    with_book, bare = (
        collateral_value(
            one(0, units),
            one(1, 1.0),
            scenarios,
            terms=CollateralTerms(
                price=np.array([0.0, 60.0]), haircut=np.array([1.0, 0.1]), limit=np.ones(2)
            ),
            requirement=[100.0],
            rules=MarginRules(confidence_level=0.75),
        )
        for units in (1.0, 0.0)
    )
    assert with_book.wrong_way.item() == 0.0
    # Without the book two are missing.
    assert bare.wrong_way.item() == pytest.approx(2.0)


def test_an_asset_covers_no_more_than_its_limit_and_what_is_beyond_costs_nothing() -> None:
    book = one(0, 10.0)
    within = valued(book, one(1, 1.0), haircuts=[0.0, 0.1, 0.0], limit=0.5)
    beyond = valued(book, one(1, 500.0), haircuts=[0.0, 0.1, 0.0], limit=0.5)
    need = within.requirement.item()
    np.testing.assert_allclose(beyond.counted, 0.5 * need, rtol=1e-12)
    np.testing.assert_allclose(beyond.after_haircut, 0.9 * 500.0 * 50.0, rtol=1e-12)
    assert beyond.wrong_way.item() < 0.5 * need
    cash = valued(book, one(2, need), haircuts=[0.0, 0.1, 0.0], limit=0.5)
    np.testing.assert_allclose(cash.excess, 0.0, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(
    units=st.floats(-20.0, 20.0),
    held=st.lists(st.floats(0.0, 20.0), min_size=3, max_size=3),
    more=st.lists(st.floats(0.0, 20.0), min_size=3, max_size=3),
    cut=st.floats(0.0, 1.0),
    limit=st.floats(0.0, 1.0),
)
def test_more_collateral_never_lowers_the_excess(
    units: float, held: list[float], more: list[float], cut: float, limit: float
) -> None:
    book = one(0, units)
    rows = [0, 1, 2]
    before = Accounts.from_positions([0] * 3, rows, held, n_accounts=1)
    added = Accounts.from_positions([0] * 3, rows, more, n_accounts=1)
    haircuts = [cut, 0.5 * cut, 0.0]
    base = valued(book, before, haircuts=haircuts, limit=limit)
    after = valued(book, before.together(added), haircuts=haircuts, limit=limit)
    assert after.excess >= base.excess - 1e-9  # values of some thousands
    assert (base.wrong_way >= 0.0).all()


def test_terms_and_requirements_that_make_no_sense_are_refused() -> None:
    ones, nothing = np.ones(3), one(2, 0.0)
    terms = CollateralTerms(price=ones, haircut=0.0 * ones, limit=ones)
    with pytest.raises(InputError, match=r"haircut must be finite and in \[0, 1\.0\]"):
        CollateralTerms(price=ones, haircut=20.0 * ones, limit=ones)
    with pytest.raises(InputError, match="price must be finite"):
        CollateralTerms(price=np.nan * ones, haircut=ones, limit=ones)
    with pytest.raises(ShapeError, match="limit must be one-dimensional"):
        CollateralTerms(price=ones, haircut=ones, limit=np.ones(2))
    for requirement, collateral, some, message in (
        ([np.nan], nothing, terms, "requirement must be finite and not negative"),
        ([1.0, 1.0], nothing, terms, r"requirement must have shape \(1,\)"),
        ([1.0], one(2, -1.0), terms, "what is owed belongs to the requirement"),
        ([1.0], one(3, 1.0), terms, "instrument 3 has none"),
        (
            [1.0],
            nothing,
            CollateralTerms(price=np.ones(2), haircut=np.ones(2), limit=np.ones(2)),
            "terms must have 3 instruments, had 2",
        ),
    ):
        with pytest.raises(InputError, match=message):
            collateral_value(
                one(0, 1.0),
                collateral,
                SCENARIOS,
                terms=some,
                requirement=requirement,
                rules=RULES,
            )
