"""``foremargin data inspect``."""

import pandas as pd
import pytest
from typer.testing import CliRunner

from foremargin.cli.data import app
from foremargin.errors import InputError


@pytest.fixture
def inspect(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(app, ["inspect", *map(str, arguments)])


@pytest.fixture
def bars():
    time = pd.date_range("2024-01-01", periods=240, freq="1h", tz="UTC")
    return pd.DataFrame({"open_time": time, "close": 100.0})


def test_a_healthy_file_is_described_and_ends_with_zero(inspect, bars, tmp_path):
    bars.to_parquet(tmp_path / "X.parquet")
    result = inspect(tmp_path / "X.parquet")
    assert result.exit_code == 0
    assert "2024-01-11 00:00" in result.output
    assert "240" in result.output
    assert "No findings." in result.output


def test_errors_come_first_and_end_with_two(inspect, bars, tmp_path):
    bars.assign(extra=1).to_csv(tmp_path / "A.csv", index=False)
    bars.drop(columns="close").to_csv(tmp_path / "B.csv", index=False)
    result = inspect(tmp_path)
    assert result.exit_code == 2
    assert "Findings: 1 error, 0 warning, 1 info" in result.output
    assert result.output.index("missing-column") < result.output.index("unknown-column")


def test_the_period_is_an_option(inspect, bars, tmp_path):
    bars.to_parquet(tmp_path / "X.parquet")
    assert inspect(tmp_path, "--period", "8h").exit_code == 0
    assert inspect(tmp_path, "--period", "5min").exit_code == 2


def test_the_embedded_source_has_a_name(inspect):
    result = inspect("arch")
    assert result.exit_code == 0
    assert "SP500" in result.output
    assert "5,031" in result.output


def test_a_path_that_does_not_exist_raises_for_the_root_command(inspect, tmp_path):
    result = inspect(tmp_path / "nowhere")
    assert isinstance(result.exception, InputError)
    assert "check the spelling" in str(result.exception)
