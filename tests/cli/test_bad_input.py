"""Every kind of bad input gets a sentence and exit code 2, and leaves nothing behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from foremargin.cli import app

Change = Callable[[pd.DataFrame], pd.DataFrame]


def _with(column: str, row: int, value: Any) -> Change:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table[column] = table[column].astype(object)
        table.loc[row, column] = value
        return table

    return change


def _naive(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(open_time=table.open_time.str.replace("+00:00", "", regex=False))


DEFECTS: dict[str, tuple[Change, str]] = {
    "a duplicate": (lambda t: pd.concat([t, t.iloc[[7]]]), "must name each bar once"),
    "a negative price": (_with("low", 9, -1.0), "'low' must be positive, found 1 bar"),
    "a naive timestamp": (_naive, "time zone"),
    "a text column": (_with("close", 5, "abc"), "'close' must"),
    "no rows": (lambda t: t.iloc[:0], "must have rows"),
    "a missing column": (lambda t: t.drop(columns="close"), "close"),
    "an infinite price": (_with("high", 3, float("inf")), "finite"),
}


def _run(tmp_path: Path, *arguments: str) -> tuple[int, str]:
    extra = ["--out", str(tmp_path / "out"), "--mlruns", str(tmp_path / "mlruns")]
    result = CliRunner().invoke(app, [*arguments, *extra, "--no-progress"])
    assert "Traceback" not in result.output
    assert not (tmp_path / "mlruns").exists()
    assert not (tmp_path / "out").exists()
    return result.exit_code, result.output


@pytest.mark.parametrize("verb", ["backtest", "evaluate"])
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_that_cannot_be_handled_is_named_and_nothing_is_written(
    bars: Path, tmp_path: Path, defect: str, verb: str
) -> None:
    change, message = DEFECTS[defect]
    table = pd.read_csv(bars / "COIN.csv")
    folder = tmp_path / "bars"
    folder.mkdir()
    change(table).to_csv(folder / "COIN.csv", index=False)
    code, output = _run(tmp_path, verb, "--data", str(folder))
    assert code == 2
    assert output.startswith("error: ")
    assert pd.Series([output]).str.contains(message).all(), output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["backtest", "--data", "nowhere"], "there is no nowhere"),
        (["backtest", "nowhere.yaml"], "there must be an experiment file"),
        (["backtest", "--period", "7h"], "period"),
        (["evaluate", "--horizons", "one"], "whole numbers with commas"),
        (["evaluate", "--horizons", "5,1,-3"], "greater than or equal to 1"),
        (["backtest", "--test-from", "2050-01-01"], "must follow one another"),
    ],
)
def test_a_wrong_argument_gets_one_sentence(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    code, output = _run(tmp_path, *arguments)
    assert code == 2
    assert message in output.replace("\n", " ")
    assert output.count("error: ") == 1


def test_an_empty_file_gets_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "EMPTY.csv").touch()
    code, output = _run(tmp_path, "backtest", "--data", str(tmp_path / "EMPTY.csv"))
    assert code == 2
    assert "EMPTY" in output


def test_thirty_rows_alone_are_too_few(bars: Path, tmp_path: Path) -> None:
    pd.read_csv(bars / "COIN.csv").iloc[:30].to_csv(tmp_path / "NEW.csv", index=False)
    code, output = _run(tmp_path, "backtest", "--data", str(tmp_path / "NEW.csv"))
    assert code == 2
    assert "at least one instrument must have 500 trading days; found NEW 30" in output
