"""Forecast skill in the terminal, 100 columns wide."""

from collections.abc import Iterator, Sequence

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table as Drawn

from ..backtest import Grouping
from ..backtest.report.score_tables import (
    ACCURACY_COLUMNS,
    LIQUIDITY_COLUMNS,
    MARKS,
    STRESS_COLUMNS,
    ScoreColumn,
    group_table,
    score_table,
    where_table,
)
from ..backtest.report.state_tables import STATE_TABLES
from ..backtest.report.tables import Table
from ..models import REGIMES

WIDTH = 100
"""Columns of the terminal that every table fits into."""

_SHORT = {column.key: column.short for column in ACCURACY_COLUMNS}
_BY_GROUP = tuple(c for c in ACCURACY_COLUMNS if c.key in ("qlike_loss", "fz0_loss"))
_MOST_NOTES = 8
_MOST_HEADING = 14  # characters of a column in the tables by group


def new_console() -> Console:
    """Return a console; a file or a pipe is as wide as the tables need."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def print_scores(
    pooled: pd.DataFrame,
    grouped: Sequence[tuple[Grouping, pd.DataFrame]],
    console: Console,
    *,
    by: Sequence[Grouping] = (),
) -> None:
    """Print the skill of all models, one part per horizon.

    Parameters
    ----------
    pooled : pandas.DataFrame
        From :func:`score_forecasts`.
    grouped : sequence of (Grouping, pandas.DataFrame)
        The same in groups: who is best where is always printed.
    console : rich.console.Console
        Where to print.
    by : sequence of Grouping
        Groupings of which every model's QLIKE and FZ0 are printed too.
    """
    for horizon in sorted(pooled.horizon.unique()):
        here = pooled[pooled.horizon == horizon]
        groups = [(one, scores[scores.horizon == horizon]) for one, scores in grouped]
        console.print(_title(here, int(horizon)), style="bold")
        console.print(_drawn(score_table(here, ACCURACY_COLUMNS), _SHORT))
        _print_families(here, console)
        where = where_table(here, groups)
        if where.rows:
            console.print(f"Where {here.model.iloc[0]} wins, and who else does")
            console.print(_drawn(where, {}))
        for one, scores in groups:
            if one in by:
                for column in _BY_GROUP:
                    if scores[column.key].notna().any():
                        _print_groups(scores, column, one, console)
    legend = "; ".join(f"{mark} {meaning}" for mark, meaning in MARKS)
    console.print(
        f"{legend}. p: Diebold-Mariano against the best other model. FZ0: both sides, percent "
        "returns. Hits: share beyond the 1 % value at risk. PR: area under the precision-recall "
        "curve; onset: where it is calm now. ECE: calibration error. RPS: ranked probability loss, "
        "skill against climatology, persistence and past transitions.",
        style="dim",
        width=WIDTH,
    )


def print_notes(notes: Sequence[str], console: Console) -> None:
    """Print the first notes, and how many more there are."""
    for note in notes[:_MOST_NOTES]:
        console.print(f"note: {note}", style="yellow", width=WIDTH)
    if len(notes) > _MOST_NOTES:
        console.print(
            f"note: {len(notes) - _MOST_NOTES} more notes are in evaluation.html", style="yellow"
        )


def _title(scores: pd.DataFrame, horizon: int) -> str:
    ahead = "1 period" if horizon == 1 else f"{horizon} periods"
    n, n_tails = int(scores.n.max()), int(scores.n_tails.max())
    return f"\n{ahead} ahead, on {n:,} shared rows ({n_tails:,} for tails), best QLIKE first"


def _print_families(scores: pd.DataFrame, console: Console) -> None:
    """Print what is scored beside variance and tails, where a model says something."""
    tables = [
        (f"Probability of {name}", columns, _rates)
        for name, columns in (("stress", STRESS_COLUMNS), ("liquidity stress", LIQUIDITY_COLUMNS))
    ]
    tables += [(heading, columns, _state_rates) for heading, columns in STATE_TABLES]
    for heading, columns, rates in tables:
        if scores[columns[0].key].notna().any():
            console.print(f"{heading}{rates(scores, columns)}")
            short = {column.key: column.short for column in columns}
            console.print(_drawn(score_table(scores, columns), short))


def _rates(scores: pd.DataFrame, columns: Sequence[ScoreColumn]) -> str:
    prefix = columns[0].key.removesuffix("brier_loss")
    first = scores[scores[columns[0].key].notna()].iloc[0]
    n, onset = first[f"n_{prefix}stress"], first[f"n_{prefix}onset"]
    rate, onset_rate = first[f"{prefix}stress_rate"], first[f"{prefix}onset_rate"]
    calm = f"; {onset_rate:.1%} of {onset:,} that are calm now" if onset else ""
    return f": it follows {rate:.1%} of {n:,} rows{calm}"


def _state_rates(scores: pd.DataFrame, columns: Sequence[ScoreColumn]) -> str:
    """Say what came, and how good what needs no model is."""
    first = scores[scores[columns[0].key].notna()].iloc[0]
    n = f"{first[columns[0].count]:,} rows"
    if columns[0].key != "ranked_probability_loss":
        level, now = first.liquidity_cost_level_bias, first.liquidity_cost_now_bias
        return f": {n}; bias of the level {level:.3f}, of the cost now {now:.3f}"
    came = ", ".join(f"{first[f'regime_{name}_rate']:.1%} {name}" for name in REGIMES)
    right = first.regime_persistence_accuracy_score
    return f": {came} of {n}; persistence is right in {right:.1%}"


def _print_groups(
    scores: pd.DataFrame, column: ScoreColumn, by: Grouping, console: Console
) -> None:
    console.print(f"{column.title} by {by.value}")
    for part in _fitting(group_table(scores, column, by=by)):
        console.print(_drawn(part, {}))


def _fitting(table: Table) -> Iterator[Table]:
    """Cut a table with many columns into some that fit; the first column is in each."""
    names = max(len(row.cells[0]) for row in table.rows)
    room = max(1, (WIDTH - names) // (_MOST_HEADING + 1))
    for first in range(1, len(table.columns), room):
        some = slice(first, first + room)
        yield Table(
            columns=(table.columns[0], *table.columns[some]),
            rows=tuple(
                type(row)(cells=(row.cells[0], *row.cells[some]), role=row.role)
                for row in table.rows
            ),
        )


def _cut(text: str) -> list[str]:
    """Break a long heading, a name with its exchange at the colon."""
    parts = text.replace(":", ":\n").split("\n") if len(text) > _MOST_HEADING else [text]
    return [part[:_MOST_HEADING] for part in parts]


def _drawn(table: Table, short: dict[str, str]) -> Drawn:
    drawn = Drawn(box=box.SIMPLE_HEAD, padding=(0, 0), show_edge=False, collapse_padding=True)
    for k, column in enumerate(table.columns):
        heading = short.get(column.key) or "\n".join(filter(None, (column.title, column.unit)))
        drawn.add_column(
            "\n".join(line for part in heading.split("\n") for line in _cut(part)),
            justify="right" if k else "left",
            no_wrap=k > 0,  # names alone may be broken where a line would be too long
            overflow="fold",
        )
    for row in table.rows:
        drawn.add_row(*row.cells, style="bold" if row.role else None)
    return drawn
