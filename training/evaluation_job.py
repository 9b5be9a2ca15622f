"""Forecast skill alone: forecast, score; files, figures, a page and a tracked run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..backtest import Grouping, score_side_by_side, side_by_side
from ..backtest.report import Evaluation, ReportContext, evaluation_figures, render_evaluation
from .backends import Execution
from .completed_runs import write_run_file
from .context import report_context
from .forecasting import Progress, fit_records, make_forecasts, silent, tabulate
from .output import complete_or_nothing
from .preparation import Preparation
from .records import opening_records
from .results import PARQUET, record_run, write_tables
from .tracking import Store, tracked_run

_DPI = 150


@dataclass(frozen=True, kw_only=True, eq=False)
class EvaluationResult:
    """What ``foremargin evaluate`` leaves.

    Attributes
    ----------
    scores : pandas.DataFrame
        Forecast skill (see :func:`score_forecasts`).
    grouped : mapping of Grouping to pandas.DataFrame
        The same per tercile of volatility and per instrument.
    notes : tuple of str
        What a reader must know: rows that are not shared, fits that did not converge.
    folder : Path
        Where the files are.
    run_id : str
        The MLflow run.
    """

    scores: pd.DataFrame
    grouped: Mapping[Grouping, pd.DataFrame]
    notes: tuple[str, ...]
    folder: Path
    run_id: str


def run_evaluation(
    prepared: Preparation,
    *,
    store: Store,
    folder: Path,
    execution: Execution | None = None,
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
        Gets ``forecasts.parquet``, ``weights.parquet``, ``scores.parquet``, the same by instrument
        and by tercile, ``evaluation.html``, its figures as ``evaluation_*.png``, and ``run.json``.
    execution : Execution, optional
        How the fits are carried out; changes no number.
    progress : callable, optional
        See :data:`Progress`.
    """
    tell = progress or silent
    opening = tuple(
        opening_records(
            prepared.experiment, prepared.panel, verb="evaluate", test_from=prepared.test_from
        )
    )
    with (
        tracked_run(store, experiment=prepared.experiment.name, opening=opening) as run,
        complete_or_nothing(folder) as partial,
    ):
        made = make_forecasts(prepared, execution=execution or Execution(), progress=tell)
        tell("score", 0, 1)
        table = tabulate(prepared, made.forecasts)
        evaluation = _evaluate(table, prepared)
        write_tables(partial, table, evaluation.pooled)
        for by, scores in evaluation.grouped.items():
            scores.to_parquet(partial / f"scores_by_{by}.parquet", **PARQUET)
        made.weights.to_parquet(partial / "weights.parquet", **PARQUET)
        tell("page", 0, 1)
        context = report_context(
            prepared, verb="evaluate", title="Forecast skill", notes=made.notes, run_id=run.run_id
        )
        _write_page(partial, evaluation, context)
        notes = (*evaluation.row_notes(), *made.notes)
        write_run_file(partial, run.run_id, opening)
        record_run(run, partial, evaluation.pooled, notes=notes, records=[*fit_records(made)])
    return EvaluationResult(
        scores=evaluation.pooled,
        grouped=evaluation.grouped,
        notes=notes,
        folder=folder,
        run_id=run.run_id,
    )


def _evaluate(forecasts: pd.DataFrame, prepared: Preparation) -> Evaluation:
    compared = side_by_side(forecasts, test_from=prepared.test_from)
    groupings = (Grouping.TERCILE, Grouping.INSTRUMENT)
    return Evaluation(
        compared=compared,
        pooled=score_side_by_side(compared),
        grouped={by: score_side_by_side(compared, by=by) for by in groupings},
        seed=prepared.experiment.seed,
    )


def _write_page(folder: Path, evaluation: Evaluation, context: ReportContext) -> None:
    figures = list(evaluation_figures(evaluation))
    page = render_evaluation(evaluation, figures=figures, context=context)
    (folder / "evaluation.html").write_text(page, encoding="utf-8")
    for one in figures:
        # Without the name of the software in it, equal figures are equal files.
        path = folder / f"evaluation_{one.name}.png"
        one.figure.savefig(path, dpi=_DPI, metadata={"Software": None})
