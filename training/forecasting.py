"""From a checked experiment to the calibrated forecasts of all its models."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from ..backtest import score_forecasts
from ..calibrate import (
    with_calibrated_probabilities,
    with_stress_probability,
    with_tails,
)
from ..features import History
from ..models import WEIGHT_COLUMNS, Forecast
from .backends import Execution
from .preparation import Preparation
from .records import Record, Tag
from .tables import forecasts_table
from .walk_forward import WalkForward, walk_forward

Progress = Callable[[str, int, int], None]
"""Called with the stage, steps done and steps in all."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecasts:
    """What all models said.

    Attributes
    ----------
    forecasts : tuple of Forecast
        One per model and mixture, from the first forecast origin on, calibrated.
    raw : tuple of Forecast
        The same as the models gave them.
    weights : pandas.DataFrame
        Weights of the mixtures (see :meth:`Mixture.combine`); no rows without a mixture.
    notes : tuple of str
        What a reader must know, for example fits that did not converge.
    n_fitted, n_kept : int
        Fits that were made now, and that were there from an earlier run.
    """

    forecasts: tuple[Forecast, ...]
    raw: tuple[Forecast, ...]
    weights: pd.DataFrame
    notes: tuple[str, ...]
    n_fitted: int
    n_kept: int


def make_forecasts(prepared: Preparation, *, execution: Execution, progress: Progress) -> Forecasts:
    """Walk forward, mix, and give every forecast calibrated tails and probabilities."""
    walked = walk_forward(
        prepared.history,
        prepared.experiment.forecasters(),
        first_row=prepared.split.forecast_row,
        seed=prepared.experiment.seed,
        schedule=prepared.experiment.schedule(),
        execution=execution,
        progress=lambda done, total, model: progress(f"forecast {model}", done, total),
    )
    return finish_forecasts(prepared, walked, progress=progress)


def finish_forecasts(
    prepared: Preparation, walked: WalkForward, *, progress: Progress
) -> Forecasts:
    """Mix, and give every forecast calibrated tails and probabilities.

    Parameters
    ----------
    prepared : Preparation
        Its forecasts begin where those of `walked` do, and its history ends where they end.
    walked : WalkForward
        What the models said.
    progress : callable
        See :data:`Progress`.
    """
    history, row = prepared.history, walked.first_row
    progress("calibrate", 0, 1)
    mixed = [
        mixture.combine(walked.forecasts, history, first_row=row)
        for mixture in prepared.experiment.mixtures()
    ]
    raw = (*walked.forecasts.values(), *(forecast for forecast, _ in mixed))
    return Forecasts(
        forecasts=tuple(calibrated(forecast, history, first_row=row) for forecast in raw),
        raw=raw,
        weights=_joined([table for _, table in mixed]),
        notes=(*prepared.notes, *walked.notes),
        n_fitted=walked.n_fitted,
        n_kept=walked.n_kept,
    )


def fit_records(made: Forecasts) -> Iterator[Record]:
    """Yield how many fits a run made, and how many it took from an earlier one."""
    yield Tag("fits", str(made.n_fitted))
    yield Tag("kept_fits", str(made.n_kept))


def calibrated(
    forecast: Forecast, history: History, *, first_row: int, from_row: int | None = None
) -> Forecast:
    """Give a forecast calibrated tails and probabilities; each origin by what was known at it.

    Parameters
    ----------
    forecast : Forecast
        Out of sample over consecutive panel rows, as a model gave it.
    history : History
        The panel and the outcomes.
    first_row : int
        Panel row of the first origin.
    from_row : int, optional
        Panel row from which the result is needed; earlier origins may be left as they are. By
        default all are calibrated.
    """
    tailed = with_tails(forecast, history, first_row=first_row, from_row=from_row)
    # All origins: the maps are learned on what the earlier ones had said.
    stressed = with_stress_probability(tailed, history, first_row=first_row)
    return with_calibrated_probabilities(stressed, history, first_row=first_row, from_row=from_row)


def tabulate(prepared: Preparation, forecasts: Sequence[Forecast]) -> pd.DataFrame:
    """Return the table of forecasts and outcomes from validation on."""
    return forecasts_table(
        forecasts,
        prepared.history,
        first_row=prepared.split.forecast_row,
        from_row=prepared.split.validation_row,
    )


def score(
    prepared: Preparation, forecasts: Sequence[Forecast]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table of forecasts, and the scores of the test period."""
    table = tabulate(prepared, forecasts)
    return table, score_forecasts(table, test_from=prepared.test_from)


def silent(stage: str, done: int, total: int) -> None:
    """Report no progress."""


def _joined(weights: Sequence[pd.DataFrame]) -> pd.DataFrame:
    if not weights:
        return pd.DataFrame(columns=list(WEIGHT_COLUMNS))
    return pd.concat(weights, ignore_index=True)
