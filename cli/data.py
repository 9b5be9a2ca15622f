"""``foremargin data``: what a data source holds, what is wrong with it, and how to get more."""

import os
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer(help="List, fetch and check market data.", no_args_is_help=True)

_ERRORS_FOUND = 2
_INTERRUPTED = 130  # what a shell reports for a command ended by Ctrl-C
_NO_PICTURE = "none"
_WIDTH_OF_A_FILE = 160  # where the output goes to no terminal
_DAYS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%SZ"]


@app.callback()
def data() -> None:
    """List, fetch and check market data."""


@app.command()
def inspect(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="Data files, folders, patterns such as 'data/*1h*/BTC*.parquet', 'arch' or "
            "'skfolio'.",
        ),
    ],
    period: Annotated[
        str, typer.Option(help="Length of a period the bars are put into, e.g. 1D, 8h, 5min.")
    ] = "1D",
    picture: Annotated[
        str, typer.Option(help="Image file of the timeline of every instrument; none for no image.")
    ] = "out/inspect.png",
) -> None:
    """Show what is there per instrument, and every finding, most severe first.

    The exit code is 2 if a backtest would refuse the data, else 0.
    """
    # Imported here: the checks take a second to load, and --help does not need them.
    from ..markets import inspect_source
    from .inspection_text import print_report

    console = _console()
    report = inspect_source(paths, period=period)
    print_report(report, console)
    if picture != _NO_PICTURE:
        from .inspection_picture import save_picture

        save_picture(report, Path(picture))
        console.print(f"\npicture: {picture}")
    if report.has_errors:
        raise typer.Exit(_ERRORS_FOUND)


@app.command()
def sources() -> None:
    """Show where data can come from: what each source offers and what it lacks."""
    from .source_table import print_sources

    print_sources(_console())


@app.command()
def fetch(
    source: Annotated[
        str, typer.Argument(help="Source on the network; see `foremargin data sources`.")
    ],
    dataset: Annotated[str, typer.Argument(help="Data set of that source, e.g. klines.")],
    symbols: Annotated[
        list[str],
        typer.Argument(metavar="SYMBOL...", help="Instruments as the source spells them."),
    ],
    start: Annotated[
        datetime, typer.Option("--from", formats=_DAYS, help="First moment (UTC), inclusive.")
    ],
    end: Annotated[
        datetime, typer.Option("--to", formats=_DAYS, help="Last moment (UTC), exclusive.")
    ],
    interval: Annotated[
        str | None, typer.Option(help="Bar length as the source spells it, e.g. 1h.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the canonical files.")] = Path("data"),
) -> None:
    """Fetch data and write canonical files, which --data reads.

    What was fetched before is kept, and an interrupted fetch goes on where it stopped when the
    same command is given again. The exit code is 2 if an instrument could not be had, and 4 if
    the source did not answer as it should.
    """
    from .fetching_text import Wanted, fetch_all

    wanted = Wanted(
        source=source,
        dataset=dataset,
        symbols=tuple(symbols),
        start=start,
        end=end,
        interval=interval,
    )
    console = _console()
    try:
        complete = fetch_all(wanted, folder=out, console=console)
    except KeyboardInterrupt:
        console.print(
            f"interrupted; whole files in {out} are kept, and the same command goes on from there"
        )
        raise typer.Exit(_INTERRUPTED) from None
    if not complete:
        raise typer.Exit(_ERRORS_FOUND)


def _console() -> Console:
    console = Console(markup=False, highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = _WIDTH_OF_A_FILE
    return console
