"""Margins of many accounts that follow one moving instrument at a time.

Keeping accounts x scenarios and updating whole rows is bound by memory: an instrument that all of
100,000 accounts hold touches 400 MB over 500 scenarios. Here an account keeps only its worst
scenarios, about twice those that its tail needs, and an upper bound on the losses in all others. A
move changes the kept losses exactly and raises the bound by the most that any scenario can rise.
While the tail stays above the bound, no other scenario can have entered it and the margin is that
of the whole set; when it does not, this account alone is booked anew.
"""

from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, ShapeError
from .accounts import Accounts
from .kernels import Move, Tail, fill_rows, keep_rows, move_rows
from .running import run_rows
from .scenarios import ScenarioSet
from .tail import RiskMeasure, check_positions, tail_rule

_SPARE = 4


class IncrementalMargin:
    """State of margins that follow moves; the one object of this package that changes.

    The margin is that of :func:`portfolio_margin` on the scenarios as they now are, up to rounding:
    a kept loss has one rounding error per move since the account was last booked anew. Positions do
    not change; an account that trades is a new state.

    Parameters
    ----------
    accounts : Accounts
        Positions; every instrument must have scenarios.
    scenarios : ScenarioSet
        Scenarios at the start.
    confidence_level : float
        Of the measure, in [0.5, 1).
    measure : RiskMeasure or str
        As in :func:`portfolio_margin`.
    kept : int, optional
        Scenarios that an account keeps; at least those that the tail can need. More of them cost
        time and memory on every move, and put off the next booking. Twice those of the tail and
        four by default.

    Attributes
    ----------
    rebooked : int
        Accounts that the last move booked anew.
    """

    def __init__(
        self,
        accounts: Accounts,
        scenarios: ScenarioSet,
        *,
        confidence_level: float,
        measure: RiskMeasure | str = RiskMeasure.EXPECTED_SHORTFALL,
        kept: int | None = None,
    ) -> None:
        self._limit = check_positions(accounts, scenarios)
        self._rule = tail_rule(scenarios, confidence_level=confidence_level, measure=measure)
        wanted = 2 * self._rule.count + _SPARE if kept is None else kept
        if wanted < self._rule.count:
            raise InputError(
                f"kept must be at least {self._rule.count}, the scenarios of the tail, was {kept}"
            )
        self._pnl = scenarios.pnl.copy()
        self._tail = Tail(
            self._pnl, scenarios.weights, self._rule.tail_probability, self._rule.count
        )
        self._book = accounts.book()
        self._holders = _Holders(accounts, scenarios.n_instruments)
        n, k = accounts.n_accounts, min(wanted, scenarios.n_scenarios)
        self._kept = keep_rows(n, k, n_scenarios=scenarios.n_scenarios)
        self.rebooked = n
        run_rows(partial(fill_rows, self._book, self._tail, self._kept), n)

    @property
    def margin(self) -> NDArray[np.float64]:
        """Money, never negative, shape (n_accounts,); a new array."""
        return np.maximum(self._kept.risk[:, self._rule.column], 0.0)

    @property
    def nbytes(self) -> int:
        """Memory of the state in bytes, without the accounts themselves."""
        kept = self._kept.state.nbytes + self._kept.risk.nbytes
        return kept + self._pnl.nbytes + self._holders.nbytes

    def scenarios(self) -> ScenarioSet:
        """Return the scenarios as they now are."""
        return ScenarioSet(pnl=self._pnl, weight=self._tail.weight)

    def move(self, instrument: int, new_pnl: ArrayLike) -> NDArray[np.int32]:
        """Give an instrument new scenarios, and its holders new margins.

        Parameters
        ----------
        instrument : int
            Row of the instrument.
        new_pnl : array_like, shape (n_scenarios,)
            Money that one unit long makes in each scenario from now on; finite.

        Returns
        -------
        ndarray of int32
            The accounts that hold it, rising; no other margin has changed.
        """
        if not 0 <= instrument < len(self._pnl):
            raise InputError(f"instrument must be in [0, {len(self._pnl)}), was {instrument}")
        row = np.array(new_pnl, dtype=np.float64)
        if row.shape != self._tail.weight.shape:
            raise ShapeError(f"new_pnl must have shape {self._tail.weight.shape}, was {row.shape}")
        if not np.isfinite(row).all():
            raise InputError(
                f"new_pnl must be finite, found {np.sum(~np.isfinite(row))} NaN or infinite; the "
                "margins are as before the move"
            )
        self._limit.check(row)
        rise = self._pnl[instrument] - row
        self._pnl[instrument] = row
        holder, held = self._holders.of(instrument)
        move = Move(holder, held, rise, np.zeros(len(holder), dtype=np.bool_))
        # An account holds an instrument once, so that no two ranges write the same row.
        task = partial(move_rows, self._book, self._tail, self._kept, move)
        run_rows(task, len(holder), least=4_096)
        self.rebooked = int(move.rebooked.sum())
        return holder


class _Holders:
    """Who holds an instrument: the accounts read by column."""

    def __init__(self, accounts: Accounts, n_instruments: int) -> None:
        order = np.argsort(accounts.instrument, kind="stable")
        ordered = accounts.instrument[order]
        self._offsets = np.searchsorted(ordered, np.arange(n_instruments + 1))
        self._account = accounts.owner()[order].astype(np.int32)
        self._quantity = accounts.quantity[order]
        for array in (self._account, self._quantity):
            array.setflags(write=False)
        self.nbytes = self._offsets.nbytes + self._account.nbytes + self._quantity.nbytes

    def of(self, instrument: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        part = slice(self._offsets[instrument], self._offsets[instrument + 1])
        return self._account[part], self._quantity[part]
