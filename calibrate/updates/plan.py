"""Staged plans: initial margin first, maintenance after notice, each stage within the limits."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...errors import InputError
from .accounts import Accounts, headroom, terms_of
from .limits import RateLimits
from .parameters import CAP_KINDS, Kind, Parameter
from .preflight import (
    AccountImpact,
    PreflightReport,
    liquidated_accounts,
    preflight,
    whole_fraction,
)
from .state import ParameterState, incoherences
from .update import ParameterUpdate, Reason


class PlanStatus(StrEnum):
    """How far a plan leads."""

    COMPLETE = "complete"
    """Its stages end at the target."""
    NEEDS_TOP_UP = "needs-top-up"
    """It ends before an account that has not topped up would be liquidated."""
    LIMITED = "limited"
    """It ends where the consumer's limits, or the number of stages, leave no further step."""
    REFUSED = "refused"
    """The update cannot begin: it is out of order, or its values do not fit together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StagedPlan:
    """Updates that lead to a target one after the other.

    Attributes
    ----------
    update : ParameterUpdate
        What is wanted in the end.
    status : PlanStatus
        How far the plan leads.
    stages : tuple of PreflightReport
        Accepted reports in order; their updates are what to send.
    state : ParameterState
        What is in force after the last stage.
    top_up : AccountImpact
        What accounts must add to their cash so that the plan can be completed.
    """

    update: ParameterUpdate
    status: PlanStatus
    stages: tuple[PreflightReport, ...]
    state: ParameterState
    top_up: AccountImpact

    @property
    def complete(self) -> bool:
        """Whether the stages end at the target."""
        return self.status is PlanStatus.COMPLETE

    def remaining(self) -> dict[Parameter, int]:
        """Return the units that each parameter is still away from its target, if any."""
        values = self.state.values
        return {p: v - values[p] for p, v in self.update.values.items() if v != values.get(p, v)}

    def frame(self) -> pd.DataFrame:
        """Return a table: one row per stage and parameter, its times and its values."""
        tables = []
        for number, report in enumerate(self.stages):
            if report.outcome is None:
                continue
            table = report.outcome.frame().drop(columns=["result", "share"])
            table.insert(0, "stage", number)
            table.insert(1, "effective", pd.Timestamp(report.update.effective, unit="s", tz="UTC"))
            tables.append(table.rename(columns={"asked": "after"}))
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def staged_plan(
    update: ParameterUpdate,
    accounts: Accounts,
    state: ParameterState,
    limits: RateLimits,
    prices: NDArray[np.float64],
    *,
    notice_s: int,
    most_stages: int = 20,
) -> StagedPlan:
    """Split an update into stages that each pass pre-flight with the accounts as they are.

    First comes what asks nothing of a position that is held: initial margins, lower maintenance,
    position caps, higher price caps. What takes headroom away, higher maintenance and lower price
    caps, comes `notice_s` after the announcement. Within each of the two, coupled parameters
    move by equal shares, as far as the consumer's limits allow at a time, and again when its
    delays have passed. Accounts and prices are held as they are; run it again before each stage.

    Parameters
    ----------
    update : ParameterUpdate
        The target; its times are those of the first stage.
    accounts, state, limits, prices
        As in :func:`preflight`.
    notice_s : int
        Fewest seconds from announcement to what takes headroom away.
    most_stages : int
        Stages at most.

    Returns
    -------
    StagedPlan
        Complete, or with the top-ups or limits that stand in the way.
    """
    if notice_s < 0 or most_stages < 1:
        raise InputError(
            f"notice_s must be at least 0 and most_stages at least 1, were {notice_s} and "
            f"{most_stages}"
        )
    planner = _Planner(update, accounts, state, limits, prices, most_stages)
    merged = {**state.values, **update.values}
    if update.sequence_refusals(state, time=update.effective) or incoherences(
        merged, time=update.effective
    ):
        return planner.plan(PlanStatus.REFUSED)
    early, late = _two_parts(update, state)
    status = planner.run(early, not_before=update.effective)
    if status is PlanStatus.COMPLETE:
        status = planner.run(late, not_before=max(update.effective, update.announced + notice_s))
    return planner.plan(status)


def _two_parts(
    update: ParameterUpdate, state: ParameterState
) -> tuple[dict[Parameter, int], dict[Parameter, int]]:
    """Part an update into what may come at once and what needs notice."""
    end = update.settle(state, update.values, time=update.effective)
    lowered = {
        name
        for name in {p.instrument for p in update.values if p.kind in CAP_KINDS}
        if _cap(end, name, update.effective) < _cap(state, name, update.effective)
    }
    early, late = {}, {}
    for p, asked in update.values.items():
        harder = p.kind is Kind.MAINTENANCE_MARGIN and asked > state.values[p]
        if harder or (p.kind in CAP_KINDS and p.instrument in lowered):
            late[p] = asked
        else:
            early[p] = asked
    return early, late


def _cap(state: ParameterState, instrument: str, time: int) -> float:
    cap = state.price_cap(instrument, time=time)
    return np.inf if cap is None else float(cap)


class _Planner:
    """Takes one stage after the other; holds what has been reached."""

    def __init__(
        self,
        update: ParameterUpdate,
        accounts: Accounts,
        state: ParameterState,
        limits: RateLimits,
        prices: NDArray[np.float64],
        most_stages: int,
    ) -> None:
        self.update, self.accounts, self.limits, self.prices = update, accounts, limits, prices
        self.first, self.state, self.most_stages = state, state, most_stages
        self.stages: list[PreflightReport] = []
        self.refused: list[PreflightReport] = []

    def run(self, values: dict[Parameter, int], *, not_before: int) -> PlanStatus:
        """Go towards some of the values, stage by stage."""
        while left := {p: v for p, v in values.items() if v != self.state.values[p]}:
            if len(self.stages) == self.most_stages:
                return PlanStatus.LIMITED
            whole = self._stage(left, not_before=not_before)
            share = whole_fraction(whole, self.limits, self.state, time=whole.effective)
            step = whole.scaled(self.state, share)
            if not share or not self._moves(step):
                return PlanStatus.LIMITED
            report = self._preflight(step)
            if not report.accepted:
                return self._stopped(report)
            self._take(report)
        return PlanStatus.COMPLETE

    def _stopped(self, report: PreflightReport) -> PlanStatus:
        """Take what passes of a stage that does not, and end there."""
        self.refused.append(report)
        if report.safe_update is not None and self._moves(report.safe_update):
            smaller = self._preflight(report.safe_update)
            if smaller.accepted:
                self._take(smaller)
        if Reason.LIQUIDATES in report.reasons:
            return PlanStatus.NEEDS_TOP_UP
        return PlanStatus.LIMITED

    def _stage(self, values: dict[Parameter, int], *, not_before: int) -> ParameterUpdate:
        free = (self.state.changed_at[p] + self.limits.of(p).delay_s for p in values)
        effective = max(not_before, self.state.effective, *free)
        late, number = effective - self.update.effective, len(self.stages)
        return replace(
            self.update,
            values=values,
            sequence=self.update.sequence + number,
            previous_sequence=self.state.sequence,
            effective=effective,
            expiry=self.update.expiry + late,
        )

    def _moves(self, step: ParameterUpdate) -> bool:
        return any(units != self.state.values[p] for p, units in step.values.items())

    def _preflight(self, step: ParameterUpdate) -> PreflightReport:
        return preflight(step, self.accounts, self.state, self.limits, self.prices)

    def _take(self, report: PreflightReport) -> None:
        step = report.update
        self.stages.append(report)
        self.state = step.settle(self.state, step.values, time=step.effective)

    def plan(self, status: PlanStatus) -> StagedPlan:
        """Return what has been reached."""
        impacts = [report.liquidated for report in self.refused]
        if status is PlanStatus.NEEDS_TOP_UP:
            # Who was liquidatable at first may have become healthy on the way.
            impacts += [self._lacking(state) for state in (self.first, self.state)]
        return StagedPlan(
            update=self.update,
            status=status,
            stages=tuple(self.stages),
            state=self.state,
            top_up=_largest(impacts, len(self.accounts)),
        )

    def _lacking(self, state: ParameterState) -> AccountImpact:
        """Return what accounts healthy in a state would lack at the target."""
        time = max(self.state.effective, self.update.effective)
        end = self.update.settle(state, self.update.values, time=time)
        old, new = (
            terms_of(s, self.prices, self.accounts.instruments, time=time) for s in (state, end)
        )
        return liquidated_accounts(headroom(self.accounts, old, new))


def _largest(impacts: Iterable[AccountImpact], n_accounts: int) -> AccountImpact:
    """Take the largest need of each account."""
    amount, notional = np.zeros(n_accounts), np.zeros(n_accounts)
    for impact in impacts:
        amount[impact.account] = np.maximum(amount[impact.account], impact.amount)
        notional[impact.account] = np.maximum(notional[impact.account], impact.notional)
    hit = np.flatnonzero(amount > 0.0)
    return AccountImpact(account=hit, amount=amount[hit], notional=notional[hit])
