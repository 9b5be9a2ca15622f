"""Forecast skill in the terminal."""

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

_COLUMNS = {
    "model": ("model", "{}"),
    "n": ("rows", "{:,}"),
    "qlike_loss": ("QLIKE", "{:.4f}"),
    "dm_p_value": ("DM p", "{:.3f}"),
    "mse_ratio": ("MSE/HAR", "{:.3f}"),
    "bias": ("bias", "{:.2f}"),
    "hits_lower": ("lower", "{:.2%}"),
    "hits_upper": ("upper", "{:.2%}"),
    "fz0_loss": ("FZ0", "{:.3f}"),
    "brier_skill_score": ("Brier", "{:.3f}"),
}
"""Column of the scores, its heading and its format."""


def print_scores(scores: pd.DataFrame, console: Console) -> None:
    """Print one table per horizon, the columns of :func:`score_forecasts` that fit."""
    for horizon in sorted(scores.horizon.unique()):
        console.print(_table(scores, int(horizon)))


def _table(scores: pd.DataFrame, horizon: int) -> Table:
    table = Table(
        title=f"Forecasts over {horizon} period(s), best QLIKE first",
        title_justify="left",
        caption="DM p: QLIKE against the best other model; bias: realised over forecast variance; "
        "lower, upper: share of returns beyond the 1 % value at risk; FZ0: its joint loss with "
        "expected shortfall; Brier: skill of the stress probability over the base rate",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 0),
        show_edge=False,
    )
    for heading, _ in _COLUMNS.values():
        table.add_column(heading, justify="left" if heading == "model" else "right", no_wrap=True)
    rows = scores[scores.horizon == horizon]
    for row in rows[list(_COLUMNS)].itertuples(index=False):
        cells = zip(_COLUMNS.values(), row, strict=True)
        table.add_row(*[form.format(value) for (_, form), value in cells])
    return table
