"""What a scenario did to every policy: shortfall as it grew, and who raised margins when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, DateFormatter
from matplotlib.figure import Figure

from ...calibrate import Generation
from ..replayed_scenario import RISE, ReplayedScenario
from .episode import EpisodeDisplay, mark_day
from .palette import is_plain, label_of, look_of

_GAP = 0.045  # height of one name beside a line, share of the axis


def shown_policies(episode: ReplayedScenario, policies: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the policies that figures and tables show, in the order of the replay.

    Parameters
    ----------
    episode : ReplayedScenario
        The replay.
    policies : sequence of str
        Names; by default those without a tool, without the controls, and the best reactive one.
    """
    replayed = episode.replay
    if policies:
        return tuple(name for name in replayed.policies if name in policies)
    controls = replayed.names(Generation.CONTROL)
    return tuple(
        name
        for name in replayed.policies
        if name == episode.reference or (is_plain(name) and name not in controls)
    )


def instrument_displays(
    episode: ReplayedScenario, policies: Sequence[str] = ()
) -> tuple[EpisodeDisplay, ...]:
    """Return margin against loss of every judged instrument, the worst hit first.

    Worst is the largest shortfall of the shown policies together, in multiples of the
    instrument's root mean square loss in the window.

    Parameters
    ----------
    episode : ReplayedScenario
        The replay.
    policies : sequence of str
        Names of the policies to draw; by default the judged one, the best reactive and the fixed.
    """
    judged = episode.replay.judged().all(axis=2) & episode.replay.in_test[:, None]
    found: list[tuple[float, EpisodeDisplay]] = []
    for i, instrument in enumerate(episode.replay.instruments):
        rows = np.flatnonzero(judged[:, i])
        if not len(rows):
            continue
        loss = episode.replay.loss[rows, i]
        margins = [episode.replay.margin(p)[rows, i] for p in shown_policies(episode, policies)]
        missed = sum(float(np.maximum(loss - margin, 0.0).sum()) for margin in margins)
        display = EpisodeDisplay(
            verdict=episode,
            instrument=instrument,
            rows=rows,
            policies=tuple(policies),
            marked=episode.scenario.marked,
        )
        found.append((missed / float(np.sqrt(np.mean(loss**2))), display))
    found.sort(key=lambda pair: -pair[0])
    return tuple(display for _, display in found)


@dataclass(frozen=True, kw_only=True, eq=False)
class CumulatedShortfallDisplay:
    """Uncovered loss as it grew through a scenario; lower is better, at equal cost.

    Attributes
    ----------
    episode : ReplayedScenario
        Where the numbers come from.
    policies : tuple of str
        Names of the policies that are drawn; none for the default.
    """

    episode: ReplayedScenario
    policies: tuple[str, ...] = ()

    def frame(self) -> pd.DataFrame:
        """Return the sum so far over instruments and sides, notionals: origin by policy."""
        names = shown_policies(self.episode, self.policies)
        return self.episode.cumulated_shortfall()[list(names)]

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw a step line per policy, its name at its end; never shows or saves."""
        ax = _new_axes() if ax is None else ax
        table = self.frame()
        _draw_lines(ax, self.episode, table, step=True)
        top = float(table.to_numpy().max())
        ax.set_ylim(0.0, 1.06 * top if top > 0.0 else 1.0)
        _name_lines(ax, self.episode, table)
        ax.set_ylabel("shortfall so far, notionals")
        ax.set_title("Uncovered loss as it grew, all instruments and sides", loc="left")
        return ax


@dataclass(frozen=True, kw_only=True, eq=False)
class RelativeMarginDisplay:
    """Margins over their level at the start of a scenario: who rose when.

    Attributes
    ----------
    episode : ReplayedScenario
        Where the numbers come from.
    policies : tuple of str
        Names of the policies that are drawn; none for the default.
    """

    episode: ReplayedScenario
    policies: tuple[str, ...] = ()

    def frame(self) -> pd.DataFrame:
        """Return ratios, medians over instruments and sides: origin by policy."""
        names = shown_policies(self.episode, self.policies)
        return self.episode.relative_margin()[list(names)]

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw a line per policy, its name at its end, and the rise; never shows or saves."""
        ax = _new_axes() if ax is None else ax
        table = self.frame()
        _draw_lines(ax, self.episode, table, step=False)
        low, high = float(table.to_numpy().min()), float(table.to_numpy().max())
        room = 0.06 * max(high - low, RISE - 1.0)
        ax.set_ylim(min(low, 1.0) - room, max(high, RISE) + room)
        ax.axhline(RISE, color="black", linestyle=":", linewidth=0.9, zorder=1)
        ax.annotate(
            f"a rise: {RISE:.2f}\N{MULTIPLICATION SIGN}",
            (0.01, RISE),
            xycoords=("axes fraction", "data"),
            verticalalignment="center",
            fontsize="small",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0},
            zorder=9,
        )
        _name_lines(ax, self.episode, table)
        ax.yaxis.set_major_formatter("{x:g}\N{MULTIPLICATION SIGN}")
        ax.set_ylabel("margin over that of the first day")
        ax.set_title("Margin relative to the start of the window, median of series", loc="left")
        return ax


