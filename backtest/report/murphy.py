"""All consistent scores of a margin at once: the judged one against the reference."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..cells import make_cells
from ..comparison import MurphyBand, MurphyDiagram, murphy_quantile
from ..verdict import Verdict
from .palette import PREDICTIVE

_N_THRESHOLDS = 60
_N_RESAMPLES = 500


@dataclass(frozen=True, kw_only=True, eq=False)
class MurphyDisplay:
    """Murphy diagram of the test period (Ehm, Gneiting, Jordan and Krueger 2016).

    Attributes
    ----------
    verdict : Verdict
        Where margins and losses come from.
    seed : int
        Of the resamples.
    """

    verdict: Verdict
    seed: int = 0

    def diagram(self) -> MurphyDiagram:
        """Return the differences, one row per origin: shocks are shared by all series."""
        cells = make_cells(self.verdict.replay, test=True)
        ours, theirs = cells.of(self.verdict.predictive), cells.of(self.verdict.reference)
        share = np.linspace(0.01, 0.99, _N_THRESHOLDS)
        each = murphy_quantile(
            cells.loss,
            ours,
            theirs,
            tail_probability=self.verdict.replay.market.tail_probability,
            threshold=np.unique(np.quantile(np.concatenate([ours, theirs]), share)),
        )
        by_origin = [cells.per_origin(column) for column in each.difference.T]
        return MurphyDiagram(
            threshold=each.threshold,
            difference=np.stack(by_origin, axis=1),
            smallest=each.smallest,
            largest=each.largest,
        )

    def frame(self) -> pd.DataFrame:
        """Return ``mean_difference``, ``low`` and ``high`` by threshold."""
        return self._band(self.diagram()).frame()

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw the curve with its band; never shows or saves."""
        if ax is None:
            ax = Figure(figsize=(9.0, 3.6), layout="constrained").subplots()
        diagram = self.diagram()
        band = self._band(diagram)
        at = 100.0 * band.threshold
        low, high, mean = (1e3 * part for part in (band.low, band.high, band.mean_difference))
        label = f"{band.confidence_level:.0%} of resamples, each threshold alone"
        ax.fill_between(at, low, high, color=PREDICTIVE, alpha=0.18, lw=0, label=label)
        name = f"{self.verdict.predictive} less {self.verdict.reference}"
        ax.plot(at, mean, color=PREDICTIVE, label=name)
        ax.axhline(0.0, color="black", linestyle="--", linewidth=0.8, label="no difference")
        ax.set(xlabel="threshold, % of notional", ylabel="elementary score, thousandths")
        ax.set_title("Every consistent score of a margin (Murphy diagram)", loc="left")
        ax.legend(fontsize="small", frameon=False)
        return ax

    def _band(self, diagram: MurphyDiagram) -> MurphyBand:
        return diagram.band(
            confidence_level=self.verdict.quantile_loss_change.confidence_level,
            mean_block=max(float(self.verdict.horizon), np.sqrt(len(diagram.difference))),
            n_resamples=_N_RESAMPLES,
            rng=np.random.default_rng(self.seed),
        )
