"""Replay: every policy sets its margins over the same past, and the losses come."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..calibrate import (
    SIDES,
    Generation,
    MarginMarket,
    MarginSchedule,
    Policy,
    market_regime,
)
from ..errors import InputError
from .controls import CONTROL_POLICIES, control_variances
from .policy_audit import audit_policies

SCALED_REACTIVE = "reactive-best-scaled"
"""Name of "the best reactive plus x %": scaled to the cost of the predictive policy."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Replay:
    """Margins of all policies beside the losses, over validation and test; read-only.

    Attributes
    ----------
    market : MarginMarket
        What the policies were given.
    schedules : tuple of MarginSchedule
        One per policy, over the same origins.
    loss : ndarray, shape (n_origins, n_instruments, 2)
        Loss over the horizon after each origin, fraction of notional, positive if money was
        lost; NaN where not known.
    regime : ndarray of str, shape (n_origins, n_instruments)
        Regime at the origin.
    in_test : ndarray of bool, shape (n_origins,)
        True for origins of the test period, False for those of validation.
    predictive : str
        Name of the policy that the verdict is about.
    leaking : tuple of str
        Predictive policies whose margins change when what came after them is cut off; none, if all
        is well.
    """

    market: MarginMarket
    schedules: tuple[MarginSchedule, ...]
    loss: NDArray[np.float64]
    regime: NDArray[np.str_]
    in_test: NDArray[np.bool_]
    predictive: str
    leaking: tuple[str, ...] = ()

    @property
    def horizon(self) -> int:
        """Margin period of risk, own periods."""
        return self.market.horizon

    @property
    def origin(self) -> NDArray[np.datetime64]:
        """When margins are set, shape (n_origins,)."""
        return self.schedules[0].origin

    @property
    def instruments(self) -> tuple[str, ...]:
        """Names, in column order."""
        return self.market.history.panel.instruments

    @property
    def policies(self) -> tuple[str, ...]:
        """Names of the policies, in order."""
        return tuple(schedule.policy for schedule in self.schedules)

    def names(self, generation: Generation) -> tuple[str, ...]:
        """Return the names of the policies of a kind; fixed ones count as reactive."""
        kinds = {generation}
        if generation is Generation.REACTIVE:
            kinds.add(Generation.FIXED)
        return tuple(s.policy for s in self.schedules if s.generation in kinds)

    def margins(self) -> NDArray[np.float64]:
        """Return all margin rates, shape (n_policies, n_origins, n_instruments, 2)."""
        return np.stack([schedule.initial_margin_rate for schedule in self.schedules])

    def margin(self, policy: str) -> NDArray[np.float64]:
        """Return the margin rates of one policy, shape (n_origins, n_instruments, 2)."""
        return self.schedules[self.policies.index(policy)].initial_margin_rate

    def judged(self) -> NDArray[np.bool_]:
        """Find the cells in which every policy has a margin and the loss is known.

        Policies are compared on these alone, so that none is spared a day on which it was silent.
        """
        return np.asarray(np.isfinite(self.margins()).all(axis=0) & np.isfinite(self.loss))

    def frame(self) -> pd.DataFrame:
        """Return the table of ``margins.parquet``: a row per policy, instrument, side, origin."""
        shape = self.loss.shape
        outcome = pd.DataFrame(
            {
                "origin": np.repeat(pd.DatetimeIndex(self.origin, tz="UTC"), shape[1] * shape[2]),
                "instrument": np.tile(np.repeat(self.instruments, shape[2]), shape[0]),
                "side": np.tile(SIDES, shape[0] * shape[1]),
                "loss": self.loss.ravel(),
                "regime": np.repeat(self.regime.ravel(), shape[2]),
            }
        )
        tables = [
            schedule.frame().merge(outcome, on=["origin", "instrument", "side"], validate="1:1")
            for schedule in self.schedules
        ]
        columns = ["policy", "instrument", "side", "origin", "horizon"]
        columns += ["margin_rate", "loss", "regime", "status"]
        return pd.concat(tables, ignore_index=True)[columns]


