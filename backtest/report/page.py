"""The report as one HTML file that needs nothing else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.axes import Axes

from ...errors import InputError
from ..early_warning import LeadTimeDisplay
from ..statement import Outcome, caveats, control_table, outcome, verdict_sentences
from ..verdict import Verdict
from ._images import Picture, figure_of, svg_uri
from ._templates import render
from .coverage import MOST_SERIES, CoverageDisplay, QuintileDisplay
from .displays import FrontierDisplay, ProcyclicalityDisplay, ScoreDisplay
from .episode import EpisodeDisplay
from .matched import FrontierChangeDisplay, coverage_line, instrument_rows, warning_rows
from .murphy import MurphyDisplay
from .palette import PREDICTIVE, REFERENCE
from .responsiveness import responsiveness_rows
from .tables import (
    FULL_COLUMNS,
    Table,
    control_rows,
    frame_rows,
    glance_rows,
    policy_rows,
    score_rows,
    series_rows,
)

_BADGE = {
    Outcome.WINS: "wins",
    Outcome.NO_DIFFERENCE: "open",
    Outcome.LOSES: "loses",
}
LONG_FINDINGS = 8
"""More findings than this are folded away."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ReportContext:
    """What the report says about the run beside its numbers.

    Attributes
    ----------
    title : str
        Head line.
    config_yaml : str
        The resolved experiment.
    command : str
        The command line that makes this report again.
    data : tuple of (str, str)
        Rows that describe the data: label and value.
    notes : tuple of str
        Sentences for the reader, shown with the data.
    findings : pandas.DataFrame
        What the quality checks found, from :func:`~foremargin.markets.findings.findings_frame`.
    provenance : tuple of (str, str)
        Commit, versions, seed, fingerprint: label and value.
    """

    title: str
    config_yaml: str
    command: str
    data: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    findings: pd.DataFrame
    provenance: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class _Section:
    """Everything the page says about one margin period of risk."""

    anchor: str
    heading: str
    period: str
    badge: str
    outcome: str
    trusted: bool
    sentences: tuple[str, ...]
    caveats: tuple[str, ...]
    predictive: str
    reference: str
    glance: tuple[tuple[str, str, str, str], ...]
    plain: Table
    full: Table
    figures: tuple[Picture, ...]
    coverage_figure: Picture
    controls: Table
    by_instrument: Table
    warning_sentence: str
    warning_figure: Picture | None
    warning_rows: Table | None
    responsiveness: Table | None
    series: Table


def render_report(
    verdicts: Sequence[Verdict], *, scores: pd.DataFrame, context: ReportContext
) -> str:
    """Return the report as HTML; equal inputs give equal text.

    Parameters
    ----------
    verdicts : sequence of Verdict
        One per margin period of risk, in the order in which they are shown.
    scores : pandas.DataFrame
        Forecast skill, from :func:`~foremargin.backtest.score_forecasts`; may be empty.
    context : ReportContext
        What to say about the run.

    Raises
    ------
    InputError
        If there is no verdict.
    """
    if not verdicts:
        raise InputError("a report needs at least one verdict, found none; judge a replay first")
    horizons = [] if scores.empty else [int(h) for h in scores.horizon.unique()]
    return render(
        "report.html",
        context=context,
        sections=[_section(verdict) for verdict in verdicts],
        legend=[column for column in FULL_COLUMNS if column.meaning],
        score_figure=None if scores.empty else _score_figure(scores),
        score_tables=[(h, score_rows(scores, horizon=h)) for h in horizons],
        findings=frame_rows(context.findings),
        findings_open=len(context.findings) <= LONG_FINDINGS,
        colors={"predictive": PREDICTIVE, "reference": REFERENCE},
    )


def _section(verdict: Verdict) -> _Section:
    controls = control_table(verdict)
    result = outcome(verdict)
    return _Section(
        anchor=f"horizon-{verdict.horizon}",
        heading=_heading(verdict),
        period=_test_period(verdict),
        badge=_BADGE[result],
        outcome=result.value,
        trusted=bool(controls.behaved.all()) and not verdict.replay.leaking,
        sentences=verdict_sentences(verdict),
        caveats=caveats(verdict),
        predictive=verdict.predictive,
        reference=verdict.reference,
        glance=(*glance_rows(verdict), coverage_line(verdict)),
        plain=policy_rows(verdict, full=False),
        full=policy_rows(verdict, full=True),
        figures=tuple(_figures(verdict)),
        coverage_figure=_coverage_figure(verdict),
        controls=control_rows(verdict),
        by_instrument=instrument_rows(verdict),
        warning_sentence=verdict.warnings.sentence(),
        warning_figure=_warning_figure(verdict),
        warning_rows=warning_rows(verdict),
        responsiveness=responsiveness_rows(verdict),
        series=series_rows(verdict),
    )


