"""Two runs side by side in the terminal, 100 columns wide."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from ..backtest.run_comparison import INTERVAL_CONFIDENCE
from ..training import RunComparison
from .score_table import WIDTH

_RUNS = (("A", "first"), ("B", "second"))
_POLICY_COLUMNS = {
    "quantile_loss": ("quantile\nloss", "{:.3%}"),
    "breach_rate": ("breach\nrate", "{:.2%}"),
    "mean_margin": ("mean\nmargin", "{:.2%}"),
    "shortfall": ("short-\nfall", "{:.3f}"),
}
"""Number of each run, its heading and its format."""

_CHANCE = ("\nchange", "90 %\ninterval", "\nDM p", "\nHolm")

_LOSSES = {"qlike_loss": "QLIKE", "fz0_loss": "FZ0"}


def print_comparison(compared: RunComparison) -> None:
    """Print what differs between the runs, then a table per horizon of policies and of models."""
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=WIDTH)
    for letter, run in (("A", compared.first), ("B", compared.second)):
        console.print(f"{letter}  {run.verb} {run.run_id}, {run.folder}", soft_wrap=True)
    for note in compared.notes:
        console.print(f"note: {note}", style="yellow")
    _print_differences(compared.differences, console)
    for horizon, rows in compared.margins.groupby("horizon"):
        _print_margins(rows, int(str(horizon)), console)
    for horizon, rows in compared.forecasts.groupby("horizon"):
        _print_forecasts(rows, int(str(horizon)), console)
    console.print(
        "\nChanges are of B against A, negative is better; the interval is that of a bootstrap of "
        f"origins ({INTERVAL_CONFIDENCE:.0%}). DM p: Diebold-Mariano, per origin; Holm: corrected "
        "for the rows of the table that differ. Shortfall: both scaled to the mean margin halfway "
        "between theirs. FZ0: 1 % tails, both sides, percent returns.",
        style="dim",
    )


def _print_differences(differences: pd.DataFrame, console: Console) -> None:
    if differences.empty:
        console.print("\nThe runs were given the same code, data, seed, configuration and packages")
        return
    console.print("\nWhat the runs were given that differs", style="bold")
    table = _table("what", "key", "A", "B")
    for row in differences.to_dict("records"):
        values = ["-" if row[run] is None else str(row[run]) for _, run in _RUNS]
        table.add_row(str(row["kind"]), str(row["key"]), *values)
    console.print(table)


def _print_margins(rows: pd.DataFrame, horizon: int, console: Console) -> None:
    differ = rows[~rows["is_equal"].astype(bool)]
    title = f"Margin over {horizon} period(s), {_size(rows)}"
    heads = [head for head, _ in _POLICY_COLUMNS.values()]
    table = _table("\npolicy", "", *heads, *_CHANCE, right=range(2, 10))
    for row in differ.to_dict("records"):
        names = (str(row["policy"]), str(row["second_policy"]))
        sides = [
            [form.format(row[f"{run}_{key}"]) for key, (_, form) in _POLICY_COLUMNS.items()]
            for _, run in _RUNS
        ]
        table.add_row(
            names[0] if names[0] == names[1] else "\n".join(names),
            "A\nB",
            *("\n".join(pair) for pair in zip(*sides, strict=True)),
            *_chance(row, "quantile_loss_change", "{:+.2%}"),
            style="bold" if row["is_judged"] else None,
        )
    _print(table, title, console, [str(name) for name in rows.drop(differ.index)["policy"]])


def _print_forecasts(rows: pd.DataFrame, horizon: int, console: Console) -> None:
    differ = rows[~rows["is_equal"].astype(bool)]
    title = f"Forecasts {horizon} period(s) ahead, {_size(rows)}"
    table = _table("\nloss", "\nmodel", "\nA", "\nB", *_CHANCE, right=range(2, 8))
    for row in differ.to_dict("records"):
        table.add_row(
            _LOSSES[str(row["loss"])],
            str(row["model"]),
            *(f"{row[f'{run}_loss']:.5f}" for _, run in _RUNS),
            *_chance(row, "difference", "{:+.5f}"),
        )
    equal = rows.drop(differ.index).groupby("model")["loss"].agg(list)
    everywhere = set(_LOSSES)
    _print(
        *(table, title, console),
        [
            str(model)
            if set(losses) == everywhere
            else f"{model} ({', '.join(_LOSSES[one] for one in losses)})"
            for model, losses in equal.items()
        ],
    )


def _print(table: Table, title: str, console: Console, equal: Sequence[str]) -> None:
    """Print a table if it has rows, and what is not in it because it is equal."""
    console.print(f"\n{title}", style="bold")
    if table.row_count:
        console.print(table)
    if equal:
        console.print(f"equal to the last digit: {', '.join(equal)}")


def _size(rows: pd.DataFrame) -> str:
    fewest, most = int(rows["n_rows"].min()), int(rows["n_rows"].max())
    n = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
    return f"{n} common rows, {int(rows['n_origins'].max()):,} origins"


def _chance(row: Mapping[Hashable, Any], key: str, form: str) -> Iterator[str]:
    yield form.format(row[key])
    known = not pd.isna(row["low"])
    yield f"{form.format(row['low'])} to {form.format(row['high'])}" if known else "-"
    for name in ("dm_p_value", "dm_p_holm"):
        yield "-" if pd.isna(row[name]) else f"{row[name]:.3f}"


def _table(*heads: str, right: Sequence[int] = ()) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 0))
    for i, head in enumerate(heads):
        number = i in right
        table.add_column(
            head, justify="right" if number else "left", overflow="fold", no_wrap=number
        )
    return table
