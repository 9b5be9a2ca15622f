"""How often margins were breached, by volatility and by series, against what counting allows."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import stats

from ..quintiles import N_QUINTILES
from ..statement import rate_band
from ..verdict import Verdict
from .palette import label_of, look_of, shown

MOST_SERIES = 40
"""A figure shows at most this many series; beyond, those furthest from the target."""

_BAND = "#E8E8E8"
_NAMES = ("1 (calmest)", "2", "3", "4", "5 (most volatile)")


@dataclass(frozen=True, kw_only=True, eq=False)
class QuintileDisplay:
    """Breach rate by volatility at the origin: a flat line on the target is best.

    Attributes
    ----------
    verdict : Verdict
        Where the numbers come from.
    """

    verdict: Verdict

    def frame(self) -> pd.DataFrame:
        """Return one row per policy and quintile.

        Columns ``policy``, ``quintile`` (1 calmest), ``breach_rate``, and the 95 % binomial band
        around the target, ``band_low`` and ``band_high``, all fractions. The band counts a fifth
        of the cases per quintile and, where outcomes overlap, every `horizon`-th of them.
        """
        policies = shown(self.verdict, "hs-500", "ewma-0.97-fhs", "fixed")
        columns = [f"q{q + 1}" for q in range(N_QUINTILES)]
        table = self.verdict.quintiles.loc[list(policies), columns]
        table.columns = pd.RangeIndex(1, N_QUINTILES + 1, name="quintile")
        tidy = table.reset_index().melt("policy", var_name="quintile", value_name="breach_rate")
        series = self.verdict.series
        n_cells = int(series.n[series.policy == self.verdict.predictive].sum())
        low, high = rate_band(
            n=n_cells / N_QUINTILES / self.verdict.horizon,
            tail_probability=self.verdict.replay.market.tail_probability,
        )
        return tidy.assign(band_low=low, band_high=high)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw the rates, the target and its band; never shows or saves."""
        if ax is None:
            ax = Figure(figsize=(9.0, 4.0), layout="constrained").subplots()
        table = self.frame()
        low, high = 100 * table.band_low.iloc[0], 100 * table.band_high.iloc[0]
        ax.axhspan(low, high, color=_BAND, zorder=0, label="95 % band of chance")
        _draw_target(ax.axhline, self.verdict)
        policies = shown(self.verdict, "hs-500", "ewma-0.97-fhs", "fixed")
        for rank, policy in enumerate(policies):
            own, look = table[table.policy == policy], look_of(self.verdict, policy)
            shift = 0.06 * (rank - (len(policies) - 1) / 2)
            ax.plot(
                own.quintile + shift,
                100 * own.breach_rate,
                marker=look.marker,
                markersize=7,
                label=label_of(self.verdict, policy),
                **look.of_line(),
            )
        ax.set_xticks(range(1, N_QUINTILES + 1), _NAMES)
        ax.set_ylim(bottom=0.0)
        ax.set(xlabel="quintile of volatility when the margin was set", ylabel="breach rate, %")
        ax.set_title("Breach rate by volatility: flat on the target is best", loc="left")
        ax.legend(ncols=2, fontsize="small", frameon=False)
        return ax


@dataclass(frozen=True, kw_only=True, eq=False)
class CoverageDisplay:
    """Breach rate of every series with its exact interval, against the target.

    Attributes
    ----------
    verdict : Verdict
        Where the numbers come from.
    """

    verdict: Verdict

    def frame(self) -> pd.DataFrame:
        """Return one row per policy, instrument and side.

        Columns ``breach_rate`` and its 95 % interval ``low``, ``high`` (Clopper and Pearson 1934),
        fractions. Overlapping outcomes count once: cases and breaches are divided by the horizon.
        """
        policies = shown(self.verdict)
        table = self.verdict.series[self.verdict.series.policy.isin(policies)]
        table = table[["policy", "instrument", "side", "n", "breaches", "breach_rate"]]
        horizon = self.verdict.horizon
        breaches, n = table.breaches.to_numpy() / horizon, table.n.to_numpy() / horizon
        low, high = exact_interval(breaches, n)
        return table.assign(low=low, high=high).reset_index(drop=True)

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw a dot and an interval per series; never shows or saves."""
        table, names = self.frame(), self._names()
        if ax is None:
            height = 1.4 + 0.36 * len(names)
            ax = Figure(figsize=(9.0, height), layout="constrained").subplots()
        table = table.assign(series=table.instrument + " " + table.side)
        _draw_target(ax.axvline, self.verdict)
        for rank, policy in enumerate(shown(self.verdict)):
            own = table[table.policy == policy].set_index("series").loc[names]
            look = look_of(self.verdict, policy)
            place = np.arange(len(names)) + 0.24 * (rank - 0.5)
            ax.hlines(place, 100 * own.low, 100 * own.high, color=look.color, linewidth=1.6)
            ax.plot(
                100 * own.breach_rate,
                place,
                linestyle="none",
                marker=look.marker,
                markersize=6.5,
                color=look.color,
                label=label_of(self.verdict, policy),
            )
        ax.set_yticks(range(len(names)), names)
        ax.invert_yaxis()
        ax.set_xlim(left=0.0)
        ax.set_xlabel("breach rate, % of cases (dot), and 95 % interval (line)")
        ax.set_title("Breach rate of every instrument and side", loc="left", pad=24)
        ax.legend(
            fontsize="small", frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0.0, 0.99)
        )
        return ax

    def _names(self) -> list[str]:
        """Return the series to draw, in table order; the worst ones where there are too many."""
        table = self.verdict.series[self.verdict.series.policy == self.verdict.predictive]
        distance = (table.breach_rate - self.verdict.replay.market.tail_probability).abs()
        kept = table.loc[distance.nlargest(MOST_SERIES).index.sort_values()]
        return list(kept.instrument + " " + kept.side)


def exact_interval(
    breaches: NDArray[np.float64], n: NDArray[np.float64], *, confidence_level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of the Clopper-Pearson interval of a rate, fractions.

    Parameters
    ----------
    breaches, n : ndarray
        Counts; need not be whole numbers.
    confidence_level : float
        Coverage in (0, 1), at least.
    """
    tail = 0.5 * (1.0 - confidence_level)
    with np.errstate(invalid="ignore"):
        low = np.where(breaches > 0, stats.beta.ppf(tail, breaches, n - breaches + 1.0), 0.0)
        high = np.where(breaches < n, stats.beta.ppf(1.0 - tail, breaches + 1.0, n - breaches), 1.0)
    return low, high


def _draw_target(line: Callable[..., object], verdict: Verdict) -> None:
    target = 100.0 * verdict.replay.market.tail_probability
    line(target, color="black", ls="--", lw=1.0, zorder=1, label=f"target {target:g} %")
