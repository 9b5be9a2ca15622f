"""Scenarios in the terminal: the list, and what one replay showed, 100 columns wide."""

from collections.abc import Sequence

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from ..backtest import ALL_SCENARIOS, ReplayedScenario
from ..backtest.report.scenario_displays import shown_policies

WIDTH = 100
"""Columns of the terminal that every table fits into."""

_COLUMNS = {
    "breaches": ("\nbreaches", "{:.0f}"),
    "shortfall": ("\nshortfall", "{:.3f}"),
    "worst_shortfall": ("\nworst", "{:.3f}"),
    "mean_margin": ("mean\nmargin", "{:.2%}"),
    "peak_to_trough": ("peak/\ntrough", "{:.2f}"),
    "largest_increase_5": ("5-\nrise", "{:.2f}"),
    "before_day": ("before\nday", "{:.2f}"),
    "first_rise_days": ("first rise,\ndays", "{:+.3g}"),
}
"""Number, its heading and its format."""


def new_console() -> Console:
    """Return a console; a file or a pipe is as wide as the tables need."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def print_scenarios(console: Console) -> None:
    """Print every scenario: name, window, marked day and what happened."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for heading in ("scenario", "marked day", "window"):
        table.add_column(heading, no_wrap=True)
    table.add_column("what happened")
    for one in ALL_SCENARIOS:
        table.add_row(one.name, str(one.day), f"{one.first} to\n{one.last}", one.happened)
    console.print(table)


def print_episode(
    episode: ReplayedScenario, console: Console, *, policies: Sequence[str] = ()
) -> None:
    """Print one row per shown policy.

    Parameters
    ----------
    episode : ReplayedScenario
        The replay.
    console : Console
        Where to.
    policies : sequence of str
        Names; by default those that the page shows.
    """
    scenario, replayed = episode.scenario, episode.replay
    frame = episode.frame().loc[lambda t: t.index.isin(shown_policies(episode, policies))]
    first, last = (f"{t:%Y-%m-%d}" for t in (episode.origin[0], episode.origin[-1]))
    console.print(f"[bold]{scenario.title}[/bold] (marked day {scenario.day})")
    console.print(f"Margin over {episode.horizon} period(s), set {first} to {last}")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("\npolicy", no_wrap=True)
    for heading, _ in _COLUMNS.values():
        table.add_column(heading, justify="right", no_wrap=True)
    for row in frame.reset_index().to_dict("records"):
        cells = [_cell(form, float(row[key])) for key, (_, form) in _COLUMNS.items()]
        mark = " *" if row["policy"] == episode.reference else ""
        bold = "bold" if row["policy"] == replayed.predictive else None
        table.add_row(f"{row['policy']}{mark}", *cells, style=bold)
    console.print(table)
    console.print(_caption(episode, cases=int(frame.cases.iloc[0])))
    console.print()


def _caption(episode: ReplayedScenario, *, cases: int) -> str:
    names = sorted(set(episode.series().instrument))
    target, horizon = episode.replay.market.tail_probability, episode.horizon
    overlap = f"; losses overlap, one move counts up to {horizon} times" if horizon > 1 else ""
    return (
        f"{cases:,} cases of {', '.join(names)}, both sides; the target of {target:.1%} is "
        f"{target * cases:.1f} breaches{overlap}. Best quantile loss first; * best reactive, by "
        "hindsight. Shortfall: uncovered loss in notionals, the sum and the worst. 5-rise: largest "
        "ratio of a margin to itself 5 periods before. Before day: the last margin set before "
        "the marked day over the first of the window. First rise: when margins first "
        "stood 10 % above that first one, in days from the start of the marked day; 0 or less is "
        "before it."
    )


def _cell(form: str, value: float) -> str:
    # A margin that never rose has no day.
    return "never" if pd.isna(value) else form.format(value)
