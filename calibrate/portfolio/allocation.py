"""Euler allocation: which position asks for how much of its account's risk."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .accounts import Accounts
from .kernels import allocate_rows
from .running import run_rows
from .scenarios import ScenarioSet
from .tail import RiskMeasure, check_positions, tail_rule


@dataclass(frozen=True, kw_only=True, eq=False)
class Allocation:
    """Contributions of positions to the risk of their accounts; read-only arrays.

    Attributes
    ----------
    contribution : ndarray, shape (n_positions,)
        Money, in the order of the positions; negative where a position hedges the rest.
    risk : ndarray, shape (n_accounts,)
        Money, the sum of the account's contributions; the margin where it is positive.
    """

    contribution: NDArray[np.float64]
    risk: NDArray[np.float64]

    def __post_init__(self) -> None:
        self.contribution.setflags(write=False)
        self.risk.setflags(write=False)


def allocate(
    accounts: Accounts,
    scenarios: ScenarioSet,
    *,
    confidence_level: float,
    measure: RiskMeasure | str = RiskMeasure.EXPECTED_SHORTFALL,
    neighbours: int = 5,
) -> Allocation:
    r"""Split the risk of every account into contributions of its positions.

    A contribution is :math:`q_i\,\partial\rho/\partial q_i` (Tasche 1999). For expected shortfall
    it is what the position loses on average in the scenarios of the tail; scenarios that tie at
    the edge of the tail share what is left of it. For value at risk it is the mean loss in the
    scenario at the value at risk and its neighbours by rank, weighted by Epanechnikov's kernel and
    the scenarios' weights; they are scaled to add up to the value at risk, or, where the mean of
    the neighbours is less than half of it, share what is missing by gross losses.
    For the worst loss it is the loss in the worst scenario.

    Parameters
    ----------
    accounts : Accounts
        Positions; every instrument must have scenarios.
    scenarios : ScenarioSet
        Money per unit in each scenario.
    confidence_level : float
        Of the measure, in [0.5, 1).
    measure : RiskMeasure or str
        As in :func:`portfolio_margin`.
    neighbours : int
        Scenarios on either side of the value at risk, not negative; fewer, but the same number on
        both, where the tail has fewer. Unused by the other measures.

    Returns
    -------
    Allocation
        Contributions add up to the risk but for rounding, and are homogeneous of degree one.

    References
    ----------
    .. [1] Tasche (1999), "Risk contributions and performance measurement", working paper.
    .. [2] Epperlein and Smillie (2006), "Cracking VaR with kernels", Risk 19(8).

    Examples
    --------
    >>> scenarios = ScenarioSet(pnl=[[-10.0, 4.0, 6.0, 0.0], [-9.0, 5.0, 3.0, 1.0]])
    >>> accounts = Accounts.from_positions([0, 0], [0, 1], [2.0, -1.0], n_accounts=1)
    >>> allocate(accounts, scenarios, confidence_level=0.75).contribution.tolist()
    [20.0, -9.0]
    """
    rule = tail_rule(scenarios, confidence_level=confidence_level, measure=measure)
    check_positions(accounts, scenarios)
    if neighbours < 0:
        raise InputError(f"neighbours must not be negative, was {neighbours}")
    around = neighbours if rule.measure == RiskMeasure.VALUE_AT_RISK else -1
    contribution, risk = np.zeros(accounts.n_positions), np.zeros(accounts.n_accounts)

    task = partial(allocate_rows, accounts.book(), rule.over(scenarios), around, contribution, risk)
    run_rows(task, accounts.n_accounts)
    return Allocation(contribution=contribution, risk=risk)
