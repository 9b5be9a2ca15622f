"""The disclosure page: what a clearing house publishes every quarter, of two policies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...errors import InputError
from ..disclosure import INCREASES, disclosure_table, pooled_disclosure
from ..metrics import INCREASE_PERIODS
from ..verdict import Verdict
from ._images import Picture, figure_of, svg_uri
from ._templates import render
from .page import LONG_FINDINGS, ReportContext
from .palette import PREDICTIVE, REFERENCE, label_of, look_of, shown
from .tables import Column, Row, Table, frame_rows, number, percentage, role_of, text

_MOST_TICKS = 16


def _column(key: str, title: str, unit: str, meaning: str, better: str = "") -> Column:
    write = percentage if unit.startswith("%") else number("{:.2f}")
    return Column(key=key, title=title, unit=unit, better=better, meaning=meaning, write=write)


def _count(key: str, title: str, meaning: str) -> Column:
    write = number("{:,.0f}")
    return Column(key=key, title=title, unit="", better="", meaning=meaning, write=write)


def _name(key: str, title: str) -> Column:
    return Column(key=key, title=title, unit="", better="", meaning="", write=text)


_NUMBERS = (
    _count("cases", "Cases", "Margins compared with the loss that came, one per period and side."),
    _count("breaches", "Breaches", "Cases in which the loss exceeded the margin."),
    _column("target_coverage", "Target coverage", "% of cases", "What the margin aims at."),
    _column(
        "achieved_coverage",
        "Achieved coverage",
        "% of cases",
        "Cases in which the margin sufficed.",
        better="near target",
    ),
    _column(
        "mean_uncovered",
        "Average uncovered",
        "% of notional",
        "Mean loss beyond the margin, over breaches.",
        better="lower",
    ),
    _column(
        "peak_uncovered",
        "Peak uncovered",
        "% of notional",
        "Largest loss beyond the margin.",
        better="lower",
    ),
    _column("mean_margin", "Average margin", "% of notional", "What it costs.", better="lower"),
    *(
        _column(
            key,
            f"Largest increase, {periods} period{'s' * (periods > 1)}",
            "ratio",
            f"Largest ratio of a margin to that of {periods} own periods before.",
            better="lower",
        )
        for key, periods in zip(INCREASES, INCREASE_PERIODS, strict=True)
    ),
    _column(
        "peak_to_trough",
        "Peak to trough",
        "ratio",
        "Highest over lowest margin set in the period.",
        better="lower",
    ),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class DisclosureDisplay:
    """Achieved coverage per reporting period, of the judged policy and the best reactive one.

    Attributes
    ----------
    verdict : Verdict
        Where the numbers come from.
    period : str
        Length of a reporting period as pandas writes it, ``Q`` for quarters.
    """

    verdict: Verdict
    period: str = "Q"

    def frame(self) -> pd.DataFrame:
        """Return the coverage over all instruments and sides, shares: period by policy."""
        tables = {
            policy: pooled_disclosure(disclosure_table(self.verdict, policy, period=self.period))
            for policy in shown(self.verdict)
        }
        return pd.DataFrame(
            {name: table.set_index("period").achieved_coverage for name, table in tables.items()}
        )

    def plot(self, *, ax: Axes | None = None) -> Axes:
        """Draw a mark per period and policy, and the target; never shows or saves."""
        if ax is None:
            ax = Figure(figsize=(9.0, 3.6), layout="constrained").subplots()
        table = self.frame()
        place = np.arange(len(table))
        for policy in table:
            look = look_of(self.verdict, str(policy))
            ax.plot(
                place,
                100.0 * table[policy],
                marker=look.marker,
                markersize=5,
                label=label_of(self.verdict, str(policy)),
                **{**look.of_line(), "linewidth": 0.8},
            )
        target = 100.0 * (1.0 - self.verdict.replay.market.tail_probability)
        ax.axhline(target, color="black", ls="--", lw=1.0, zorder=1, label=f"target {target:g} %")
        step = -(-len(table) // _MOST_TICKS)
        ax.set_xticks(place[::step], table.index[::step], rotation=45, ha="right")
        ax.set_ylabel("coverage, % of cases")
        ax.set_title("Achieved coverage per reporting period", loc="left", pad=24)
        ax.legend(
            fontsize="small", frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0.0, 0.98)
        )
        return ax


@dataclass(frozen=True, kw_only=True)
class _Section:
    """Everything the page says about one margin period of risk."""

    anchor: str
    heading: str
    figure: Picture
    pooled: Table
    instruments: tuple[tuple[str, Table], ...]


def render_disclosure(
    verdicts: Sequence[Verdict], *, context: ReportContext, period: str = "Q"
) -> str:
    """Return the disclosure page as HTML; equal inputs give equal text.

    Parameters
    ----------
    verdicts : sequence of Verdict
        One per margin period of risk; the judged policy is shown beside the best reactive one.
    context : ReportContext
        What to say about the run.
    period : str
        Length of a reporting period as pandas writes it, ``Q`` for quarters.

    Raises
    ------
    InputError
        If there is no verdict, or no such length.
    """
    if not verdicts:
        raise InputError("a disclosure needs at least one verdict, found none; judge a replay")
    return render(
        "disclosure.html",
        context=context,
        sections=[_section(verdict, period) for verdict in verdicts],
        legend=_NUMBERS,
        findings=frame_rows(context.findings),
        findings_open=len(context.findings) <= LONG_FINDINGS,
        colors={"predictive": PREDICTIVE, "reference": REFERENCE},
    )


def _section(verdict: Verdict, period: str) -> _Section:
    tables = {name: disclosure_table(verdict, name, period=period) for name in shown(verdict)}
    both = pd.concat([table.assign(policy=name) for name, table in tables.items()])
    pooled = pd.concat(
        [pooled_disclosure(table).assign(policy=name) for name, table in tables.items()]
    )
    ax = DisclosureDisplay(verdict=verdict, period=period).plot()
    figure = Picture(
        uri=svg_uri(figure_of(ax)),
        alt="Achieved coverage per reporting period against its target",
        caption="All instruments and sides together. With few cases in a period, chance alone "
        "moves the coverage around its target.",
    )
    horizon = verdict.horizon
    return _Section(
        anchor=f"horizon-{horizon}",
        heading=f"Margin over {horizon} period{'s' * (horizon > 1)}",
        figure=figure,
        pooled=_rows(verdict, pooled, ("period", "policy")),
        instruments=tuple(
            (str(name), _rows(verdict, table, ("period", "side", "policy")))
            for name, table in both.groupby("instrument", sort=False)
        ),
    )


def _rows(verdict: Verdict, table: pd.DataFrame, names: tuple[str, ...]) -> Table:
    columns = (*(_name(key, key.capitalize()) for key in names), *_NUMBERS)
    ordered = table.sort_values([key for key in names if key != "policy"], kind="stable")
    rows = tuple(
        Row(
            cells=tuple(column.write(record[column.key]) for column in columns),
            role=role_of(verdict, record["policy"]),
        )
        for record in ordered.to_dict("records")
    )
    return Table(columns=columns, rows=rows)
