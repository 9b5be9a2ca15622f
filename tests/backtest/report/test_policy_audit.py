"""A policy that looks ahead is caught, however little it sees; honest ones pass to the last bit."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.backtest import audit_policies, replay
from foremargin.backtest.statement import caveats
from foremargin.calibrate import (
    ALL_POLICIES,
    Generation,
    Historical,
    MarginMarket,
    Policy,
    Predictive,
)
from foremargin.errors import InputError
from foremargin.features import build_history
from foremargin.markets import Panel

FIRST, END = 500, 760


@dataclass(frozen=True, kw_only=True)
class Peeking:
    """A thousandth of the margin is next period's loss: one period ahead, and hardly visible."""

    name: str = "predictive-peeking"
    generation: Generation = Generation.PREDICTIVE
    models: tuple[str, ...] = ("regime-network",)

    def margin(self, market: MarginMarket) -> NDArray[np.float64]:
        honest = Historical(sessions=250).margin(market)
        seen = np.nan_to_num(market.loss())  # known only when the period is over
        return np.asarray(honest * (1.0 + 1e-3 * np.sign(seen)))


@dataclass(frozen=True, kw_only=True)
class ScaledOnEverything:
    """The whole sample sets its scale."""

    name: str = "scaled-on-everything"
    generation: Generation = Generation.REACTIVE
    models: tuple[str, ...] = ()

    def margin(self, market: MarginMarket) -> NDArray[np.float64]:
        honest = Historical(sessions=250).margin(market)
        return np.asarray(honest / np.nanmean(honest) * 0.05)


@pytest.fixture(scope="module")
def market(make_panel: Callable[..., Panel]) -> MarginMarket:
    panel = make_panel(n_periods=END)
    history = build_history(panel, horizons=(1, 5))
    variance = history.features.variance
    slow = np.exp(history.features.level)
    models = {name: slow for policy in ALL_POLICIES for name in policy.models}
    models["regime-network"] = 0.5 * (slow + np.nan_to_num(variance, nan=1e-4))
    return MarginMarket(
        history=history,
        horizon=1,
        tail_probability=0.01,
        first_row=FIRST,
        variance=models,
    )


@pytest.mark.parametrize("cheat", [Peeking(), ScaledOnEverything()], ids=lambda one: one.name)
def test_a_policy_that_looks_ahead_is_caught(market: MarginMarket, cheat) -> None:
    table = audit_policies(market, [cheat, Historical(sessions=250)], rows=[600, 700])
    assert not table.clean[cheat.name]
    assert table.clean["hs-250"]


def test_what_is_caught_are_the_margins_whose_loss_was_not_known_at_the_cut(
    market: MarginMarket,
) -> None:
    cut = 600
    table = audit_policies(market, [Peeking()], rows=[cut])
    honest, loss = Historical(sessions=250).margin(market), market.loss()
    later = (market.known_at() > cut)[..., None] & np.isfinite(loss) & (loss != 0.0)
    expected = (np.isfinite(honest) & later)[: cut + 1].sum()
    assert table.moved["predictive-peeking"] == expected > 0


def test_every_registered_policy_passes(market: MarginMarket) -> None:
    table = audit_policies(market, ALL_POLICIES, rows=[640])
    assert table.clean.all(), table[~table.clean]


def test_a_replay_names_a_judged_policy_that_looks_ahead(market: MarginMarket) -> None:
    policies: list[Policy] = [
        Peeking(),
        Predictive(model="regime-network"),
        Historical(sessions=250),
    ]
    replayed = replay(market, policies, test_row=620, rng=np.random.default_rng(0))
    assert replayed.leaking == ("predictive-peeking",)
    honest = replay(market, policies[1:], test_row=620, rng=np.random.default_rng(0))
    assert honest.leaking == ()


def test_the_first_caveat_of_a_verdict_on_a_cheat_says_so(make_verdict) -> None:
    verdict = make_verdict()
    cheated = replace(verdict, replay=replace(verdict.replay, leaking=("predictive",)))
    first = caveats(cheated)[0]
    assert first.startswith("predictive knows the future: cut off at a row, it sets other margins")
    assert not any("knows the future" in text for text in caveats(verdict))


def test_rows_outside_the_judged_ones_are_refused(market: MarginMarket) -> None:
    with pytest.raises(InputError, match=f"rows must be panel rows from {FIRST} to {END - 1}"):
        audit_policies(market, [Peeking()], rows=[FIRST - 1])
    with pytest.raises(InputError, match="were \\[\\]"):
        audit_policies(market, [Peeking()], rows=[])
