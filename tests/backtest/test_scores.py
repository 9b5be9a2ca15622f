"""Scores against an independent recomputation from the table, row by row rules written out."""

import numpy as np
import pandas as pd
import pytest

from foremargin.backtest import (
    Grouping,
    diebold_mariano,
    expected_calibration_error,
    fz0_loss,
    model_confidence_set,
    newey_west_t,
    pr_auc,
    score_forecasts,
    score_side_by_side,
    side_by_side,
)
from foremargin.backtest.family_scores import block_length, in_runs
from foremargin.errors import InputError

TEST_FROM = pd.Timestamp("2020-05-01", tz="UTC")


@pytest.fixture(scope="module")
def table(make_forecasts):
    """Some rows are missing, unknown or zero, so that the rule about rows matters."""
    table = make_forecasts(n_origins=400)
    rng = np.random.default_rng(8)
    table.loc[(table.model == "blunt") & (rng.random(len(table)) < 0.1), "variance"] = np.nan
    unknown = table.origin > table.origin.max() - pd.Timedelta(days=1) * table.horizon
    outcomes = ["realized_variance", "log_return", "stress", "liquidity_stress"]
    table.loc[unknown, outcomes] = np.nan
    table.loc[table.origin == pd.Timestamp("2020-06-01", tz="UTC"), "realized_variance"] = 0.0
    return table


@pytest.fixture(scope="module")
def scores(table):
    return score_forecasts(table, test_from=TEST_FROM).set_index(["horizon", "model"])


@pytest.fixture(scope="module")
def losses(table):
    """QLIKE per horizon: one row per instrument and origin that all models have."""
    rows = table[(table.origin >= TEST_FROM) & (table.realized_variance > 0)].copy()
    ratio = rows.realized_variance / rows.variance
    rows["qlike"] = ratio - np.log(ratio) - 1
    wide = rows.pivot_table(
        index=["horizon", "origin", "instrument"], columns="model", values="qlike"
    )
    return wide.dropna()


def test_qlike_is_the_mean_over_the_rows_that_all_models_have(scores, losses):
    for horizon in (1, 5):
        expected = losses.loc[horizon].mean()
        for model in expected.index:
            row = scores.loc[horizon, model]
            assert row.qlike_loss == pytest.approx(expected[model], rel=1e-12)
            assert row.n == len(losses.loc[horizon])
    assert scores.loc[(1, "sharp"), "n_own"] > scores.loc[(1, "sharp"), "n"]
    assert scores.loc[(1, "blunt"), "n_own"] == scores.loc[(1, "blunt"), "n"]


def test_the_best_qlike_comes_first(scores):
    assert list(scores.loc[1].index) == ["sharp", "log-har", "blunt"]


def test_squared_error_is_relative_to_log_har(table, losses, scores):
    rows = table.set_index(["horizon", "origin", "instrument"])
    squared = {}
    for model in ("sharp", "log-har"):
        own = rows[rows.model == model].loc[losses.index]
        squared[model] = ((own.realized_variance - own.variance) ** 2).groupby("horizon").mean()
    for horizon in (1, 5):
        expected = squared["sharp"][horizon] / squared["log-har"][horizon]
        assert scores.loc[(horizon, "sharp"), "mse_ratio"] == pytest.approx(expected)
    assert (scores.xs("log-har", level="model").mse_ratio == 1.0).all()


def test_bias_is_realised_over_forecast_variance(table, losses, scores):
    own = table[table.model == "sharp"].set_index(["horizon", "origin", "instrument"])
    expected = (own.realized_variance / own.variance).loc[losses.index].groupby("horizon").mean()
    for horizon in (1, 5):
        assert scores.loc[(horizon, "sharp"), "bias"] == pytest.approx(expected[horizon])


