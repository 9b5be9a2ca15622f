"""Scores of regimes and of the liquidity cost against a recomputation from the table."""

import numpy as np
import pandas as pd
import pytest

from foremargin.backtest import (
    Grouping,
    absolute_log_error,
    diebold_mariano,
    expected_calibration_error,
    model_confidence_set,
    naive_regimes,
    newey_west_t,
    qlike_loss,
    score_forecasts,
    score_side_by_side,
    side_by_side,
)
from foremargin.errors import InputError

TEST_FROM = pd.Timestamp("2020-05-01", tz="UTC")
HORIZON = 5
PROBABILITIES = [f"regime_{name}_probability" for name in ("calm", "elevated", "stressed")]
REGIMES = [f"regime_{name}_calibration_error" for name in ("calm", "elevated", "stressed")]


@pytest.fixture(scope="module")
def table(make_forecasts):
    """Some outcomes, forecasts and references are not known."""
    table = make_forecasts(n_origins=400)
    unknown = table.origin > table.origin.max() - pd.Timedelta(days=1) * table.horizon
    table.loc[unknown, ["regime", "realized_liquidity_cost"]] = np.nan
    day = table.origin.dt.day
    table.loc[(table.model == "blunt") & (day == 3), [PROBABILITIES[1], "liquidity_cost"]] = np.nan
    table.loc[day == 7, ["regime_now", "liquidity_cost_now"]] = np.nan
    return table


@pytest.fixture(scope="module")
def scores(table):
    return score_forecasts(table, test_from=TEST_FROM).set_index(["horizon", "model"])


@pytest.fixture(scope="module")
def rows(table):
    """Rows of one model that both have, in order of origin and instrument."""
    kept = table[
        (table.origin >= TEST_FROM)
        & (table.horizon == HORIZON)
        & table.regime.notna()
        & (table.origin.dt.day != 3)
    ].sort_values(["origin", "instrument"])
    return {m: kept[kept.model == m].reset_index(drop=True) for m in ("sharp", "blunt")}


def ranked(said, came):
    """Mean of (P(calm) - 1{calm})^2 and (P(not stressed) - 1{not stressed})^2."""
    calm, not_stressed = said[:, 0], said[:, 0] + said[:, 1]
    return ((calm - (came == 0)) ** 2 + (not_stressed - (came <= 1)) ** 2) / 2


def loss_of(own):
    return ranked(own[PROBABILITIES].to_numpy(), own.regime.to_numpy())


def per_origin(values, own):
    return pd.Series(values).groupby(own.origin).mean()


def test_the_ranked_probability_loss_is_the_mean_over_shared_rows(scores, rows):
    for model, own in rows.items():
        row = scores.loc[HORIZON, model]
        assert row.n_regime == len(own)
        assert row.ranked_probability_loss == pytest.approx(loss_of(own).mean())
        said, came = own[PROBABILITIES].to_numpy(), own.regime.to_numpy().astype(int)
        shares = np.bincount(came, minlength=3) / len(came)
        base = ranked(np.tile(shares, (len(came), 1)), came).mean()
        assert row.ranked_probability_skill_score == pytest.approx(1 - loss_of(own).mean() / base)
        log_loss = -np.log(said[np.arange(len(came)), came])
        assert row.regime_log_loss == pytest.approx(log_loss.mean())
        assert row.regime_accuracy_score == pytest.approx((said.argmax(axis=1) == came).mean())
        for k, (name, column) in enumerate(zip(REGIMES, PROBABILITIES, strict=True)):
            assert row[name] == pytest.approx(expected_calibration_error(came == k, own[column]))
        assert row.regime_calibration_error == pytest.approx(row[REGIMES].mean())
        assert row.regime_stressed_rate == pytest.approx(shares[2])
    better, worse = (scores.ranked_probability_loss[HORIZON, m] for m in ("sharp", "blunt"))
    assert better < worse


def test_regimes_are_compared_with_what_needs_no_model(scores, table, rows):
    # References learn from all rows of the table, also those before the test.
    every = table[(table.model == "log-har") & (table.horizon == HORIZON)]
    every = every.sort_values(["origin", "instrument"]).reset_index(drop=True)
    naive = naive_regimes(
        every.regime.to_numpy(),
        every.regime_now.to_numpy(),
        pd.factorize(every.instrument)[0],
        horizon=HORIZON,
    )
    own = rows["sharp"]
    at = every.set_index(["origin", "instrument"]).index.get_indexer(
        pd.MultiIndex.from_frame(own[["origin", "instrument"]])
    )
    losses, came = loss_of(own), own.regime.to_numpy()
    for name, said in naive.items():
        seen = np.isfinite(said[at]).all(axis=1)
        assert seen.all() == (name == "climatology")
        theirs = ranked(said[at][seen], came[seen])
        row = scores.loc[HORIZON, "sharp"]
        skill = 1 - losses[seen].mean() / theirs.mean()
        assert row[f"regime_{name}_skill_score"] == pytest.approx(skill)
        a, b = (per_origin(v, own[seen].reset_index(drop=True)) for v in (losses[seen], theirs))
        test = diebold_mariano(a, b, horizon=HORIZON)
        assert row[f"regime_dm_p_value_{name}"] == pytest.approx(test.p_value, rel=1e-6)
        t = newey_west_t(a - b, lags=HORIZON)
        assert row[f"regime_dm_t_{name}"] == pytest.approx(t)
        assert t < 0.0 < skill
    persistence = own.regime_now.dropna()
    right = (persistence == own.regime[persistence.index]).mean()
    assert row.regime_persistence_accuracy_score == pytest.approx(right)


