"""`foremargin compare` as a user runs it, on runs over two synthetic instruments."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from foremargin.cli import app
from foremargin.training import open_store, tracked_run
from foremargin.training.records import Tag
from foremargin.training.tracking import open_client

pytestmark = pytest.mark.slow

_CHEAP = """\
name: cheap
split: {forecast_share: 0.35, validation_share: 0.65, test_share: 0.78}
forecast: {models: [ewma-0.94, har-pooled], horizons: [1]}
margin: {policies: [fixed, hs-250, predictive-har]}
"""


def _invoke(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(one) for one in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, re.sub(r"\s+", " ", result.output)


@pytest.fixture(scope="module")
def root(bars: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a store and three runs: two backtests that differ by seed, an evaluation."""
    root = tmp_path_factory.mktemp("runs")
    config = root / "cheap.yaml"
    config.write_text(_CHEAP, encoding="utf-8")
    runs = (("backtest", "first"), ("backtest", "second", "--seed", "9"), ("evaluate", "skill"))
    for verb, out, *more in runs:
        code, output = _invoke(
            *(verb, config, "--data", bars, "--out", root / out, "--mlruns", root / "mlruns"),
            *("--workers", "1", "--no-progress", *more),
        )
        assert code == 0, output
    return root


@pytest.fixture
def changed(root: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that copies the first folder with a table or its ``run.json`` changed."""

    def change(
        table: str = "margins",
        with_table: Callable[[pd.DataFrame], pd.DataFrame] = lambda t: t,
        **params: str,
    ) -> Path:
        folder = tmp_path / "changed"
        shutil.copytree(root / "first", folder)
        path = folder / f"{table}.parquet"
        with_table(pd.read_parquet(path)).to_parquet(path)
        content = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        content["params"] |= {key.replace("__", "."): value for key, value in params.items()}
        (folder / "run.json").write_text(json.dumps(content), encoding="utf-8")
        return folder

    return change


def _compare(root: Path, first: str | Path, second: str | Path, *more: str) -> tuple[int, str]:
    return _invoke("compare", first, second, "--mlruns", root / "mlruns", *more)


def _json(root: Path, first: str | Path, second: str | Path) -> dict[str, Any]:
    code, output = _compare(root, first, second, "--json")
    assert code == 0, output
    content = json.loads(output)
    assert isinstance(content, dict)
    return content


def _refused(root: Path, first: str | Path, second: str | Path) -> str:
    code, output = _compare(root, first, second)
    assert code == 2, output
    return output


def _run_id(folder: Path) -> str:
    return str(json.loads((folder / "run.json").read_text(encoding="utf-8"))["run_id"])


@pytest.fixture(scope="module")
def content(root: Path) -> dict[str, Any]:
    return _json(root, root / "first", root / "second")


# What is compared


def test_only_what_differs_between_the_runs_is_listed(content: dict[str, Any]) -> None:
    assert content["differences"] == [{"kind": "seed", "key": "seed", "first": "0", "second": "9"}]
    assert [run["verb"] for run in content["runs"]] == ["backtest", "backtest"]


def test_another_seed_moves_the_shuffled_control_and_nothing_else(content: dict[str, Any]) -> None:
    moved = [row["policy"] for row in content["margins"] if not row["is_equal"]]
    assert moved == ["control-shuffled-forecast"]
    assert {row["model"] for row in content["forecasts"]} == {"ewma-0.94", "har-pooled"}
    assert all(row["is_equal"] for row in content["forecasts"])
    (judged,) = [row["policy"] for row in content["margins"] if row["is_judged"]]
    assert judged == "predictive-har"


def test_the_numbers_are_those_of_the_verdicts(root: Path, content: dict[str, Any]) -> None:
    for name in ("first", "second"):
        (verdict,) = json.loads((root / name / "verdict.json").read_text())["horizons"]
        for row in content["margins"]:
            policy = verdict["policies"][row["policy"]]
            for key in ("quantile_loss", "breach_rate", "mean_margin"):
                assert row[f"{name}_{key}"] == pytest.approx(policy[key], rel=1e-9)


def test_a_run_is_the_same_by_folder_by_id_and_by_the_beginning_of_it(
    root: Path, content: dict[str, Any]
) -> None:
    first, second = _run_id(root / "first"), _run_id(root / "second")
    # Two ids of 32 hexadecimal digits that share the first twelve do not happen.
    for pair in ((first, second), (first[:12], second[:12]), (first, root / "second")):
        found = _json(root, *pair)
        for key in ("differences", "margins", "forecasts", "notes"):
            assert found[key] == content[key], key
        assert [run["run_id"] for run in found["runs"]] == [first, second]


def test_people_see_what_moved_and_what_is_equal(root: Path) -> None:
    code, output = _compare(root, root / "first", root / "second")
    assert code == 0, output
    assert "seed seed 0 9" in output
    assert "Margin over 1 period(s), 900 common rows" in output
    assert re.search(r"control-shuffled-forecast +A .*% to .*%", output)
    assert "equal to the last digit: predictive-har, control-perfect-foresight, fixed" in output
    assert "equal to the last digit: ewma-0.94, har-pooled" in output


def test_lines_are_at_most_a_hundred_columns_wide(root: Path) -> None:
    arguments = [str(root / "first"), str(root / "second"), "--mlruns", str(root / "mlruns")]
    lines = CliRunner().invoke(app, ["compare", *arguments]).output.splitlines()
    # The lines that name the runs end in their folders.
    assert max(len(line) for line in lines if not re.match(r"[AB]  backtest ", line)) <= 100


def test_an_evaluation_shares_its_forecasts_with_a_backtest(root: Path) -> None:
    found = _json(root, root / "first", root / "skill")
    assert found["margins"] == []
    assert found["differences"] == []
    assert all(row["is_equal"] for row in found["forecasts"])
    assert "one run has no margins: only forecasts are compared" in found["notes"]


def test_judged_policies_of_other_names_are_compared(
    root: Path, changed: Callable[..., Path]
) -> None:
    folder = changed(
        with_table=lambda t: t.assign(
            policy=t.policy.replace("predictive-har", "predictive-mine"),
            margin_rate=t.margin_rate * 1.1,
        )
    )
    text = (folder / "verdict.json").read_text(encoding="utf-8")
    (folder / "verdict.json").write_text(text.replace("predictive-har", "predictive-mine"))
    found = _json(root, root / "first", folder)
    row = found["margins"][0]
    assert (row["policy"], row["second_policy"]) == ("predictive-har", "predictive-mine")
    assert row["second_mean_margin"] == pytest.approx(1.1 * row["first_mean_margin"])
    assert row["second_shortfall"] == pytest.approx(row["first_shortfall"])
    assert "policy of the second run alone: predictive-mine" in found["notes"]
    code, output = _compare(root, root / "first", folder)
    assert code == 0
    assert "predictive-har A" in output


def test_margins_that_aim_at_other_breach_rates_are_not_compared(
    root: Path, changed: Callable[..., Path]
) -> None:
    found = _json(root, root / "first", changed(margin__tail_probability="0.02"))
    assert found["margins"] == []
    assert "margins are not compared: they aim at breach rates of 0.01 and 0.02" in found["notes"]
    assert [row["key"] for row in found["differences"]] == ["margin.tail_probability"]


def test_corrected_losses_are_left_out_loudly(root: Path, changed: Callable[..., Path]) -> None:
    def corrected(table: pd.DataFrame) -> pd.DataFrame:
        last = table.origin == table.origin[table.loss.notna()].max()
        return table.assign(loss=table.loss.where(~last, table.loss * 1.01))

    code, output = _compare(root, root / "first", changed(with_table=corrected))
    assert code == 0, output
    assert re.search(r"losses of \d common rows of horizon 1 differ .* are left out", output)


# What is refused


def test_other_markets_are_refused(root: Path, changed: Callable[..., Path]) -> None:
    folder = changed(with_table=lambda t: t.assign(loss=t.loss * 1.01))
    assert "must have seen the same market" in _refused(root, root / "first", folder)


def test_runs_without_a_common_row_are_refused(root: Path, changed: Callable[..., Path]) -> None:
    folder = changed(with_table=lambda t: t.assign(instrument=t.instrument + "-2"))
    path = folder / "forecasts.parquet"
    table = pd.read_parquet(path)
    table.assign(instrument=table.instrument + "-2").to_parquet(path)
    assert "have no row in common from 2020" in _refused(root, root / "first", folder)


@pytest.mark.parametrize("text", ["ffffffffffff", "no/such/folder", "' OR 1=1"])
def test_a_run_that_does_not_exist_is_refused_and_the_latest_are_named(
    root: Path, text: str
) -> None:
    message = _refused(root, root / "first", text)
    assert f"was {text}; the latest are" in message
    assert f"{_run_id(root / 'skill')[:8]} (evaluate, completed)" in message


def test_an_empty_store_says_so(root: Path, tmp_path: Path) -> None:
    code, output = _invoke("compare", "abc", "def", "--mlruns", tmp_path)
    assert code == 2
    assert "no run is tracked there" in output


def test_a_folder_without_a_run_is_refused(root: Path, tmp_path: Path) -> None:
    assert "must hold run.json" in _refused(root, root / "first", tmp_path)


def test_a_beginning_that_several_runs_share_is_refused(root: Path, tmp_path: Path) -> None:
    store = open_store(tmp_path / "mlruns")
    for _ in range(17):  # of sixteen first digits
        with tracked_run(store, experiment="many", opening=[Tag("verb", "tune")]):
            pass
    client = open_client(store)
    experiments = [one.experiment_id for one in client.search_experiments()]
    first = [run.info.run_id[0] for run in client.search_runs(experiments)]
    twice = next(digit for digit in first if first.count(digit) > 1)
    code, output = _invoke("compare", twice, twice, "--mlruns", tmp_path / "mlruns")
    assert code == 2
    assert re.search(rf"is that of {first.count(twice)}: \w{{8}} \(tune, completed\)", output)


def test_runs_that_are_unfinished_or_of_another_verb_or_without_files_are_refused(
    root: Path, tmp_path: Path
) -> None:
    store = open_store(tmp_path / "mlruns")
    with (
        pytest.raises(ValueError, match="stop"),
        tracked_run(store, experiment="one", opening=[Tag("verb", "backtest")]) as failed,
    ):
        raise ValueError("stop")
    with tracked_run(store, experiment="one", opening=[Tag("verb", "train")]) as trained:
        pass
    opening = [Tag("verb", "evaluate"), Tag("test_from", "2020-01-01T00:00:00+00:00")]
    with tracked_run(store, experiment="one", opening=opening) as emptied:
        pass
    for run, message in (
        (failed, f"must have completed to be compared, but {failed.run_id[:8]} is failed"),
        (trained, f"must be one of backtest or evaluate to be compared, but {trained.run_id}"),
        (emptied, f"run {emptied.run_id[:8]} must have left forecasts.parquet"),
    ):
        code, output = _invoke("compare", run.run_id, root / "first", "--mlruns", store.root)
        assert code == 2
        assert message in output


def test_a_file_that_is_gone_is_named(root: Path, changed: Callable[..., Path]) -> None:
    folder = changed()
    (folder / "margins.parquet").unlink()
    assert "must have left margins.parquet" in _refused(root, root / "first", folder)
