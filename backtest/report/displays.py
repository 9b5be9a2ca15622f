"""Cost against protection, movement against score, and forecast skill: tables, then figures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from ...calibrate import Generation
from ..verdict import Verdict
from .palette import is_plain, label_of, look_of, shown

_FORESIGHT = "control-perfect-foresight"


@dataclass(frozen=True, kw_only=True, eq=False)
class FrontierDisplay:
    """Shortfall that remains at every cost: lower and further left is better.

    Attributes
    ----------
    verdict : Verdict
        Where the numbers come from.
    """

    verdict: Verdict

    def frame(self) -> pd.DataFrame:
        """Return the curves, and in ``operating`` where the policy works (scale one).

        Columns as in :func:`~foremargin.backtest.frontier.cost_shortfall_curve`: ``mean_margin``,
        fraction of notional, and ``shortfall``, a sum of notionals.
        """
        policies = shown(self.verdict, "hs-500", "hs-1000", "fixed", _FORESIGHT)
        table = self.verdict.frontier
        table = table[table.policy.isin(policies)].reset_index(drop=True)
        return table.assign(operating=np.isclose(table.scale, 1.0))

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw the curves and the point at which each policy works; never shows or saves."""
        ax = _new_axes(9.0, 4.6) if ax is None else ax
        table = self.frame()
        for policy in shown(self.verdict, "hs-500", "hs-1000", "fixed", _FORESIGHT):
            own = table[(table.policy == policy) & (table.shortfall > 0.0)]
            look = look_of(self.verdict, policy)
            label = label_of(self.verdict, policy)
            ax.plot(100 * own.mean_margin, own.shortfall, label=label, **look.of_line())
            at = own[own.operating]
            ax.plot(
                100 * at.mean_margin,
                at.shortfall,
                linestyle="none",
                marker=look.marker,
                markersize=12 if policy == self.verdict.reference else 8,
                color=look.color,
                markeredgecolor="white",
                zorder=look.zorder + 5,
            )
        cost = 100 * float(self.verdict.row(self.verdict.reference)["mean_margin"])
        ax.axvline(cost, color="black", linestyle="--", linewidth=0.8, zorder=1)
        ax.annotate(
            "cost of the best reactive",
            (cost, 0.02),
            xycoords=("data", "axes fraction"),
            xytext=(4, 0),
            textcoords="offset points",
            fontsize="small",
        )
        ax.set_yscale("log")
        runnable = table[(table.policy != _FORESIGHT) & (table.shortfall > 0.0)]
        ax.set_xlim(0.4 * cost, 2.2 * cost)
        if len(runnable):
            # Foresight goes on to nothing, which would leave no room for the others.
            near = runnable[runnable.mean_margin < 0.022 * cost].shortfall
            ax.set_ylim(0.5 * near.min(), 1.5 * near.max())
        ax.set(
            xlabel="cost: mean margin, % of notional (marks: the margin as the policy sets it)",
            ylabel="total shortfall, notionals (log)",
        )
        ax.set_title("Uncovered loss at every cost: lower left is better", loc="left")
        ax.legend(fontsize="small", frameon=False)
        return ax


