"""``foremargin train`` and ``foremargin models`` as a user runs them."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from foremargin.bundles import NOT_SERVED
from foremargin.cli import app
from foremargin.errors import InputError
from foremargin.features import History
from foremargin.training import serving_files

pytestmark = pytest.mark.slow

_FILE = """\
name: tiny
split: {{forecast_share: 0.35, validation_share: 0.65, test_share: 0.78}}
forecast: {{models: [{model}], horizons: [1]}}
margin: {{policies: [hs-250]}}
train:
  model: {model}
  gates:
    significance_level: 1.0e-6
    hit_rate: [0.0, 0.1]
    smallest_brier_skill: -1.0
    largest_calibration_error: 0.5
    largest_latency_ms: 100000.0
    references: [ewma-0.99, log-har]
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


def foremargin(root: Path, *arguments: str) -> Any:
    return CliRunner().invoke(app, [*arguments, "--mlruns", str(root / "mlruns")])


def train(root: Path, bars: Path, model: str, *more: str) -> Any:
    path = root / f"{model}.yaml"
    path.write_text(_FILE.format(model=model))
    return foremargin(
        root, "train", str(path), "--data", str(bars), "--workers", "1", "--no-progress", *more
    )


@pytest.fixture(scope="module")
def first(root: Path, bars: Path) -> Any:
    return train(root, bars, "log-har")


@pytest.fixture(scope="module")
def second(root: Path, bars: Path, first: Any) -> Any:
    """Return what is said of a version that fails a gate and that no service can use."""

    def refuse(_: History) -> None:
        raise InputError("a drill")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serving_files, "check_context", refuse)
        return train(root, bars, "ewma-0.99", "--json")


def test_a_model_that_passes_becomes_champion_and_the_exit_code_is_zero(
    first: Any, root: Path
) -> None:
    assert first.exit_code == 0, first.output
    assert (
        "tiny version 1 is champion: passed 12 gates against the reference models" in first.output
    )
    assert "tiny-v1 (not signed: FOREMARGIN_SIGNING_KEY names no key)" in first.output
    assert "qlike-ratio" in first.output
    assert "FAILED" not in first.output
    assert max(len(line) for line in first.stdout.splitlines() if "/" not in line) <= 100
    assert (root / "mlruns" / "bundles" / "tiny-v1" / "manifest.json").is_file()


def test_a_model_that_fails_is_kept_and_the_exit_code_is_one(second: Any) -> None:
    assert second.exit_code == 1
    assert "error: tiny version 2 stays challenger: 1 kinds of gate failed" in second.stderr
    content = json.loads(second.stdout)
    assert f"{NOT_SERVED}: a drill" in content["notes"]
    assert f"note: {NOT_SERVED}: a drill" in second.stderr
    assert (content["version"], content["promoted"], content["aliases"]) == (
        2,
        False,
        ["challenger"],
    )
    (failed,) = (gate for gate in content["gates"] if not gate["passed"])
    assert (failed["name"], failed["against"]) == ("qlike-ratio", "champion-v1")


def test_versions_are_listed_compared_promoted_and_rolled_back(second: Any, root: Path) -> None:
    listed = json.loads(foremargin(root, "models", "list", "--json").stdout)
    assert [(v["version"], v["aliases"], v["passed"]) for v in listed] == [
        (1, ["champion"], True),
        (2, ["challenger"], False),
    ]
    refused = foremargin(root, "models", "promote", "2")
    assert refused.exit_code == 1
    assert "must pass all" in refused.stderr
    compared = json.loads(foremargin(root, "models", "compare", "1", "2", "--json").stdout)
    (qlike,) = (row for row in compared if row["score"] == "qlike_loss")
    assert qlike["second"] > qlike["first"]
    forced = foremargin(root, "models", "promote", "2", "--force", "a drill")
    assert forced.stdout == "tiny version 2 is champion (forced): a drill\n"
    assert (
        "warning: foremargin serve refuses version 2 of tiny: a bundle must hold" in forced.stderr
    )
    back = foremargin(root, "models", "rollback", "--reason", "drill is over", "--json")
    event = json.loads(back.stdout)
    assert (event["version"], event["action"], event["reason"]) == (
        1,
        "rolled-back",
        "drill is over",
    )
    shadow = foremargin(root, "models", "promote", "2", "--shadow")
    assert shadow.stdout == "tiny version 2 is shadow\n"
    assert "serve refuses version 2" in shadow.stderr
    assert "refuses" not in back.stderr


def test_tables_say_the_same_to_people(second: Any, root: Path) -> None:
    listed = foremargin(root, "models", "list").stdout
    assert "failed 1 of 12" in listed
    assert "version 1" in listed
    table = foremargin(root, "models", "compare", "2", "1").stdout
    assert "qlike_loss" in table
    assert "DM p" in table


def test_a_store_without_models_and_numbers_that_do_not_exist_are_explained(
    second: Any, root: Path, tmp_path: Path
) -> None:
    empty = foremargin(tmp_path, "models", "list")
    assert empty.exit_code == 0
    assert "no model is registered" in empty.stdout
    assert foremargin(tmp_path, "models", "rollback").exit_code == 2
    missing = foremargin(root, "models", "promote", "9")
    assert missing.exit_code == 2
    assert "has no 9" in missing.stderr
    assert foremargin(root, "models", "list", "--name", "none").exit_code == 2


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ("train: {model: no-such}", "train.model must be among"),
        ("train: {gates: {references: [no-such]}}", "train.gates.references must be among"),
        ("train: {model: log-har, gates: {references: [log-har]}}", "beside train.model"),
        ("train: {gates: {hit_rate: [0.02, 0.01]}}", "increasing shares"),
        ("train: {gates: {fewest_origins: 3}}", "fewest_origins"),
        ("train: {gates: {loosest: 3}}", "loosest"),
    ],
)
def test_a_section_that_cannot_be_used_is_explained(
    section: str, complaint: str, bars: Path, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(section)
    result = foremargin(tmp_path, "train", str(path), "--data", str(bars))
    assert result.exit_code == 2
    assert complaint in result.stderr
