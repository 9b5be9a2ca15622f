"""Margin against loss through one stress: the worst of a test period, or a scenario."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, DateFormatter, date2num
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ...calibrate import SIDES, Generation
from ..losses import shortfall
from .palette import Compared, is_plain, label_of, look_of, shown

WINDOW_SESSIONS = 60
"""Length of the episode, trading days."""

_LOSS = "#D9D9D9"
_STACK = 0.045  # height of one breach mark, share of the axis
_LEGEND_COLUMNS = 4
_PAPER = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0}


@dataclass(frozen=True, kw_only=True, eq=False)
class EpisodeDisplay:
    """Margins and losses of one instrument through one stress episode.

    Attributes
    ----------
    verdict : Compared
        Where the numbers come from: a verdict, or an episode of a scenario.
    instrument : str
        What is margined.
    rows : ndarray of int, shape (n_origins,)
        Origins of the window, positions in the replay.
    policies : tuple of str
        Names of the policies that are drawn; the judged one, the reference and the fixed one if
        none is given.
    marked : numpy.datetime64 or None
        A moment to draw a line at, UTC.
    """

    verdict: Compared
    instrument: str
    rows: NDArray[np.intp]
    policies: tuple[str, ...] = ()
    marked: np.datetime64 | None = None

    def __post_init__(self) -> None:
        if not self.policies:
            object.__setattr__(self, "policies", shown(self.verdict, "fixed"))

    @classmethod
    def from_verdict(
        cls, verdict: Compared, *, sessions: int = WINDOW_SESSIONS
    ) -> "EpisodeDisplay":
        """Choose the worst window of `sessions` trading days.

        Of all instruments and all windows of that length in the test period, the one in which the
        plain policies (no tools, no controls) together left the largest shortfall, in multiples
        of the instrument's root mean square loss; both sides count, no policy is favoured.
        """
        replayed = verdict.replay
        panel = replayed.market.history.panel
        plain = _plain(verdict)
        known = replayed.judged().all(axis=2) & replayed.in_test[:, None]
        worst, chosen = -1.0, (0, np.arange(0))
        for i in range(panel.n_instruments):
            rows = np.flatnonzero(known[:, i])
            if not len(rows):
                continue
            loss = replayed.loss[rows, i]
            margins = np.stack([replayed.margin(name)[rows, i] for name in plain])
            missed = shortfall(np.broadcast_to(loss, margins.shape), margins).sum(axis=(0, 2))
            scaled = missed / np.sqrt(np.mean(loss**2))
            length = min(len(rows), sessions * int(panel.periods_per_session[i]))
            start, total = _worst_window(scaled, length=length)
            if total > worst:
                worst, chosen = total, (i, rows[start : start + length])
        return cls(verdict=verdict, instrument=panel.instruments[chosen[0]], rows=chosen[1])

    def frame(self) -> pd.DataFrame:
        """Return one row per side and origin: ``loss`` and a margin per policy, fractions."""
        replayed = self.verdict.replay
        column = replayed.instruments.index(self.instrument)
        tables = [
            pd.DataFrame(
                {
                    "side": side,
                    "origin": pd.DatetimeIndex(replayed.origin[self.rows], tz="UTC"),
                    "loss": replayed.loss[self.rows, column, s],
                    **{p: replayed.margin(p)[self.rows, column, s] for p in self.policies},
                }
            )
            for s, side in enumerate(SIDES)
        ]
        return pd.concat(tables, ignore_index=True)

    def plot(self, *, axes: Sequence[Axes] | None = None) -> tuple[Axes, ...]:
        """Draw the long side above the short side; never shows or saves.

        Parameters
        ----------
        axes : sequence of two Axes, optional
            Where to draw; by default on a new figure.
        """
        if axes is None:
            figure = Figure(figsize=(9.0, 6.0), layout="constrained")
            axes = list(figure.subplots(2, 1, sharex=True, sharey=True))
        table = self.frame()
        for ax, side in zip(axes, SIDES, strict=True):
            self._draw(ax, table[table.side == side])
            ax.set_ylabel(f"{side}: % of notional")
        top = 100.0 * max(float(table.loss.max()), *(float(table[p].max()) for p in self.policies))
        axes[0].set_ylim(0.0, (1.05 + _STACK * len(self.policies)) * top)
        # Names are long: more than five beside one another are wider than the page.
        entries = len(self.policies) + 2
        columns = entries if entries <= _LEGEND_COLUMNS + 1 else _LEGEND_COLUMNS
        lines = -(-entries // columns)
        axes[0].set_title(self.title(), loc="left", pad=8.0 + 14.0 * lines)
        axes[0].legend(
            ncols=columns,
            fontsize="small",
            frameon=False,
            loc="lower left",
            bbox_to_anchor=(0.0, 0.98),
        )
        # matplotlib's dates carry no types. Hours would make ticks so long that they overlap.
        dates = AutoDateLocator(minticks=4, maxticks=7)  # type: ignore[no-untyped-call]
        axes[1].xaxis.set_major_locator(dates)
        day = DateFormatter("%Y-%m-%d")  # type: ignore[no-untyped-call]
        axes[1].xaxis.set_major_formatter(day)
        axes[1].set_xlabel("day the margin was set (UTC)")
        if self.marked is not None:
            for ax in axes:
                mark_day(ax, self.marked, named=ax is axes[0])
        return tuple(axes)

    def title(self) -> str:
        """Return what is shown, with its dates."""
        origin = pd.DatetimeIndex(self.verdict.replay.origin[self.rows])
        horizon = self.verdict.replay.horizon
        after = "loss over the next period" if horizon == 1 else f"loss over the next {horizon}"
        dates = f"{origin[0]:%d %b %Y} to {origin[-1]:%d %b %Y}"
        return f"{self.instrument}, {dates}: margin and {after}{' periods' * (horizon > 1)}"

    def _draw(self, ax: Axes, table: pd.DataFrame) -> None:
        origin, loss = table.origin.dt.tz_localize(None), 100.0 * table.loss.to_numpy()
        step = np.diff(origin.to_numpy()).min() if len(origin) > 1 else np.timedelta64(1, "D")
        width = 0.8 * float(step / np.timedelta64(1, "D"))
        ax.bar(origin, np.maximum(loss, 0.0), width=width, color=_LOSS, label="loss that came")
        highest = max(float(loss.max()), *(100.0 * float(table[p].max()) for p in self.policies))
        # Marks are stacked upwards, so that a breach of several policies shows each of them.
        marked = np.zeros(len(loss), dtype=int)
        for policy in self.policies:
            look = look_of(self.verdict, policy)
            margin = 100.0 * table[policy].to_numpy()
            label = label_of(self.verdict, policy)
            ax.plot(origin, margin, label=label, drawstyle="steps-mid", **look.of_line())
            breach = loss > margin
            marked += breach
            ax.plot(
                origin[breach],
                loss[breach] + _STACK * highest * marked[breach],
                linestyle="none",
                marker="x",
                markersize=6,
                markeredgewidth=1.8,
                color=look.color,
                zorder=look.zorder + 5,
            )
        ax.plot([], [], "kx", markersize=6, label="breach, in the policy's colour")


def mark_day(ax: Axes, moment: np.datetime64, *, named: bool) -> None:
    """Draw a vertical line at the start of a marked day, and with `named` its date beside it."""
    at = float(date2num(moment))  # type: ignore[no-untyped-call]  # carries no types
    ax.axvline(at, color="black", linestyle="--", linewidth=0.9, zorder=1)
    if named:
        ax.annotate(
            f"{pd.Timestamp(moment):%d %b}",
            (at, 0.97),
            xycoords=("data", "axes fraction"),
            xytext=(4, 0),
            textcoords="offset points",
            verticalalignment="top",
            fontsize="small",
            bbox=_PAPER,
            zorder=9,
        )


def _plain(verdict: Compared) -> list[str]:
    controls = verdict.replay.names(Generation.CONTROL)
    return [p for p in verdict.replay.policies if is_plain(p) and p not in controls]


def _worst_window(values: NDArray[np.float64], *, length: int) -> tuple[int, float]:
    """Return start and sum of the window with the largest sum; the middle one of equal windows."""
    sums = np.convolve(values, np.ones(length), mode="valid")
    best = np.flatnonzero(sums >= sums.max() * (1.0 - 1e-9))
    return int(best[len(best) // 2]), float(sums.max())
