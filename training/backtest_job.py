"""The main job: forecast, calibrate, replay every policy, judge; files, tracked run, report."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..backtest import Replay, Verdict, disclosure_table, judge, judge_together, replay
from ..backtest.report import ReportContext, render_disclosure, render_report
from ..calibrate import MarginMarket
from ..models import Forecast
from .backends import Execution
from .completed_runs import write_run_file
from .context import report_context
from .experiment import needs_predictive
from .forecasting import Progress, fit_records, make_forecasts, score, silent
from .output import complete_or_nothing
from .preparation import Preparation
from .records import opening_records, verdict_records
from .results import PARQUET, record_run, write_tables
from .seeds import stream
from .tables import margins_table
from .tracking import Store, tracked_run


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


def run_backtest(
    prepared: Preparation,
    *,
    store: Store,
    folder: Path,
    execution: Execution | None = None,
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
        Gets ``forecasts.parquet``, ``weights.parquet``, ``scores.parquet``, ``margins.parquet``,
        ``policies.parquet``, ``frontier.parquet``, ``frontier_change.parquet``,
        ``instruments.parquet``, ``disclosure.parquet``, ``verdict.json``, ``report.html``,
        ``disclosure.html`` and ``run.json`` when all of them are there.
    execution : Execution, optional
        How the fits are carried out; changes no number.
    progress : callable, optional
        See :data:`Progress`.

    Raises
    ------
    InputError
        If there is nothing to compare.
    """
    needs_predictive(prepared.experiment)
    tell = progress or silent
    opening = tuple(
        opening_records(
            prepared.experiment, prepared.panel, verb="backtest", test_from=prepared.test_from
        )
    )
    with (
        tracked_run(store, experiment=prepared.experiment.name, opening=opening) as run,
        complete_or_nothing(folder) as partial,
    ):
        made = make_forecasts(prepared, execution=execution or Execution(), progress=tell)
        table, scores = score(prepared, made.forecasts)
        replays = [
            replay_policies(prepared, made.forecasts, horizon=horizon, progress=tell)
            for horizon in prepared.margin_horizons
        ]
        tell("judge", 0, len(replays))
        verdicts = judge_together(
            [
                judge(one, rng=stream(prepared.experiment.seed, f"judge/{one.horizon}"))
                for one in replays
            ]
        )
        tell("report", 0, 1)
        write_tables(partial, table, scores)
        made.weights.to_parquet(partial / "weights.parquet", **PARQUET)
        margins_table(replays).to_parquet(partial / "margins.parquet", **PARQUET)
        context = report_context(
            prepared,
            verb="backtest",
            title="Predictive against reactive margin",
            notes=made.notes,
            run_id=run.run_id,
        )
        _write_verdicts(partial, verdicts, scores=scores, context=context, notes=made.notes)
        judged = [record for verdict in verdicts for record in verdict_records(verdict)]
        write_run_file(partial, run.run_id, opening)
        record_run(run, partial, scores, notes=made.notes, records=[*fit_records(made), *judged])
    return BacktestResult(verdicts=verdicts, scores=scores, folder=folder, run_id=run.run_id)


def replay_policies(
    prepared: Preparation, forecasts: Sequence[Forecast], *, horizon: int, progress: Progress
) -> Replay:
    """Let every policy of the experiment set its margins from validation on.

    Parameters
    ----------
    prepared : Preparation
        What is run on.
    forecasts : sequence of Forecast
        From the first forecast origin of `prepared` to the end of its panel.
    horizon : int
        Margin period of risk, own periods.
    progress : callable
        See :data:`Progress`.
    """
    panel, split = prepared.panel, prepared.split
    k = prepared.history.targets.at(horizon)

    def on_panel(values: NDArray[np.float64]) -> NDArray[np.float64]:
        aligned = np.full((panel.n_periods, panel.n_instruments), np.nan)
        aligned[split.forecast_row :] = values[:, :, k]
        return aligned

    market = MarginMarket(
        history=prepared.history,
        horizon=horizon,
        tail_probability=prepared.experiment.margin.tail_probability,
        first_row=split.validation_row,
        variance={forecast.model: on_panel(forecast.variance) for forecast in forecasts},
        liquidity_stress={
            forecast.model: on_panel(forecast.liquidity_stress_probability)
            for forecast in forecasts
            if forecast.liquidity_stress_probability is not None
        },
    )
    policies = prepared.experiment.policies()
    return replay(
        market,
        policies,
        test_row=split.test_row,
        rng=stream(prepared.experiment.seed, f"shuffle/{horizon}"),
        progress=lambda done, total: progress(f"replay, horizon {horizon}", done, total),
    )


def _write_verdicts(
    folder: Path,
    verdicts: Sequence[Verdict],
    *,
    scores: pd.DataFrame,
    context: ReportContext,
    notes: Sequence[str],
) -> None:
    """Write the tables, the JSON and the two pages of some verdicts."""
    for name, table in _verdict_tables(verdicts).items():
        table.to_parquet(folder / f"{name}.parquet", **PARQUET)
    content = {"horizons": [verdict.as_dict() for verdict in verdicts], "notes": list(notes)}
    pages = {
        "verdict.json": json.dumps(content, indent=2),
        "report.html": render_report(verdicts, scores=scores, context=context),
        "disclosure.html": render_disclosure(verdicts, context=_disclosed(context)),
    }
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


def _verdict_tables(verdicts: Sequence[Verdict]) -> dict[str, pd.DataFrame]:
    """Return the tables behind the pooled numbers, all horizons in one.

    By policy, instrument and side; by policy and scale; by cost; by instrument; by quarter.
    """
    tables = {
        "policies": [verdict.series for verdict in verdicts],
        "frontier": [verdict.frontier for verdict in verdicts],
        "frontier_change": [verdict.frontier_change for verdict in verdicts],
        "instruments": [verdict.by_instrument for verdict in verdicts],
        "disclosure": [_disclosure(verdict) for verdict in verdicts],
    }
    horizons = [verdict.horizon for verdict in verdicts]
    return {
        name: pd.concat(
            [one.assign(horizon=h) for one, h in zip(parts, horizons, strict=True)],
            ignore_index=True,
        )
        for name, parts in tables.items()
    }


def _disclosed(context: ReportContext) -> ReportContext:
    """Give the page of the disclosure its own head line, with the same names."""
    return replace(context, title=f"Disclosure by quarter: {context.title.partition(': ')[2]}")


def _disclosure(verdict: Verdict) -> pd.DataFrame:
    """Return the quarters of the judged policy and of the reference."""
    return pd.concat(
        [
            disclosure_table(verdict, policy).assign(policy=policy)
            for policy in (verdict.predictive, verdict.reference)
        ],
        ignore_index=True,
    )
