"""``foremargin data``: what a data source holds, and what is wrong with it."""

from typing import Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from ..markets import InstrumentReport, Severity, SourceReport, inspect_source

app = typer.Typer(help="List and check market data.", no_args_is_help=True)

_ERRORS_FOUND = 2
_STYLE = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "dim"}


@app.callback()
def data() -> None:
    """List and check market data."""


@app.command()
def inspect(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Bar files, folders of bar files, or 'arch'."),
    ],
    period: Annotated[
        str, typer.Option(help="Length of a period the bars are put into, e.g. 1D, 8h, 5min.")
    ] = "1D",
) -> None:
    """Show what is there per instrument, and every finding, most severe first.

    The exit code is 2 if a backtest would refuse the data, else 0.
    """
    report = inspect_source(paths, period=period)
    console = Console(markup=False, highlight=False)
    console.print(_contents(report))
    console.print(_findings(report) if report.findings else "No findings.")
    if report.has_errors:
        raise typer.Exit(_ERRORS_FOUND)


def _contents(report: SourceReport) -> Table:
    table = Table(title=f"Data in {report.source}", title_justify="left")
    for name in ("instrument", "from (UTC)", "to (UTC)", "bars", "bar length", "periods"):
        table.add_column(name, justify="right" if name in ("bars", "periods") else "left")
    table.add_column("columns", overflow="fold")
    for one in report.instruments:
        table.add_row(*_row(one))
    return table


def _row(one: InstrumentReport) -> tuple[str, ...]:
    return (
        one.instrument,
        _minute(one.first),
        _minute(one.last),
        f"{one.n_bars:,}",
        one.bar_length_text or "-",
        "-" if one.n_periods is None else f"{one.n_periods:,}",
        ", ".join(one.columns) or "-",
    )


def _findings(report: SourceReport) -> Table:
    counts = [f"{report.count(severity)} {severity.value}" for severity in Severity]
    table = Table(title=f"Findings: {', '.join(counts)}", title_justify="left")
    for name in ("severity", "instrument", "check", "count", "first", "last"):
        table.add_column(name, justify="right" if name == "count" else "left")
    table.add_column("what was found, and what follows", overflow="fold", ratio=1)
    for finding in report.findings:
        table.add_row(
            finding.severity.value,
            finding.instrument,
            finding.check,
            f"{finding.count:,}",
            _minute(finding.first),
            _minute(finding.last),
            finding.detail,
            style=_STYLE[finding.severity],
        )
    return table


def _minute(time: pd.Timestamp | None) -> str:
    return "-" if time is None else f"{time:%Y-%m-%d %H:%M}"
