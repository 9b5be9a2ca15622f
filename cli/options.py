"""Options that several verbs share, and how they change an experiment."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ..errors import InputError
from ..markets import Severity
from ..training import Experiment, Preparation, load_experiment
from ..training.pipeline import Progress as Tell

_BARS = "bars"  # the experiment that --data runs with when no file is given

Config = Annotated[
    str | None,
    typer.Argument(
        metavar="[CONFIG]",
        help="Experiment file (YAML) or the name of a shipped one; see the folder configs.",
        show_default="default, or bars with --data",
    ),
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        help="Bar file, folder of bar files (one per instrument), or 'arch'; may be repeated. "
        "Bars finer than the period become realised measures.",
        show_default="the experiment's",
    ),
]
Period = Annotated[
    str | None,
    typer.Option(help="Length of a period: 1D, 8h, 1h, 15min.", show_default="the experiment's"),
]
Horizons = Annotated[
    str | None,
    typer.Option(
        help="Forecast horizons, numbers of periods: 1,5,10.", show_default="the experiment's"
    ),
]
TestFrom = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d"],
        help="First day of the test period (UTC).",
        show_default="the experiment's",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(min=0, help="Seed of all random streams.", show_default="the experiment's"),
]
Workers = Annotated[
    int, typer.Option(min=1, help="Processes for the fits; changes time, not numbers.")
]
Out = Annotated[
    Path | None,
    typer.Option(help="Output folder.", show_default="out/ and the experiment's name"),
]
Mlruns = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the tracking store.",
        envvar="FOREMARGIN_MLRUNS",
        show_default="mlruns",
    ),
]
ShowProgress = Annotated[
    bool, typer.Option("--progress/--no-progress", help="Show a progress bar.")
]


def read_experiment(
    config: str | None,
    *,
    data: list[str] | None = None,
    period: str | None = None,
    horizons: str | None = None,
    test_from: datetime | None = None,
    seed: int | None = None,
) -> Experiment:
    """Load an experiment with what was given on the command line in place of the file's.

    Raises
    ------
    InputError
        If a value is not allowed.
    """
    overrides: dict[str, Any] = {"data": {}, "forecast": {}, "split": {}}
    if data:
        overrides["data"]["source"] = data
    if period is not None:
        overrides["data"]["period"] = period
    if horizons is not None:
        overrides["forecast"]["horizons"] = _numbers(horizons)
    if test_from is not None:
        overrides["split"]["test_from"] = test_from.date()
    if seed is not None:
        overrides["seed"] = seed
    return load_experiment(config or (_BARS if data else None), overrides=overrides)


def output_folder(out: Path | None, experiment: Experiment) -> Path:
    """Return where the files go."""
    return out if out is not None else Path("out") / experiment.name


@contextmanager
def progress_bar(*, shown: bool) -> Iterator[Tell]:
    """Yield a function that reports progress on standard error, or does nothing."""
    if not shown:
        yield lambda stage, done, total: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("start", total=1)
        yield lambda stage, done, total: progress.update(
            task, description=stage, completed=done, total=total
        )


def say_what_was_found(prepared: Preparation) -> None:
    """Say on standard error what a reader must know about the data before the run."""
    for note in prepared.notes:
        typer.secho(f"note: {note}", err=True, fg="yellow")
    warnings = [f for f in prepared.panel.findings if f.severity is Severity.WARNING]
    if warnings:
        checks = ", ".join(sorted({finding.check for finding in warnings}))
        typer.secho(
            f"note: {len(warnings)} warnings about the data ({checks}); they are listed in the "
            "report and by: foremargin data inspect",
            err=True,
            fg="yellow",
        )


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(
            f"--horizons must be whole numbers with commas between them, like 1,5,10; was {text!r}"
        ) from error
