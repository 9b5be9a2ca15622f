"""A command given again takes up what it had fitted; one that asks for something else does not."""

from pathlib import Path

import mlflow
import pytest
from typer.testing import CliRunner

from foremargin.cli import app, runs
from foremargin.training import Execution, Store, load_experiment, prepare
from foremargin.training.forecasting import make_forecasts, silent

pytestmark = pytest.mark.slow

_EXPERIMENT = """\
name: resume
split: {forecast_share: 0.35, validation_share: 0.65, test_share: 0.78}
forecast: {models: [ewma-0.94, log-har, har-pooled], horizons: [1, 5]}
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("resume")


def _evaluate(root: Path, bars: Path, *more: str) -> tuple[int, int, bytes]:
    """Return how many fits were made and kept, and the forecasts."""
    config = root / "experiment.yaml"
    config.write_text(_EXPERIMENT)
    arguments = ["evaluate", str(config), "--data", str(bars), "--out", str(root / "out")]
    arguments += ["--mlruns", str(root / "mlruns"), "--workers", "1", "--no-progress", *more]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{root}/mlruns/mlflow.db")
    tags = client.get_run(result.output.split()[-1]).data.tags
    return (
        int(tags["fits"]),
        int(tags["kept_fits"]),
        (root / "out" / "forecasts.parquet").read_bytes(),
    )


def test_the_same_command_takes_up_every_fit(root: Path, bars: Path) -> None:
    n, kept, forecasts = _evaluate(root, bars)
    assert (n > 10, kept) == (True, 0)
    assert _evaluate(root, bars) == (0, n, forecasts)


def test_the_options_of_the_command_say_how_fits_are_carried_out(tmp_path: Path) -> None:
    store = Store(root=tmp_path)
    resumed = runs.execution(store, workers=3, cluster=None, resume=True)
    assert resumed == Execution(workers=3, blocks=tmp_path / "blocks", fresh=False)
    fresh = runs.execution(store, workers=1, cluster="local:2", resume=False)
    assert fresh == Execution(cluster="local:2", blocks=tmp_path / "blocks", fresh=True)


def test_only_what_moves_a_forecast_makes_a_new_fit(bars: Path, tmp_path: Path) -> None:
    def fits(**overrides: object) -> tuple[int, int]:
        config = tmp_path / "experiment.yaml"
        config.write_text(_EXPERIMENT)
        given = {"data": {"source": [str(bars)]}, **overrides}
        made = make_forecasts(
            prepare(load_experiment(config, overrides=given), margins=False),
            execution=Execution(blocks=tmp_path / "blocks"),
            progress=silent,
        )
        return made.n_fitted, made.n_kept

    n, _ = fits()
    assert fits(name="renamed", margin={"policies": ["fixed"]}) == (0, n)
    of_log_har = (n - 1) // 2  # the average is fitted once, each regression as often
    fitted, kept = fits(forecast={"options": {"log-har": {"refit_days": 14}}})
    assert (fitted > of_log_har, kept) == (True, n - of_log_har)
    assert fits(forecast={"windows": {"log-har": "300 sessions"}}) == (of_log_har, n - of_log_har)
    assert fits(forecast={"horizons": [1, 3]}) == (n, 0)
    assert fits(seed=3) == (n, 0)
    assert fits() == (0, n)


def test_a_cluster_that_makes_no_sense_is_refused(root: Path, bars: Path) -> None:
    arguments = ["evaluate", "--data", str(bars), "--cluster", "local:two", "--no-progress"]
    result = CliRunner().invoke(app, [*arguments, "--mlruns", str(root / "mlruns")])
    assert result.exit_code == 2
    assert "like local:2" in result.output
