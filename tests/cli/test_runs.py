"""The two verbs as a user runs them, on two synthetic instruments."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from foremargin.cli import app
from foremargin.training import FORECAST_COLUMNS

pytestmark = pytest.mark.slow

MARGIN_COLUMNS = [
    "policy",
    "instrument",
    "side",
    "origin",
    "horizon",
    "margin_rate",
    "loss",
    "regime",
    "status",
]
TAIL = 0.01


def _arguments(verb: str, small: Path, bars: Path, root: Path, out: str, *more: str) -> list[str]:
    return [
        verb,
        str(small),
        "--data",
        str(bars),
        "--out",
        str(root / out),
        "--mlruns",
        str(root / "mlruns"),
        "--no-progress",
        *more,
    ]


def _run(small: Path, bars: Path, root: Path, out: str, *more: str) -> Path:
    arguments = _arguments("backtest", small, bars, root, out, "--workers", "1", *more)
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "report.html" in result.output
    return root / out


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def done(small: Path, bars: Path, root: Path) -> Path:
    return _run(small, bars, root, "first")


@pytest.fixture(scope="module")
def verdict(done: Path) -> dict[str, object]:
    (first,) = json.loads((done / "verdict.json").read_text())["horizons"]
    assert isinstance(first, dict)
    return first


def test_the_tables_have_the_columns_of_the_contract(done: Path) -> None:
    forecasts = pd.read_parquet(done / "forecasts.parquet")
    assert list(forecasts.columns) == FORECAST_COLUMNS
    assert list(pd.read_parquet(done / "margins.parquet").columns) == MARGIN_COLUMNS
    assert str(forecasts.origin.dt.tz) == "UTC"


def test_every_origin_is_there_exactly_once(done: Path, bars: Path) -> None:
    forecasts = pd.read_parquet(done / "forecasts.parquet")
    margins = pd.read_parquet(done / "margins.parquet")
    keys = {
        "forecasts": (forecasts, ["model", "instrument", "horizon"]),
        "margins": (margins, ["policy", "instrument", "side", "horizon"]),
    }
    for table, by in keys.values():
        for key, rows in table.groupby(by):
            name = dict(zip(by, key, strict=True))["instrument"]
            closes = pd.read_csv(bars / f"{name}.csv", parse_dates=["open_time"])
            ends = closes.open_time + pd.Timedelta(days=1)
            expected = ends[ends >= rows.origin.min()]
            np.testing.assert_array_equal(rows.origin.to_numpy(), expected.to_numpy())


def test_outcomes_are_the_returns_and_losses_that_came(done: Path, bars: Path) -> None:
    close = pd.read_csv(bars / "COIN.csv", parse_dates=["open_time"])
    close.index = pd.DatetimeIndex(close.open_time + pd.Timedelta(days=1))
    forecasts = pd.read_parquet(done / "forecasts.parquet")
    rows = forecasts[
        (forecasts.model == "ewma-0.94")
        & (forecasts.instrument == "COIN")
        & (forecasts.horizon == 5)
    ].set_index("origin")
    expected = pd.Series(np.log(close.close.shift(-5) / close.close), index=close.index)
    np.testing.assert_allclose(rows.log_return, expected.reindex(rows.index), rtol=1e-9)
    margins = pd.read_parquet(done / "margins.parquet")
    long = margins[
        (margins.policy == "hs-250") & (margins.instrument == "COIN") & (margins.side == "long")
    ].set_index("origin")
    simple = (close.close.shift(-1) / close.close - 1.0).reindex(long.index)
    np.testing.assert_allclose(long.loss, -simple, rtol=1e-6, atol=1e-12)


def test_the_verdict_can_be_recomputed_from_the_margins_alone(
    done: Path, verdict: dict[str, object]
) -> None:
    margins = pd.read_parquet(done / "margins.parquet")
    wide = margins.pivot_table(
        index=["side", "instrument", "origin"], columns="policy", values="margin_rate"
    )
    loss = margins.groupby(["side", "instrument", "origin"]).loss.first()
    keep = wide.notna().all(axis=1) & loss.notna()
    wide, loss = wide[keep], loss[keep]
    test = wide.index.get_level_values("origin") >= pd.Timestamp(str(verdict["test_from"]))
    reference = str(verdict["reference"])
    assert reference != verdict["predictive"]
    policies = verdict["policies"]
    assert isinstance(policies, dict)
    assert set(policies) == set(wide.columns)
    for name, row in policies.items():
        margin, lost = wide.loc[test, name], loss[test]
        tick = margin + (lost - margin).clip(lower=0) / TAIL
        constant = wide.loc[~test, reference].mean() / wide.loc[~test, name].mean()
        by_series = margin.groupby(level=["side", "instrument"])
        recomputed = {
            "breach_rate": (lost > margin).mean(),
            "mean_margin": margin.mean(),
            "quantile_loss": tick.mean(),
            "matched_factor": constant,
            "matched_shortfall": (lost - margin * constant).clip(lower=0).sum(),
            "peak_to_trough": by_series.apply(lambda s: s.max() / s.min()).median(),
            "largest_increase_20": by_series.apply(lambda s: (s / s.shift(20)).max()).median(),
        }
        assert {key: row[key] for key in recomputed} == pytest.approx(recomputed, rel=1e-9)


def test_the_scores_can_be_recomputed_from_the_forecasts_alone(
    done: Path, verdict: dict[str, object]
) -> None:
    forecasts = pd.read_parquet(done / "forecasts.parquet")
    rows = forecasts[
        (forecasts.origin >= pd.Timestamp(str(verdict["test_from"])))
        & (forecasts.realized_variance > 0)
    ]
    ratio = rows.realized_variance / rows.variance
    each = pd.Series(ratio - np.log(ratio) - 1.0, index=rows.index)
    qlike = each.groupby([rows.horizon, rows.model]).mean()
    scores = pd.read_parquet(done / "scores.parquet").set_index(["horizon", "model"])
    np.testing.assert_allclose(scores.qlike_loss, qlike.reindex(scores.index), rtol=1e-9)


def test_perfect_foresight_wins_and_the_shuffled_forecast_loses(
    verdict: dict[str, object],
) -> None:
    policies = verdict["policies"]
    assert isinstance(policies, dict)
    score = {name: row["quantile_loss"] for name, row in policies.items()}
    assert min(score, key=lambda name: score[name]) == "control-perfect-foresight"
    assert score["control-shuffled-forecast"] > score["predictive"]


def test_the_same_seed_gives_the_same_files(
    small: Path, bars: Path, root: Path, done: Path
) -> None:
    # Fitted again: what an earlier run has finished would be the same whatever happens.
    again = _run(small, bars, root, "again", "--fresh")
    for name in ("forecasts", "margins", "scores", "policies"):
        first = (done / f"{name}.parquet").read_bytes()
        assert (again / f"{name}.parquet").read_bytes() == first, name


def test_another_seed_moves_the_network_and_nothing_else(
    small: Path, bars: Path, root: Path, done: Path
) -> None:
    other = pd.read_parquet(_run(small, bars, root, "other", "--seed", "9") / "forecasts.parquet")
    first = pd.read_parquet(done / "forecasts.parquet")
    network = first.model == "regime-network"
    pd.testing.assert_frame_equal(other[~network], first[~network])
    # A fit whose trunk was best where it starts, at zero, is its linear skip under any seed.
    assert (other.variance[network] != first.variance[network]).any()


def test_the_run_is_tracked_with_what_produced_it(done: Path, root: Path) -> None:
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{root}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    run = client.search_runs([experiment.experiment_id])[-1]
    assert run.data.tags["status"] == "completed"
    assert len(run.data.tags["data_fingerprint"]) == 64
    assert run.data.tags["instruments"] == "COIN,INDEX"
    assert run.data.params["margin.tail_probability"] == "0.01"
    assert run.data.params["seed"] == "0"
    assert run.data.metrics["h1/predictive/quantile_loss"] > 0.0
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert {"forecasts.parquet", "margins.parquet", "verdict.json", "report.html"} <= names
    assert {"disclosure.html", "disclosure.parquet", "frontier_change.parquet"} <= names


@pytest.fixture
def not_ignoring_interrupts() -> Iterator[None]:
    """Let children hear Ctrl-C even where the tests run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("not_ignoring_interrupts")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_is_marked_and_the_next_one_works(
    small: Path, bars: Path, tmp_path: Path, number: signal.Signals
) -> None:
    arguments = _arguments("evaluate", small, bars, tmp_path, "out", "--workers", "1")
    process = subprocess.Popen(
        [sys.executable, "-m", "foremargin", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    uri = f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    _wait_for_run(tmp_path / "out", process)
    process.send_signal(number)
    _, error = process.communicate(timeout=240)
    assert b"Traceback" not in error
    assert process.returncode == (-number if number is signal.SIGKILL else 130)
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    client = mlflow.MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    statuses = [r.data.tags["status"] for r in client.search_runs([experiment.experiment_id])]
    assert sorted(statuses) == ["completed", "interrupted"]
    assert not list(tmp_path.glob(".*partial"))


def _wait_for_run(out: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait until the run is open: it makes the output folder right after."""
    deadline = time.monotonic() + 240.0
    while not out.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_evaluate_prints_every_model(small: Path, bars: Path, root: Path, done: Path) -> None:
    more = ("--workers", "1", "--by", "tercile")
    arguments = _arguments("evaluate", small, bars, root, "skill", *more)
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    for model in ("ewma-0.94", "garch-normal", "har-pooled", "regime-network"):
        assert model in result.output
    assert "QLIKE by tercile" in result.output
    same = (root / "skill" / "forecasts.parquet").read_bytes()
    assert same == (done / "forecasts.parquet").read_bytes()


def test_evaluate_leaves_scores_in_groups_figures_and_a_page(
    small: Path, bars: Path, root: Path
) -> None:
    arguments = _arguments("evaluate", small, bars, root, "page", "--workers", "1")
    assert CliRunner().invoke(app, arguments, catch_exceptions=False).exit_code == 0
    files = {path.name for path in (root / "page").iterdir()}
    assert files >= {"forecasts.parquet", "scores.parquet", "weights.parquet", "evaluation.html"}
    assert {"evaluation_skill.png", "evaluation_hit_rates.png"} <= files
    pooled = pd.read_parquet(root / "page" / "scores.parquet")
    by_instrument = pd.read_parquet(root / "page" / "scores_by_instrument.parquet")
    by_tercile = pd.read_parquet(root / "page" / "scores_by_tercile.parquet")
    assert set(by_instrument.instrument) == {"COIN", "INDEX"}
    assert set(by_tercile.tercile) == {"calm", "middle", "turbulent"}
    for grouped in (by_instrument, by_tercile):
        counts = grouped.groupby(["horizon", "model"]).n.sum()
        expected = pooled.set_index(["horizon", "model"]).n
        pd.testing.assert_series_equal(counts, expected.sort_index())
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{root}/mlruns/mlflow.db")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    run = client.search_runs([experiment.experiment_id])[0]  # the last one
    artifacts = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert artifacts == files
    row = pooled[(pooled.horizon == 1) & (pooled.model == "har-pooled")].iloc[0]
    assert run.data.metrics["h1/har-pooled/fz0_loss"] == pytest.approx(row.fz0_loss)
    assert "h1/har-pooled/liquidity_onset_pr_auc" not in run.data.metrics
