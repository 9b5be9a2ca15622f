"""The page about forecast skill: tables, figures, and what they say in a few sentences."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from ..family_scores import CONFIDENCE_SET_SIZE
from ..scores import Grouping
from ..side_by_side import Family, SideBySide, row_notes
from ..statement import percent
from ._images import Picture, figure_of, svg_uri
from ._templates import render
from .calibration import HitRateDisplay, ReliabilityDisplay, VarianceCalibrationDisplay
from .page import LONG_FINDINGS, ReportContext
from .palette import PREDICTIVE, REFERENCE
from .panels import ahead, shown_models, with_rows
from .score_tables import (
    ACCURACY_COLUMNS,
    LIQUIDITY_COLUMNS,
    MARKS,
    STRESS_COLUMNS,
    group_table,
    score_table,
    where_table,
)
from .skill import AdvantageDisplay, SkillDisplay
from .state_tables import COST_COLUMNS, REGIME_COLUMNS, STATE_TABLES, state_sentences
from .tables import Table, frame_rows

_MOST_NAMES = 5
_BY_GROUP = (
    *("qlike_loss", "fz0_loss", "hits_lower", "hits_upper"),
    *("ranked_probability_loss", "liquidity_cost_qlike_loss"),
)
_ALL_COLUMNS = (*ACCURACY_COLUMNS, *STRESS_COLUMNS, *REGIME_COLUMNS, *COST_COLUMNS)
_EVENTS = (
    (Family.STRESS, "stress", STRESS_COLUMNS),
    (Family.LIQUIDITY_STRESS, "liquidity stress", LIQUIDITY_COLUMNS),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """Forecasts side by side, and what was made of them.

    Attributes
    ----------
    compared : tuple of SideBySide
        One per horizon, from :func:`~foremargin.backtest.side_by_side`.
    pooled : pandas.DataFrame
        From :func:`~foremargin.backtest.score_side_by_side`.
    grouped : mapping of Grouping to pandas.DataFrame
        The same per instrument and per tercile of volatility.
    seed : int
        Of the intervals.
    """

    compared: tuple[SideBySide, ...]
    pooled: pd.DataFrame
    grouped: Mapping[Grouping, pd.DataFrame]
    seed: int = 0

    def row_notes(self) -> tuple[str, ...]:
        """Say which models are silent, and how many rows that costs the others."""
        return row_notes(self.compared)


@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluationFigure:
    """One figure of the page.

    Attributes
    ----------
    name : str
        For a file, without ending.
    title, caption : str
        What it shows, and how to read it.
    figure : matplotlib.figure.Figure
        The drawing.
    """

    name: str
    title: str
    caption: str
    figure: Figure


@dataclass(frozen=True, kw_only=True)
class _Section:
    """What the page says about one horizon; tables come with their headings."""

    anchor: str
    heading: str
    sentences: tuple[str, ...]
    tables: tuple[tuple[str, Table], ...]
    details: tuple[tuple[str, Table], ...]


def evaluation_figures(evaluation: Evaluation) -> Iterator[EvaluationFigure]:
    """Draw the figures that the forecasts allow.

    Parameters
    ----------
    evaluation : Evaluation
        What to draw.
    """
    compared, models = evaluation.compared, shown_models(evaluation.pooled)
    if with_rows(compared, Family.VARIANCE):
        yield EvaluationFigure(
            name="skill",
            title="Skill of the variance forecasts",
            caption="How far mean QLIKE lies below the reference's; right is better. Lines are "
            "90 % intervals of the difference (block bootstrap); blue bars are surely better, "
            "orange ones surely worse, grey ones neither.",
            figure=figure_of(SkillDisplay(compared=compared, seed=evaluation.seed).plot()[0]),
        )
        yield EvaluationFigure(
            name="advantage",
            title="When a model wins",
            caption="QLIKE saved against the reference, added up. A model wins where its line "
            "rises; one jump means that one day made the difference.",
            figure=figure_of(AdvantageDisplay(compared=compared, models=models).plot()[0]),
        )
        display = VarianceCalibrationDisplay(compared=compared, models=models)
        yield EvaluationFigure(
            name="variance_calibration",
            title="Calibration of the variance",
            caption="Realised over forecast variance by decile of the forecast within each "
            "instrument (Mincer and Zarnowitz 1969, bin by bin). Flat at one is best; a falling "
            "line is a forecast that reacts too strongly.",
            figure=figure_of(display.plot()[0]),
        )
    for family, name, _ in _EVENTS:
        reliability = ReliabilityDisplay(compared=compared, models=models, family=family)
        if reliability.drawable():
            yield EvaluationFigure(
                name=f"reliability_{family}",
                title=f"Reliability of the probability of {name}",
                caption="Share of events seen against the probability said, in ten bins of equal "
                "size; the diagonal is best. Vertical lines: 95 % intervals of the first model, "
                "too narrow where instruments move together.",
                figure=figure_of(reliability.plot()[0]),
            )
    hits = HitRateDisplay(compared=compared, models=models)
    if hits.drawable():
        yield EvaluationFigure(
            name="hit_rates",
            title=f"Tails over time, {ahead(hits.horizon)}",
            caption="Share of returns beyond the 1 % value at risk in a moving window. The band "
            "holds 95 % of the rates that chance alone would give a right one, if instruments "
            "moved apart; shared shocks widen it.",
            figure=figure_of(hits.plot()[0]),
        )


def render_evaluation(
    evaluation: Evaluation, *, figures: Sequence[EvaluationFigure], context: ReportContext
) -> str:
    """Return the page as HTML; equal inputs give equal text.

    Parameters
    ----------
    evaluation : Evaluation
        What to show.
    figures : sequence of EvaluationFigure
        From :func:`evaluation_figures`.
    context : ReportContext
        What to say about the run.
    """
    drawn = [
        (one.title, Picture(uri=svg_uri(one.figure), alt=one.title, caption=one.caption))
        for one in figures
    ]
    return render(
        "evaluation.html",
        context=context,
        sections=[_section(evaluation, one.horizon) for one in evaluation.compared],
        marks=MARKS,
        row_notes=evaluation.row_notes(),
        figures=drawn,
        legend=_ALL_COLUMNS,
        findings=frame_rows(context.findings),
        findings_open=len(context.findings) <= LONG_FINDINGS,
        colors={"predictive": PREDICTIVE, "reference": REFERENCE},
    )


def _section(evaluation: Evaluation, horizon: int) -> _Section:
    scores = _at(evaluation.pooled, horizon)
    grouped = {by: _at(table, horizon) for by, table in evaluation.grouped.items()}
    tables = [("Variance and tails", score_table(scores, ACCURACY_COLUMNS))]
    for _, name, columns in _EVENTS:
        if scores[columns[0].key].notna().any():
            tables.append((f"Probability of {name}", score_table(scores, columns)))
    for heading, columns in STATE_TABLES:
        if scores[columns[0].key].notna().any():
            tables.append((heading, score_table(scores, columns)))
    where = where_table(scores, list(grouped.items()))
    if where.rows:
        tables.append((f"Where {scores.model.iloc[0]} wins", where))
    details = [
        (f"{column.title} by {by.value}", group_table(table, column, by=by))
        for by, table in grouped.items()
        for column in _ALL_COLUMNS
        if column.key in _BY_GROUP and table[column.key].notna().any()
    ]
    return _Section(
        anchor=f"horizon-{horizon}",
        heading=ahead(horizon).capitalize(),
        sentences=tuple(_sentences(scores)),
        tables=tuple(tables),
        details=tuple(details),
    )


def _at(scores: pd.DataFrame, horizon: int) -> pd.DataFrame:
    return scores[scores.horizon == horizon].reset_index(drop=True)


def _sentences(scores: pd.DataFrame) -> Iterator[str]:
    for name, column, prefix, n in (
        ("QLIKE", "qlike_loss", "", "n"),
        ("FZ0 of the 1 % tails", "fz0_loss", "fz0_", "n_tails"),
    ):
        ranked = scores.dropna(subset=column).sort_values(column, kind="stable")
        if len(ranked):
            best = ranked.iloc[0]
            inside = ranked[ranked[f"{prefix}confidence_set_p_value"] > CONFIDENCE_SET_SIZE]
            others = [str(model) for model in inside.model if model != best.model]
            yield (
                f"By {name}, {best.model} is best ({best[column]:.4f} on {best[n]:,} rows)"
                f"{_tied(others)}."
            )
    for family, name, columns in _EVENTS:
        prefix = columns[0].key.removesuffix("brier_loss")
        ranked = scores.dropna(subset=columns[0].key).sort_values(columns[0].key, kind="stable")
        if len(ranked):
            best = ranked.iloc[0]
            yield (
                f"{name.capitalize()} follows {percent(best[f'{prefix}stress_rate'])} of "
                f"{best[f'n_{family}']:,} rows; {best.model} says so best (Brier skill "
                f"{best[f'{prefix}brier_skill_score']:.3f})." + _onset_sentence(scores, prefix)
            )
    yield from state_sentences(scores)


def _tied(others: Sequence[str]) -> str:
    if not others:
        return ""
    more = f" and {len(others) - _MOST_NAMES} more" if len(others) > _MOST_NAMES else ""
    return f" and cannot be told from {', '.join(others[:_MOST_NAMES])}{more} (90 % set)"


def _onset_sentence(scores: pd.DataFrame, prefix: str) -> str:
    column = f"{prefix}onset_pr_auc"
    ranked = scores.dropna(subset=column).sort_values(column, ascending=False, kind="stable")
    if not len(ranked):
        return ""
    best = ranked.iloc[0]
    return (
        f" Where it is calm now, it follows {percent(best[f'{prefix}onset_rate'])}, and "
        f"{best.model} ranks these best (PR-AUC {best[f'{prefix}onset_pr_auc']:.3f})."
    )
