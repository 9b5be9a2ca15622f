"""The search: on validation only, the same for a seed, and honest about what it found."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
import yaml

from foremargin.errors import InputError
from foremargin.markets import Panel
from foremargin.training import (
    Execution,
    Experiment,
    TuningResult,
    Validation,
    load_experiment,
    open_store,
    prepare_validation,
    run_tuning,
    tuning,
    validation,
)
from foremargin.training.search_space import distributions, load_optuna
from foremargin.training.tracking import Store
from foremargin.training.tune_config import ParameterSpace, TuneMetric
from foremargin.training.tuning import Trial, best_experiment
from foremargin.training.validation import compare_losses, overall_p_value, validation_losses

N_PERIODS, TEST_ROW = 900, 780
SPLIT = {"forecast_share": 0.4, "validation_share": 0.65, "test_share": TEST_ROW / N_PERIODS}
SPACE = {"penalty": {"low": 1.0, "high": 1e5, "log": True}, "refit_days": {"choices": [28, 91]}}


def _experiment(**tune: Any) -> Experiment:
    return load_experiment(
        overrides={
            "name": "search",
            "data": {"source": ["made"]},
            "split": {"forecast_from": None, "validation_from": None, "test_from": None, **SPLIT},
            "forecast": {"horizons": [1, 5]},
            "tune": {"model": "har-pooled", "trials": 4, "space": SPACE, **tune},
        }
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(tmp_path_factory.mktemp("mlruns"))


@pytest.fixture
def prepare_on(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Validation]:
    """Return a function that prepares the search on a panel in place of files."""

    def prepare(panel: Panel, **tune: Any) -> Validation:
        monkeypatch.setattr(validation, "load_market", lambda experiment: panel)
        return prepare_validation(_experiment(**tune))

    return prepare


@pytest.fixture
def panel(make_panel: Callable[..., Panel]) -> Panel:
    return make_panel(n_periods=N_PERIODS).select(["COIN", "INDEX"])


def _numbers(result: TuningResult) -> pd.DataFrame:
    return result.trials.drop(columns="elapsed_s")


@pytest.mark.slow
def test_changing_the_test_period_changes_nothing(
    panel: Panel,
    prepare_on: Callable[..., Validation],
    shock_after: Callable[..., Panel],
    store: Store,
    tmp_path: Path,
) -> None:
    # Rows before the test are kept to the last bit; every row of the test is another.
    shocked = shock_after(panel, TEST_ROW - 1)
    assert (shocked.close[TEST_ROW:] != panel.close[TEST_ROW:]).any()
    found = [
        run_tuning(prepare_on(one), store=store, folder=tmp_path / name)
        for name, one in (("calm", panel), ("shocked", shocked))
    ]
    pd.testing.assert_frame_equal(_numbers(found[0]), _numbers(found[1]), check_exact=True)
    pd.testing.assert_frame_equal(found[0].comparison, found[1].comparison, check_exact=True)
    files = [(tmp_path / name / "best.yaml").read_text() for name in ("calm", "shocked")]
    assert files[0] == files[1]
    # And what is before it does count.
    moved = run_tuning(
        prepare_on(shock_after(panel, TEST_ROW - 60)), store=store, folder=tmp_path / "moved"
    )
    assert not np.allclose(moved.trials.loss, found[0].trials.loss)


def test_the_history_ends_where_the_test_begins(
    panel: Panel, prepare_on: Callable[..., Validation]
) -> None:
    prepared = prepare_on(panel)
    assert prepared.panel.n_periods == prepared.history.panel.n_periods == TEST_ROW
    assert prepared.split.test_row == TEST_ROW
    assert prepared.span[1] == pd.Timestamp(panel.time[TEST_ROW - 1], tz="UTC")
    assert np.isnan(prepared.history.targets.variance[-1]).all()
    assert np.isnan(prepared.history.targets.variance[-5:, 0, 1]).all()
    losses = validation_losses(
        prepared, prepared.experiment.forecaster("log-har"), TuneMetric.QLIKE, execution=Execution()
    )
    origins = losses.index.get_level_values("origin")
    first = pd.Timestamp(panel.time[prepared.split.validation_row], tz="UTC")
    assert origins.min() == first
    assert origins.max() == pd.Timestamp(panel.time[TEST_ROW - 2], tz="UTC")


@pytest.mark.slow
def test_every_trial_is_a_run_inside_the_run_of_the_search(
    panel: Panel, prepare_on: Callable[..., Validation], store: Store, tmp_path: Path
) -> None:
    prepared = prepare_on(panel)
    blocks = tmp_path / "blocks"
    told: list[tuple[str, int, int]] = []
    result = run_tuning(
        prepared,
        store=store,
        folder=tmp_path / "out",
        execution=Execution(blocks=blocks),
        progress=lambda *step: told.append(step),
    )
    client = mlflow.MlflowClient(tracking_uri=store.tracking_uri)
    parent = client.get_run(result.run_id)
    assert parent.data.tags["status"] == "completed"
    assert parent.data.tags["best_trial"] == str(result.best.number)
    assert parent.data.params["tune.metric"] == "qlike_loss"
    assert parent.data.metrics["qlike_loss"] == pytest.approx(result.best.loss)
    names = {item.path for item in client.list_artifacts(result.run_id)}
    assert names == {"best.yaml", "trials.parquet"}
    inside = client.search_runs(
        [parent.info.experiment_id],
        filter_string=f"tags.`mlflow.parentRunId` = '{result.run_id}'",
    )
    assert {run.data.params["trial"] for run in inside} == {"0", "1", "2", "3", "4"}
    by_number = {int(run.data.params["trial"]): run for run in inside}
    for row in result.trials.to_dict("records"):
        run = by_number[row["trial"]]
        assert run.data.tags["status"] == "completed"
        assert run.data.metrics["qlike_loss"] == pytest.approx(row["loss"])
        assert float(run.data.params["penalty"]) == pytest.approx(row["penalty"])
        h1 = run.data.metrics["h1/har-pooled/qlike_loss"]
        assert h1 == pytest.approx(row["loss_h1"])
    assert told == [(f"trial {i}", i - 1, 4) for i in range(1, 5)]
    # The same again is the same, and takes every fit from what is kept.
    kept = sorted(path.name for path in blocks.iterdir())
    again = run_tuning(
        prepared, store=store, folder=tmp_path / "again", execution=Execution(blocks=blocks)
    )
    pd.testing.assert_frame_equal(_numbers(again), _numbers(result), check_exact=True)
    assert sorted(path.name for path in blocks.iterdir()) == kept
    # The best setting is an experiment that says the same about validation.
    best = load_experiment(tmp_path / "out" / "best.yaml")
    assert best.tune is None
    losses = validation_losses(
        replace(prepared, experiment=best),
        best.forecaster("har-pooled"),
        TuneMetric.QLIKE,
        execution=Execution(),
    )
    assert losses.groupby(level="horizon").mean().mean() == pytest.approx(result.best.loss)


@pytest.mark.slow
@pytest.mark.parametrize("metric", [TuneMetric.FZ0, TuneMetric.BRIER])
def test_tails_and_probabilities_can_be_what_is_tuned(
    panel: Panel, prepare_on: Callable[..., Validation], metric: TuneMetric
) -> None:
    prepared = prepare_on(panel, metric=metric)
    losses = validation_losses(
        prepared, prepared.experiment.forecaster("log-har"), metric, execution=Execution()
    )
    n_days = TEST_ROW - prepared.split.validation_row
    # Calibration needs 250 earlier forecasts, which the split leaves before validation for COIN.
    coin = losses[losses.index.get_level_values("instrument") == "COIN"]
    assert len(coin) > 1.8 * n_days - 250
    assert np.isfinite(losses).all()
    assert 0.0 < float(losses.mean()) < (0.5 if metric is TuneMetric.BRIER else 5.0)


def _trial(number: int, losses: pd.Series) -> Trial:
    return Trial(
        number=number,
        options={"penalty": 3.0},
        losses=losses,
        by_horizon=losses.groupby(level="horizon").mean(),
        elapsed_s=1.0,
    )


def _made_losses(shift: float, *, seed: int = 1) -> pd.Series:
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product(
        [[1, 5], pd.date_range("2020-01-01", periods=300, tz="UTC"), ["A", "B"]],
        names=["horizon", "origin", "instrument"],
    )
    return pd.Series(1.0 + shift + 0.1 * rng.normal(size=len(index)), index=index)


@pytest.mark.parametrize(("shift", "better"), [(-0.05, True), (0.05, False), (0.0, False)])
def test_better_is_lower_and_beyond_chance(shift: float, better: bool) -> None:
    base, losses = _made_losses(0.0), _made_losses(shift, seed=2)
    default, best = _trial(0, base), _trial(1, losses)
    result = TuningResult(
        config=_experiment().tune,  # type: ignore[arg-type]
        default=default,
        best=min(default, best, key=lambda trial: trial.loss),
        trials=pd.DataFrame(),
        comparison=compare_losses(losses, base),
        p_value=overall_p_value(losses, base),
        span=(pd.Timestamp(0, tz="UTC"), pd.Timestamp(1, tz="UTC")),
        folder=Path(),
        run_id="",
    )
    assert result.is_better == better
    assert list(result.comparison.n) == [600, 600]
    difference = result.comparison.loss - result.comparison.base_loss
    np.testing.assert_allclose(difference, shift, atol=0.02)  # three standard errors


def test_a_comparison_is_of_the_rows_that_both_have() -> None:
    base = _made_losses(0.0)
    table = compare_losses(base.iloc[: 600 + 200], base)
    assert list(table.n) == [600, 200]
    assert list(table.dm_p_value) == [1.0, 1.0]


@pytest.mark.slow
def test_a_setting_without_all_forecasts_has_failed_and_the_search_goes_on(
    panel: Panel,
    prepare_on: Callable[..., Validation],
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    true_losses = validation.validation_losses

    def silent_at_91(prepared: Validation, spec: Any, *rest: Any, **more: Any) -> pd.Series:
        losses = true_losses(prepared, spec, *rest, **more)
        if spec.penalty > 1e3:
            raise InputError("no regression with so much penalty")
        return losses.iloc[1:] if spec.refit_days == 91 else losses

    monkeypatch.setattr(tuning, "validation_losses", silent_at_91)
    result = run_tuning(prepare_on(panel, trials=6), store=store, folder=tmp_path)
    trials = result.trials
    expected = (trials.refit_days == 91) | (trials.penalty > 1e3)
    assert list(trials.failure.notna()) == list(expected)
    failed = trials[expected]
    assert failed.loss.isna().all()
    # Both kinds of failure happen, and something is left.
    assert {bool(penalty > 1e3) for penalty in failed.penalty} == {True, False}
    assert len(failed) < 6
    for row in failed.itertuples():
        wanted = "so much penalty" if float(str(row.penalty)) > 1e3 else "no forecast in 1 of the"
        assert wanted in str(row.failure)
    assert result.best.failure is None


def test_without_optuna_the_sentence_says_how_to_get_it(
    panel: Panel,
    prepare_on: Callable[..., Validation],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepared = prepare_on(panel)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pip install 'foremargin\[tune\]'"):
        run_tuning(prepared, store=Store(root=tmp_path / "none"), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_searched_gets_a_sentence(
    panel: Panel, prepare_on: Callable[..., Validation], tmp_path: Path
) -> None:
    store = Store(root=tmp_path)
    with pytest.raises(InputError, match="must have a section tune, like tune:"):
        tuning.searched(load_experiment())
    with pytest.raises(InputError, match=r"among those forecast, \[1, 5\], was \[1, 22\]"):
        run_tuning(prepare_on(panel, horizons=[1, 22]), store=store, folder=tmp_path)
    short = {"forecast_share": 0.4, "validation_share": 0.8, "test_share": 0.85}
    with pytest.raises(InputError, match=r"hold 100 origins, found 45; set split\.validation"):
        prepare_validation(_experiment().model_copy(update={"split": _split(short)}))


def _split(shares: dict[str, float]) -> Any:
    return load_experiment(
        overrides={
            "split": {"forecast_from": None, "validation_from": None, "test_from": None, **shares}
        }
    ).split


@pytest.mark.parametrize(
    ("tune", "message"),
    [
        ({"model": "harpooled"}, r"tune\.model must be among .* found \['harpooled'\]"),
        ({"space": {"penalti": SPACE["penalty"]}}, r"tune\.space must be among .*'penalti'"),
        ({"space": {"penalty": {"low": 2, "high": 1}}}, "low must be below high, was 2.0 and 1.0"),
        ({"space": {"penalty": {"low": 0, "high": 1, "log": True}}}, "must have low above 0"),
        ({"space": {"penalty": {"low": 1}}}, "low and high must be given, or choices"),
        ({"space": {"penalty": {"choices": [1, 1]}}}, "must hold two different values"),
        ({"space": {"penalty": {"choices": [1, 2], "low": 1}}}, "choices has no low, high"),
        ({"space": {"refit_days": {"low": 7.5, "high": 28}}}, "of whole numbers, found 7.5"),
        ({"space": {"refit_days": {"low": 0, "high": 28}}}, "refit_days must be at least 1, was 0"),
        ({"space": {}}, r"tune\.space: .* at least 1 item"),
        ({"metric": "mse"}, r"tune\.metric: .*'qlike_loss'"),
        ({"trials": 0}, r"tune\.trials: .* found 0"),
    ],
)
def test_a_wrong_section_gets_a_sentence(tune: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_experiment(
            overrides={
                "tune": {"model": "har-pooled", "space": {"penalty": SPACE["penalty"]}} | tune
            }
        )


def test_a_word_is_searched_among_choices_only() -> None:
    space = {"volatility": {"low": 1, "high": 2}}
    with pytest.raises(InputError, match="volatility is no number; give its values as choices"):
        load_experiment(overrides={"tune": {"model": "gjr-t", "space": space}})


def test_a_space_becomes_what_the_search_draws_from() -> None:
    optuna = load_optuna()
    space = {
        "plan.learning_rate": ParameterSpace(low=1e-4, high=1e-2, log=True),
        "plan.patience": ParameterSpace(low=2, high=8, step=2),
        "plan.dropout": ParameterSpace(low=0.0, high=0.4),
        "refit_days": ParameterSpace(choices=(91, 182)),
    }
    spec = load_experiment().forecaster("regime-network")
    kinds = optuna.distributions
    assert distributions(optuna, spec, space) == {
        "plan.learning_rate": kinds.FloatDistribution(1e-4, 1e-2, log=True),
        "plan.patience": kinds.IntDistribution(2, 8, step=2),
        "plan.dropout": kinds.FloatDistribution(0.0, 0.4),
        "refit_days": kinds.CategoricalDistribution((91, 182)),
    }


def test_the_best_setting_wins_over_the_options_of_the_file() -> None:
    experiment = load_experiment(
        overrides={
            "forecast": {"options": {"har-pooled": {"penalty": 7.0, "refit_days": 91}}},
            "tune": {"model": "har-pooled", "space": {"penalty": SPACE["penalty"]}},
        }
    )
    text = best_experiment(experiment, _trial(3, _made_losses(0.0)))
    assert text.startswith("# har-pooled, trial 3: found by")
    values = yaml.safe_load(text)
    assert values["forecast"]["options"] == {"har-pooled": {"penalty": 3.0, "refit_days": 91}}
    assert "tune" not in values
    # What the file did not say is not said now, so that defaults stay defaults.
    assert "instruments" not in values["data"]
