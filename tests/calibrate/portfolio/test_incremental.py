"""Margins that follow moves: always those of a fresh computation, and only holders change."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.calibrate.portfolio import (
    Accounts,
    IncrementalMargin,
    RiskMeasure,
    ScenarioSet,
    portfolio_margin,
)
from foremargin.errors import InputError, ShapeError

Array = NDArray[np.float64]
MakeAccounts = Callable[..., Accounts]


def start(
    make_accounts: MakeAccounts, *, weighted: bool = False, n_scenarios: int = 120
) -> tuple[Accounts, ScenarioSet]:
    rng = np.random.default_rng(8)
    accounts = make_accounts(rng, n_accounts=600, n_instruments=10)
    weight = rng.uniform(0.2, 1.0, size=n_scenarios) if weighted else None
    return accounts, ScenarioSet(pnl=rng.standard_t(4, size=(10, n_scenarios)), weight=weight)


@pytest.mark.parametrize("measure", [measure.value for measure in RiskMeasure])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("size", [0.001, 0.1, 3.0])
def test_after_every_move_the_margins_are_those_of_a_fresh_computation(
    make_accounts: MakeAccounts, measure: str, weighted: bool, size: float
) -> None:
    accounts, scenarios = start(make_accounts, weighted=weighted)
    rule: dict[str, Any] = {"confidence_level": 0.95, "measure": measure}
    state = IncrementalMargin(accounts, scenarios, **rule)
    rng = np.random.default_rng(9)
    pnl = scenarios.pnl.copy()
    rebooked = 0
    for _ in range(40):
        instrument = int(rng.integers(10))
        # Not a scaling alone: scenarios change places.
        pnl[instrument] += size * rng.normal(size=120) + 0.1 * size * pnl[instrument]
        state.move(instrument, pnl[instrument])
        rebooked += state.rebooked
        fresh = portfolio_margin(accounts, ScenarioSet(pnl=pnl, weight=scenarios.weight), **rule)
        # Up to forty roundings of losses of up to some thousands.
        np.testing.assert_allclose(state.margin, fresh, rtol=0.0, atol=1e-10)
    assert (rebooked > 0) == (size > 0.001)
    np.testing.assert_array_equal(state.scenarios().pnl, pnl)


@pytest.mark.parametrize(
    ("n_scenarios", "confidence_level", "kept"),
    # Tails and rests of even and odd length, no rest at all, and names of four bytes.
    [
        (120, 0.95, 6),
        (120, 0.95, 7),
        (120, 0.94, 8),
        (120, 0.94, 9),
        (30, 0.97, 40),
        (70_000, 0.9998, None),
    ],
)
def test_rows_of_every_length_are_followed(
    make_accounts: MakeAccounts, n_scenarios: int, confidence_level: float, kept: int | None
) -> None:
    rng = np.random.default_rng(14)
    accounts = make_accounts(rng, n_accounts=60, n_instruments=4)
    pnl = rng.normal(size=(4, n_scenarios))
    state = IncrementalMargin(
        accounts, ScenarioSet(pnl=pnl), confidence_level=confidence_level, kept=kept
    )
    # At the end the worst scenarios become the best, and the reverse.
    for size, factor in ((1e-4, 1.0), (0.02, 1.0), (1.0, 1.0), (0.0, -30.0), (0.0, -1.0)):
        pnl[1] = factor * (pnl[1] + size * rng.normal(size=n_scenarios))
        state.move(1, pnl[1])
        fresh = portfolio_margin(accounts, ScenarioSet(pnl=pnl), confidence_level=confidence_level)
        # Rounding of losses of up to some thousands.
        np.testing.assert_allclose(state.margin, fresh, rtol=0.0, atol=1e-11)


def test_small_moves_of_the_price_book_hardly_any_account_anew(
    make_accounts: MakeAccounts,
) -> None:
    accounts, scenarios = start(make_accounts, n_scenarios=500)
    state = IncrementalMargin(accounts, scenarios, confidence_level=0.975)
    booked = 0
    for step in range(1, 11):
        state.move(0, scenarios.pnl[0] * (1.0 + 0.001 * step))
        booked += state.rebooked
    holders = len(state.move(0, scenarios.pnl[0] * 1.01))
    assert 0 < booked < 0.02 * 10 * holders or booked == 0
    assert holders > 200


def test_a_scenario_from_outside_enters_the_tail(make_accounts: MakeAccounts) -> None:
    # Ten accounts keep their worst scenarios; then the best one becomes the worst by far.
    pnl = np.linspace(-1.0, 1.0, 200)[None, :]
    accounts = Accounts.from_positions(range(10), [0] * 10, [2.0] * 10, n_accounts=10)
    state = IncrementalMargin(accounts, ScenarioSet(pnl=pnl), confidence_level=0.99, kept=2)
    moved = pnl[0].copy()
    moved[-1] = -50.0
    state.move(0, moved)
    assert state.rebooked == 10
    np.testing.assert_allclose(state.margin, 2.0 * (50.0 + 1.0) / 2.0, rtol=1e-12)


def test_only_holders_change_and_they_are_named(make_accounts: MakeAccounts) -> None:
    accounts, scenarios = start(make_accounts)
    state = IncrementalMargin(accounts, scenarios, confidence_level=0.95)
    before = state.margin
    holders = state.move(4, 5.0 * scenarios.pnl[4])
    assert holders.tolist() == accounts.owner()[accounts.instrument == 4].tolist()
    changed = np.flatnonzero(state.margin != before)
    assert len(changed) > 0.8 * len(holders)
    assert set(changed.tolist()) <= set(holders.tolist())


def test_threads_do_not_matter(make_accounts: MakeAccounts) -> None:
    rng = np.random.default_rng(1)
    accounts = make_accounts(rng, n_accounts=25_000, n_instruments=3, most=3)
    scenarios = ScenarioSet(pnl=rng.normal(size=(3, 64)))
    margins = []
    with pytest.MonkeyPatch.context() as patch:
        for count in (1, 3):
            patch.setattr(numba, "get_num_threads", lambda count=count: count)
            state = IncrementalMargin(accounts, scenarios, confidence_level=0.95)
            assert len(state.move(1, scenarios.pnl[2])) > 2 * 4_096
            margins.append(state.margin)
    np.testing.assert_array_equal(margins[0], margins[1])


def test_keeping_all_scenarios_never_books_anew(make_accounts: MakeAccounts) -> None:
    accounts, scenarios = start(make_accounts)
    state = IncrementalMargin(accounts, scenarios, confidence_level=0.95, kept=1_000)
    state.move(1, 100.0 * scenarios.pnl[2])
    assert state.rebooked == 0
    fresh = portfolio_margin(accounts, state.scenarios(), confidence_level=0.95)
    np.testing.assert_allclose(state.margin, fresh, rtol=0.0, atol=1e-10)  # losses up to 1e4


def test_a_refused_move_leaves_everything_as_it_was(make_accounts: MakeAccounts) -> None:
    accounts, scenarios = start(make_accounts)
    state = IncrementalMargin(accounts, scenarios, confidence_level=0.95)
    before = state.margin
    bad = scenarios.pnl[0].copy()
    bad[3] = np.nan
    with pytest.raises(InputError, match="new_pnl must be finite, found 1"):
        state.move(0, bad)
    with pytest.raises(ShapeError, match=r"new_pnl must have shape \(120,\)"):
        state.move(0, bad[:5])
    with pytest.raises(InputError, match=r"instrument must be in \[0, 10\), was 10"):
        state.move(10, scenarios.pnl[0])
    with pytest.raises(InputError, match="overflow"):
        state.move(0, np.full(120, 1e308))
    np.testing.assert_array_equal(state.margin, before)
    np.testing.assert_array_equal(state.scenarios().pnl, scenarios.pnl)
    with pytest.raises(InputError, match="kept must be at least 6"):
        IncrementalMargin(accounts, scenarios, confidence_level=0.95, kept=5)
