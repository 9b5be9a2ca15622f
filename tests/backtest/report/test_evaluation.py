"""The tables with their marks, and the page as a reader gets it."""

import re

import numpy as np
import pandas as pd
import pytest

from foremargin.backtest import Grouping, score_side_by_side, side_by_side
from foremargin.backtest.report import (
    Evaluation,
    ReportContext,
    evaluation_figures,
    render_evaluation,
)
from foremargin.backtest.report.score_tables import (
    ACCURACY_COLUMNS,
    LIQUIDITY_COLUMNS,
    STRESS_COLUMNS,
    group_table,
    score_table,
    where_table,
)
from foremargin.backtest.report.state_tables import COST_COLUMNS, REGIME_COLUMNS, state_sentences
from foremargin.backtest.report.tables import NOT_KNOWN
from foremargin.markets.findings import findings_frame

TEST_FROM = pd.Timestamp("2020-05-01", tz="UTC")
CONTEXT = ReportContext(
    title="Skill <of> everything",
    config_yaml="seed: 7\n",
    command="foremargin evaluate test.yaml",
    data=(("source", "synthetic"),),
    notes=("A fit did not converge.",),
    findings=findings_frame([]),
    provenance=(("commit", "0123abc"),),
)


def evaluate(table):
    compared = side_by_side(table, test_from=TEST_FROM)
    return Evaluation(
        compared=compared,
        pooled=score_side_by_side(compared),
        grouped={
            by: score_side_by_side(compared, by=by)
            for by in (Grouping.TERCILE, Grouping.INSTRUMENT)
        },
    )


@pytest.fixture(scope="module")
def evaluation(make_forecasts):
    return evaluate(make_forecasts(n_origins=260))


@pytest.fixture(scope="module")
def page(evaluation):
    figures = list(evaluation_figures(evaluation))
    return render_evaluation(evaluation, figures=figures, context=CONTEXT)


def cells(table, model):
    (row,) = (row for row in table.rows if row.cells[0] == model)
    return dict(zip((column.key for column in table.columns), row.cells, strict=True))


def at(scores, horizon=1):
    return scores[scores.horizon == horizon]


def test_the_best_of_every_column_is_marked_and_only_counts_may_tie(evaluation):
    table = score_table(at(evaluation.pooled), ACCURACY_COLUMNS)
    for k, column in enumerate(table.columns):
        if column.better:
            marked = sum("*" in row.cells[k] for row in table.rows)
            assert marked == 1 or (marked > 1 and column.key.startswith("hits")), column.key
    sharp = cells(table, "sharp")
    assert sharp["qlike_loss"].endswith("*=<")
    assert cells(table, "blunt")["qlike_loss"].endswith("  >")
    assert cells(table, "log-har")["qlike_loss"].endswith("   ")


def test_best_is_nearest_to_what_a_column_should_be():
    scores = pd.DataFrame(
        {
            "model": ["low", "near", "high", "silent"],
            "bias": [0.5, 1.2, 1.9, np.nan],
            "hits_lower": [0.0, 0.013, 0.02, np.nan],
            "brier_skill_score": [-0.1, 0.2, 0.3, np.nan],
        }
    )
    wanted = {"bias": "near", "hits_lower": "near", "brier_skill_score": "high"}
    columns = [c for c in (*ACCURACY_COLUMNS, *STRESS_COLUMNS) if c.key in wanted]
    table = score_table(scores, columns)
    assert [row.cells[0] for row in table.rows] == ["low", "near", "high"]  # silent has nothing
    for key, model in wanted.items():
        marked = [row.cells[0] for row in table.rows if "*" in cells(table, row.cells[0])[key]]
        assert marked == [model]


def test_only_p_values_are_cut_at_a_thousandth(evaluation):
    pooled = at(evaluation.pooled).copy()
    worse = pooled.model == "blunt"
    pooled.loc[worse, ["brier_skill_score", "fz0_loss"]] = -0.25
    pooled.loc[worse, ["dm_p_value", "fz0_dm_p_value"]] = 1e-7, 0.25
    accuracy = cells(score_table(pooled, ACCURACY_COLUMNS), "blunt")
    assert accuracy["fz0_loss"].startswith("-0.250")
    assert accuracy["dm_p_value"] == "<.001"
    assert accuracy["fz0_dm_p_value"] == "0.250"
    stress = cells(score_table(pooled, STRESS_COLUMNS), "blunt")
    assert stress["brier_skill_score"].startswith("-0.250")


