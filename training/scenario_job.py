"""Scenarios: every policy of an experiment replayed through one dated window.

The window is the test period. Validation is the year before it, and forecasts begin four years
before validation, because the predictive policies calibrate on up to 1,000 trading days of their
own forecasts; neither begins before the experiment's own forecasts do. Fits are those that
``foremargin backtest`` makes with the same experiment, so that what one has finished the other
takes. Nothing after the window but the losses of its last margins is used.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ..backtest import ReplayedScenario, Scenario
from ..backtest.report import ReportContext, render_scenario
from ..calibrate import Generation
from .backends import Execution
from .backtest_job import replay_policies
from .context import report_context
from .forecasting import Forecasts, Progress, finish_forecasts, fit_records, silent
from .output import complete_or_nothing
from .records import Artifact, Metric, Record, Tag, opening_records
from .results import PARQUET
from .scenario_preparation import ScenarioPreparation
from .tables import margins_table
from .tracking import Store, tracked_run
from .walk_forward import walk_forward

_METRICS = (
    *("breaches", "shortfall", "worst_shortfall", "mean_margin", "quantile_loss"),
    *("peak_to_trough", "largest_increase_5", "before_day", "first_rise_days"),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class ScenarioResult:
    """What ``foremargin scenario`` leaves.

    Attributes
    ----------
    episodes : tuple of ReplayedScenario
        One per margin period of risk.
    folder : Path
        Where the files are.
    run_id : str
        The MLflow run.
    """

    episodes: tuple[ReplayedScenario, ...]
    folder: Path
    run_id: str


def run_scenario(
    prepared: ScenarioPreparation,
    *,
    store: Store,
    folder: Path,
    policies: Sequence[str] = (),
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> ScenarioResult:
    """Replay every policy through the window; track and report.

    Parameters
    ----------
    prepared : ScenarioPreparation
        From :func:`prepare_scenario`.
    store : Store
        Where the run is tracked.
    folder : Path
        Gets ``scenario.parquet``, ``scenario.json`` and ``scenario.html`` when all are there.
    policies : sequence of str
        Names of the policies that the page shows; by default the judged one, the best reactive
        and the plain ones. All are replayed and are in the files.
    execution : Execution, optional
        How the fits are carried out; changes no number.
    progress : callable, optional
        See :data:`Progress`.
    """
    scenario, cut, tell = prepared.scenario, prepared.cut, progress or silent
    opening = [
        *opening_records(cut.experiment, prepared.whole.panel, verb="scenario"),
        Tag("scenario", scenario.name),
    ]
    with (
        tracked_run(store, experiment=cut.experiment.name, opening=opening) as run,
        complete_or_nothing(folder) as partial,
    ):
        made = _forecasts(prepared, execution=execution or Execution(), progress=tell)
        episodes = tuple(
            ReplayedScenario.of(
                scenario, replay_policies(cut, made.forecasts, horizon=horizon, progress=tell)
            )
            for horizon in cut.margin_horizons
        )
        tell("report", 0, 1)
        context = _context(prepared, notes=made.notes, run_id=run.run_id)
        page = render_scenario(episodes, context=context, policies=policies)
        replays = [episode.replay for episode in episodes]
        margins = margins_table(replays)
        inside = margins.origin >= pd.Timestamp(cut.panel.time[cut.split.test_row], tz="UTC")
        margins[inside].to_parquet(partial / "scenario.parquet", **PARQUET)
        content = {
            "scenario": _described(scenario),
            "horizons": [episode.as_dict() for episode in episodes],
            "notes": list(made.notes),
        }
        (partial / "scenario.json").write_text(json.dumps(content, indent=2), encoding="utf-8")
        (partial / "scenario.html").write_text(page, encoding="utf-8")
        files = [Artifact(path) for path in sorted(partial.iterdir())]
        notes = Tag("notes", str(len(made.notes)))
        run.write([notes, *fit_records(made), *_records(episodes), *files])
    return ScenarioResult(episodes=episodes, folder=folder, run_id=run.run_id)


def _forecasts(
    prepared: ScenarioPreparation, *, execution: Execution, progress: Progress
) -> Forecasts:
    whole, cut = prepared.whole, prepared.cut
    walked = walk_forward(
        # The whole history, because a finished fit is found by what it could have been given;
        # every fit sees its own past only.
        whole.history,
        whole.experiment.forecasters(),
        first_row=whole.split.forecast_row,
        origins=slice(cut.split.forecast_row, cut.panel.n_periods),
        seed=whole.experiment.seed,
        schedule=whole.experiment.schedule(),
        execution=execution,
        progress=lambda done, total, model: progress(f"forecast {model}", done, total),
    )
    return finish_forecasts(cut, walked, progress=progress)


def _context(prepared: ScenarioPreparation, *, notes: Sequence[str], run_id: str) -> ReportContext:
    """Describe the run; the data are those of the whole experiment, the dates the scenario's."""
    cut, scenario = prepared.cut, prepared.scenario
    shown = cut.panel.upto(scenario.rows(cut.panel.time).stop)
    context = report_context(
        replace(cut, panel=shown), verb="scenario", title=scenario.title, notes=notes, run_id=run_id
    )
    names = {"test from": "window from", "test to": "window to"}
    fingerprint = ("data_fingerprint", prepared.whole.panel.fingerprint())
    return replace(
        context,
        data=tuple((names.get(label, label), value) for label, value in context.data),
        provenance=tuple(
            fingerprint if label == fingerprint[0] else (label, value)
            for label, value in context.provenance
        ),
    )


def _described(scenario: Scenario) -> dict[str, str]:
    return {
        "name": scenario.name,
        "title": scenario.title,
        "day": str(scenario.day),
        "first": str(scenario.first),
        "last": str(scenario.last),
        "happened": scenario.happened,
        "source": scenario.source,
    }


def _records(episodes: Sequence[ReplayedScenario]) -> Iterator[Record]:
    """Yield the numbers of the predictive policies and of the best reactive one."""
    for episode in episodes:
        prefix = f"h{episode.horizon}"
        yield Tag(f"{prefix}.reference", episode.reference)
        table = episode.frame()
        shown = (*episode.replay.names(Generation.PREDICTIVE), episode.reference)
        for policy, row in zip(shown, table.loc[list(shown)].to_dict("records"), strict=True):
            for name in _METRICS:
                value = float(row[name])
                # A margin that never rose has no day, and MLflow takes only numbers.
                if np.isfinite(value):
                    yield Metric(f"{prefix}/{policy}/{name}".replace("+", "-"), value)
