"""Forecast skill as it is printed: within the width, everything named, marks explained."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from foremargin.backtest import Grouping
from foremargin.backtest.report.score_tables import (
    ACCURACY_COLUMNS,
    LIQUIDITY_COLUMNS,
    MARKS,
    STRESS_COLUMNS,
)
from foremargin.backtest.report.state_tables import COST_COLUMNS, REGIME_COLUMNS
from foremargin.cli.score_table import WIDTH, new_console, print_notes, print_scores

MODELS = ("regime-network", "har-pooled", "log-har", "caviar-asymmetric")
INSTRUMENTS = ("BTCUSDT", "binance-usdm:BTCUSDT", "A-NAME-THAT-IS-MUCH-TOO-LONG", *"PQRSTUVWXY")
STATE_COLUMNS = (*REGIME_COLUMNS, *COST_COLUMNS)
KEYS = [c.key for c in (*ACCURACY_COLUMNS, *STRESS_COLUMNS, *LIQUIDITY_COLUMNS, *STATE_COLUMNS)]
COUNTS = [
    *("n", "n_tails", "n_stress", "n_onset", "n_liquidity_stress", "n_liquidity_onset"),
    *("n_regime", "n_liquidity_cost"),
]
RATES = {
    "regime_calm_rate": 0.75,
    "regime_elevated_rate": 0.15,
    "regime_stressed_rate": 0.1,
    "regime_persistence_accuracy_score": 0.7,
    "liquidity_cost_level_bias": 1.1,
    "liquidity_cost_now_bias": 1.025,
}


def scores(**columns):
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"horizon": 1, "model": MODELS})
    for name in [*KEYS, "stress_rate", "onset_rate"]:
        table[name] = rng.uniform(0.01, 0.9, len(MODELS))
    for name in ("liquidity_stress_rate", "liquidity_onset_rate"):
        table[name] = 0.1
    for prefix, other in (
        *(("", "log_har"), ("fz0_", "log_har")),
        *(("regime_", "transitions"), ("liquidity_cost_", "now")),
    ):
        table[f"{prefix}dm_t_{other}"] = [-3.0, 3.0, np.nan, 0.1]
        table[f"{prefix}dm_p_value_{other}"] = [0.001, 0.001, np.nan, 0.9]
        table[f"{prefix}confidence_set_p_value"] = [1.0, 0.01, 0.01, 0.5]
    table = table.assign(**RATES)
    for name in (*COUNTS, "n_own"):
        table[name] = 98_765
    for name in ("hits_lower", "hits_upper"):
        table[name] = rng.uniform(0.001, 0.02, len(MODELS))
    table.loc[1:, [c.key for c in (*LIQUIDITY_COLUMNS, *STATE_COLUMNS)]] = np.nan
    table.loc[3, ["qlike_loss", "mse_ratio", "bias", "dm_p_value"]] = np.nan
    return table.assign(**columns).sort_values("qlike_loss", ignore_index=True)


def grouped(by, names):
    parts = [scores(**{by.value: name}) for name in names]
    return by, pd.concat(parts, ignore_index=True)


GROUPED = [
    grouped(Grouping.TERCILE, ("calm", "middle", "turbulent")),
    grouped(Grouping.INSTRUMENT, INSTRUMENTS),
]


def printed(*, by=(), pooled=None, groups=GROUPED):
    file = io.StringIO()
    console = Console(file=file, width=WIDTH, highlight=False)
    print_scores(scores() if pooled is None else pooled, groups, console, by=by)
    return file.getvalue()


@pytest.fixture(scope="module")
def text():
    return printed(by=(Grouping.INSTRUMENT, Grouping.TERCILE))


def test_no_line_is_wider_than_the_terminal(text):
    assert max(len(line) for line in text.splitlines()) <= WIDTH


def test_no_number_is_cut_off(text):
    assert "…" not in text
    row = scores().set_index("model").loc["har-pooled"]
    line = next(line for line in text.splitlines() if line.startswith("har-pooled"))
    for column in ACCURACY_COLUMNS:
        written = "{:.3f}" if column.key.endswith("dm_p_value") else column.pattern
        assert written.format(row[column.key]) in line


def test_every_model_is_there_and_says_nothing_where_it_has_nothing(text):
    first = text.split("Probability of stress")[0]
    for model in MODELS:
        assert model in first
    line = next(line for line in first.splitlines() if line.startswith("caviar-asymmetric"))
    assert line.count("\N{EN DASH}") == 4
    liquidity = text.split("Probability of liquidity stress")[1].split("Regimes:")[0]
    assert "regime-network" in liquidity
    assert "har-pooled" not in liquidity


def test_regimes_and_the_cost_are_printed_beside_what_needs_no_model(text):
    regimes, cost = text.split("Regimes")[1].split("Cost of trading")
    assert regimes.startswith(
        ": 75.0% calm, 15.0% elevated, 10.0% stressed of 98,765 rows; persistence is right in 70.0%"
    )
    assert cost.startswith(": 98,765 rows; bias of the level 1.100, of the cost now 1.025")
    row = scores().set_index("model").loc["regime-network"]
    for part, columns in ((regimes, REGIME_COLUMNS), (cost.split("Where")[0], COST_COLUMNS)):
        assert "har-pooled" not in part
        line = next(line for line in part.splitlines() if line.startswith("regime-network"))
        for column in columns:
            pattern = "{:.3f}" if "dm_p_value" in column.key else column.pattern
            assert pattern.format(row[column.key]) in line, column.key
        assert "*=<" in line


def test_every_group_is_there_in_full_or_in_pieces(text):
    by_instrument = text.split("QLIKE by instrument")[1]
    for name in ("BTCUSDT", "binance-usdm:", *"PQRSTUVWXY", "calm", "turbulent"):
        assert name in text
        if len(name) < 3:
            assert name in by_instrument
    assert "FZ0, 1 % by tercile" in text
    # As many columns side by side as leave names, numbers and marks whole.
    lines = by_instrument.split("FZ0")[0].splitlines()
    for model, value in scores().set_index("model").qlike_loss.dropna().items():
        own = [line for line in lines if line.startswith(str(model))]
        assert "".join(own).count(f"{value:.4f}") == len(INSTRUMENTS)


def test_by_default_groups_are_summed_up_only():
    text = printed()
    assert "by instrument" not in text
    assert "QLIKE by tercile" not in text
    assert "turbulent" in text


def test_every_mark_is_explained(text):
    joined = " ".join(text.split())
    for mark, meaning in MARKS:
        assert f"{mark} {meaning}" in joined


def test_a_run_without_groups_or_probabilities_is_printed():
    keys = [c.key for c in (*STRESS_COLUMNS, *LIQUIDITY_COLUMNS, *STATE_COLUMNS)]
    bare = scores(**dict.fromkeys(keys, np.nan))
    nothing = [(Grouping.TERCILE, scores(tercile="calm").iloc[:0])]
    text = printed(pooled=bare, groups=nothing, by=(Grouping.TERCILE,))
    assert "Probability" not in text
    assert "Regimes:" not in text
    assert "Cost of trading:" not in text
    assert "Where" not in text
    assert "regime-network" in text


def test_only_the_first_notes_are_printed():
    file = io.StringIO()
    console = Console(file=file, width=WIDTH, highlight=False)
    print_notes([f"fit {k} did not converge" for k in range(20)], console)
    lines = file.getvalue().splitlines()
    assert lines[0] == "note: fit 0 did not converge"
    assert lines[-1] == "note: 12 more notes are in evaluation.html"
    assert len(lines) == 9


def test_a_pipe_is_as_wide_as_the_tables(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert new_console().width == WIDTH