def test_a_dash_stands_where_a_model_says_nothing(evaluation):
    pooled = at(evaluation.pooled).copy()
    pooled.loc[pooled.model == "blunt", ["qlike_loss", "mse_ratio", "bias"]] = np.nan
    row = cells(score_table(pooled, ACCURACY_COLUMNS), "blunt")
    assert row["mse_ratio"].strip() == NOT_KNOWN
    assert row["fz0_loss"].strip() != NOT_KNOWN
    liquidity = score_table(pooled, LIQUIDITY_COLUMNS)
    assert [r.cells[0] for r in liquidity.rows] == ["sharp"]


def test_the_scores_of_a_group_are_under_its_name(evaluation):
    grouped = at(evaluation.grouped[Grouping.TERCILE], 5)
    column = next(c for c in ACCURACY_COLUMNS if c.key == "qlike_loss")
    table = group_table(grouped, column, by=Grouping.TERCILE)
    assert [c.title for c in table.columns] == ["Model", "calm", "middle", "turbulent"]
    value = grouped.set_index(["tercile", "model"]).qlike_loss["middle", "sharp"]
    assert cells(table, "sharp")["middle"].startswith(f"{value:.4f}")


def test_regimes_and_cost_are_marked_against_what_needs_no_model(evaluation):
    pooled = at(evaluation.pooled).copy()
    for columns, prefix, other in (
        (REGIME_COLUMNS, "regime_", "transitions"),
        (COST_COLUMNS, "liquidity_cost_", "now"),
    ):
        key = columns[0].key
        for p_value, t, mark in ((0.01, -3.0, "<"), (0.01, 3.0, ">"), (0.2, -1.0, " ")):
            test = [f"{prefix}dm_p_value_{other}", f"{prefix}dm_t_{other}"]
            pooled.loc[pooled.model == "sharp", test] = p_value, t
            table = score_table(pooled, columns)
            assert [row.cells[0] for row in table.rows] == ["sharp", "blunt"]
            assert cells(table, "sharp")[key].endswith(f"*={mark}")


def test_a_group_has_as_many_rows_as_were_scored(evaluation):
    grouped = at(evaluation.grouped[Grouping.INSTRUMENT]).assign(n_regime=77)
    table = group_table(grouped, REGIME_COLUMNS[0], by=Grouping.INSTRUMENT)
    assert [column.unit for column in table.columns[1:]] == ["77 rows", "77 rows"]
    assert [row.cells[0] for row in table.rows] == ["sharp", "blunt"]


def test_where_the_winner_wins_and_where_not(evaluation):
    pooled, grouped = at(evaluation.pooled), at(evaluation.grouped[Grouping.INSTRUMENT]).copy()
    beta = (grouped.instrument == "BETA") & (grouped.model == "sharp")
    grouped.loc[beta, "qlike_loss"] = 9.0
    grouped = grouped.sort_values(["instrument", "qlike_loss"])
    table = where_table(pooled, [(Grouping.INSTRUMENT, grouped)])
    alpha, beta = (row.cells for row in table.rows)
    assert alpha[0] == "ALPHA"
    assert alpha[2] == "sharp"
    assert alpha[5] == "1 of 3"
    assert beta[2] == "log-har"
    assert beta[4:6] == ("9.0000", "3 of 3")


def test_the_page_needs_nothing_else(page):
    addresses = re.findall(r'(?:src|href|srcset)="([^"]*)"', page)
    assert addresses
    for address in addresses:
        assert address.startswith(("#", "data:image/svg+xml;base64,"))
    assert not re.search(r"<(script|link|iframe)|url\(|@import", page)
    anchors = {address[1:] for address in addresses if address.startswith("#")}
    assert anchors <= set(re.findall(r'id="([^"]+)"', page))


