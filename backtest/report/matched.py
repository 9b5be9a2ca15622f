"""Matched protocols on the page: shortfall at every cost, and instrument by instrument."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..statement import percent, signed_percent
from ..verdict import Verdict
from .palette import PREDICTIVE
from .tables import NOT_KNOWN, Table, frame_rows


@dataclass(frozen=True, kw_only=True, eq=False)
class FrontierChangeDisplay:
    """Uncovered loss of the judged policy over that of the reference, at equal costs.

    Attributes
    ----------
    verdict : Verdict
        Where the numbers come from.
    """

    verdict: Verdict

    def frame(self) -> pd.DataFrame:
        """Return ``cost_share``, ``change`` and its band, as in :attr:`Verdict.frontier_change`."""
        return self.verdict.frontier_change

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw the change with its band and the line of no difference; never shows or saves."""
        if ax is None:
            ax = Figure(figsize=(9.0, 3.6), layout="constrained").subplots()
        table = self.frame()
        level = self.verdict.hindsight_shortfall_change.confidence_level
        cost = 100.0 * table.mean_margin
        low, high = 100.0 * table.low, 100.0 * table.high
        ax.fill_between(
            cost, low, high, color=PREDICTIVE, alpha=0.18, lw=0, label=f"{level:.0%} of resamples"
        )
        ax.plot(
            cost,
            100.0 * table.change,
            color=PREDICTIVE,
            marker="o",
            label=f"{self.verdict.predictive} against {self.verdict.reference}",
        )
        ax.axhline(0.0, color="black", linestyle="--", linewidth=0.8, label="no difference")
        at = 100.0 * float(table.mean_margin[np.isclose(table.cost_share, 1.0)].iloc[0])
        ax.axvline(at, color="black", linestyle=":", linewidth=0.8)
        ax.annotate(
            "cost of the best reactive",
            (at, 0.02),
            xycoords=("data", "axes fraction"),
            xytext=(4, 0),
            textcoords="offset points",
            fontsize="small",
        )
        seen = np.r_[100.0 * table.change.to_numpy(float), 0.0]
        # Far out, few losses are left and the band says only that; it must not set the scale.
        ax.set_ylim(np.nanmin(seen) - 60.0, min(np.nanmax(seen) + 80.0, 250.0))
        ax.set(
            xlabel="mean margin of both, % of notional",
            ylabel="change in total shortfall, %",
        )
        ax.set_title("Uncovered loss against the best reactive at equal cost", loc="left")
        ax.legend(fontsize="small", frameon=False)
        return ax


def instrument_rows(verdict: Verdict) -> Table:
    """Return the judged policy against the reference on each instrument, best first."""
    table = verdict.by_instrument.sort_values("quantile_loss_change")
    shown = pd.DataFrame(
        {
            "Instrument": table.instrument,
            "Origins": table.n_origins.map("{:,}".format),
            "Quantile loss": table.quantile_loss_change.map(_change),
            "Diebold-Mariano p": table.dm_p_value.map("{:.3f}".format),
            "p, Holm over instruments": table.dm_p_holm.map("{:.3f}".format),
            "Shortfall at equal cost": table.shortfall_change.map(_change),
        }
    )
    return frame_rows(shown)


def coverage_line(verdict: Verdict) -> tuple[str, str, str, str]:
    """Return the row of the first table on costs at equal coverage in validation."""
    ours, theirs = verdict.row(verdict.predictive), verdict.row(verdict.reference)

    def written(row: dict[str, float]) -> str:
        if not np.isfinite(row["coverage_cost_ratio"]):
            return NOT_KNOWN
        return f"{row['coverage_cost_ratio']:.3f} (breaches {percent(row['coverage_breach_rate'])})"

    return (
        "Relative cost at equal coverage, constants from validation",
        written(dict(ours)),
        written(dict(theirs)),
        _change(ours["coverage_cost_ratio"] - 1.0),
    )


def warning_rows(verdict: Verdict) -> Table | None:
    """Return what every policy's warnings were worth, most hits first; None if not compared."""
    comparison = verdict.warnings.comparison
    if comparison is None:
        return None
    table = comparison.frame().reset_index()
    shown = pd.DataFrame(
        {
            "Policy": table.policy,
            "Rise that warns": table.rise.map(_rounded("{:.0%}")),
            "False alarms a year, test": table.false_alarms_per_year.map(_rounded("{:.1f}")),
            "Hits": table.hits.map(_rounded("{:.0f}")),
            "Onsets": table.onsets.map(_rounded("{:.0f}")),
            "Hit rate": table.hit_rate.map(_rounded("{:.0%}")),
            "90 % interval": [
                f"{_rounded('{:.0%}')(low)} to {_rounded('{:.0%}')(high)}"
                for low, high in zip(table.low, table.high, strict=True)
            ],
            "Precision": table.precision.map(_rounded("{:.2f}")),
        }
    )
    return frame_rows(shown)


def _rounded(pattern: str) -> Callable[[float], str]:
    return lambda value: pattern.format(value) if np.isfinite(value) else NOT_KNOWN


def _change(fraction: float) -> str:
    return signed_percent(fraction, digits=1) if np.isfinite(fraction) else NOT_KNOWN
