"""The search as a user runs it."""

import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from foremargin.cli import app
from foremargin.training import load_experiment

pytestmark = pytest.mark.slow

_EXPERIMENT = """\
name: search
split: {forecast_share: 0.35, validation_share: 0.65, test_share: 0.78}
forecast: {horizons: [1, 5]}
tune: {model: log-har, trials: 9, space: {refit_days: {choices: [28, 91]}}}
"""


def _tune(tmp_path: Path, bars: Path, text: str, *more: str) -> tuple[int, str]:
    config = tmp_path / "search.yaml"
    config.write_text(text)
    arguments = ["tune", str(config), "--data", str(bars), "--out", str(tmp_path / "out")]
    arguments += ["--mlruns", str(tmp_path / "mlruns"), "--workers", "1", "--no-progress", *more]
    result = CliRunner().invoke(app, arguments)
    assert "Traceback" not in result.output
    return result.exit_code, result.output


def test_the_search_prints_best_against_default_and_leaves_an_experiment(
    tmp_path: Path, bars: Path
) -> None:
    code, output = _tune(tmp_path, bars, _EXPERIMENT, "--trials", "2")
    assert code == 0, output
    assert "log-har: 2 settings tried" in output
    assert "qlike_loss over validation, 2020-02-21 to 2020-07-25" in output
    assert "DM p" in output
    assert ("warning: " in output) != ("beats the default one (DM p" in output)
    table = output.split("log-har:", 1)[1].split("experiment  ", 1)[0]
    assert max(map(len, table.splitlines())) <= 100
    trials = pd.read_parquet(tmp_path / "out" / "trials.parquet")
    assert list(trials.trial) == [0, 1, 2]
    assert set(trials.refit_days) <= {28, 91}
    best = load_experiment(tmp_path / "out" / "best.yaml")
    chosen = trials.sort_values(["loss", "trial"]).refit_days.iloc[0]
    assert best.forecaster("log-har").refit_days == chosen
    assert best.name == "search"


def test_an_experiment_without_a_search_is_refused(tmp_path: Path, bars: Path) -> None:
    code, output = _tune(tmp_path, bars, _EXPERIMENT.split("tune:")[0])
    assert code == 2
    assert "must have a section tune" in output
    assert not (tmp_path / "mlruns").exists()


def test_without_optuna_nothing_is_written(
    tmp_path: Path, bars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, output = _tune(tmp_path, bars, _EXPERIMENT)
    assert code == 2
    assert "pip install 'foremargin[tune]'" in output
    assert not (tmp_path / "out").exists()
