"""Walk-forward: every model is fitted on the past, forecasts a block, and is fitted again.

A fit gets :meth:`History.upto` the first origin of its block, in which every outcome that was not
complete by then is missing: the embargo of one horizon.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed

from ..errors import NotEnoughHistoryError
from ..features import History
from ..models import Forecast, Forecaster, join_forecasts
from ..models.forecast import empty_variance
from .seeds import stream

_LOGGER = logging.getLogger(__name__)

Progress = Callable[[int, int, str], None]
"""Called with steps done, steps in all, and what was just done."""


@dataclass(frozen=True, kw_only=True)
class Fold:
    """One fit and the block of origins it serves.

    Attributes
    ----------
    fit_stop : int
        The fit sees panel rows before this one.
    origins : slice
        Panel rows it forecasts from.
    """

    fit_stop: int
    origins: slice


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


def make_folds(history: History, *, first_row: int, refit_days: int) -> list[Fold]:
    """Split the origins from `first_row` on into blocks of `refit_days` calendar days."""
    time = history.panel.time
    starts = [first_row]
    while True:
        after = time[starts[-1]] + np.timedelta64(refit_days, "D")
        row = int(np.searchsorted(time, after))
        if row >= len(time):
            break
        starts.append(row)
    stops = [*starts[1:], len(time)]
    return [
        Fold(fit_stop=start, origins=slice(start, stop))
        for start, stop in zip(starts, stops, strict=True)
    ]


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
        (forecaster, fold)
        for forecaster in forecasters
        for fold in make_folds(history, first_row=first_row, refit_days=forecaster.refit_days)
    ]
    parts: dict[str, dict[int, Forecast]] = {forecaster.name: {} for forecaster in forecasters}
    notes: list[str] = []
    for done, (name, forecast, remarks) in enumerate(_run(tasks, history, seed, workers), 1):
        parts[name][int(np.searchsorted(history.panel.time, forecast.origin[0]))] = forecast
        notes.extend(f"{name}: {remark}" for remark in remarks)
        if progress is not None:
            progress(done, len(tasks), name)
    joined = {
        name: join_forecasts([blocks[row] for row in sorted(blocks)])
        for name, blocks in parts.items()
    }
    return WalkForward(first_row=first_row, forecasts=joined, notes=tuple(sorted(notes)))


_Outcome = tuple[str, Forecast, tuple[str, ...]]


def _run(
    tasks: Sequence[tuple[Forecaster, Fold]], history: History, seed: int, workers: int
) -> Iterator[_Outcome]:
    if workers == 1:
        for forecaster, fold in tasks:
            yield _fit_block(forecaster, fold, history, seed)
        return
    jobs = (delayed(_fit_block)(forecaster, fold, history, seed) for forecaster, fold in tasks)
    yield from Parallel(n_jobs=workers, return_as="generator_unordered")(jobs)


def _fit_block(forecaster: Forecaster, fold: Fold, history: History, seed: int) -> _Outcome:
    rng = stream(seed, f"{forecaster.name}/{fold.fit_stop}")
    try:
        fitted = forecaster.fit(history.upto(fold.fit_stop), rng=rng)
    except NotEnoughHistoryError as error:
        day = np.datetime_as_string(history.panel.time[fold.fit_stop], unit="D")
        return forecaster.name, _no_forecast(forecaster, fold, history), (f"{day}: {error}",)
    return forecaster.name, fitted.forecast(history, origins=fold.origins), fitted.notes


def _no_forecast(forecaster: Forecaster, fold: Fold, history: History) -> Forecast:
    panel = history.panel
    origin = panel.time[fold.origins]
    return Forecast(
        model=forecaster.name,
        origin=origin,
        instruments=panel.instruments,
        horizons=history.horizons,
        variance=empty_variance(len(origin), panel.n_instruments, len(history.horizons)),
    )
