r"""Margin of an option book: the grid's worst loss, its minimum, and what the grid does not see.

.. math:: requirement = \max(\text{grid loss}, \text{minimum}) + \sum \text{contingencies}.

**Options bought.** The requirement is to be met by equity that counts options at their marks, so
an option bought backs its own loss and no credit is needed. An account that counts cash only also
has to hold the value of what it sold, and may use that of what it bought: `cash_requirement` takes
a share of the net value of options bought off the requirement, never below zero, or adds the whole
net value of options sold. The credit is part of no other number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pandas as pd

from ...errors import InputError
from .book import Book, Marks, option_value
from .checks import fraction, not_negative
from .grid import ScenarioGrid
from .revalue import ScenarioPnl, scenario_pnl

NO_CONTINGENCIES: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, eq=False)
class OptionMargin:
    """Margin of one book and its components, currency; none but `net_option_value` is negative.

    Attributes
    ----------
    grid_loss : float
        Worst loss on the grid.
    minimum_top_up : float
        What the short-option minimum asks beyond it.
    contingencies : mapping of str to float
        Amounts by name.
    net_option_value : float
        Marked value of options bought minus options sold.
    long_option_credit : float
        What the net value of options bought takes off a requirement in cash.
    scenarios : ScenarioPnl
        Profit and loss at every node.
    """

    grid_loss: float
    minimum_top_up: float
    contingencies: Mapping[str, float]
    net_option_value: float
    long_option_credit: float
    scenarios: ScenarioPnl

    @property
    def requirement(self) -> float:
        """Needed equity, options counted at their marks."""
        return self.grid_loss + self.minimum_top_up + sum(self.contingencies.values())

    @property
    def cash_requirement(self) -> float:
        """Needed cash, options not counted."""
        sold = max(-self.net_option_value, 0.0)
        return self.requirement - self.long_option_credit + sold

    def frame(self) -> pd.DataFrame:
        """Return one row per component, in currency."""
        rows = {
            "grid_loss": self.grid_loss,
            "minimum_top_up": self.minimum_top_up,
            **self.contingencies,
            "requirement": self.requirement,
            "net_option_value": self.net_option_value,
            "long_option_credit": self.long_option_credit,
            "cash_requirement": self.cash_requirement,
        }
        return pd.DataFrame({"component": list(rows), "amount": list(rows.values())})


def option_margin(
    book: Book,
    marks: Marks,
    grid: ScenarioGrid,
    *,
    minimum: float = 0.0,
    contingencies: Mapping[str, float] = NO_CONTINGENCIES,
    long_option_share: float = 0.0,
) -> OptionMargin:
    """Return the margin of a book on a grid.

    Parameters
    ----------
    book, marks, grid : Book, Marks, ScenarioGrid
        Positions, where they are marked, and the nodes.
    minimum : float
        Least grid loss, currency; see :func:`.short_option_minimum`.
    contingencies : mapping of str to float
        Amounts that :mod:`.contingencies` computed, currency, not negative.
    long_option_share : float
        Share of the net value of options bought that counts as cash, in [0, 1].

    Raises
    ------
    InputError
        If an amount is negative or not finite: a contingency never lowers margin.
    """
    return compose_margin(
        scenario_pnl(book, marks, grid),
        float(option_value(book, marks).sum()),
        minimum=minimum,
        contingencies=contingencies,
        long_option_share=long_option_share,
    )


def compose_margin(
    scenarios: ScenarioPnl,
    net_value: float,
    *,
    minimum: float,
    contingencies: Mapping[str, float],
    long_option_share: float,
) -> OptionMargin:
    """Put a margin together from profits at the nodes and the net value of options, one unit."""
    least = float(not_negative("minimum", minimum))
    share = float(fraction("long_option_share", long_option_share))
    amounts = {name: float(not_negative(name, value)) for name, value in contingencies.items()}
    taken = {"grid_loss", "minimum_top_up", "requirement"} & amounts.keys()
    if taken:
        raise InputError(
            f"a contingency must not have the name of a component, found {sorted(taken)}"
        )
    loss = scenarios.loss()
    top_up = max(least - loss, 0.0)
    asked = loss + top_up + sum(amounts.values())
    return OptionMargin(
        grid_loss=loss,
        minimum_top_up=top_up,
        contingencies=MappingProxyType(amounts),
        net_option_value=net_value,
        long_option_credit=min(share * max(net_value, 0.0), asked),
        scenarios=scenarios,
    )