def test_the_page_has_every_figure_every_horizon_and_the_run(page, evaluation):
    assert page.count("<img ") == 6
    for words in (
        "1 period ahead",
        "5 periods ahead",
        "Skill &lt;of&gt; everything",
        "foremargin evaluate test.yaml",
        "A fit did not converge.",
        "0123abc",
        "Where sharp wins",
    ):
        assert words in page
    best = at(evaluation.pooled).iloc[0]
    assert f"By QLIKE, sharp is best ({best.qlike_loss:.4f} on {best.n:,} rows)" in page


def test_the_page_says_who_knows_regimes_and_cost_best(page, evaluation):
    best = at(evaluation.pooled).iloc[0]
    text = page.replace("\N{NO-BREAK SPACE}", " ")
    assert (
        f"in {best.n_regime:,} rows; sharp says so best (ranked probability loss "
        f"{best.ranked_probability_loss:.4f}" in text
    )
    assert (
        f"Of the cost of trading sharp is best (QLIKE {best.liquidity_cost_qlike_loss:.4f}" in text
    )
    assert "significant at 5 %" in text
    assert page.count("<h3>Regimes</h3>") == 2
    assert page.count("<h3>Cost of trading</h3>") == 2
    for words in ("Ranked probability loss by tercile", "QLIKE of the cost by instrument"):
        assert words in page


def test_the_best_of_each_is_named_and_whether_that_is_sure(evaluation):
    pooled = at(evaluation.pooled).copy()
    other = pooled.model == "blunt"
    pooled.loc[other, ["ranked_probability_loss", "liquidity_cost_qlike_loss"]] = 1e-3
    pooled.loc[other, "regime_dm_p_value_transitions"] = 0.06
    pooled.loc[other, "liquidity_cost_dm_p_value_now"] = np.nan
    regimes, cost = state_sentences(pooled)
    assert "blunt says so best" in regimes
    assert regimes.endswith("against past transitions, not significant at 5 %).")
    assert "blunt is best (QLIKE 0.0010" in cost
    assert cost.endswith("of that of the cost now).")


def test_a_page_without_regimes_says_nothing_of_them(make_forecasts):
    text = render_evaluation(
        evaluate(make_forecasts(horizons=(1,), state=())), figures=[], context=CONTEXT
    )
    for words in ("<h3>Regimes", "The regime is", "<h3>Cost of trading"):
        assert words not in text


def test_equal_inputs_give_an_equal_page(make_forecasts):
    def render():
        evaluation = evaluate(make_forecasts(n_origins=200, horizons=(1,)))
        figures = list(evaluation_figures(evaluation))[:2]
        return render_evaluation(evaluation, figures=figures, context=CONTEXT)

    assert render() == render()


def test_a_gap_in_the_forecasts_is_told_on_the_page(make_forecasts):
    table = make_forecasts(horizons=(1,))
    table.loc[(table.model == "blunt") & (table.instrument == "BETA"), "variance"] = np.nan
    text = render_evaluation(evaluate(table), figures=[], context=CONTEXT)
    assert "rows are shared by all; rows without a forecast: blunt" in text


def test_a_probability_that_nobody_gives_has_no_figure(make_forecasts):
    evaluation = evaluate(make_forecasts(horizons=(1,), liquidity=()))
    names = [one.name for one in evaluation_figures(evaluation)]
    assert "reliability_stress" in names
    assert "reliability_liquidity_stress" not in names


def test_tails_alone_make_a_page_without_figures_of_variance(make_forecasts):
    table = make_forecasts(horizons=(1,)).assign(variance=np.nan)
    evaluation = evaluate(table)
    figures = list(evaluation_figures(evaluation))
    assert [one.name for one in figures] == [
        "reliability_stress",
        "reliability_liquidity_stress",
        "hit_rates",
    ]
    text = render_evaluation(evaluation, figures=figures, context=CONTEXT)
    assert "By FZ0 of the" in text
    assert "By QLIKE" not in text
    assert "<h3>Where" not in text
