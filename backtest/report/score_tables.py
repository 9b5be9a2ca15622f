"""Tables of forecast skill: the same numbers and marks in the terminal and on the page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ...models import TAIL_PROBABILITIES
from ..family_scores import CONFIDENCE_SET_SIZE, REFERENCE_MODEL
from ..scores import Grouping
from .tables import NOT_KNOWN, Column, Row, Table

SIGNIFICANCE_LEVEL = 0.05
"""A difference with a smaller p-value is marked."""

_REFERENCE = f"{REFERENCE_MODEL} (regimes: of past transitions, cost of trading: of the cost now)"

MARKS = (
    ("*", "best of its column"),
    ("=", "in the 90 % model confidence set: cannot be told from the best"),
    ("<", f"loss below that of {_REFERENCE}, Diebold-Mariano, 5 %"),
    (">", "loss above that"),
)
"""What may stand behind a number, and what it means."""

_P_VALUE = "p-value"  # a pattern of its own: no other number may be written as "<.001"


class Better(StrEnum):
    """Which value of a column is best."""

    LOWER = "lower"
    HIGHER = "higher"
    ONE = "near 1"
    ONE_PERCENT = "near 1 %"
    NEITHER = ""


@dataclass(frozen=True, kw_only=True)
class ScoreColumn:
    """One score as a column.

    Attributes
    ----------
    key : str
        Column of the scores.
    short : str
        Heading in the terminal.
    title, unit : str
        Heading on the page.
    better : Better
        What is marked as best.
    pattern : str
        How the number is written.
    compared : str or None
        Prefix of the columns with the comparisons that are marked; None without.
    reference : str
        End of the names of the columns with the comparison that gives ``<`` and ``>``.
    count : str
        Column with the number of rows that were scored.
    meaning : str
        One sentence for the legend.
    """

    key: str
    short: str
    title: str
    better: Better
    pattern: str
    meaning: str
    unit: str = ""
    compared: str | None = None
    reference: str = "log_har"
    count: str = "n"


def _fz0(key: str, tail: str, compared: str | None = None) -> ScoreColumn:
    return ScoreColumn(
        key=key,
        short=f"FZ0\n{tail} %",
        title=f"FZ0, {tail} %",
        unit="% returns",
        better=Better.LOWER,
        pattern="{:.3f}",
        compared=compared,
        meaning=f"Joint loss of value at risk and expected shortfall at {tail} %, mean of sides.",
    )


def _hits(side: str, name: str) -> ScoreColumn:
    return ScoreColumn(
        key=f"hits_{side}",
        short=f"hits\n{name}",
        title=f"Hits, {name}",
        unit="of rows",
        better=Better.ONE_PERCENT,
        pattern="{:.2%}",
        meaning=f"Rows in which a {name} position lost more than its 1 % value at risk.",
    )


def p_value_column(key: str, what: str, *, against: str = "", short: str = "p") -> ScoreColumn:
    """Return the column of a test of equal losses.

    Parameters
    ----------
    key : str
        Column of the scores.
    what : str
        The loss.
    against : str
        What the model is compared with; the best other model if empty.
    short : str
        Heading in the terminal.
    """
    other = against or "the best other model"
    return ScoreColumn(
        key=key,
        short=short,
        title="p",
        unit=f"to {against}" if against else "best other",
        better=Better.NEITHER,
        pattern=_P_VALUE,
        meaning=f"Diebold-Mariano test of equal {what} against {other}.",
    )


ACCURACY_COLUMNS: tuple[ScoreColumn, ...] = (
    ScoreColumn(
        key="n_own",
        short="rows",
        title="Rows",
        unit="own",
        better=Better.NEITHER,
        pattern="{:,.0f}",
        meaning="Rows with an outcome for which the model has a variance; scores use shared rows.",
    ),
    ScoreColumn(
        key="qlike_loss",
        short="QLIKE",
        title="QLIKE",
        better=Better.LOWER,
        pattern="{:.4f}",
        compared="",
        meaning="Error of the variance as a ratio, zero if exact.",
    ),
    p_value_column("dm_p_value", "QLIKE"),
    ScoreColumn(
        key="mse_ratio",
        short="MSE/\nHAR",
        title="MSE",
        unit=f"ratio to {REFERENCE_MODEL}",
        better=Better.LOWER,
        pattern="{:.3f}",
        meaning=f"Squared error of the variance over that of {REFERENCE_MODEL}; a few rows decide.",
    ),
    ScoreColumn(
        key="bias",
        short="bias",
        title="Realised over forecast",
        better=Better.ONE,
        pattern="{:.2f}",
        meaning="Mean ratio of variances; above one the forecast is too low.",
    ),
    _fz0("fz0_loss", "1", "fz0_"),
    p_value_column("fz0_dm_p_value", "FZ0 at 1 %"),
    _fz0("fz0_loss_0.025", "2.5"),
    _fz0("fz0_loss_0.05", "5"),
    _hits("lower", "long"),
    _hits("upper", "short"),
)
"""Variance and tails."""


_EVENT_ROWS: Sequence[tuple[str, str, str, str, Better, str, str]] = (
    ("brier_loss", "Brier", "Brier", "", Better.LOWER, "{:.4f}", "Mean squared error of"),
    (
        "brier_skill_score",
        "skill",
        "Brier skill",
        "to base rate",
        Better.HIGHER,
        "{:.3f}",
        "One minus Brier over that of the base rate;",
    ),
    (
        "pr_auc",
        "PR",
        "PR-AUC",
        "",
        Better.HIGHER,
        "{:.3f}",
        "Average precision of the ranking by",
    ),
    (
        "onset_pr_auc",
        "onset\nPR",
        "Onset PR-AUC",
        "calm now",
        Better.HIGHER,
        "{:.3f}",
        "The same where there is no such stress at the origin, for",
    ),
    (
        "calibration_error",
        "ECE",
        "Calibration error",
        "",
        Better.LOWER,
        "{:.1%}",
        "Mean distance of said and seen in ten bins of",
    ),
)


def _event_columns(prefix: str, name: str) -> tuple[ScoreColumn, ...]:
    return tuple(
        ScoreColumn(
            key=prefix + key,
            short=short,
            title=title,
            unit=unit,
            better=better,
            pattern=pattern,
            meaning=f"{meaning} the probability of {name}.",
        )
        for key, short, title, unit, better, pattern, meaning in _EVENT_ROWS
    )


STRESS_COLUMNS = _event_columns("", "stress")
"""Probability of stress."""

LIQUIDITY_COLUMNS = _event_columns("liquidity_", "liquidity stress")
"""Probability of liquidity stress."""


def score_table(scores: pd.DataFrame, columns: Sequence[ScoreColumn]) -> Table:
    """Write the scores of one horizon, marks behind the numbers.

    Parameters
    ----------
    scores : pandas.DataFrame
        Rows of :func:`~foremargin.backtest.score_forecasts` for one horizon.
    columns : sequence of ScoreColumn
        What to show; models without any of it are left out.
    """
    shown = [column.key for column in columns if column.key != "n_own"]
    scores = scores[scores[shown].notna().any(axis=1)]
    cells = [list(scores.model), *(_cells(scores, column) for column in columns)]
    return Table(
        columns=(_MODEL, *(_heading(column) for column in columns)),
        rows=tuple(Row(cells=row, role=_role(row[0])) for row in zip(*cells, strict=True)),
    )


def group_table(scores: pd.DataFrame, column: ScoreColumn, *, by: Grouping) -> Table:
    """Write one score of one horizon, a column per group.

    Parameters
    ----------
    scores : pandas.DataFrame
        Grouped scores of one horizon.
    column : ScoreColumn
        What to show.
    by : Grouping
        How the scores are grouped.
    """
    groups = list(dict.fromkeys(scores[by.value]))
    parts = {name: scores[scores[by.value] == name].set_index("model") for name in groups}
    mean = pd.concat([part[column.key] for part in parts.values()], axis=1).mean(axis=1)
    models = [str(m) for m in mean.sort_values(kind="stable").dropna().index]
    written = [_cells(part.reindex(models), column) for part in parts.values()]
    headings = (
        Column(key=name, title=name, unit=_rows_of(part, column), better="", meaning="", write=str)
        for name, part in parts.items()
    )
    return Table(
        columns=(_MODEL, *headings),
        rows=tuple(
            Row(cells=row, role=_role(row[0])) for row in zip(models, *written, strict=True)
        ),
    )


def where_table(pooled: pd.DataFrame, grouped: Sequence[tuple[Grouping, pd.DataFrame]]) -> Table:
    """Write, for every group of one horizon, who is best and how the pooled winner does there.

    Parameters
    ----------
    pooled : pandas.DataFrame
        Scores of one horizon, best QLIKE first.
    grouped : sequence of (Grouping, pandas.DataFrame)
        The same in groups.
    """
    winner = str(pooled.model.iloc[0])
    rows: list[Row] = []
    for by, scores in grouped:
        for name, group in scores.groupby(by.value, sort=False):
            ranked = group.dropna(subset="qlike_loss").reset_index(drop=True)
            if winner in set(ranked.model):
                rows.append(Row(cells=(str(name), *_where(ranked, winner))))
    heads = (
        ("Rows", "shared"),
        ("Best by QLIKE", ""),
        ("QLIKE", "best"),
        ("QLIKE", "its"),
        ("Rank", "its"),
        (f"To {REFERENCE_MODEL}", "its"),
        ("p", f"to {REFERENCE_MODEL}"),
        ("90 % set", "models"),
    )
    columns = (
        Column(key=f"c{k}", title=title, unit=unit, better="", meaning="", write=str)
        for k, (title, unit) in enumerate((("Group", ""), *heads))
    )
    return Table(columns=tuple(columns), rows=tuple(rows))


def _where(ranked: pd.DataFrame, winner: str) -> tuple[str, ...]:
    at = int(np.flatnonzero(ranked.model == winner)[0])
    best, own = ranked.iloc[0], ranked.iloc[at]
    reference = ranked.loc[ranked.model == REFERENCE_MODEL, "qlike_loss"]
    change = own.qlike_loss / reference.iloc[0] - 1.0 if len(reference) else np.nan
    inside = (ranked.confidence_set_p_value > CONFIDENCE_SET_SIZE).sum()
    return (
        f"{own.n:,}",
        str(best.model),
        f"{best.qlike_loss:.4f}",
        f"{own.qlike_loss:.4f}",
        f"{at + 1} of {len(ranked)}",
        f"{change:+.1%}" if np.isfinite(change) else NOT_KNOWN,
        _number(own.dm_p_value_log_har, _P_VALUE),
        str(inside) if ranked.confidence_set_p_value.notna().any() else NOT_KNOWN,
    )


_MODEL = Column(key="model", title="Model", unit="", better="", meaning="", write=str)


def _heading(column: ScoreColumn) -> Column:
    return Column(
        key=column.key,
        title=column.title,
        unit=column.unit,
        better=column.better.value,
        meaning=column.meaning,
        write=str,
    )


def _cells(scores: pd.DataFrame, column: ScoreColumn) -> list[str]:
    """Write numbers with their marks, as many characters each, so that the digits line up."""
    values = scores[column.key].to_numpy(dtype=np.float64)
    written = [_number(value, column.pattern) for value in values]
    for marks in _marks(scores, column, values):
        written = [text + mark for text, mark in zip(written, marks, strict=True)]
    return written


def _marks(
    scores: pd.DataFrame, column: ScoreColumn, values: NDArray[np.float64]
) -> Iterator[NDArray[np.str_]]:
    if column.better is not Better.NEITHER:
        distance = _distance(values, column.better)
        best = np.min(distance, where=np.isfinite(distance), initial=np.inf)
        yield np.where(distance == best, "*", " ")
    if column.compared is not None:
        end = f"_{column.reference}"
        p_value = scores[f"{column.compared}dm_p_value{end}"].to_numpy(dtype=np.float64)
        t = scores[f"{column.compared}dm_t{end}"].to_numpy(dtype=np.float64)
        inside = scores[f"{column.compared}confidence_set_p_value"].to_numpy(dtype=np.float64)
        sure = p_value < SIGNIFICANCE_LEVEL
        yield np.where(inside > CONFIDENCE_SET_SIZE, "=", " ")
        yield np.where(sure & (t < 0.0), "<", np.where(sure & (t > 0.0), ">", " "))


def _distance(values: NDArray[np.float64], better: Better) -> NDArray[np.float64]:
    """How far each value is from the best there could be; only the order counts."""
    if better is Better.HIGHER:
        return -values
    if better is Better.LOWER:
        return values
    # Twice as often as wanted is as wrong as half as often.
    target = 1.0 if better is Better.ONE else TAIL_PROBABILITIES[0]
    with np.errstate(divide="ignore"):
        return np.asarray(np.abs(np.log(values / target)))


def _number(value: float, pattern: str) -> str:
    if not np.isfinite(value):
        return NOT_KNOWN
    if pattern == _P_VALUE:
        return "<.001" if value < 0.001 else f"{value:.3f}"
    return pattern.format(value)


def _rows_of(part: pd.DataFrame, column: ScoreColumn) -> str:
    return f"{int(part[column.count].max()):,} rows"


def _role(model: str) -> str:
    return "reference" if model == REFERENCE_MODEL else ""
