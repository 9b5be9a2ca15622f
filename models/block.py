"""One fit and the block of origins it serves: the unit of work of a walk-forward run."""

from dataclasses import dataclass, replace
from pathlib import Path

import numba
import numpy as np
from threadpoolctl import threadpool_limits

from ..errors import NotEnoughHistoryError
from ..features import History
from ..features.shared import read_history
from .forecast import Forecast, empty_variance
from .forecaster import FittedForecaster, Forecaster, WarmForecaster


@dataclass(frozen=True, kw_only=True, eq=False)
class Block:
    """Forecasts from consecutive origins, made by one fit.

    Attributes
    ----------
    first_row : int
        Panel row of the first origin.
    forecast : Forecast
        All NaN if the model had too little history.
    notes : tuple of str
        What a reader must know about the fit.
    fitted : FittedForecaster or None
        What made the forecast; None if the model had too little history, or nobody asked.
    """

    first_row: int
    forecast: Forecast
    notes: tuple[str, ...]
    fitted: FittedForecaster | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class BlockTask:
    """A block that is still to be made; it can travel to another process.

    Attributes
    ----------
    forecaster : Forecaster
        What to fit.
    origins : slice
        Consecutive panel rows.
    rng : numpy.random.Generator
        The fit's own stream.
    first_row : int
        First panel row that the model is given; 0 for an expanding window.
    previous : FittedForecaster or None
        Where a warm start begins; None for a cold one.
    keep_fitted : bool
        Whether the next block starts where this one ends.
    """

    forecaster: Forecaster
    origins: slice
    rng: np.random.Generator
    first_row: int = 0
    previous: FittedForecaster | None = None
    keep_fitted: bool = False

    def run(self, history: History) -> Block:
        """Make the block from the whole history."""
        block = fit_block(
            self.forecaster,
            history,
            origins=self.origins,
            rng=self.rng,
            first_row=self.first_row,
            previous=self.previous,
        )
        return block if self.keep_fitted else replace(block, fitted=None)


def run_beside_others(task: BlockTask, history: History | Path) -> Block:
    """Make a block in a worker process, on one core.

    Parameters
    ----------
    task : BlockTask
        What to make.
    history : History or Path
        The whole past, or the file that :func:`foremargin.features.shared.write_history` wrote.
    """
    # The other cores belong to the other workers.
    numba.set_num_threads(1)
    return task.run(read_history(history) if isinstance(history, Path) else history)


def fit_block(
    forecaster: Forecaster,
    history: History,
    *,
    origins: slice,
    rng: np.random.Generator,
    first_row: int = 0,
    previous: FittedForecaster | None = None,
) -> Block:
    """Fit on what was known before the first origin, then forecast from every origin.

    Parameters
    ----------
    forecaster : Forecaster
        What to fit.
    history : History
        The whole past; the fit gets the part before ``origins.start``.
    origins : slice
        Consecutive panel rows.
    rng : numpy.random.Generator
        The fit's own stream.
    first_row : int
        First panel row that fit and forecast are given; what came before it is cut off, but
        features keep the values they had.
    previous : FittedForecaster, optional
        Where a warm start begins, for a forecaster that has one.
    """
    seen = history.since(first_row) if first_row else history
    inside = slice(origins.start - first_row, origins.stop - first_row)
    # Linear algebra on one thread sums in one order: the same numbers on any number of cores.
    with threadpool_limits(1):
        try:
            fitted = _fit(forecaster, seen.upto(inside.start), rng=rng, previous=previous)
        except NotEnoughHistoryError as error:
            day = np.datetime_as_string(history.panel.time[origins.start], unit="D")
            silent = _no_forecast(forecaster, history, origins)
            return Block(first_row=origins.start, forecast=silent, notes=(f"{day}: {error}",))
        forecast = fitted.forecast(seen, origins=inside)
    return Block(first_row=origins.start, forecast=forecast, notes=fitted.notes, fitted=fitted)


def _fit(
    forecaster: Forecaster,
    known: History,
    *,
    rng: np.random.Generator,
    previous: FittedForecaster | None,
) -> FittedForecaster:
    if previous is not None and isinstance(forecaster, WarmForecaster):
        return forecaster.refit(known, previous=previous, rng=rng)
    return forecaster.fit(known, rng=rng)


def _no_forecast(forecaster: Forecaster, history: History, origins: slice) -> Forecast:
    panel = history.panel
    origin = panel.time[origins]
    return Forecast(
        model=forecaster.name,
        origin=origin,
        instruments=panel.instruments,
        horizons=history.horizons,
        variance=empty_variance(len(origin), panel.n_instruments, len(history.horizons)),
    )
