"""From a checked experiment to the calibrated forecasts of all its models."""

from collections.abc import Callable, Sequence

import pandas as pd

from ..backtest import score_forecasts
from ..calibrate import with_stress_probability, with_tails
from ..models import Forecast
from .preparation import Preparation
from .tables import forecasts_table
from .walk_forward import walk_forward

Progress = Callable[[str, int, int], None]
"""Called with the stage, steps done and steps in all."""


def make_forecasts(
    prepared: Preparation, *, workers: int, progress: Progress
) -> tuple[list[Forecast], tuple[str, ...]]:
    """Walk forward, then give every forecast calibrated tails and probabilities.

    Returns
    -------
    forecasts : list of Forecast
        One per model, from the first forecast origin on.
    notes : tuple of str
        What a reader must know, for example fits that did not converge.
    """
    history, row = prepared.history, prepared.split.forecast_row
    walked = walk_forward(
        history,
        prepared.experiment.forecasters(),
        first_row=row,
        seed=prepared.experiment.seed,
        workers=workers,
        progress=lambda done, total, model: progress(f"forecast {model}", done, total),
    )
    progress("calibrate", 0, 1)
    forecasts = [
        with_stress_probability(
            with_tails(forecast, history, first_row=row), history, first_row=row
        )
        for forecast in walked.forecasts.values()
    ]
    return forecasts, (*prepared.notes, *walked.notes)


def score(
    prepared: Preparation, forecasts: Sequence[Forecast]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table of forecasts from validation on, and the scores of the test period."""
    table = forecasts_table(
        forecasts,
        prepared.history,
        first_row=prepared.split.forecast_row,
        from_row=prepared.split.validation_row,
    )
    return table, score_forecasts(table, test_from=prepared.test_from)


def silent(stage: str, done: int, total: int) -> None:
    """Report no progress."""