def test_models_are_compared_with_each_other(scores, rows):
    a, b = (per_origin(loss_of(own), own) for own in rows.values())
    row = scores.loc[HORIZON, "sharp"]
    assert row.regime_dm_p_value == pytest.approx(diebold_mariano(a, b, horizon=HORIZON).p_value)
    assert row.regime_dm_t == pytest.approx(newey_west_t(a - b, lags=HORIZON))
    assert scores.regime_dm_t[HORIZON, "blunt"] == pytest.approx(-row.regime_dm_t)
    kept = model_confidence_set(pd.DataFrame({"b": b, "a": a}), size=0.1, block_length=20)
    for model, p_value in zip(("blunt", "sharp"), kept.p_values, strict=True):
        assert scores.regime_confidence_set_p_value[HORIZON, model] == p_value


def test_the_cost_is_scored_as_a_ratio(scores, rows):
    for model, own in rows.items():
        row, came = scores.loc[HORIZON, model], own.realized_liquidity_cost
        qlike = qlike_loss(came, own.liquidity_cost)
        log_error = absolute_log_error(came, own.liquidity_cost)
        assert row.n_liquidity_cost == len(own)
        assert row.liquidity_cost_qlike_loss == pytest.approx(qlike.mean())
        assert row.liquidity_cost_absolute_log_error == pytest.approx(log_error.mean())
        assert row.liquidity_cost_bias == pytest.approx((came / own.liquidity_cost).mean())
        for name in ("level", "now"):
            known = own[f"liquidity_cost_{name}"].dropna()
            seen = known.index
            theirs = qlike_loss(came[seen], known)
            ratio = qlike[seen].mean() / theirs.mean()
            assert row[f"liquidity_cost_{name}_qlike_ratio"] == pytest.approx(ratio)
            ratio = log_error[seen].mean() / absolute_log_error(came[seen], known).mean()
            assert row[f"liquidity_cost_{name}_log_error_ratio"] == pytest.approx(ratio)
            bias = (came[seen] / known).mean()
            assert row[f"liquidity_cost_{name}_bias"] == pytest.approx(bias)
            some = own.loc[seen].reset_index(drop=True)
            a, b = per_origin(qlike[seen], some), per_origin(theirs, some)
            test = diebold_mariano(a, b, horizon=HORIZON)
            assert row[f"liquidity_cost_dm_p_value_{name}"] == pytest.approx(test.p_value)
            t = newey_west_t(a - b, lags=HORIZON)
            assert row[f"liquidity_cost_dm_t_{name}"] == pytest.approx(t)
        assert len(own.liquidity_cost_now.dropna()) < len(own)
    sharp, blunt = (scores.liquidity_cost_level_qlike_ratio[HORIZON, m] for m in rows)
    assert sharp < 1.0 < blunt


def test_who_says_nothing_of_the_state_has_no_scores_of_it(scores):
    mine = [c for c in scores if "regime" in c or "ranked" in c or "liquidity_cost" in c]
    silent = scores.loc[(HORIZON, "log-har"), mine]
    assert (silent[["n_regime", "n_liquidity_cost"]] == 0).all()
    assert silent.drop(["n_regime", "n_liquidity_cost"]).isna().all()
    assert scores.loc[(HORIZON, "sharp"), mine].notna().all()


def test_a_table_without_these_columns_has_the_scores_all_unknown(make_forecasts):
    bare = make_forecasts(state=(), horizons=(1,))
    with_nothing = score_forecasts(bare, test_from=TEST_FROM)
    assert with_nothing.ranked_probability_loss.isna().all()
    assert with_nothing.liquidity_cost_dm_p_value_now.isna().all()
    assert with_nothing.qlike_loss.notna().all()


def test_without_a_past_there_is_no_reference_but_a_loss(make_forecasts):
    table = make_forecasts(n_origins=50, horizons=(1,))
    scores = score_forecasts(table, test_from=table.origin.min()).set_index("model")
    row = scores.loc["sharp"]
    assert np.isnan(row.regime_climatology_skill_score)
    assert np.isnan(row.regime_dm_t_transitions)
    assert np.isfinite(row.regime_persistence_skill_score)
    assert np.isfinite(row.ranked_probability_loss)


def test_groups_hold_the_rows_of_all_once(table, scores):
    compared = side_by_side(table, test_from=TEST_FROM)
    for by in (Grouping.INSTRUMENT, Grouping.TERCILE):
        grouped = score_side_by_side(compared, by=by)
        sharp = grouped[(grouped.model == "sharp") & (grouped.horizon == HORIZON)]
        for count, name in (
            ("n_regime", "ranked_probability_loss"),
            ("n_liquidity_cost", "liquidity_cost_qlike_loss"),
        ):
            whole = scores.loc[HORIZON, "sharp"]
            assert sharp[count].sum() == whole[count]
            mean = (sharp[count] * sharp[name]).sum() / sharp[count].sum()
            assert mean == pytest.approx(whole[name])
        assert sharp.regime_dm_t_transitions.notna().all()


def test_regimes_that_do_not_sum_to_one_are_refused(make_forecasts):
    table = make_forecasts(horizons=(1,))
    table.loc[table.model == "sharp", "regime_calm_probability"] *= 0.9
    with pytest.raises(InputError, match="must sum to one in every row"):
        score_forecasts(table, test_from=TEST_FROM)
