"""Walk-forward: every model is fitted on the past, forecasts a block, and is fitted again.

A fit gets :meth:`History.upto` the first origin of its block, in which every outcome that was not
complete by then is missing: the embargo of one horizon.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed

from ..features import History
from ..models import Block, Forecast, Forecaster, fit_block, join_forecasts
from .seeds import stream

Progress = Callable[[int, int, str], None]
"""Called with fits done, fits in all, and the name of the model just fitted."""


@dataclass(frozen=True, kw_only=True)
class WalkForward:
    """Forecasts of all models over the same origins.

    Attributes
    ----------
    first_row : int
        Panel row of the first origin.
    forecasts : mapping of str to Forecast
        By name of the model.
    notes : tuple of str
        What a reader must know, for example fits that did not converge.
    """

    first_row: int
    forecasts: Mapping[str, Forecast]
    notes: tuple[str, ...]


def make_blocks(history: History, *, first_row: int, refit_days: int) -> list[slice]:
    """Split the panel rows from `first_row` on into blocks of `refit_days` calendar days."""
    time = history.panel.time
    starts = [first_row]
    while True:
        after = time[starts[-1]] + np.timedelta64(refit_days, "D")
        row = int(np.searchsorted(time, after))
        if row >= len(time):
            break
        starts.append(row)
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], len(time)], strict=True)]


def walk_forward(
    history: History,
    forecasters: Sequence[Forecaster],
    *,
    first_row: int,
    seed: int,
    workers: int = 1,
    progress: Progress | None = None,
) -> WalkForward:
    """Fit and forecast every model over every block.

    Parameters
    ----------
    history : History
        The whole past.
    forecasters : sequence of Forecaster
        Specifications.
    first_row : int
        Panel row of the first origin.
    seed : int
        Every fit draws from its own stream, so the number of workers changes nothing.
    workers : int
        Processes; 1 stays in this one.
    progress : callable, optional
        See :data:`Progress`.
    """
    tasks = [
        (forecaster, origins)
        for forecaster in forecasters
        for origins in make_blocks(history, first_row=first_row, refit_days=forecaster.refit_days)
    ]
    blocks: dict[str, list[Block]] = {forecaster.name: [] for forecaster in forecasters}
    for done, block in enumerate(_run(tasks, history, seed=seed, workers=workers), 1):
        blocks[block.forecast.model].append(block)
        if progress is not None:
            progress(done, len(tasks), block.forecast.model)
    for of_model in blocks.values():
        of_model.sort(key=lambda block: block.first_row)
    return WalkForward(
        first_row=first_row,
        forecasts={
            name: join_forecasts([block.forecast for block in of_model])
            for name, of_model in blocks.items()
        },
        notes=tuple(
            f"{name}: {note}"
            for name, of_model in blocks.items()
            for block in of_model
            for note in block.notes
        ),
    )


def _run(
    tasks: Sequence[tuple[Forecaster, slice]], history: History, *, seed: int, workers: int
) -> Iterator[Block]:
    # The longest fits first, so that no worker is left with one at the end.
    ordered = sorted(tasks, key=lambda task: -task[0].refit_days)
    streams = [stream(seed, f"{model.name}/{origins.start}") for model, origins in ordered]
    jobs = zip(ordered, streams, strict=True)
    if workers == 1:
        for (model, origins), rng in jobs:
            yield fit_block(model, history, origins=origins, rng=rng)
        return
    yield from Parallel(n_jobs=workers, return_as="generator_unordered")(
        delayed(fit_block)(model, history, origins=origins, rng=rng)
        for (model, origins), rng in jobs
    )