def test_comparisons_average_over_instruments_first(scores, losses):
    for horizon in (1, 5):
        per_origin = losses.loc[horizon].groupby(level="origin").mean()
        ours, base = per_origin["sharp"], per_origin["log-har"]
        row = scores.loc[horizon, "sharp"]
        test = diebold_mariano(ours, base, horizon=horizon)
        assert row.dm_p_value_log_har == pytest.approx(test.p_value)
        assert row.dm_t_log_har == pytest.approx(newey_west_t(ours - base, lags=horizon))
        assert row.dm_t == row.dm_t_log_har  # log-har is the best other model
        assert scores.loc[(horizon, "log-har"), "dm_t"] == pytest.approx(-row.dm_t)
        assert np.isnan(scores.loc[(horizon, "log-har"), "dm_p_value_log_har"])
        kept = model_confidence_set(per_origin, size=0.1, block_length=max(20, 2 * horizon))
        found = dict(zip(kept.names, kept.p_values, strict=True))
        for model, p_value in found.items():
            assert scores.loc[(horizon, model), "confidence_set_p_value"] == p_value
    assert scores.loc[(1, "sharp"), "confidence_set_p_value"] == 1.0
    assert scores.loc[(1, "blunt"), "confidence_set_p_value"] < 0.1


@pytest.mark.parametrize(("tail", "end"), [(0.01, ""), (0.025, "_0.025"), (0.05, "_0.05")])
def test_tails_are_scored_on_both_sides_in_percent(table, scores, tail, end):
    rows = table[(table.origin >= TEST_FROM) & table.log_return.notna() & (table.horizon == 5)]
    own = rows[rows.model == "sharp"]
    sides = []
    for side, loss in (("lower", -own.log_return), ("upper", own.log_return)):
        value_at_risk, shortfall = own[f"var_{side}_{tail:g}"], own[f"es_{side}_{tail:g}"]
        sides.append(
            fz0_loss(100 * loss, 100 * value_at_risk, 100 * shortfall, tail_probability=tail).mean()
        )
        hits = (loss > value_at_risk).mean()
        assert scores.loc[(5, "sharp"), f"hits_{side}{end}"] == pytest.approx(hits)
    assert scores.loc[(5, "sharp"), f"fz0_loss{end}"] == pytest.approx(np.mean(sides))
    # A missing variance is no reason to leave out rows of tails.
    assert scores.loc[(5, "blunt"), "n_tails"] == len(own)


def test_right_tails_are_hit_as_often_as_they_say(make_forecasts):
    table = make_forecasts(n_origins=4_000, noise={"log-har": 0.0}, horizons=(1,))
    row = score_forecasts(table, test_from=TEST_FROM).iloc[0]
    for end, tail in (("", 0.01), ("_0.025", 0.025), ("_0.05", 0.05)):
        # Four standard errors of 7,700 independent rows.
        for side in ("lower", "upper"):
            band = 4 * np.sqrt(tail * (1 - tail) / 7_700)
            assert row[f"hits_{side}{end}"] == pytest.approx(tail, abs=band)


def test_stress_is_scored_on_all_rows_and_on_those_that_are_calm_now(table, scores):
    rows = table[(table.origin >= TEST_FROM) & table.stress.notna() & (table.horizon == 5)]
    own = rows[rows.model == "log-har"]
    row = scores.loc[5, "log-har"]
    brier = ((own.stress_probability - own.stress) ** 2).mean()
    assert row.brier_loss == pytest.approx(brier)
    assert row.brier_skill_score == pytest.approx(1 - brier / own.stress.var(ddof=0))
    persistence = ((own.stress_now - own.stress) ** 2).mean()
    assert row.persistence_skill_score == pytest.approx(1 - brier / persistence)
    assert row.pr_auc == pytest.approx(pr_auc(own.stress, own.stress_probability))
    error = expected_calibration_error(own.stress, own.stress_probability)
    assert row.calibration_error == pytest.approx(error)
    calm = own[own.stress_now == 0]
    assert row.n_onset == len(calm) < row.n_stress == len(own)
    assert row.onset_rate == pytest.approx(calm.stress.mean())
    assert row.onset_pr_auc == pytest.approx(pr_auc(calm.stress, calm.stress_probability))