def _heading(verdict: Verdict) -> str:
    count = "1 period" if verdict.horizon == 1 else f"{verdict.horizon} periods"
    length = verdict.replay.market.history.panel.period
    return f"Margin period of risk: {count} of {_span(length)}"


def _span(length: pd.Timedelta) -> str:
    hours = length / pd.Timedelta(hours=1)
    days = hours / 24.0
    if days >= 1.0:
        return "one day" if days == 1.0 else f"{days:g} days"
    return "one hour" if hours == 1.0 else f"{hours:g} hours"


def _test_period(verdict: Verdict) -> str:
    replayed = verdict.replay
    origin = pd.DatetimeIndex(replayed.origin)
    test = origin[replayed.in_test]
    n_cells = int(verdict.series.n[verdict.series.policy == verdict.predictive].sum())
    return (
        f"Validation from {origin[0]:%d %b %Y}; test {test[0]:%d %b %Y} to {test[-1]:%d %b %Y}: "
        f"{n_cells:,} cases (one per period, instrument and side) on {len(replayed.instruments)} "
        "instruments."
    )


_COVERAGE_CAPTION = (
    "Dots on the dashed line are on target; an interval that misses it is a series whose breaches "
    "chance does not explain (5 % of intervals do by chance). Overlapping outcomes count once."
)


def _coverage_figure(verdict: Verdict) -> Picture:
    display, caption = CoverageDisplay(verdict=verdict), _COVERAGE_CAPTION
    if int(verdict.row(verdict.predictive)["series"]) > MOST_SERIES:
        caption += f" Only the {MOST_SERIES} series furthest from the target are drawn."
    return _figure(display.plot(), "Breach rate per series", caption)


def _figures(verdict: Verdict) -> Iterator[Picture]:
    episode = EpisodeDisplay.from_verdict(verdict)
    yield _figure(
        episode.plot(),
        f"Worst stress: {episode.title()}",
        "The 60 trading days with the largest shortfall over all plain policies together, relative "
        "to the instrument's usual loss. Bars are losses, a cross is a loss that the margin of "
        "that colour did not cover.",
    )
    yield _figure(
        FrontierDisplay(verdict=verdict).plot(),
        "Total shortfall against mean margin",
        "Every policy scaled up and down. At one cost, the lower curve protects better; where "
        "curves cross, it depends on the cost. Marks show where each policy works unscaled.",
    )
    yield _figure(
        FrontierChangeDisplay(verdict=verdict).plot(),
        "Change in shortfall at every cost",
        "Both policies scaled to the same mean margin over the test period. Below the dashed line "
        "the predictive margin leaves less uncovered; where the band holds zero, chance explains "
        "the difference. Blocks of days are resampled together for both.",
    )
    yield _figure(
        MurphyDisplay(verdict=verdict).plot(),
        "Difference of every elementary score",
        "The quantile loss is one of many scores under which the true margin is best; each is a "
        "mixture of these. Where the curve is below the dashed line the predictive margin is "
        "better; if it is so everywhere, under every score.",
    )
    yield _figure(
        QuintileDisplay(verdict=verdict).plot(),
        "Breach rate by volatility quintile",
        "A policy that is right only on average is too dear in calm (left) and too thin in stress "
        "(right). The band holds 95 % of the rates that chance alone would give a perfect margin; "
        "shared shocks widen it.",
    )
    yield _figure(
        ProcyclicalityDisplay(verdict=verdict).plot(),
        "Peak-to-trough against quantile loss",
        "How much the margin moves (up) against how well it scores (left is better). Controls are "
        "left out.",
    )


def _warning_figure(verdict: Verdict) -> Picture | None:
    comparison = verdict.warnings.comparison
    if comparison is None:
        return None
    return _figure(
        LeadTimeDisplay(comparison=comparison).plot(),
        "Share of onsets of stress that a margin had risen before, by days left",
        "An onset is volatility above the 95 % quantile of the instrument's past after twenty days "
        "without. Further up and further left is earlier. Brackets: 90 % interval of the hit rate.",
    )


def _score_figure(scores: pd.DataFrame) -> Picture:
    return _figure(
        ScoreDisplay(scores=scores).plot(),
        "QLIKE per model and horizon",
        "Error of the variance forecasts; further left is better, the black diamond is the best of "
        "its horizon. Levels differ between horizons and cannot be compared.",
    )


def _figure(drawn: Axes | tuple[Axes, ...], alt: str, caption: str) -> Picture:
    ax = drawn[0] if isinstance(drawn, tuple) else drawn
    return Picture(uri=svg_uri(figure_of(ax)), alt=alt, caption=caption)
