"""A verdict in the terminal."""

import math

from rich import box
from rich.console import Console
from rich.table import Table

from ..backtest import Verdict
from ..backtest.statement import verdict_sentences
from ..calibrate import Generation

_COLUMNS = {
    "breach_rate": ("breach\nrate", "{:.2%}"),
    "mean_margin": ("mean\nmargin", "{:.2%}"),
    "quantile_loss": ("quantile\nloss", "{:.2%}"),
    "dm_p_value": ("\nDM p", "{:.3f}"),
    "hindsight_shortfall": ("short-\nfall", "{:.2f}"),
    "peak_to_trough": ("peak/\ntrough", "{:.2f}"),
    "largest_increase_20": ("20-\nrise", "{:.2f}"),
}
"""Metric, its heading and its format."""

_SHOWN = 8  # reactive policies shown beside the predictive ones and the controls


def print_verdict(verdict: Verdict, console: Console) -> None:
    """Print the table of the policies that matter and the verdict in three sentences."""
    console.print(_table(verdict))
    for sentence in verdict_sentences(verdict):
        console.print(sentence)
    console.print()


def _table(verdict: Verdict) -> Table:
    replayed = verdict.replay
    origins = replayed.origin[replayed.in_test]
    table = Table(
        title=f"Margin over {verdict.horizon} period(s), {str(origins[0])[:10]} to "
        f"{str(origins[-1])[:10]}: {', '.join(replayed.instruments)}",
        title_justify="left",
        caption=f"target breach rate {replayed.market.tail_probability:.1%}; DM p and shortfall "
        f"(at equal mean margin, with hindsight) against {verdict.reference}; 20-rise: largest "
        "ratio of a margin to itself 20 periods before; all policies are in the report",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 0, 0, 0),
        show_edge=False,
    )
    table.add_column("\npolicy", no_wrap=True)
    for heading, _ in _COLUMNS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for name in _chosen(verdict):
        row = verdict.row(name)
        cells = [_cell(form, float(row[metric])) for metric, (_, form) in _COLUMNS.items()]
        table.add_row(name, *cells, style="bold" if name == verdict.predictive else None)
    return table


def _cell(form: str, value: float) -> str:
    # Only a comparison with itself has no number.
    return "-" if math.isnan(value) else form.format(value)


def _chosen(verdict: Verdict) -> list[str]:
    """Predictive policies, controls, and the best reactive ones, best quantile loss first."""
    order = [str(name) for name in verdict.frame().index]
    reactive = set(verdict.replay.names(Generation.REACTIVE))
    best = [name for name in order if name in reactive][:_SHOWN]
    return [name for name in order if name in best or name not in reactive]
