"""How long before an onset the margins had risen: a table, then a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .comparison import EqualBy, WarningComparison

# Those of the report (backtest/report/palette.py), which is built on top of this package.
_JUDGED, _REACTIVE, _OTHER = "#0072B2", "#D55E00", "#8C8C8C"
_LINES = ("--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)))
_POINTS = 41


@dataclass(frozen=True, kw_only=True, eq=False)
class LeadTimeDisplay:
    """Share of onsets that had been warned of, by the days that were left.

    Attributes
    ----------
    comparison : WarningComparison
        Where the lead times come from.
    others : tuple of str
        Policies drawn beside the judged one and the best reactive one.
    """

    comparison: WarningComparison
    others: tuple[str, ...] = ()

    @property
    def policies(self) -> tuple[str, ...]:
        """The judged policy, the best reactive one, and the others."""
        first = (self.comparison.predictive, self.comparison.best_reactive)
        return tuple(dict.fromkeys((*first, *self.others)))

    def frame(self) -> pd.DataFrame:
        """Return the curves.

        Returns
        -------
        pandas.DataFrame
            ``policy``, ``days`` before the onset, from the longest lead that counts down to the
            onset, and ``warned``, the share of onsets with an alarm at least so many days before.
        """
        days = np.linspace(self.comparison.lead_days, 0.0, _POINTS)
        leads = self.comparison.leads
        tables = []
        for policy in self.policies:
            own = leads.lead_days[leads.policy == policy].to_numpy()
            # An onset without a warning has no lead: it counts in the whole, not in the part.
            warned = [float((own >= d - 1e-9).mean()) for d in days]
            tables.append(pd.DataFrame({"policy": policy, "days": days, "warned": warned}))
        return pd.concat(tables, ignore_index=True)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw :meth:`frame` as steps, time running to the right; never shows or saves."""
        ax = Figure(figsize=(8.0, 4.4), layout="constrained").subplots() if ax is None else ax
        table, comparison = self.frame(), self.comparison
        n_onsets = int(comparison.table.onsets.max())
        for rank, policy in enumerate(self.policies):
            own = table[table.policy == policy]
            ax.step(
                own.days,
                100.0 * own.warned,
                where="post",
                label=self._label(policy),
                **_look(rank, self.policies),
            )
        ax.set_xlim(comparison.lead_days, 0.0)
        ax.set_ylim(bottom=0.0)
        ax.set(
            xlabel="days before the onset (0: it is there)",
            ylabel=f"share of {n_onsets} onsets warned of, %",
        )
        unit = (
            "false alarms a year"
            if comparison.equal_by is EqualBy.FALSE_ALARMS
            else "days x notional"
        )
        ax.set_title(
            f"Onsets warned of, at {comparison.target:g} {unit} per instrument over validation",
            loc="left",
        )
        ax.legend(frameon=False, fontsize="small", loc="upper left")
        return ax

    def _label(self, policy: str) -> str:
        row = self.comparison.table.loc[policy]
        best = " (best reactive)" if policy == self.comparison.best_reactive else ""
        low, high = 100.0 * row.low, 100.0 * row.high
        return f"{policy}{best}: {100.0 * row.hit_rate:.0f} % [{low:.0f}, {high:.0f}]"


def _look(rank: int, policies: Sequence[str]) -> dict[str, Any]:
    color = (_JUDGED, _REACTIVE)[rank] if rank < 2 else _OTHER
    line = "-" if rank < 2 else _LINES[(rank - 2) % len(_LINES)]
    return {"color": color, "linestyle": line, "linewidth": 2.2 if rank < 2 else 1.2}
