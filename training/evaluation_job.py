"""Forecast skill alone: forecast, score; files and tracked run."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from .forecasting import Progress, make_forecasts, score, silent
from .output import complete_or_nothing
from .preparation import Preparation
from .records import opening_records
from .results import PARQUET, record_run, write_tables
from .tracking import Store, tracked_run


@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluationResult:
    """What ``foremargin evaluate`` leaves.

    Attributes
    ----------
    scores : pandas.DataFrame
        Forecast skill (see :func:`score_forecasts`).
    folder : Path
        Where the files are.
    run_id : str
        The MLflow run.
    """

    scores: pd.DataFrame
    folder: Path
    run_id: str


def run_evaluation(
    prepared: Preparation,
    *,
    store: Store,
    folder: Path,
    workers: int = 1,
    progress: Progress | None = None,
) -> EvaluationResult:
    """Forecast and score all models; track.

    Parameters
    ----------
    prepared : Preparation
        From :func:`prepare`.
    store : Store
        Where the run is tracked.
    folder : Path
        Gets ``forecasts.parquet``, ``scores.parquet`` and ``weights.parquet``.
    workers : int
        Processes for the fits; changes no number.
    progress : callable, optional
        See :data:`Progress`.
    """
    opening = opening_records(prepared.experiment, prepared.panel, verb="evaluate")
    with (
        tracked_run(store, experiment=prepared.experiment.name, opening=opening) as run,
        complete_or_nothing(folder) as partial,
    ):
        made = make_forecasts(prepared, workers=workers, progress=progress or silent)
        table, scores = score(prepared, made.forecasts)
        write_tables(partial, table, scores)
        made.weights.to_parquet(partial / "weights.parquet", **PARQUET)
        record_run(run, partial, scores, notes=made.notes, records=[])
    return EvaluationResult(scores=scores, folder=folder, run_id=run.run_id)