def test_a_model_without_a_liquidity_probability_has_none_of_its_scores(scores):
    mine = [name for name in scores if "liquidity" in str(name) and "cost" not in str(name)]
    assert scores.loc[(1, "sharp"), mine].notna().all()
    others = scores.loc[(1, "blunt"), mine]
    assert (others[["n_liquidity_stress", "n_liquidity_onset"]] == 0).all()
    assert others.drop(["n_liquidity_stress", "n_liquidity_onset"]).isna().all()


def test_a_model_of_tails_alone_is_scored_on_its_tails_and_comes_last(make_forecasts):
    table = make_forecasts(horizons=(1,))
    table.loc[table.model == "sharp", "variance"] = np.nan
    scores = score_forecasts(table, test_from=TEST_FROM)
    last = scores.iloc[-1]
    assert last.model == "sharp"
    assert np.isnan(last.qlike_loss)
    assert last.fz0_loss < scores.fz0_loss.iloc[:-1].min()
    assert last.n == last.n_own == 0
    assert last.n_tails == scores.n_tails.iloc[0] == scores.n.iloc[0]


def test_groups_hold_the_shared_rows_of_all_once(table, losses):
    compared = side_by_side(table, test_from=TEST_FROM)
    pooled = score_side_by_side(compared).set_index(["horizon", "model"])
    for by in (Grouping.INSTRUMENT, Grouping.TERCILE):
        grouped = score_side_by_side(compared, by=by)
        sums = grouped.groupby(["horizon", "model"])
        for count in ("n", "n_own", "n_tails", "n_stress", "n_onset"):
            np.testing.assert_array_equal(sums[count].sum()[pooled.index], pooled[count])
        weighted = (grouped.qlike_loss * grouped.n).groupby(
            [grouped.horizon, grouped.model]
        ).sum() / sums.n.sum()
        np.testing.assert_allclose(weighted[pooled.index], pooled.qlike_loss, rtol=1e-12)
    alone = score_side_by_side(compared, by=Grouping.INSTRUMENT).set_index(
        ["horizon", "instrument", "model"]
    )
    expected = losses.loc[5].xs("BETA", level="instrument")["sharp"].mean()
    assert alone.loc[(5, "BETA", "sharp"), "qlike_loss"] == pytest.approx(expected)


def test_a_short_test_period_has_scores_but_no_tests(make_forecasts):
    table = make_forecasts(n_origins=140, horizons=(1,))
    scores = score_forecasts(table, test_from=TEST_FROM)  # 19 origins
    assert scores.qlike_loss.notna().all()
    for name in ("dm_p_value", "dm_t_log_har", "confidence_set_p_value", "fz0_dm_p_value"):
        assert scores[name].isna().all()


def test_one_model_has_nobody_to_compare_with(make_forecasts):
    scores = score_forecasts(make_forecasts(noise={"only": 0.3}), test_from=TEST_FROM)
    assert scores.dm_p_value.isna().all()
    assert scores.mse_ratio.isna().all()
    assert (scores.confidence_set_p_value == 1.0).all()


def test_nothing_to_score_is_an_error(make_forecasts):
    table = make_forecasts().assign(realized_variance=np.nan, log_return=np.nan)
    with pytest.raises(InputError, match="no row of the test period has a known outcome"):
        score_forecasts(table, test_from=TEST_FROM)


def test_blocks_span_overlapping_outcomes_twice_and_are_never_short():
    assert [block_length(horizon) for horizon in (1, 10, 15, 24)] == [20, 20, 30, 48]


def test_long_series_are_averaged_in_runs_that_keep_the_mean():
    losses = np.random.default_rng(5).random((6_000, 3))
    runs, block = in_runs(losses, block=48)
    assert runs.shape == (1_000, 3)
    assert block == 8
    np.testing.assert_allclose(runs.mean(axis=0), losses.mean(axis=0), rtol=1e-12)
    same, block = in_runs(losses[:900], block=20)
    assert same.shape == (900, 3)
    assert block == 20


def test_runs_are_never_longer_than_half_a_block():
    runs, block = in_runs(np.ones((100_000, 1)), block=20)
    assert len(runs) == 10_000
    assert block == 2