def replay(
    market: MarginMarket,
    policies: Sequence[Policy],
    *,
    test_row: int,
    rng: np.random.Generator,
    progress: Callable[[int, int], None] | None = None,
) -> Replay:
    """Run every policy and the controls over the origins from ``market.first_row`` on.

    Parameters
    ----------
    market : MarginMarket
        History, forecasts and the first judged origin (the start of validation).
    policies : sequence of Policy
        At least one predictive (the first is judged) and one reactive.
    test_row : int
        Panel row of the first test origin.
    rng : numpy.random.Generator
        Source of the shuffled control.
    progress : callable, optional
        Called with policies done and policies in all.

    Raises
    ------
    InputError
        If there is nothing to compare.
    """
    by_kind = {kind: [p for p in policies if p.generation is kind] for kind in Generation}
    predictive = by_kind[Generation.PREDICTIVE]
    reactive = by_kind[Generation.REACTIVE] + by_kind[Generation.FIXED]
    if not predictive or not reactive:
        raise InputError(
            "a replay needs at least one predictive and one reactive policy, found "
            f"{len(predictive)} and {len(reactive)}; name both in the experiment"
        )
    extra = control_variances(market, model=predictive[0].models[0], rng=rng)
    controlled = replace(market, variance={**market.variance, **extra})
    schedules = []
    everyone = (*policies, *CONTROL_POLICIES)
    for done, policy in enumerate(everyone, 1):
        schedules.append(_schedule(policy, controlled))
        if progress is not None:
            progress(done, len(everyone))
    panel = market.history.panel
    rows = slice(market.first_row, None)
    plain = Replay(
        market=market,
        schedules=tuple(schedules),
        loss=market.loss()[rows],
        regime=market_regime(market.history)[rows],
        in_test=np.arange(panel.n_periods)[rows] >= test_row,
        predictive=predictive[0].name,
        leaking=_leaking(market, predictive, test_row=test_row),
    )
    return replace(plain, schedules=(*plain.schedules, _scaled_reactive(plain)))


def _leaking(market: MarginMarket, policies: Sequence[Policy], *, test_row: int) -> tuple[str, ...]:
    """Audit the policies that have most to gain, at the start of the test period and halfway."""
    halfway = (test_row + market.history.panel.n_periods) // 2
    table = audit_policies(market, policies, rows=(test_row, halfway))
    return tuple(str(name) for name in table.index[~table.clean])


def _schedule(policy: Policy, market: MarginMarket) -> MarginSchedule:
    panel = market.history.panel
    rows = slice(market.first_row, None)
    return MarginSchedule(
        policy=policy.name,
        generation=policy.generation,
        horizon=market.horizon,
        origin=panel.time[rows],
        instruments=panel.instruments,
        initial_margin_rate=policy.margin(market)[rows].copy(),
        present=panel.present[rows],
    )


def _scaled_reactive(plain: Replay) -> MarginSchedule:
    """Scale the reactive policy that was best in validation to the predictive one's cost there."""
    cells = plain.judged() & ~plain.in_test[:, None, None]
    if not cells.any():
        raise InputError(
            "the validation period holds no origin at which every policy has a margin; start "
            "forecasts earlier or validation later"
        )
    loss, tail = plain.loss[cells], plain.market.tail_probability
    score = {}
    for name in plain.names(Generation.REACTIVE):
        margin = plain.margin(name)[cells]
        score[name] = float(np.mean(margin + np.maximum(loss - margin, 0.0) / tail))
    best = min(score, key=lambda name: score[name])
    factor = plain.margin(plain.predictive)[cells].mean() / plain.margin(best)[cells].mean()
    source = plain.schedules[plain.policies.index(best)]
    return replace(
        source,
        policy=SCALED_REACTIVE,
        initial_margin_rate=source.initial_margin_rate * factor,
    )
