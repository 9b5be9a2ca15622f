"""The pages keep up with the code: what is registered is documented, what is shown runs."""

import ast
import doctest
import importlib.util
import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

import foremargin.backtest
import foremargin.markets
from foremargin.backtest import CONTROL_POLICIES, Replay, judge, replay, score_forecasts
from foremargin.calibrate import (
    ALL_POLICIES,
    EMIR_TOOLS,
    Fixed,
    Historical,
    MarginMarket,
    Predictive,
)
from foremargin.features import ALL_FEATURES, History, build_history
from foremargin.markets import FIELDS, Missing, Panel
from foremargin.markets.columns import COLUMNS
from foremargin.markets.rules import RULES
from foremargin.models import ALL_FORECASTERS
from foremargin.training import (
    FORECAST_COLUMNS,
    Experiment,
    forecasts_table,
    load_experiment,
    shipped_experiments,
    walk_forward,
)

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
MARKETS = Path(foremargin.markets.__file__).parent

HORIZON, FIRST_ROW, VALIDATION_ROW, TEST_ROW = 1, 300, 600, 760
MODEL = "moving-average-22"


@pytest.fixture(scope="module")
def generated() -> ModuleType:
    """The module that makes tables from the code."""
    spec = importlib.util.spec_from_file_location("generated", DOCS / "generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page(generated: ModuleType) -> Callable[[str], str]:
    """Return a function that reads a page as Sphinx sees it, generated parts included."""

    def read(name: str) -> str:
        text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
        marker = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)
        return marker.sub(lambda match: str(generated.SECTIONS[match.group(1)]()), text)

    return read


def code_words(text: str) -> set[str]:
    """Words between backticks."""
    return set(re.findall(r"`([^`\s]+)`", text))


def rows_after(text: str, heading: str) -> Iterator[list[str]]:
    """Cells of the first table after a heading, backticks taken off."""
    after = text.split(heading, 1)[1].splitlines()
    lines = iter(after)
    for line in lines:
        if line.startswith("| ---"):
            break
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip().strip("`") for cell in line.strip("|").split("|")]


# Quality checks


