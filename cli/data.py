"""``foremargin data``: what a data source holds, and what is wrong with it."""

from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(help="List and check market data.", no_args_is_help=True)

_ERRORS_FOUND = 2


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
    # Imported here: the checks take a second to load, and --help does not need them.
    from ..markets import inspect_source
    from .inspection_text import print_report

    report = inspect_source(paths, period=period)
    print_report(report, Console(markup=False, highlight=False))
    if report.has_errors:
        raise typer.Exit(_ERRORS_FOUND)
