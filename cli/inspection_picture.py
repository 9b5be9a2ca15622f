"""What a source holds, as a picture: one row per instrument on a common axis of time.

A row has the logarithm of the price, and below it a strip that says for every moment whether
there are data. Triangles mark what the checks found. Colours are those of Okabe and Ito (2008),
which the colour-blind can tell apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.dates as mdates
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ..markets import Finding, InstrumentReport, Severity, SourceReport
from ..markets.inspection.timelines import State, Timeline
from ..markets.parsing import DAY_NS
from ..markets.rules import plural
from .inspection_text import coverage_text

_COLOURS = {
    State.PRESENT: ("#A9C8E4", "data"),
    State.HALTED: ("#E69F00", "halted: no volume"),
    State.FLAT: ("#4B6FA5", "flat: price carried on, no trade"),
    State.UNKNOWN: ("#CC79A7", "row without a value"),
}
_GAP, _ERROR, _LINE, _NOTHING = "#D55E00", "#B00020", "#1F3A5F", "#F1F1F1"
_MARKS = {Severity.ERROR: _ERROR, Severity.WARNING: "#333333"}

_N_BINS = 900
_STRIP_INCHES = 0.13
_FAINTEST = 0.55  # of the colour of a state that holds in any part of a bin
_LOGARITHMIC = frozenset({"close", "mark_price", "bid"})


@dataclass(frozen=True, kw_only=True)
class _Row:
    """Where a row lies: the axis of y counts rows from the top."""

    top: int
    inches: float

    @property
    def strip(self) -> tuple[float, float]:
        """Lower and upper edge of the strip."""
        return self.top + 0.95, self.top + 0.95 - _STRIP_INCHES / self.inches

    @property
    def price(self) -> tuple[float, float]:
        """Lower and upper edge of the price."""
        return self.strip[1] - 0.13 / self.inches, self.top + 0.08

    @property
    def labelled(self) -> bool:
        """Whether there is room for words."""
        return self.inches > 0.8


@dataclass(frozen=True, kw_only=True, eq=False)
class _Axis:
    """The common axis of time, cut into bins."""

    first: int
    last: int
    edges: NDArray[np.int64]

    @classmethod
    def of(cls, timelines: Sequence[Timeline]) -> "_Axis":
        first = min(int(one.start[0]) for one in timelines)
        last = max(int(one.start[-1]) + one.length for one in timelines)
        edges = np.linspace(first, last, _N_BINS + 1).astype(np.int64)
        return cls(first=first, last=last, edges=edges)

    @property
    def days(self) -> NDArray[np.float64]:
        """Edges as matplotlib counts days."""
        return self.edges / DAY_NS


def save_picture(report: SourceReport, path: Path) -> None:
    """Draw a report and write it as an image; missing folders are made.

    Parameters
    ----------
    report : SourceReport
        What was found.
    path : Path
        Where to; the suffix says which kind of image.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draw(report).savefig(path, dpi=150)


def draw(report: SourceReport) -> Figure:
    """Return the picture of a report: a row per instrument, and a legend."""
    rows = report.instruments
    height = _row_height(len(rows))
    figure = Figure(figsize=(13.0, 1.55 + height * len(rows)), layout="constrained")
    ax = figure.subplots()
    timelines = [one.timeline for one in rows if one.timeline is not None]
    ax.set_ylim(len(rows), 0)
    if timelines:
        axis = _Axis.of(timelines)
        days = axis.days
        ax.set_xlim(days[0], days[-1])
        for i, one in enumerate(rows):
            _draw_row(ax, one, axis, row=_Row(top=i, inches=height))
        _label_time(ax)
    else:
        ax.set_xticks([])
    _label_rows(ax, rows, compact=height < 0.6)
    _title(figure, ax, report)
    return figure


def _row_height(n_rows: int) -> float:
    """Return inches per row: one instrument has a page, sixty share one."""
    return float(np.clip(22.0 / max(n_rows, 1), 0.36, 3.2 if n_rows == 1 else 1.15))


def _draw_row(ax: Axes, one: InstrumentReport, axis: _Axis, *, row: _Row) -> None:
    if one.timeline is None:
        ax.axhspan(row.top + 0.2, row.top + 0.8, color=_ERROR, alpha=0.08, lw=0)
        ax.text(
            0.5,
            row.top + 0.5,
            f"cannot be used: {_why(one)}",
            transform=ax.get_yaxis_transform(),
            ha="center",
            va="center",
            color=_ERROR,
            fontsize=9 if row.labelled else 7,
        )
        return
    _draw_strip(ax, one.timeline, axis, row=row)
    _draw_value(ax, one.timeline, axis, row=row)
    marked = [f for f in one.findings if f.first is not None and f.severity in _MARKS]
    for finding in marked:
        _mark(ax, finding, row=row)
    if row.labelled:
        _name_marks(ax, marked, axis, row=row)


