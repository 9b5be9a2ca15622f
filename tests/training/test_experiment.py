from datetime import date
from pathlib import Path

import pytest

from foremargin.calibrate import ALL_POLICIES
from foremargin.errors import InputError
from foremargin.features import ALL_FEATURES, CORE_FEATURES
from foremargin.models import ALL_FORECASTERS, RegimeNetwork
from foremargin.training import Schedule, Window, load_experiment, shipped_experiments
from foremargin.training.experiment import needs_predictive
from foremargin.training.preparation import prepare


@pytest.mark.parametrize("name", shipped_experiments())
def test_every_shipped_experiment_is_valid_and_named_like_its_file(name: str) -> None:
    assert load_experiment(name).name == name


def test_the_default_experiment_runs_every_forecaster_and_policy() -> None:
    experiment = load_experiment()
    assert experiment.forecasters() == ALL_FORECASTERS
    assert experiment.policies() == ALL_POLICIES


def test_overrides_replace_values_and_keep_their_neighbours() -> None:
    changed = load_experiment(overrides={"data": {"period": "8h"}, "seed": 3})
    assert (changed.data.period, changed.data.source, changed.seed) == ("8h", ("arch",), 3)
    assert changed.split.test_from == date(2006, 1, 1)


def test_without_named_policies_those_without_forecasts_are_left_out() -> None:
    experiment = load_experiment(overrides={"forecast": {"models": ["ewma-0.94"]}})
    names = {policy.name for policy in experiment.policies()}
    assert "ewma-0.94-fhs" in names
    assert "predictive" not in names
    with pytest.raises(InputError, match="at least one of each, found"):
        needs_predictive(experiment)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed: -1", r"seed: .*greater than or equal to 0, found -1"),
        ("margins: {}", r"margins: Extra inputs are not permitted"),
        ("forecast: {models: [garhc]}", r"forecast\.models must be among .*found \['garhc'\]"),
        ("margin: {tail_probability: 99}", r"margin\.tail_probability: .*found 99"),
        (
            "forecast: {models: [ewma-0.94]}\nmargin: {policies: [predictive]}",
            r"policy predictive needs the forecasts of \['regime-network'\]",
        ),
        ("forecast: {window: 3 weeks}", r"a window must be .* was '3 weeks'"),
        ("forecast: {windows: {harr: expanding}}", r"forecast\.windows must be .* \['harr'\]"),
        ("forecast: {options: {harr: {}}}", r"forecast\.options must be among .* \['harr'\]"),
        ("forecast: {options: {log-har: {refit: 7}}}", r"of log-har must be among .* 'refit'"),
        ("forecast: {options: {log-har: [1]}}", r"forecast\.options\.log-har: .*dictionary"),
        ("- a list", "must hold keys and values, found list"),
        ("a: [", "must be YAML"),
        ("name: ../evil", "name: String should match pattern"),
    ],
)
def test_a_wrong_file_gets_a_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_experiment(path)


def test_a_missing_file_and_an_unknown_name_say_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there must be an experiment file at"):
        load_experiment(tmp_path / "none.yaml")
    with pytest.raises(InputError, match=r"one of \['bars', 'default'.*\], was 'dfault'"):
        load_experiment("dfault")


def test_features_are_added_to_the_core_set_by_name() -> None:
    more = [feature.name for feature in ALL_FEATURES if feature not in CORE_FEATURES][:2]
    plain = prepare(load_experiment()).history.features.names
    asked = load_experiment(overrides={"forecast": {"more_features": [*more, "core"]}})
    assert prepare(asked).history.features.names == (*plain, *more)
    assert set(plain) <= {feature.name for feature in CORE_FEATURES}
    with pytest.raises(InputError, match=r"more_features must be among .* found \['moon'\]"):
        load_experiment(overrides={"forecast": {"more_features": ["moon"]}})


def test_options_and_windows_reach_the_models_they_name() -> None:
    experiment = load_experiment(
        overrides={
            "forecast": {
                "window": "1000 sessions",
                "windows": {"log-har": "expanding"},
                "warm_starts": True,
                "options": {
                    "log-har": {"refit_days": 7},
                    "regime-network": {"plan": {"patience": 2}},
                },
            }
        }
    )
    by_name = {forecaster.name: forecaster for forecaster in experiment.forecasters()}
    assert by_name["log-har"].refit_days == 7
    assert by_name["har-pooled"] in ALL_FORECASTERS
    network = by_name["regime-network"]
    assert isinstance(network, RegimeNetwork)
    assert network.plan.patience == 2
    schedule = experiment.schedule()
    assert schedule.window_of("log-har") == Window()
    assert schedule.window_of("har-pooled") == Window(sessions=1_000)
    assert schedule.warm_starts
    assert load_experiment().schedule() == Schedule()
