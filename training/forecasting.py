"""From a checked experiment to the calibrated forecasts of all its models."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from ..backtest import score_forecasts
from ..calibrate import with_stress_probability, with_tails
from ..models import WEIGHT_COLUMNS, Forecast
from .preparation import Preparation
from .tables import forecasts_table
from .walk_forward import walk_forward

Progress = Callable[[str, int, int], None]
"""Called with the stage, steps done and steps in all."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Forecasts:
    """What all models said.

    Attributes
    ----------
    forecasts : tuple of Forecast
        One per model and mixture, from the first forecast origin on, calibrated.
    weights : pandas.DataFrame
        Weights of the mixtures (see :meth:`Mixture.combine`); no rows without a mixture.
    notes : tuple of str
        What a reader must know, for example fits that did not converge.
    """

    forecasts: tuple[Forecast, ...]
    weights: pd.DataFrame
    notes: tuple[str, ...]


def make_forecasts(prepared: Preparation, *, workers: int, progress: Progress) -> Forecasts:
    """Walk forward, mix, and give every forecast calibrated tails and probabilities."""
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
    mixed = [
        mixture.combine(walked.forecasts, history, first_row=row)
        for mixture in prepared.experiment.mixtures()
    ]
    forecasts = [
        with_stress_probability(
            with_tails(forecast, history, first_row=row), history, first_row=row
        )
        for forecast in (*walked.forecasts.values(), *(forecast for forecast, _ in mixed))
    ]
    return Forecasts(
        forecasts=tuple(forecasts),
        weights=_joined([table for _, table in mixed]),
        notes=(*prepared.notes, *walked.notes),
    )


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


def _joined(weights: Sequence[pd.DataFrame]) -> pd.DataFrame:
    if not weights:
        return pd.DataFrame(columns=list(WEIGHT_COLUMNS))
    return pd.concat(weights, ignore_index=True)
