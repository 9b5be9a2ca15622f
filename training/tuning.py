"""The search for hyper-parameters: on validation only, recorded trial by trial.

Bergstra, Bardenet, Bengio and Kégl (2011), "Algorithms for Hyper-Parameter Optimization", NIPS 24:
the tree-structured Parzen estimator, as optuna implements it.
"""

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from ..errors import ConvergenceError, InputError
from .backends import Execution
from .experiment import Experiment
from .forecasting import Progress, silent
from .model_options import option_value, with_options
from .output import complete_or_nothing
from .records import Artifact, Metric, Param, Record, Tag, opening_records
from .results import PARQUET
from .search_space import distributions, load_optuna
from .seeds import stream
from .tracking import RunWriter, Store, tracked_run
from .tune_config import TuneConfig
from .validation import Validation, compare_losses, overall_p_value, validation_losses

SIGNIFICANCE_LEVEL = 0.05
"""Of the comparison of the best setting with the default one."""

Options = Mapping[str, object]


@dataclass(frozen=True, kw_only=True, eq=False)
class Trial:
    """One setting and what it scored.

    Attributes
    ----------
    number : int
        0 is the default setting.
    options : mapping of str to object
        The hyper-parameters of the space.
    losses : pandas.Series
        By horizon, origin and instrument; empty if the model could not be fitted.
    by_horizon : pandas.Series
        Mean loss by horizon, over the rows of the default setting.
    elapsed_s : float
        How long it took, s.
    failure : str or None
        Why there is no score.
    """

    number: int
    options: Options
    losses: pd.Series
    by_horizon: pd.Series
    elapsed_s: float
    failure: str | None = None

    @property
    def loss(self) -> float:
        """Mean over the horizons; infinite without a score."""
        return math.inf if self.failure else float(self.by_horizon.mean())


@dataclass(frozen=True, kw_only=True, eq=False)
class TuningResult:
    """What ``foremargin tune`` leaves.

    Attributes
    ----------
    config : TuneConfig
        What was searched.
    default, best : Trial
        The setting of the experiment, and the one with the smallest loss; it may be the default.
    trials : pandas.DataFrame
        One row per trial, in order: ``trial``, the hyper-parameters, the loss by horizon, their
        mean, ``elapsed_s`` and ``failure``.
    comparison : pandas.DataFrame
        Best against default by horizon: rows ``n``, means ``loss`` and ``base_loss``, and
        ``dm_p_value`` of the Diebold-Mariano test, two-sided, 0 to 1.
    p_value : float
        Of the same test on the mean over the horizons; no correction for how many were tried.
    span : tuple of pandas.Timestamp
        First and last origin of validation.
    folder : Path
        Where the files are.
    run_id : str
        The MLflow run, of which each trial is one.
    """

    config: TuneConfig
    default: Trial
    best: Trial
    trials: pd.DataFrame
    comparison: pd.DataFrame
    p_value: float
    span: tuple[pd.Timestamp, pd.Timestamp]
    folder: Path
    run_id: str

    @property
    def is_better(self) -> bool:
        """Whether the best setting beats the default one, the mean over horizons, at 5 %."""
        return self.best.number > 0 and self.p_value < SIGNIFICANCE_LEVEL