def _new_axes() -> Axes:
    ax: Axes = Figure(figsize=(9.0, 4.2), layout="constrained").subplots()
    return ax


def _draw_lines(ax: Axes, episode: ReplayedScenario, table: pd.DataFrame, *, step: bool) -> None:
    origin = pd.DatetimeIndex(table.index).tz_localize(None)
    for policy in table:
        look = look_of(episode, str(policy))
        ax.plot(
            origin,
            table[policy],
            drawstyle="steps-post" if step else "default",
            **look.of_line(),
        )
    mark_day(ax, episode.scenario.marked, named=True)
    ax.margins(x=0.0)
    # matplotlib's dates carry no types. Hours would make ticks so long that they overlap.
    ax.xaxis.set_major_locator(AutoDateLocator(minticks=4, maxticks=7))  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_formatter(DateFormatter("%Y-%m-%d"))  # type: ignore[no-untyped-call]
    ax.set_xlabel("day the margin was set (UTC)")


def _name_lines(ax: Axes, episode: ReplayedScenario, table: pd.DataFrame) -> None:
    """Write the name of every line right of its end; names that would overlap are moved apart."""
    low, high = ax.get_ylim()
    end = {str(name): (float(table[name].iloc[-1]) - low) / (high - low) for name in table}
    for policy, place in _apart(end).items():
        look = look_of(episode, policy)
        important = policy in (episode.predictive, episode.reference)
        ax.annotate(
            label_of(episode, policy),
            (1.0, end[policy]),
            xycoords="axes fraction",
            xytext=(1.05, place),
            textcoords="axes fraction",
            verticalalignment="center",
            fontsize="small",
            color=look.color if important else "#404040",
            fontweight="bold" if important else "normal",
            arrowprops={
                "arrowstyle": "-",
                "color": look.color,
                "linestyle": look.line,
                "linewidth": look.width,
                "shrinkA": 0.0,
                "shrinkB": 0.0,
                "relpos": (0.0, 0.5),
            },
            annotation_clip=False,
        )


def _apart(end: Mapping[str, float]) -> dict[str, float]:
    """Return heights in the order of `end`, at least one gap apart and near where they were.

    Heights that are too close are merged into one group around their mean, from the lowest up.
    """
    ordered = sorted(end, key=lambda name: end[name])
    groups: list[list[str]] = []
    centre: list[float] = []
    for name in ordered:
        groups.append([name])
        centre.append(end[name])
        while len(groups) > 1 and _touch(groups, centre):
            names = groups.pop(-2) + groups.pop()
            centre[-2:] = [sum(end[one] for one in names) / len(names)]
            groups.append(names)
    places: dict[str, float] = {}
    for names, middle in zip(groups, centre, strict=True):
        bottom = max(middle - _GAP * (len(names) - 1) / 2.0, 0.0)
        places |= {name: bottom + _GAP * k for k, name in enumerate(names)}
    return places


def _touch(groups: Sequence[Sequence[str]], centre: Sequence[float]) -> bool:
    needed = _GAP * (len(groups[-2]) + len(groups[-1])) / 2.0
    # The lowest group cannot go below the axis, and so reaches higher than its centre says.
    below = max(centre[-2], _GAP * (len(groups[-2]) - 1) / 2.0)
    return centre[-1] - below < needed