def emitted_checks() -> set[str]:
    """Names of all checks that the code of the floor can emit, read from its syntax tree."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in MARKETS.rglob("*.py")]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    constants = {
        target.id: node.value.value
        for node in nodes
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    # The position of the parameter `check` in every function that takes one.
    position = {
        node.name: [argument.arg for argument in node.args.args].index("check")
        for node in nodes
        if isinstance(node, ast.FunctionDef)
        and "check" in [argument.arg for argument in node.args.args]
    }
    found = set(RULES)
    for node in nodes:
        if not isinstance(node, ast.Call):
            continue
        given = [word.value for word in node.keywords if word.arg == "check"]
        place = position.get(getattr(node.func, "id", ""))
        if place is not None and len(node.args) > place:
            given.append(node.args[place])
        for value in given:
            if isinstance(value, ast.Constant):
                found.add(str(value.value))
            elif isinstance(value, ast.Name) and value.id in constants:
                found.add(str(constants[value.id]))
    return found


def test_the_table_of_quality_checks_is_complete_and_lists_no_other(
    page: Callable[[str], str],
) -> None:
    documented = {row[0]: row[1] for row in rows_after(page("guide/data"), "## Quality checks")}
    assert set(documented) == emitted_checks()
    assert len(documented) > len(RULES)
    for check, rule in RULES.items():
        assert documented[check] == rule.severity.value


@pytest.mark.parametrize("source", sorted(MARKETS.rglob("*.py")), ids=lambda path: path.stem)
def test_the_name_of_a_check_is_written_where_it_can_be_found(source: Path) -> None:
    # emitted_checks() would miss a name that is put together: there must be none.
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "check":
            assert isinstance(node.value, ast.Constant | ast.Name | ast.Attribute)


def test_every_code_of_a_missing_value_is_documented(page: Callable[[str], str]) -> None:
    documented = list(rows_after(page("guide/data"), "## Why a value is missing"))
    wanted = [[str(m.value), m.name.lower().replace("_", "-")] for m in Missing]
    assert [row[:2] for row in documented] == wanted


def test_every_column_and_field_is_documented(page: Callable[[str], str]) -> None:
    assert set(COLUMNS) | set(FIELDS) <= code_words(page("guide/data"))


# Registries


@pytest.mark.parametrize(
    "names",
    [
        pytest.param([x.name for x in ALL_FEATURES], id="features"),
        pytest.param([x.name for x in ALL_POLICIES], id="policies"),
        pytest.param([x.name for x in CONTROL_POLICIES], id="controls"),
        pytest.param([f"+{x.name}" for x in EMIR_TOOLS], id="tools"),
        pytest.param([x.name for x in ALL_FORECASTERS], id="forecasters"),
    ],
)
def test_everything_registered_is_in_the_methods(
    names: list[str], page: Callable[[str], str]
) -> None:
    assert set(names) <= code_words(page("reference/methods"))


@pytest.mark.parametrize("forecaster", ALL_FORECASTERS, ids=lambda f: f.name)
def test_every_forecaster_has_a_paragraph_of_its_own(forecaster: Any) -> None:
    by_hand = (DOCS / "reference/methods.md").read_text(encoding="utf-8")
    assert f"`{forecaster.name}`" in by_hand


def test_every_public_function_of_the_backtest_is_in_the_methods(
    page: Callable[[str], str],
) -> None:
    functions = {name for name in foremargin.backtest.__all__ if name.islower()}
    assert functions <= code_words(page("reference/methods"))


def test_every_public_name_is_in_the_api(page: Callable[[str], str], generated: ModuleType) -> None:
    text = page("reference/api")
    for floor in (*generated.FLOORS, *generated.ROOMS, *generated.SERVICE):
        section = text.split(f"currentmodule:: foremargin.{floor}\n", 1)[1].split("```", 1)[0]
        module = importlib.import_module(f"foremargin.{floor}")
        # A package inside a floor has a section of its own.
        names = [name for name in module.__all__ if not inspect.ismodule(getattr(module, name))]
        for name in names:
            directive = rf"^\.\. (autoclass|autofunction|py:data):: {name}$(?s:.*?)"
            found = re.search(directive + r"(?=^\.\. |\Z)", section, re.MULTILINE)
            assert found is not None, name
            # A constant is described by the words below it, a class or function by its own.
            assert found[1] != "py:data" or len(found[0].split()) > 4, name


# Command line and experiments


def commands(command: Any, path: str = "foremargin") -> Iterator[tuple[str, Any]]:
    yield path, command
    for name, each in getattr(command, "commands", {}).items():
        yield from commands(each, f"{path} {name}")


def test_every_command_and_option_says_what_it_does(
    page: Callable[[str], str], generated: ModuleType
) -> None:
    text = page("reference/cli")
    for path, command in commands(generated.typer.main.get_command(generated.app)):
        assert command.help, path
        assert f"`{path}`\n" in text
        for parameter in command.params:
            assert parameter.help, f"{path} {parameter.name}"
            assert all(f"`{name}`" in text for name in parameter.opts if name.startswith("-"))


@pytest.mark.parametrize("name", shipped_experiments())
def test_every_shipped_experiment_is_valid(name: str) -> None:
    assert load_experiment(name).name == name


def test_the_experiment_of_the_guide_is_valid(tmp_path: Path) -> None:
    text = (DOCS / "guide/backtest.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    path = tmp_path / "mine.yaml"
    path.write_text(shown, encoding="utf-8")
    assert isinstance(load_experiment(path), Experiment)


@pytest.mark.parametrize("page_path", sorted(DOCS.glob("[!_]*/*.md")), ids=lambda path: path.stem)
def test_sessions_shown_on_a_page_give_what_they_show(page_path: Path) -> None:
    text = page_path.read_text(encoding="utf-8")
    shown = "\n".join(re.findall(r"```pycon\n(.*?)```", text, re.DOTALL))
    test = doctest.DocTestParser().get_doctest(shown, {}, page_path.name, str(page_path), 0)
    assert doctest.DocTestRunner().run(test).failed == 0


# The examples that show how to add something, and the tables that they end in


@dataclass(frozen=True)
class Examples:
    """What the guide defines, over a synthetic market."""

    forecaster: Any
    policy: Any
    history: History
    replayed: Replay
    names: dict[str, Any]


@pytest.fixture(scope="module")
def examples(make_panel: Callable[..., Panel]) -> Examples:
    text = (DOCS / "guide/extend.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "examples"}
    for block in re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        exec(compile(block, "extend.md", "exec"), names)
    forecaster, policy = names["MovingAverage"](), names["NormalQuantile"]()
    history = build_history(make_panel(n_periods=900), horizons=[HORIZON])
    walked = walk_forward(history, [forecaster], first_row=FIRST_ROW, seed=0)
    variance = np.full(history.panel.present.shape, np.nan)
    variance[FIRST_ROW:] = walked.forecasts[MODEL].variance[:, :, 0]
    market = MarginMarket(
        history=history,
        horizon=HORIZON,
        tail_probability=0.01,
        first_row=VALIDATION_ROW,
        variance={MODEL: variance},
    )
    predictive = Predictive(model=MODEL, name="predictive-example")
    replayed = replay(
        market,
        [policy, Fixed(), Historical(sessions=250), predictive],
        test_row=TEST_ROW,
        rng=np.random.default_rng(1),
    )
    return Examples(forecaster, policy, history, replayed, names)


def test_the_example_forecaster_is_a_moving_average(examples: Examples) -> None:
    history = examples.history
    walked = walk_forward(history, [examples.forecaster], first_row=FIRST_ROW, seed=0)
    forecast = walked.forecasts[MODEL]
    assert walked.notes == ()
    present = history.panel.present[FIRST_ROW:]
    # Where it does not trade there is none; LATE is listed afterwards and needs 22 variances.
    assert np.isnan(forecast.variance[~present]).all()
    coin = history.panel.instruments.index("COIN")
    row = 500
    wanted = HORIZON * history.features.variance[row - 21 : row + 1, coin].mean()
    assert forecast.variance[row - FIRST_ROW, coin, 0] == pytest.approx(wanted, rel=1e-9)


def test_the_example_forecaster_ignores_the_future(
    examples: Examples, shock_after: Callable[..., Panel]
) -> None:
    shock = 800
    origins = slice(FIRST_ROW, 900)
    shocked = build_history(shock_after(examples.history.panel, shock), horizons=[HORIZON])
    base = examples.forecaster.forecast(examples.history, origins=origins).variance
    moved = examples.forecaster.forecast(shocked, origins=origins).variance
    upto = shock + 1 - FIRST_ROW
    np.testing.assert_array_equal(moved[:upto], base[:upto])
    assert not np.array_equal(moved[upto:], base[upto:], equal_nan=True)


def test_the_example_walks_forward_on_the_embedded_data(examples: Examples) -> None:
    table = examples.names["forecasts_of_the_example"]()
    assert set(table.model) == {MODEL}
    assert set(table.horizon) == {1, 5}
    assert set(table.instrument[table.variance > 0.0]) == {"SP500", "NASDAQ", "WTI"}


def test_the_example_policy_is_the_normal_quantile_of_its_forecast(examples: Examples) -> None:
    replayed = examples.replayed
    coin = replayed.instruments.index("COIN")
    sigma = np.sqrt(replayed.market.variance[MODEL][VALIDATION_ROW, coin])
    margin = replayed.margin(examples.policy.name)[0, coin]
    assert margin[0] == pytest.approx(1.0 - np.exp(-2.3263478740 * sigma), rel=1e-9)
    assert margin[1] == pytest.approx(np.exp(2.3263478740 * sigma) - 1.0, rel=1e-9)


def test_every_column_of_the_forecasts_is_documented_in_order(page: Callable[[str], str]) -> None:
    rows = rows_after(page("guide/backtest"), "### `forecasts.parquet`")
    documented = [name for row in rows for name in row[0].replace("`", "").split(", ")]
    assert set(documented) == set(FORECAST_COLUMNS)
    assert len(documented) == len(FORECAST_COLUMNS)


def test_every_column_of_the_margins_is_documented(
    examples: Examples, page: Callable[[str], str]
) -> None:
    rows = rows_after(page("guide/backtest"), "### `margins.parquet`")
    documented = [name for row in rows for name in row[0].replace("`", "").split(", ")]
    assert sorted(documented) == sorted(examples.replayed.frame().columns)


def test_every_number_of_the_verdict_is_documented(
    examples: Examples, page: Callable[[str], str]
) -> None:
    verdict = judge(examples.replayed, rng=np.random.default_rng(2))
    text = page("guide/backtest")
    content = verdict.as_dict()
    in_json = code_words(text.split("### `verdict.json`", 1)[1])
    assert set(content) <= in_json
    assert {key for row in content["policies"].values() for key in row} <= in_json
    in_series = code_words(text.split("### `policies.parquet`", 1)[1].split("###", 1)[0])
    assert {*verdict.series.columns, "horizon"} == in_series


def test_every_score_is_documented(examples: Examples, page: Callable[[str], str]) -> None:
    history = examples.history
    walked = walk_forward(history, [examples.forecaster], first_row=FIRST_ROW, seed=0)
    table = forecasts_table(
        list(walked.forecasts.values()), history, first_row=FIRST_ROW, from_row=VALIDATION_ROW
    )
    test_from = pd.Timestamp(history.panel.time[TEST_ROW], tz="UTC")
    scores = score_forecasts(table, test_from=test_from)
    rows = rows_after(page("guide/evaluate"), "### `scores.parquet`")
    documented = [name for row in rows for name in row[0].replace("`", "").split(", ")]
    assert sorted(documented) == sorted(scores.columns)
