"""The page of a scenario: tables and pictures of one dated window, for every policy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ...errors import InputError
from ..replayed_scenario import ReplayedScenario
from ._images import Picture, figure_of, svg_uri
from ._templates import render
from .page import LONG_FINDINGS, ReportContext
from .palette import PREDICTIVE, REFERENCE
from .scenario_displays import (
    CumulatedShortfallDisplay,
    RelativeMarginDisplay,
    instrument_displays,
    shown_policies,
)
from .tables import NOT_KNOWN, Column, Row, Table, frame_rows, number, percentage, role_of, text

MOST_INSTRUMENTS = 12
"""Instruments that have a picture of their own; the worst hit."""

_NUMBERS = (
    Column(
        key="breaches",
        title="Breaches",
        unit="cases",
        better="near target",
        meaning="Cases (one per period, instrument and side) in which the loss exceeded the "
        "margin.",
        write=number("{:.0f}"),
    ),
    Column(
        key="shortfall",
        title="Shortfall",
        unit="notionals",
        better="lower",
        meaning="Losses beyond the margin, summed.",
        write=number("{:.3f}"),
    ),
    Column(
        key="worst_shortfall",
        title="Worst shortfall",
        unit="notionals",
        better="lower",
        meaning="The largest loss beyond the margin.",
        write=number("{:.3f}"),
    ),
    Column(
        key="mean_margin",
        title="Mean margin",
        unit="% of notional",
        better="lower",
        meaning="What the policy costs its clients; compare shortfalls only at equal cost.",
        write=percentage,
    ),
    Column(
        key="quantile_loss",
        title="Quantile loss",
        unit="% of notional",
        better="lower",
        meaning="Mean margin plus uncovered loss divided by the target breach rate: cost and "
        "protection in one number.",
        write=percentage,
    ),
    Column(
        key="peak_to_trough",
        title="Peak to trough",
        unit="ratio",
        better="lower",
        meaning="Largest over smallest margin of a series in the window; median of series.",
        write=number("{:.2f}"),
    ),
    Column(
        key="largest_increase_5",
        title="Largest increase, 5 periods",
        unit="ratio",
        better="lower",
        meaning="Largest ratio of a margin to that of 5 periods before; median of series.",
        write=number("{:.2f}"),
    ),
)
_BEFORE_DAY = Column(
    key="before_day",
    title="As the marked day began",
    unit="ratio to the first margin",
    better="",
    meaning="The last margin that did not know of the marked day, over the first of the window; "
    "median of series.",
    write=number("{:.2f}"),
)
_FIRST_RISE = Column(
    key="first_rise_days",
    title="First rise of 10 %",
    unit="days from the marked day",
    better="0 or less",
    meaning="When the median of series first stood 10 % above the start of the window, counted "
    "from the start of the marked day: 0 or less is before the day, a dash is never.",
    write=lambda value: (
        f"{value:+.3g}".replace("-", "\N{MINUS SIGN}") if pd.notna(value) else NOT_KNOWN
    ),
)


def _name(key: str, title: str) -> Column:
    return Column(key=key, title=title, unit="", better="", meaning="", write=text)


@dataclass(frozen=True, kw_only=True)
class _Section:
    """Everything the page says about one margin period of risk."""

    anchor: str
    heading: str
    period: str
    sentences: tuple[str, ...]
    plain: Table
    full: Table
    figures: tuple[Picture, ...]
    more_figures: tuple[Picture, ...]
    series: Table


def render_scenario(
    episodes: Sequence[ReplayedScenario], *, context: ReportContext, policies: Sequence[str] = ()
) -> str:
    """Return the page of a scenario as HTML; equal inputs give equal text.

    Parameters
    ----------
    episodes : sequence of ReplayedScenario
        Of one scenario, one per margin period of risk.
    context : ReportContext
        What to say about the run.
    policies : sequence of str
        Names of the policies to show; by default see :func:`shown_policies`.

    Raises
    ------
    InputError
        If there is no episode.
    """
    if not episodes:
        raise InputError("a page of a scenario needs at least one episode, found none; replay it")
    return render(
        "scenario.html",
        context=context,
        scenario=episodes[0].scenario,
        sections=[_section(episode, policies) for episode in episodes],
        legend=[*_NUMBERS, _BEFORE_DAY, _FIRST_RISE],
        findings=frame_rows(context.findings),
        findings_open=len(context.findings) <= LONG_FINDINGS,
        colors={"predictive": PREDICTIVE, "reference": REFERENCE},
    )


def _section(episode: ReplayedScenario, policies: Sequence[str]) -> _Section:
    horizon, table = episode.horizon, episode.frame().reset_index()
    shown = shown_policies(episode, policies)
    displays = instrument_displays(episode, policies)
    pictures = [
        _figure(
            display.plot(),
            display.title(),
            "Bars are losses, a cross is a loss that the margin of that colour did not cover; the "
            "dashed line is the start of the marked day.",
        )
        for display in displays[:MOST_INSTRUMENTS]
    ]
    series = episode.series()
    drawn = displays[0].policies
    return _Section(
        anchor=f"horizon-{horizon}",
        heading=f"Margin over {horizon} period{'s' * (horizon > 1)}",
        period=_period(episode, cases=int(table.cases.iloc[0])),
        sentences=_sentences(episode),
        plain=_rows(episode, table[table.policy.isin(shown)]),
        full=_rows(episode, table),
        figures=(pictures[0], *_pooled_figures(episode, tuple(policies))),
        more_figures=tuple(pictures[1:]),
        series=_series_rows(episode, series[series.policy.isin(drawn)]),
    )


def _period(episode: ReplayedScenario, *, cases: int) -> str:
    first, last = episode.origin[0], episode.origin[-1]
    target, horizon = episode.replay.market.tail_probability, episode.horizon
    said = (
        f"Margins set {first:%d %b %Y} to {last:%d %b %Y}: {cases:,} cases (one per period, "
        f"instrument and side) of {', '.join(dict.fromkeys(episode.series().instrument))}; the "
        f"target of {100 * target:g} % is {target * cases:.1f} breaches."
    )
    if horizon > 1:
        said += f" Losses over {horizon} periods overlap: one move counts up to {horizon} times."
    return said


def _sentences(episode: ReplayedScenario) -> tuple[str, ...]:
    """Say what the judged policy and the best reactive one did, side by side."""
    records = {
        record["policy"]: record for record in episode.frame().reset_index().to_dict("records")
    }
    found = []
    for role, policy in (("Judged", episode.predictive), ("Best reactive", episode.reference)):
        row = records[policy]
        found.append(
            f"{role}: {policy} left {row['breaches']:.0f} breaches and {row['shortfall']:.3f} "
            f"notionals uncovered, the worst {row['worst_shortfall']:.3f}, at a mean margin of "
            f"{100 * row['mean_margin']:.2f} %; {_rose(row)}."
        )
    return tuple(found)


def _rose(row: Mapping[Any, Any]) -> str:
    """Say in words when margins rose."""
    stood = f"as the day began it stood at {row['before_day']:.2f} times the start of the window"
    days = float(row["first_rise_days"])
    if not np.isfinite(days):
        return f"{stood} and never rose 10 % above it"
    when = f"{abs(days):.3g} day{'s' * (abs(days) != 1.0)}"
    side = f"{when} after" if days > 0.0 else f"{when} before" if days < 0.0 else "at"
    return f"{stood}, and it was first 10 % above it {side} the start of the marked day"


def _pooled_figures(
    episode: ReplayedScenario, policies: tuple[str, ...]
) -> tuple[Picture, Picture]:
    return (
        _figure(
            CumulatedShortfallDisplay(episode=episode, policies=policies).plot(),
            "Cumulated shortfall per policy",
            "A step is a loss beyond the margin, at the time that margin was set. A policy that "
            "costs more may well be lower: the table has the costs.",
        ),
        _figure(
            RelativeMarginDisplay(episode=episode, policies=policies).plot(),
            "Margin relative to the start of the window, per policy",
            "Each series over its first margin in the window, then the median. What rises left of "
            "the dashed line did not know of the day; what rises right of it reacted.",
        ),
    )


def _rows(episode: ReplayedScenario, table: pd.DataFrame) -> Table:
    columns = (_name("policy", "Policy"), *_NUMBERS, _BEFORE_DAY, _FIRST_RISE)
    worst = float(table.quantile_loss.max())
    rows = tuple(
        Row(
            cells=tuple(column.write(record[column.key]) for column in columns),
            role=role_of(episode, record["policy"]),
            bar=round(100.0 * float(record["quantile_loss"]) / worst, 1),
        )
        for record in table.to_dict("records")
    )
    return Table(columns=columns, rows=rows)


def _series_rows(episode: ReplayedScenario, table: pd.DataFrame) -> Table:
    names = (_name("instrument", "Instrument"), _name("side", "Side"), _name("policy", "Policy"))
    columns = (*names, *_NUMBERS)
    rows = tuple(
        Row(
            cells=tuple(column.write(record[column.key]) for column in columns),
            role=role_of(episode, record["policy"]),
        )
        for record in table.to_dict("records")
    )
    return Table(columns=columns, rows=rows)


def _figure(drawn: Axes | tuple[Axes, ...], alt: str, caption: str) -> Picture:
    ax = drawn[0] if isinstance(drawn, tuple) else drawn
    return Picture(uri=svg_uri(figure_of(ax)), alt=alt, caption=caption)