@dataclass(frozen=True, kw_only=True, eq=False)
class ProcyclicalityDisplay:
    """Movement of the margin against its score; lower left is better.

    The controls are left out: nobody could run them.

    Attributes
    ----------
    verdict : Verdict
        Where the numbers come from.
    """

    verdict: Verdict

    def frame(self) -> pd.DataFrame:
        """Return ``policy``, ``quantile_loss`` (fraction of notional) and ``peak_to_trough``."""
        controls = self.verdict.replay.names(Generation.CONTROL)
        table = self.verdict.policies.drop(index=list(controls), errors="ignore")
        return table[["quantile_loss", "peak_to_trough"]].astype(float).reset_index()

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw one mark per policy, names beside the plain ones; never shows or saves."""
        ax = _new_axes(9.0, 4.8) if ax is None else ax
        table = self.frame()
        tools = table[~table.policy.map(is_plain)]
        ax.plot(
            100 * tools.quantile_loss,
            tools.peak_to_trough,
            linestyle="none",
            marker="o",
            markersize=4,
            color="#C4C4C4",
            label="reactive with an EMIR tool",
            zorder=1,
        )
        ax.set_yscale("log")
        ax.set_yticks(_round_ratios(table.peak_to_trough), minor=False)
        ax.yaxis.set_major_formatter("{x:g}\N{MULTIPLICATION SIGN}")
        ax.yaxis.set_minor_locator(NullLocator())
        ax.set_xlim(*_padded(100 * table.quantile_loss))
        ax.set_ylim(0.85 * table.peak_to_trough.min(), 1.25 * table.peak_to_trough.max())
        self._mark_plain(ax, table[table.policy.map(is_plain)])
        ax.set(
            xlabel="quantile loss, % of notional",
            ylabel="peak-to-trough of the margin, ratio (log)",
        )
        ax.set_title("Score against movement: lower left is better", loc="left")
        ax.legend(fontsize="small", frameon=False)
        return ax

    def _mark_plain(self, ax: Axes, table: pd.DataFrame) -> None:
        """Mark the plain policies; names that would overlap are moved, with a thin line."""
        order = {self.verdict.predictive: 0, self.verdict.reference: 1}
        table = table.sort_values("peak_to_trough", ascending=False)
        table = table.sort_values("policy", key=lambda p: p.map(order).fillna(2), kind="stable")
        points = np.column_stack([100 * table.quantile_loss, table.peak_to_trough])
        to_axes = ax.transData + ax.transAxes.inverted()
        at = to_axes.transform(points)
        for policy, point, label in zip(table.policy, points, _spread(at), strict=True):
            look = look_of(self.verdict, policy)
            important = policy in (self.verdict.predictive, self.verdict.reference)
            ax.plot(
                *point[:, None],
                linestyle="none",
                marker=look.marker,
                markersize=10 if important else 6,
                color=look.color,
                zorder=look.zorder,
            )
            ax.annotate(
                label_of(self.verdict, policy),
                (float(point[0]), float(point[1])),
                xytext=(float(label[0]), float(label[1])),
                textcoords="axes fraction",
                verticalalignment="center",
                fontsize="small",
                color=look.color if important else "#404040",
                fontweight="bold" if important else "normal",
                arrowprops={"arrowstyle": "-", "color": "#B0B0B0", "linewidth": 0.6},
                zorder=8,
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreDisplay:
    """QLIKE of every forecast model, one panel per horizon; lower is better.

    Attributes
    ----------
    scores : pandas.DataFrame
        From :func:`~foremargin.backtest.score_forecasts`.
    """

    scores: pd.DataFrame

    def frame(self) -> pd.DataFrame:
        """Return QLIKE (dimensionless), one row per model, one column per horizon, periods."""
        wide = self.scores.pivot(index="model", columns="horizon", values="qlike_loss")
        return wide.sort_values(wide.columns[0])

    def plot(self, *, axes: Sequence[Axes] | None = None) -> tuple[Axes, ...]:
        """Draw a dot per model; the best of each horizon is black; never shows or saves."""
        table = self.frame()
        if axes is None:
            figure = Figure(figsize=(9.0, 1.4 + 0.25 * len(table)), layout="constrained")
            grid = figure.subplots(1, len(table.columns), sharey=True, squeeze=False)
            axes = list(grid[0])
        place = np.arange(len(table))
        for ax, horizon in zip(axes, table.columns, strict=True):
            values = table[horizon].to_numpy()
            best = values == np.nanmin(values)
            ax.hlines(place, np.nanmin(values), values, color="#D9D9D9", linewidth=1)
            ax.plot(values[~best], place[~best], "o", color="#8C8C8C", markersize=6)
            ax.plot(values[best], place[best], "D", color="black", markersize=7)
            periods = "1 period" if str(horizon) == "1" else f"{horizon} periods"
            ax.set(xlabel="QLIKE", title=f"{periods} ahead")
            ax.set_yticks(place, table.index)
        axes[0].invert_yaxis()
        return tuple(axes)


def _new_axes(width: float, height: float) -> Axes:
    ax: Axes = Figure(figsize=(width, height), layout="constrained").subplots()
    return ax


def _round_ratios(values: pd.Series) -> list[float]:
    """Return the ticks 1, 1.5, 2, 3, 5, 7, 10, ... that cover the values."""
    ticks = [step * 10.0**k for k in range(5) for step in (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)]
    return [t for t in ticks if values.min() * 0.8 <= t <= values.max() * 1.25]


def _padded(values: pd.Series) -> tuple[float, float]:
    """Return limits with room for names on the right."""
    low, high = float(values.min()), float(values.max())
    width = high - low if high > low else 0.1 * high
    return low - 0.05 * width, high + 0.25 * width


def _spread(
    points: NDArray[np.float64], *, gap: float = 0.042, reach: float = 0.2
) -> NDArray[np.float64]:
    """Return places for names right of `points`, both in axes fractions; first come, first served.

    A name moves down or up in steps of `gap`, inside the axes, until it is that far from every
    placed one that begins within `reach`.
    """
    placed: list[tuple[float, float]] = []
    steps = [0, *(sign * k for k in range(1, len(points) + 1) for sign in (-1, 1))]
    for x, y in points:
        taken = [v for u, v in placed if abs(u - x) < reach]
        free = (
            y + step * gap
            for step in steps
            if gap / 2 < y + step * gap < 1.0 - gap / 2
            and all(abs(y + step * gap - v) > gap - 1e-9 for v in taken)
        )
        placed.append((x, next(free, y)))
    return np.array([(x + 0.025, y) for x, y in placed])
