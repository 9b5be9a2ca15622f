"""Margin of many accounts: the tail of what their books lose in joint scenarios."""

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .accounts import Accounts
from .kernels import Tail, risk_rows
from .running import run_rows
from .scenarios import ScenarioSet


class RiskMeasure(StrEnum):
    """What is read from the tail of a book's losses."""

    EXPECTED_SHORTFALL = "expected_shortfall"
    """Mean of the worst scenarios that fill the tail probability; coherent."""
    VALUE_AT_RISK = "value_at_risk"
    """The loss at which they fill it: the larger where two would do. Not subadditive."""
    WORST = "worst"
    """The largest loss, as in SPAN and the portfolio margins of option venues."""


@dataclass(frozen=True, kw_only=True)
class TailRule:
    """A risk measure over one set of scenarios, ready for the kernels.

    Attributes
    ----------
    measure : RiskMeasure
        What is read.
    tail_probability : float
        Probability of the tail; of one scenario for the worst.
    count : int
        Most scenarios that the tail can need.
    """

    measure: RiskMeasure
    tail_probability: float
    count: int

    @property
    def column(self) -> int:
        """Column of the kernels' output that holds the measure."""
        return 0 if self.measure == RiskMeasure.VALUE_AT_RISK else 1

    def over(self, scenarios: ScenarioSet) -> Tail:
        """Return what the kernels want to know."""
        return Tail(scenarios.pnl, scenarios.weights, self.tail_probability, self.count)


def tail_rule(
    scenarios: ScenarioSet, *, confidence_level: float, measure: RiskMeasure | str
) -> TailRule:
    """Check a measure and see how many scenarios its tail can need."""
    try:
        kind = RiskMeasure(measure)
    except ValueError:
        raise InputError(
            f"measure must be one of {[m.value for m in RiskMeasure]}, was {measure!r}"
        ) from None
    if not 0.5 <= confidence_level < 1.0:
        raise InputError(
            f"confidence_level must be in [0.5, 1), was {confidence_level}; write 0.99 for 99 %, "
            "not 99 and not 0.01"
        )
    weight = scenarios.weights
    if kind == RiskMeasure.WORST:
        return TailRule(measure=kind, tail_probability=float(weight.min()), count=1)
    tail_probability = 1.0 - confidence_level
    # The lightest scenarios fill the tail slowest.
    filled = np.cumsum(np.sort(weight))
    count = int(np.searchsorted(filled, tail_probability - 1e-12)) + 1
    return TailRule(measure=kind, tail_probability=tail_probability, count=min(count, len(weight)))


def scenario_risk(
    accounts: Accounts, scenarios: ScenarioSet, *, rule: TailRule
) -> NDArray[np.float64]:
    """Return the measure of every account in money, negative if even its tail gains."""
    check_positions(accounts, scenarios)
    out = np.zeros((accounts.n_accounts, 2))
    run_rows(partial(risk_rows, accounts.book(), rule.over(scenarios), out), accounts.n_accounts)
    return out[:, rule.column]


def portfolio_margin(
    accounts: Accounts,
    scenarios: ScenarioSet,
    *,
    confidence_level: float,
    measure: RiskMeasure | str = RiskMeasure.EXPECTED_SHORTFALL,
) -> NDArray[np.float64]:
    r"""Compute the margin of every account from the joint scenarios of all it holds.

    The book of an account loses :math:`L_s = -\sum_i q_i\,\mathrm{pnl}_{is}`. With the losses
    sorted down, weights :math:`w` and :math:`p = 1 - c`,

    .. math:: \mathrm{ES} = \frac{1}{p} \sum_s \min\Bigl(w_{(s)},
              \bigl(p - \sum_{r<s} w_{(r)}\bigr)_+\Bigr) L_{(s)}

    (Acerbi and Tasche 2002), which is coherent: a book never asks for more than its parts. With
    fewer than 1/p scenarios of equal weight it is the worst loss.

    Parameters
    ----------
    accounts : Accounts
        Positions; every instrument must have scenarios.
    scenarios : ScenarioSet
        Money per unit in each scenario.
    confidence_level : float
        Of the measure, in [0.5, 1), for example 0.99. The worst loss does not depend on it.
    measure : RiskMeasure or str
        ``expected_shortfall``, ``value_at_risk`` or ``worst``.

    Returns
    -------
    ndarray, shape (n_accounts,)
        Money, never negative; 0 for an empty account, or where even the tail gains.

    Raises
    ------
    InputError
        If a number is out of range, or an instrument held has no scenarios.

    References
    ----------
    .. [1] Acerbi and Tasche (2002), "On the coherence of expected shortfall", Journal of Banking &
       Finance 26(7).

    Examples
    --------
    >>> scenarios = ScenarioSet(pnl=[[-10.0, 4.0, 6.0, 0.0], [-9.0, 5.0, 3.0, 1.0]])
    >>> accounts = Accounts.from_positions([0, 1, 1], [0, 0, 1], [1.0, 1.0, -1.0], n_accounts=2)
    >>> portfolio_margin(accounts, scenarios, confidence_level=0.75).tolist()
    [10.0, 1.0]
    """
    rule = tail_rule(scenarios, confidence_level=confidence_level, measure=measure)
    return np.maximum(scenario_risk(accounts, scenarios, rule=rule), 0.0)


@dataclass(frozen=True)
class SizeLimit:
    """The largest book: no loss may overflow.

    Attributes
    ----------
    positions : int
        Most positions of an account.
    units : float
        Most units of a position.
    """

    positions: int
    units: float

    def check(self, pnl: NDArray[np.float64]) -> None:
        """Refuse scenarios in which the largest book could overflow."""
        money = max(float(pnl.max(initial=0.0)), -float(pnl.min(initial=0.0)))
        if not math.isfinite(self.positions * self.units * money):
            raise InputError(
                f"the loss of a book must be finite, but up to {self.positions} positions of up to "
                f"{self.units:.3g} units at up to {money:.3g} a unit overflow; check the units"
            )


def check_positions(accounts: Accounts, scenarios: ScenarioSet) -> SizeLimit:
    """Refuse positions without scenarios, and books whose losses would overflow."""
    highest = int(accounts.instrument.max(initial=-1))
    if highest >= scenarios.n_instruments:
        raise InputError(
            f"every instrument held must have scenarios, instrument {highest} has none among "
            f"{scenarios.n_instruments}; a position without a scenario is not without risk"
        )
    quantity = accounts.quantity
    limit = SizeLimit(
        positions=int(np.diff(accounts.offsets).max(initial=0)),
        units=max(float(quantity.max(initial=0.0)), -float(quantity.min(initial=0.0))),
    )
    limit.check(scenarios.pnl)
    return limit
