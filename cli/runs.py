"""What the verbs that run something share: the experiment, the progress bar, the notes."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ..errors import InputError
from ..markets import Severity
from ..training import (
    Execution,
    Experiment,
    Preparation,
    Store,
    Validation,
    load_experiment,
)
from ..training.forecasting import Progress as Tell

_BARS = "bars"  # the experiment that --data runs with when no file is given


def read_experiment(
    config: str | None,
    *,
    data: list[str] | None = None,
    period: str | None = None,
    horizons: str | None = None,
    test_from: datetime | None = None,
    seed: int | None = None,
    trials: int | None = None,
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
    if trials is not None:
        overrides["tune"] = {"trials": trials}
    return load_experiment(config or (_BARS if data else None), overrides=overrides)


def output_folder(out: Path | None, experiment: Experiment) -> Path:
    """Return where the files go."""
    return out if out is not None else Path("out") / experiment.name


def execution(store: Store, *, workers: int, cluster: str | None, resume: bool) -> Execution:
    """Return how fits are carried out; finished blocks are kept beside the tracked runs."""
    return Execution(workers=workers, cluster=cluster, blocks=store.blocks, fresh=not resume)


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


def say_notes(notes: Iterable[str]) -> None:
    """Say notes on standard error."""
    for note in notes:
        typer.secho(f"note: {note}", err=True, fg="yellow")


def say_what_was_found(prepared: Preparation | Validation) -> None:
    """Say on standard error what a reader must know about the data before the run."""
    say_notes(prepared.notes)
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