def _why(one: InstrumentReport) -> str:
    errors = [f.check for f in one.findings if f.severity is Severity.ERROR]
    return ", ".join(errors) or "no rows"


def _draw_strip(ax: Axes, timeline: Timeline, axis: _Axis, *, row: _Row) -> None:
    x = axis.days
    ax.imshow(
        _strip(timeline, axis)[np.newaxis],
        extent=(x[0], x[-1], *row.strip),
        aspect="auto",
        interpolation="nearest",
        zorder=2,
    )


def _strip(timeline: Timeline, axis: _Axis) -> NDArray[np.float64]:
    """Return a colour per bin: mostly data, and whatever else there is, never too faint to see."""
    ends = timeline.start + timeline.length
    inside = (axis.edges[1:] > timeline.start[0]) & (axis.edges[:-1] < ends[-1])
    cell = _cells(timeline, axis)
    colour = np.tile(_rgb(_NOTHING), (_N_BINS, 1))
    colour[inside] = _rgb(_COLOURS[State.PRESENT][0])
    counts = np.bincount(cell, minlength=_N_BINS).astype(np.float64)
    for state in (State.FLAT, State.UNKNOWN, State.HALTED):
        n_such = np.bincount(cell[timeline.state == state], minlength=_N_BINS)
        share = np.divide(n_such, counts, out=np.zeros(_N_BINS), where=counts > 0)
        _blend(colour, share, _COLOURS[state][0])
    _blend(colour, _hole_share(timeline, axis), _GAP)
    return colour


def _blend(colour: NDArray[np.float64], share: NDArray[np.float64], other: str) -> None:
    weight = np.where(share > 0, _FAINTEST + (1 - _FAINTEST) * share, 0.0)[:, np.newaxis]
    colour *= 1 - weight
    colour += weight * _rgb(other)


def _hole_share(timeline: Timeline, axis: _Axis) -> NDArray[np.float64]:
    """Return the share of each bin that lies in a hole between rows."""
    longest = (
        2 * timeline.length if timeline.every_day else max(3 * timeline.length, 7 * 86_400 * 10**9)
    )
    steps = np.diff(timeline.start)
    holes = np.flatnonzero(steps >= longest)
    if not len(holes):
        return np.zeros(_N_BINS)
    begins, ends = timeline.start[holes] + timeline.length, timeline.start[holes + 1]
    # How much of all holes lies before an edge: it rises inside holes and rests between them.
    turns = np.column_stack([begins, ends]).ravel()
    passed = np.cumsum(ends - begins)
    levels = np.column_stack([passed - (ends - begins), passed]).ravel()
    before = np.interp(axis.edges, turns, levels)
    return np.asarray(np.clip(np.diff(before) / np.diff(axis.edges), 0.0, 1.0))


