"""How much better one variance forecast is than another, and when: tables, then figures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ..bootstrap import bootstrap_means
from ..family_scores import block_length, in_runs, qlike_per_row
from ..side_by_side import Family, SideBySide
from .palette import OTHER, PREDICTIVE, REFERENCE
from .panels import ahead, model_colors, panels, reference_of, share_legend, thinned, with_rows

CONFIDENCE_LEVEL = 0.90
"""Coverage of the intervals of skill."""

_RESAMPLES = 1_000


@dataclass(frozen=True, kw_only=True, eq=False)
class SkillDisplay:
    """QLIKE of every model against a reference, with intervals; further right is better.

    Attributes
    ----------
    compared : tuple of SideBySide
        One panel per horizon.
    seed : int
        Of the bootstrap.
    """

    compared: tuple[SideBySide, ...]
    seed: int = 0

    def frame(self) -> pd.DataFrame:
        """Return the gain of every model over the reference, best first.

        Columns ``horizon``, ``model``, ``reference``, and ``skill``: one minus the ratio of mean
        QLIKE, dimensionless, with the ends ``low`` and ``high`` of its 90 % interval (stationary
        bootstrap of origins; Politis and Romano 1994).
        """
        gains = [self._gains(rows) for rows in with_rows(self.compared, Family.VARIANCE)]
        return pd.concat(gains, ignore_index=True)

    def plot(self, *, axes: Sequence[Axes] | None = None) -> tuple[Axes, ...]:
        """Draw a bar and an interval per model; never shows or saves."""
        table = self.frame()
        order = table.groupby("model").skill.mean().sort_values(ascending=False).index
        horizons = [int(h) for h in table.horizon.unique()]
        if axes is None:
            axes = panels([ahead(h) for h in horizons], height=1.4 + 0.27 * len(order), share=True)
        place = pd.Series(np.arange(len(order)), index=order)
        for ax, horizon in zip(axes, horizons, strict=True):
            rows = table[(table.horizon == horizon) & (table.model != table.reference)]
            at = place[rows.model].to_numpy()
            sign = np.where(rows.low > 0.0, 1, np.where(rows.high < 0.0, -1, 0))
            color = np.array([REFERENCE, OTHER, PREDICTIVE])[sign + 1]
            ax.barh(at, 100 * rows.skill, color=color, height=0.6, alpha=0.55)
            ax.hlines(at, 100 * rows.low, 100 * rows.high, color="#202020", linewidth=1.4)
            ax.axvline(0.0, color="black", lw=1.0)
            ax.set_yticks(np.arange(len(order)), list(order))
            ax.set_xlabel(f"QLIKE below {table.reference.iloc[0]}, %")
            ax.grid(axis="x", color="#E8E8E8")
            ax.set_axisbelow(True)
        axes[0].set_ylim(len(order) - 0.5, -0.5)
        return tuple(axes)

    def _gains(self, rows: SideBySide) -> pd.DataFrame:
        losses = rows.per_origin(qlike_per_row(rows))
        reference = reference_of(rows)
        r = rows.models.index(reference)
        in_blocks, block = in_runs(losses, block=block_length(rows.horizon))
        resampled = bootstrap_means(
            in_blocks,
            mean_block=block,
            n_resamples=_RESAMPLES,
            rng=np.random.default_rng(self.seed),
        )
        tail = 0.5 * (1.0 - CONFIDENCE_LEVEL)
        low, high = np.quantile(1.0 - resampled / resampled[:, [r]], [tail, 1.0 - tail], axis=0)
        table = pd.DataFrame(
            {
                "horizon": rows.horizon,
                "model": rows.models,
                "reference": reference,
                "skill": 1.0 - losses.mean(axis=0) / losses[:, r].mean(),
                "low": low,
                "high": high,
            }
        )
        return table.sort_values("skill", ascending=False, kind="stable")


@dataclass(frozen=True, kw_only=True, eq=False)
class AdvantageDisplay:
    """QLIKE saved against a reference, added up over time: a model wins where its line rises.

    Attributes
    ----------
    compared : tuple of SideBySide
        One panel per horizon.
    models : tuple of str
        Those that are drawn, from :func:`~foremargin.backtest.report.panels.shown_models`.
    """

    compared: tuple[SideBySide, ...]
    models: tuple[str, ...]

    def frame(self) -> pd.DataFrame:
        """Return ``horizon``, ``model``, ``reference``, ``origin`` and ``advantage``.

        The advantage is the sum, up to the origin, of the reference's QLIKE minus the model's,
        each averaged over instruments; dimensionless.
        """
        tables = []
        for rows in with_rows(self.compared, Family.VARIANCE):
            losses, reference = rows.per_origin(qlike_per_row(rows)), reference_of(rows)
            shown = [m for m, name in enumerate(rows.models) if name in self.models]
            saved = losses[:, [rows.models.index(reference)]] - losses
            for m in shown:
                table = pd.DataFrame(
                    {"origin": np.unique(rows.origin), "advantage": np.cumsum(saved[:, m])}
                )
                table.insert(0, "reference", reference)
                table.insert(0, "model", rows.models[m])
                table.insert(0, "horizon", rows.horizon)
                tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def plot(self, *, axes: Sequence[Axes] | None = None) -> tuple[Axes, ...]:
        """Draw one line per model; never shows or saves."""
        table, colors = self.frame(), model_colors(self.models)
        horizons = [int(h) for h in table.horizon.unique()]
        if axes is None:
            axes = panels([ahead(h) for h in horizons], height=2.5, columns=1)
        for ax, horizon in zip(axes, horizons, strict=True):
            for model in self.models:
                own = table[(table.horizon == horizon) & (table.model == model)]
                seen = own.iloc[thinned(len(own))]
                ax.plot(seen.origin, seen.advantage, color=colors[model], lw=1.6, label=model)
            ax.set_ylabel(f"QLIKE saved\nagainst {table.reference.iloc[0]}")
            ax.grid(axis="y", color="#E8E8E8")
        share_legend(axes)
        return tuple(axes)
