"""The main jobs, from a checked experiment to files, tracked run and verdict."""

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from ..backtest import Replay, Verdict, judge, replay, score_forecasts
from ..backtest.report import ReportContext, render_report
from ..calibrate import MarginMarket, with_stress_probability, with_tails
from ..features import variance_measure
from ..markets import findings_frame
from ..models import Forecast
from .experiment import needs_predictive
from .output import complete_or_nothing
from .preparation import Preparation
from .records import Artifact, Metric, Record, Tag, opening_records, verdict_records
from .seeds import stream
from .tables import forecasts_table, margins_table
from .tracking import RunWriter, Store, tracked_run
from .walk_forward import walk_forward

_PARQUET: dict[str, Any] = {"index": False, "compression": "zstd"}

Progress = Callable[[str, int, int], None]
"""Called with the stage, steps done and steps in all."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BacktestResult:
    """What ``foremargin backtest`` leaves.

    Attributes
    ----------
    verdicts : tuple of Verdict
        One per margin period of risk.
    scores : pandas.DataFrame
        Forecast skill (see :func:`score_forecasts`).
    folder : Path
        Where the files are.
    run_id : str
        The MLflow run.
    """

    verdicts: tuple[Verdict, ...]
    scores: pd.DataFrame
    folder: Path
    run_id: str


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


def run_backtest(
    prepared: Preparation,
    *,
    store: Store,
    folder: Path,
    workers: int = 1,
    progress: Progress | None = None,
) -> BacktestResult:
    """Forecast, calibrate, replay every policy and judge; track and report.

    Parameters
    ----------
    prepared : Preparation
        From :func:`prepare`.
    store : Store
        Where the run is tracked.
    folder : Path
        Gets ``forecasts.parquet``, ``margins.parquet``, ``scores.parquet``, ``policies.parquet``,
        ``verdict.json`` and ``report.html`` when all of them are there.
    workers : int
        Processes for the fits; changes no number.
    progress : callable, optional
        See :data:`Progress`.

    Raises
    ------
    InputError
        If there is nothing to compare.
    """
    needs_predictive(prepared.experiment)
    tell = progress or _silent
    opening = opening_records(prepared.experiment, prepared.panel, verb="backtest")
    with (
        tracked_run(store, experiment=prepared.experiment.name, opening=opening) as run,
        complete_or_nothing(folder) as partial,
    ):
        forecasts, notes = _forecast(prepared, workers=workers, progress=tell)
        table, scores = _score(prepared, forecasts)
        replays = [_replay(prepared, forecasts, h, tell) for h in prepared.margin_horizons]
        tell("judge", 0, len(replays))
        verdicts = tuple(
            judge(one, rng=stream(prepared.experiment.seed, f"judge/{one.horizon}"))
            for one in replays
        )
        tell("report", 0, 1)
        page = render_report(
            verdicts, scores=scores, context=_context(prepared, notes=notes, run_id=run.run_id)
        )
        _write_tables(partial, table, scores)
        margins_table(replays).to_parquet(partial / "margins.parquet", **_PARQUET)
        _policies(verdicts).to_parquet(partial / "policies.parquet", **_PARQUET)
        content = {"horizons": [verdict.as_dict() for verdict in verdicts], "notes": list(notes)}
        (partial / "verdict.json").write_text(json.dumps(content, indent=2), encoding="utf-8")
        (partial / "report.html").write_text(page, encoding="utf-8")
        records = [record for verdict in verdicts for record in verdict_records(verdict)]
        _record(run, partial, scores, notes=notes, records=records)
    return BacktestResult(verdicts=verdicts, scores=scores, folder=folder, run_id=run.run_id)


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
        Gets ``forecasts.parquet`` and ``scores.parquet``.
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
        forecasts, notes = _forecast(prepared, workers=workers, progress=progress or _silent)
        table, scores = _score(prepared, forecasts)
        _write_tables(partial, table, scores)
        _record(run, partial, scores, notes=notes, records=[])
    return EvaluationResult(scores=scores, folder=folder, run_id=run.run_id)


def _silent(stage: str, done: int, total: int) -> None:
    pass


def _forecast(
    prepared: Preparation, *, workers: int, progress: Progress
) -> tuple[list[Forecast], tuple[str, ...]]:
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


def _score(
    prepared: Preparation, forecasts: Sequence[Forecast]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    table = forecasts_table(
        forecasts,
        prepared.history,
        first_row=prepared.split.forecast_row,
        from_row=prepared.split.validation_row,
    )
    return table, score_forecasts(table, test_from=prepared.test_from)


def _replay(
    prepared: Preparation, forecasts: Sequence[Forecast], horizon: int, progress: Progress
) -> Replay:
    panel, split = prepared.panel, prepared.split
    k = prepared.history.targets.at(horizon)
    variance = {}
    for forecast in forecasts:
        aligned = np.full((panel.n_periods, panel.n_instruments), np.nan)
        aligned[split.forecast_row :] = forecast.variance[:, :, k]
        variance[forecast.model] = aligned
    market = MarginMarket(
        history=prepared.history,
        horizon=horizon,
        tail_probability=prepared.experiment.margin.tail_probability,
        first_row=split.validation_row,
        variance=variance,
    )
    policies = prepared.experiment.policies()
    return replay(
        market,
        policies,
        test_row=split.test_row,
        rng=stream(prepared.experiment.seed, f"shuffle/{horizon}"),
        progress=lambda done, total: progress(f"replay, horizon {horizon}", done, total),
    )


def _policies(verdicts: Sequence[Verdict]) -> pd.DataFrame:
    """Per policy, instrument and side: the table behind the pooled numbers."""
    return pd.concat(
        [verdict.series.assign(horizon=verdict.horizon) for verdict in verdicts],
        ignore_index=True,
    )


def _write_tables(folder: Path, forecasts: pd.DataFrame, scores: pd.DataFrame) -> None:
    forecasts.to_parquet(folder / "forecasts.parquet", **_PARQUET)
    scores.to_parquet(folder / "scores.parquet", **_PARQUET)


def _record(
    run: RunWriter,
    folder: Path,
    scores: pd.DataFrame,
    *,
    notes: Sequence[str],
    records: Sequence[Record],
) -> None:
    skill = [
        Metric(f"h{row.horizon}/{row.model}/qlike_loss", float(str(row.qlike_loss)))
        for row in scores.itertuples()
    ]
    files = [Artifact(path) for path in sorted(folder.iterdir())]
    run.write([Tag("notes", str(len(notes))), *records, *skill, *files])


def _context(prepared: Preparation, *, notes: Sequence[str], run_id: str) -> ReportContext:
    experiment, panel = prepared.experiment, prepared.panel
    day = [str(panel.time[row])[:16].replace("T", " ") for row in _marks(prepared)]
    data = [
        ("source", panel.source),
        ("period", experiment.data.period),
        ("history from", day[0]),
        ("forecasts from", day[1]),
        ("validation from", day[2]),
        ("test from", day[3]),
        ("test to", day[4]),
    ]
    measures = zip(panel.instruments, variance_measure(panel), strict=True)
    data += [(f"variance of {name}", measure) for name, measure in measures]
    records = opening_records(experiment, panel, verb="backtest")
    provenance = [(r.key, r.value) for r in records if isinstance(r, Tag)]
    return ReportContext(
        title=f"Predictive against reactive margin: {', '.join(panel.instruments)}",
        config_yaml=yaml.safe_dump(experiment.model_dump(mode="json"), sort_keys=False),
        command=shlex.join(["foremargin", *sys.argv[1:]]),
        data=tuple(data),
        notes=tuple(notes),
        findings=findings_frame(panel.findings),
        provenance=(("MLflow run", run_id), *provenance),
    )


def _marks(prepared: Preparation) -> tuple[int, int, int, int, int]:
    split = prepared.split
    return (0, split.forecast_row, split.validation_row, split.test_row, -1)
