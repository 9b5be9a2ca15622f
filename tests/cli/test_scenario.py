"""``foremargin scenario`` as a user runs it, on two synthetic instruments of 2018 to 2021."""

import json
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from foremargin.backtest import ALL_SCENARIOS, scenario_named
from foremargin.cli import app

NAME = "covid-2020"


def _invoke(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, [*arguments], catch_exceptions=False)
    return result.exit_code, result.output


def _options(bars: Path, root: Path, out: str) -> list[str]:
    places = ["--data", str(bars), "--out", str(root / out), "--mlruns", str(root / "mlruns")]
    return [*places, "--workers", "1", "--no-progress"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenarios")


@pytest.fixture(scope="module")
def backtest(small: Path, bars: Path, root: Path) -> Path:
    """Folder of the main job on the same experiment; it runs first."""
    code, output = _invoke("backtest", str(small), *_options(bars, root, "backtest"))
    assert code == 0, output
    return root / "backtest"


@pytest.fixture(scope="module")
def output(small: Path, bars: Path, root: Path, backtest: Path) -> str:
    """What the command prints; its files are in the folder ``scenario``."""
    arguments = ["scenario", NAME, str(small), *_options(bars, root, "scenario")]
    code, output = _invoke(*arguments)
    assert code == 0, output
    return output


@pytest.fixture(scope="module")
def done(output: str, root: Path) -> Path:
    return root / "scenario"


def _runs(root: Path) -> Iterator[mlflow.entities.Run]:
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{root}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    for run in client.search_runs([experiment.experiment_id]):
        if run.data.tags["verb"] == "scenario":
            yield run


def test_the_list_names_every_scenario() -> None:
    code, output = _invoke("scenario", "--list")
    assert code == 0
    for scenario in ALL_SCENARIOS:
        assert scenario.name in output
        assert str(scenario.day) in output


@pytest.mark.slow
def test_the_table_holds_the_plain_policies_and_the_judged_one(output: str) -> None:
    for policy in ("fixed", "hs-250", "ewma-0.94-fhs", "predictive"):
        assert policy in output
    assert "control-perfect-foresight" not in output
    assert "marked day 2020-03-12" in output
    table = output.split("page  ")[0].split("marked day 2020-03-12")[1]
    assert max(len(line) for line in table.splitlines()) <= 100


@pytest.mark.slow
def test_the_window_holds_every_origin_once(done: Path, bars: Path) -> None:
    margins = pd.read_parquet(done / "scenario.parquet")
    columns = ["policy", "instrument", "side", "origin", "horizon"]
    assert list(margins.columns) == [*columns, "margin_rate", "loss", "regime", "status"]
    close = pd.read_csv(bars / "COIN.csv", parse_dates=["open_time"])
    closes = close.open_time + pd.Timedelta(days=1)
    scenario = scenario_named(NAME)
    day = closes - pd.Timedelta(days=1)
    inside = closes[(day.dt.date >= scenario.first) & (day.dt.date <= scenario.last)]
    for _, own in margins[margins.instrument == "COIN"].groupby(["policy", "side", "horizon"]):
        assert list(own.origin) == list(inside)
    # The losses of the last margins are known although the data of the run end soon after them.
    assert margins.loss.notna().all()


@pytest.mark.slow
def test_margins_are_those_of_the_backtest_which_knew_what_came_after(
    done: Path, backtest: Path
) -> None:
    keys = ["policy", "instrument", "side", "origin", "horizon"]
    ours = pd.read_parquet(done / "scenario.parquet").set_index(keys)
    theirs = pd.read_parquet(backtest / "margins.parquet").set_index(keys)
    both = ours.join(theirs.add_suffix("_backtest"), how="inner")
    # The fixed margin is set where validation begins; controls are made of all that is known.
    causal = ["hs-250", "ewma-0.94-fhs", "ewma-0.94-fhs+buffer", "predictive"]
    both = both[both.index.get_level_values("policy").isin(causal)]
    assert both.index.get_level_values("origin").nunique() >= 70
    np.testing.assert_array_equal(both.margin_rate, both.margin_rate_backtest)
    np.testing.assert_array_equal(both.loss, both.loss_backtest)


@pytest.mark.slow
def test_the_numbers_can_be_recomputed_from_the_margins_alone(done: Path) -> None:
    margins = pd.read_parquet(done / "scenario.parquet")
    content = json.loads((done / "scenario.json").read_text())
    assert content["scenario"]["day"] == "2020-03-12"
    (horizon,) = content["horizons"]
    assert {row["policy"] for row in horizon["policies"]} == set(margins.policy)
    for row in horizon["policies"]:
        own = margins[margins.policy == row["policy"]]
        missed = (own.loss - own.margin_rate).clip(lower=0)
        assert row["breaches"] == (own.loss > own.margin_rate).sum()
        assert row["shortfall"] == pytest.approx(missed.sum())
        assert row["worst_shortfall"] == pytest.approx(missed.max())
        assert row["mean_margin"] == pytest.approx(own.margin_rate.mean())


@pytest.mark.slow
def test_fits_of_the_backtest_are_taken_and_the_run_is_tracked(done: Path, root: Path) -> None:
    run = list(_runs(root))[-1]
    assert run.data.tags["fits"] == "0"
    assert int(run.data.tags["kept_fits"]) > 0
    assert run.data.tags["status"] == "completed"
    assert run.data.tags["scenario"] == NAME
    assert run.data.metrics["h1/predictive/mean_margin"] > 0.0
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{root}/mlruns/mlflow.db")
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert names == {"scenario.html", "scenario.json", "scenario.parquet"}


@pytest.mark.slow
def test_named_policies_alone_are_printed_and_drawn(
    small: Path, bars: Path, root: Path, done: Path
) -> None:
    chosen = ["--policy", "predictive", "--policy", "ewma-0.94-fhs+buffer"]
    code, output = _invoke("scenario", NAME, str(small), *_options(bars, root, "two"), *chosen)
    assert code == 0, output
    assert "ewma-0.94-fhs+buffer" in output
    assert "hs-250" not in output
    all_of_them = pd.read_parquet(done / "scenario.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(root / "two" / "scenario.parquet"), all_of_them)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["august-2024"], "must lie within the data, found data from 2018-01-02 to 2021-04-15"),
        (["tulips"], "a scenario must be one of"),
        ([], "a scenario must be named"),
        ([NAME, "--policy", "none"], "--policy must name policies of the experiment"),
    ],
)
def test_what_cannot_be_replayed_is_refused_in_one_sentence(
    bars: Path, small: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    more = [str(small)] if arguments else []
    rest = ["--data", str(bars), "--out", str(tmp_path / "out"), "--mlruns", str(tmp_path)]
    result = CliRunner().invoke(app, ["scenario", *arguments[:1], *more, *arguments[1:], *rest])
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_too_few_forecasts_before_the_window_are_refused(
    bars: Path, small: Path, tmp_path: Path
) -> None:
    late = tmp_path / "late.yaml"
    late.write_text(small.read_text().replace("forecast_share: 0.35", "forecast_share: 0.60"))
    result = CliRunner().invoke(app, ["scenario", NAME, str(late), "--data", str(bars)])
    assert result.exit_code == 2
    text = " ".join(result.output.split())
    assert "forecasts must begin 310 trading days before the window of covid-2020" in text
    assert "begin on 2019-12-23" in text
    assert "split.forecast_from" in text