def run_tuning(
    validation: Validation,
    *,
    store: Store,
    folder: Path,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> TuningResult:
    """Search the space of the experiment; track every trial, write the best setting.

    The default setting is scored first, and every trial on its rows: one without a forecast in
    any of them has failed. The same experiment, data and seed give the same trials.

    Parameters
    ----------
    validation : Validation
        From :func:`prepare_validation`.
    store : Store
        Where the runs are tracked.
    folder : Path
        Gets ``best.yaml``, an experiment with the best setting, and ``trials.parquet``.
    execution : Execution, optional
        How the fits are carried out; changes no number.
    progress : callable, optional
        See :data:`Progress`.

    Raises
    ------
    InputError
        If the experiment has nothing to search, optuna is not installed, or the default setting
        has no forecast.
    """
    config = searched(validation.experiment)
    horizons = validation.history.horizons
    if not set(config.horizons or horizons) <= set(horizons):
        raise InputError(
            f"tune.horizons must be among those forecast, {list(horizons)}, was "
            f"{list(config.horizons or ())}"
        )
    load_optuna()  # before a run is opened
    search = _Search(
        validation=validation,
        config=config,
        store=store,
        execution=execution or Execution(),
        progress=progress or silent,
    )
    opening = opening_records(validation.experiment, validation.panel, verb="tune")
    with (
        tracked_run(store, experiment=validation.experiment.name, opening=opening) as run,
        complete_or_nothing(folder) as partial,
    ):
        trials = search.run(run)
        default, best = trials[0], min(trials, key=lambda trial: (trial.loss, trial.number))
        table = _table(trials)
        table.to_parquet(partial / "trials.parquet", **PARQUET)
        text = best_experiment(validation.experiment, best)
        (partial / "best.yaml").write_text(text, encoding="utf-8")
        result = TuningResult(
            config=config,
            default=default,
            best=best,
            trials=table,
            comparison=compare_losses(best.losses, default.losses),
            p_value=overall_p_value(best.losses, default.losses),
            span=validation.span,
            folder=folder,
            run_id=run.run_id,
        )
        run.write([*_result_records(result), *map(Artifact, sorted(partial.iterdir()))])
    return result


def searched(experiment: Experiment) -> TuneConfig:
    """Return what an experiment searches.

    Raises
    ------
    InputError
        If it has no section ``tune``.
    """
    if experiment.tune is None:
        raise InputError(
            "the experiment must have a section tune, like tune: {model: har-pooled, space: "
            "{penalty: {low: 1, high: 1000, log: true}}}; the shipped experiment tune has one"
        )
    return experiment.tune


def best_experiment(experiment: Experiment, best: Trial) -> str:
    """Return an experiment file with the best setting, which every verb takes."""
    values = experiment.model_dump(mode="json", exclude={"tune"}, exclude_unset=True)
    model = searched(experiment).model
    options = values.setdefault("forecast", {}).setdefault("options", {})
    # Named with dots and last, so that they win over those of the file.
    options[model] = {**options.get(model, {}), **best.options}
    header = f"# {model}, trial {best.number}: found by `foremargin tune` on validation.\n"
    return header + yaml.safe_dump(values, sort_keys=False)


@dataclass(frozen=True, kw_only=True)
class _Search:
    validation: Validation
    config: TuneConfig
    store: Store
    execution: Execution
    progress: Progress

    def run(self, parent: RunWriter) -> list[Trial]:
        optuna = load_optuna()
        spec = self.validation.experiment.forecaster(self.config.model)
        drawn_from = distributions(optuna, spec, self.config.space)
        seed = int(stream(self.validation.experiment.seed, "tune").integers(2**31))
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
        start = {name: option_value(spec, name) for name in self.config.space}
        default = self._trial(0, start, None, parent)
        if default.failure is not None:
            raise InputError(
                f"the default setting of {self.config.model} has no forecast in validation: "
                f"{default.failure}"
            )
        _tell_default(optuna, study, start, drawn_from, default.loss)
        trials = [default]
        for number in range(1, self.config.trials + 1):
            self.progress(f"trial {number}", number - 1, self.config.trials)
            asked = study.ask(drawn_from)
            trial = self._trial(number, dict(asked.params), default, parent)
            failed = optuna.trial.TrialState.FAIL if trial.failure else None
            study.tell(asked, None if failed else trial.loss, state=failed)
            trials.append(trial)
        return trials

    def _trial(
        self, number: int, options: Options, default: Trial | None, parent: RunWriter
    ) -> Trial:
        """Score one setting, as a run inside the search's run."""
        opening: list[Record] = [
            Tag("mlflow.parentRunId", parent.run_id),
            Tag("mlflow.runName", f"trial {number}"),
            Tag("verb", "tune"),
            Param("trial", str(number)),
            *(Param(name, str(value)) for name, value in options.items()),
        ]
        name = self.validation.experiment.name
        with tracked_run(self.store, experiment=name, opening=opening) as run:
            trial = self._score(number, options, default)
            run.write(_trial_records(trial, self.config))
        return trial

    def _score(self, number: int, options: Options, default: Trial | None) -> Trial:
        started_at_s = time.perf_counter()
        losses, failure = pd.Series(dtype=np.float64), None
        try:
            spec = self.validation.experiment.forecaster(self.config.model)
            losses = self._losses(with_options(spec, options))
        except (InputError, ConvergenceError) as error:
            failure = str(error)
        rows = losses.index if default is None else default.losses.index
        missing = len(rows.difference(losses.index))
        if failure is None and (missing or not len(rows)):
            failure = f"no forecast in {missing:,} of the {len(rows):,} rows of the default setting"
        return Trial(
            number=number,
            options=options,
            losses=losses,
            by_horizon=losses.reindex(rows).groupby(level="horizon").mean()
            if failure is None
            else losses,
            elapsed_s=time.perf_counter() - started_at_s,
            failure=failure,
        )

    def _losses(self, spec: Any) -> pd.Series:
        losses = validation_losses(
            self.validation, spec, self.config.metric, execution=self.execution
        )
        wanted = self.config.horizons or self.validation.history.horizons
        return losses[losses.index.get_level_values("horizon").isin(wanted)]


def _tell_default(
    optuna: Any, study: Any, start: Options, drawn_from: Mapping[str, Any], loss: float
) -> None:
    """Let the search know what the default setting scores, if that lies inside the space."""
    try:
        known = optuna.trial.create_trial(
            params=dict(start), distributions=dict(drawn_from), value=loss
        )
    except ValueError:
        return
    study.add_trial(known)


def _trial_records(trial: Trial, config: TuneConfig) -> Iterator[Record]:
    if trial.failure is not None:
        yield Tag("failure", trial.failure)
        return
    yield Metric(str(config.metric), trial.loss)
    for horizon, loss in trial.by_horizon.items():
        yield Metric(f"h{horizon}/{config.model}/{config.metric}", float(loss))


def _result_records(result: TuningResult) -> Iterator[Record]:
    yield Tag("best_trial", str(result.best.number))
    yield Tag("is_better", str(result.is_better).lower())
    yield Metric("dm_p_value", result.p_value)
    yield from _trial_records(result.best, result.config)
    for row in result.comparison.itertuples():
        name = f"h{row.horizon}/{result.config.model}"
        yield Metric(f"{name}/default_{result.config.metric}", float(str(row.base_loss)))
        yield Metric(f"{name}/dm_p_value", float(str(row.dm_p_value)))


def _table(trials: list[Trial]) -> pd.DataFrame:
    rows = [
        {
            "trial": trial.number,
            **trial.options,
            **{f"loss_h{horizon}": loss for horizon, loss in trial.by_horizon.items()},
            "loss": math.nan if trial.failure else trial.loss,
            "elapsed_s": trial.elapsed_s,
            "failure": trial.failure,
        }
        for trial in trials
    ]
    return pd.DataFrame(rows).astype({"failure": "string"})