def _draw_value(ax: Axes, timeline: Timeline, axis: _Axis, *, row: _Row) -> None:
    """Draw the last price of each bin, and the range of its prices, on a scale of its own."""
    level, low, high = _scaled(timeline)
    cell = _cells(timeline, axis)
    known = np.isfinite(level)
    level, cell = level[known], cell[known]
    if not len(level):
        return
    heads = np.flatnonzero(np.diff(cell, prepend=-1))
    ends = np.append(heads[1:], len(cell)) - 1
    drawn = np.full((3, _N_BINS), np.nan)  # the last price of a bin, its lowest and its highest
    drawn[0, cell[heads]] = level[ends]
    drawn[1, cell[heads]] = np.minimum.reduceat(level, heads)
    drawn[2, cell[heads]] = np.maximum.reduceat(level, heads)
    shown = ~np.isnan(drawn[0]) | (_hole_share(timeline, axis) > 0)  # a line breaks at a hole
    middle = (0.5 * (axis.days[1:] + axis.days[:-1]))[shown]
    bottom, ceiling = row.price
    y = bottom + drawn[:, shown] * (ceiling - bottom)
    ax.fill_between(middle, bottom, y[0], color=_LINE, alpha=0.06, lw=0, zorder=2)
    ax.fill_between(middle, y[1], y[2], color=_LINE, alpha=0.3, lw=0, zorder=3)
    ax.plot(middle, y[0], color=_LINE, lw=0.8, zorder=4, solid_joinstyle="round")
    ax.text(
        1.006,
        0.5 * (bottom + ceiling),
        f"{_number(low)} to {_number(high)}",
        transform=ax.get_yaxis_transform(),
        fontsize=7,
        color="#666666",
        va="center",
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def _cells(timeline: Timeline, axis: _Axis) -> NDArray[np.intp]:
    """Return the bin of each row."""
    cell = np.searchsorted(axis.edges, timeline.start, side="right") - 1
    return np.asarray(np.clip(cell, 0, _N_BINS - 1), dtype=np.intp)


def _scaled(timeline: Timeline) -> tuple[NDArray[np.float64], float, float]:
    """Return the value between 0 and 1, logarithmic where it is a price, and its range."""
    value = timeline.value
    positive = np.nanmin(value) > 0 if np.isfinite(value).any() else False
    level = np.log(value) if positive and timeline.name in _LOGARITHMIC else value
    known = level[np.isfinite(level)]
    if not len(known):
        return level, float("nan"), float("nan")
    low, high = float(known.min()), float(known.max())
    width = high - low if high > low else 1.0
    finite = value[np.isfinite(value)]
    return (level - low) / width, float(finite.min()), float(finite.max())


def _mark(ax: Axes, finding: Finding, *, row: _Row) -> None:
    """Put a triangle above the strip where a finding begins, and a line as far as it goes."""
    colour = _MARKS[finding.severity]
    first, last = (_day(time) for time in (finding.first, finding.last))
    y = row.strip[1] - 0.035 / row.inches
    ax.plot([first, last], [y, y], color=colour, lw=0.7, alpha=0.5, zorder=5)
    ax.plot([first], [y], marker="v", ms=4.5, color=colour, mec="white", mew=0.5, zorder=6)


def _name_marks(ax: Axes, findings: Sequence[Finding], axis: _Axis, *, row: _Row) -> None:
    """Write the names of checks beside their triangles, those that begin together in one line."""
    by_place: dict[int, dict[str, Severity]] = {}
    for finding in findings:
        share = (_day(finding.first) - axis.days[0]) / (axis.days[-1] - axis.days[0])
        by_place.setdefault(round(8 * share), {})[finding.check] = finding.severity
    for place, checks in by_place.items():
        begins = [f.first for f in findings if f.check in checks and f.first is not None]
        right = place > 6
        ax.annotate(
            ", ".join(checks),
            xy=(_day(max(begins) if right else min(begins)), row.strip[1] - 0.035 / row.inches),
            xytext=(-5 if right else 5, 2),
            textcoords="offset points",
            ha="right" if right else "left",
            va="bottom",
            fontsize=7,
            color=_MARKS[min(checks.values(), key=list(Severity).index)],
            zorder=7,
        )


def _day(time: pd.Timestamp | None) -> float:
    return 0.0 if time is None else time.value / DAY_NS


def _label_time(ax: Axes) -> None:
    # matplotlib gives these two no types.
    locator = mdates.AutoDateLocator(minticks=5, maxticks=12)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_locator(locator)
    formatter = mdates.ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    ax.xaxis.set_major_formatter(formatter)
    ax.grid(axis="x", color="#DDDDDD", lw=0.6, zorder=0)
    ax.set_axisbelow(True)


def _label_rows(ax: Axes, rows: Sequence[InstrumentReport], *, compact: bool) -> None:
    ax.set_yticks(np.arange(len(rows)) + 0.5)
    labels = [f"{_short(one.instrument)}{' ' if compact else chr(10)}{_about(one)}" for one in rows]
    ax.set_yticklabels(labels, fontsize=6.5 if compact else 8.5)
    ax.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    for i in range(1, len(rows)):
        ax.axhline(i, color="#CCCCCC", lw=0.5, zorder=1)


def _short(name: str, *, most: int = 34) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _about(one: InstrumentReport) -> str:
    if one.timeline is None:
        return one.form
    length = one.bar_length_text
    pieces = ["" if length.endswith("ns") else length, coverage_text(one.coverage)]
    return " · ".join(piece for piece in pieces if piece)


def _title(figure: Figure, ax: Axes, report: SourceReport) -> None:
    n_rows = len(report.instruments)
    counts = [plural(n_rows, "instrument")] + [
        plural(report.count(severity), severity.value) for severity in _MARKS
    ]
    figure.suptitle(
        _short(report.source, most=100), x=0.01, ha="left", fontsize=12, fontweight="bold"
    )
    ax.set_title(", ".join(counts), loc="left", fontsize=9, color="#555555")
    states = {int(s) for one in report.instruments if one.timeline for s in set(one.timeline.state)}
    handles: list[Artist] = [
        Patch(color=c, label=text) for s, (c, text) in _COLOURS.items() if int(s) in states
    ]
    handles += [Patch(color=_GAP, label="gap"), Patch(color=_NOTHING, label="outside the data")]
    handles += [
        Line2D([], [], marker="v", ls="", ms=5, color=colour, label=severity.value)
        for severity, colour in _MARKS.items()
        if report.count(severity)
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncol=len(handles), frameon=False, fontsize=8
    )


def _rgb(colour: str) -> NDArray[np.float64]:
    return np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
