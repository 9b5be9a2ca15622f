from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from foremargin.backtest import (
    compare_forecasts,
    compare_margins,
    diebold_mariano,
    holm,
    quantile_loss,
    score_forecasts,
)
from foremargin.backtest.run_comparison import FORECAST_COLUMNS, MARGIN_COLUMNS
from foremargin.errors import InputError

TAIL = 0.05
START = pd.Timestamp("2020-01-01", tz="UTC")
POLICIES = {"slow": 0.1, "quick": 0.3, "wild": 0.9}  # noise of the log margin


def make_margins(*, n=300, horizons=(1,), noise=None, seed=0):
    """Margins of two instruments; the losses depend on nothing but the horizon."""
    market, own = np.random.default_rng(7), np.random.default_rng([seed, 1])
    origin = pd.date_range(START, periods=n, freq="D")
    tables = []
    for horizon in horizons:
        for instrument in ("ALPHA", "BETA"):
            move = 0.02 * np.sqrt(horizon) * market.standard_t(4, n)
            for side, loss in (("long", -move), ("short", move)):
                for policy, spread in (noise or POLICIES).items():
                    tables.append(
                        pd.DataFrame(
                            {
                                "policy": policy,
                                "instrument": instrument,
                                "side": side,
                                "origin": origin,
                                "horizon": horizon,
                                "margin_rate": 0.04 * np.exp(spread * own.standard_normal(n)),
                                "loss": loss,
                            }
                        )
                    )
    return pd.concat(tables, ignore_index=True)


def margins(first, second, *, seed=0, **changed):
    arguments: dict[str, Any] = {"test_from": START, "tail_probability": TAIL} | changed
    return compare_margins(first, second, rng=np.random.default_rng(seed), **arguments)


def forecasts(first, second, *, seed=0, test_from=START):
    return compare_forecasts(first, second, test_from=test_from, rng=np.random.default_rng(seed))


# Margins


def test_a_run_against_itself_changes_nothing():
    table = make_margins(horizons=(1, 5))
    found = margins(table, table)
    assert list(found.columns) == list(MARGIN_COLUMNS)
    assert list(found.policy) == [*sorted(POLICIES), *sorted(POLICIES)]
    assert found.is_equal.all()
    changes = found[["quantile_loss_change", "low", "high", "dm_statistic", "n_left_out"]]
    assert (changes == 0.0).all(axis=None)
    assert (found[["dm_p_value", "dm_p_holm"]] == 1.0).all(axis=None)
    for key in ("quantile_loss", "breach_rate", "mean_margin", "shortfall"):
        np.testing.assert_array_equal(found[f"first_{key}"], found[f"second_{key}"])


def test_the_order_of_rows_and_the_row_labels_do_not_matter():
    first, second = make_margins(), make_margins(seed=1)
    mixed = second.sample(frac=1.0, random_state=3)
    pd.testing.assert_frame_equal(margins(first, second), margins(first, mixed))


def test_a_policy_scaled_by_a_constant_loses_the_same_at_equal_mean_margin():
    first = make_margins()
    second = first.assign(margin_rate=1.25 * first.margin_rate)
    found = margins(first, second)
    np.testing.assert_allclose(found.second_mean_margin, 1.25 * found.first_mean_margin, rtol=1e-12)
    np.testing.assert_allclose(found.second_shortfall, found.first_shortfall, rtol=1e-9)
    assert (found.first_shortfall > 0.0).all()
    assert (found.second_breach_rate < found.first_breach_rate).all()
    assert not found.is_equal.any()


def test_shortfalls_are_those_at_the_mean_margin_halfway():
    first, second = make_margins(), make_margins(seed=1)
    found = margins(first, second).set_index("policy").loc["wild"]
    a, b = (t[t.policy == "wild"] for t in (first, second))
    middle = (a.margin_rate.mean() + b.margin_rate.mean()) / 2
    for table, name in ((a, "first"), (b, "second")):
        margin = table.margin_rate * middle / table.margin_rate.mean()
        expected = (table.loss - margin).clip(lower=0.0).sum()
        assert found[f"{name}_shortfall"] == pytest.approx(expected, rel=1e-12)


def test_swapped_runs_change_signs():
    first, second = make_margins(), make_margins(seed=1)
    one, other = margins(first, second), margins(second, first)
    np.testing.assert_allclose(one.dm_statistic, -other.dm_statistic, rtol=1e-9)
    np.testing.assert_allclose(one.dm_p_value, other.dm_p_value, rtol=1e-9)
    ratio = (1.0 + one.quantile_loss_change) * (1.0 + other.quantile_loss_change)
    np.testing.assert_allclose(ratio, 1.0, rtol=1e-12)
    for key in ("quantile_loss", "breach_rate", "mean_margin", "shortfall"):
        np.testing.assert_allclose(one[f"first_{key}"], other[f"second_{key}"], rtol=1e-12)
    # The blocks are the same; only between two resamples a quantile of ratios is not a ratio of
    # quantiles.
    np.testing.assert_allclose((1.0 + one.low) * (1.0 + other.high), 1.0, rtol=1e-3)


def test_the_numbers_are_those_of_the_losses_and_of_the_test_that_are_there_already():
    first, second = make_margins(horizons=(5,)), make_margins(horizons=(5,), seed=1)
    found = margins(first, second)
    for row in found.itertuples():
        score = [
            t[t.policy == row.policy].assign(
                score=lambda t: quantile_loss(t.loss, t.margin_rate, tail_probability=TAIL)
            )
            for t in (first, second)
        ]
        a, b = (t.groupby("origin").score.mean().to_numpy() for t in score)
        test = diebold_mariano(b, a, horizon=5)
        assert row.dm_statistic == pytest.approx(test.statistic, rel=1e-9)
        assert row.dm_p_value == pytest.approx(test.p_value, rel=1e-9)
        assert row.quantile_loss_change == pytest.approx(b.sum() / a.sum() - 1.0, rel=1e-9)
        assert (row.n_rows, row.n_origins) == (1200, 300)
        assert row.low < row.quantile_loss_change < row.high
    np.testing.assert_allclose(found.dm_p_holm, holm(found.dm_p_value), rtol=1e-12)


def test_what_is_equal_in_both_runs_is_not_counted_as_a_test():
    first = make_margins()
    second = make_margins(noise={"slow": 0.1, "quick": 0.4, "wild": 0.8})
    same = first.policy == "slow"
    second.loc[same, "margin_rate"] = first.margin_rate[same]
    found = margins(first, second).set_index("policy")
    assert list(found.index[found.is_equal]) == ["slow"]
    tested = found[~found.is_equal]
    assert (tested.dm_p_value < 0.3).all()  # else the correction would end at one in any case
    np.testing.assert_allclose(tested.dm_p_holm, holm(tested.dm_p_value), rtol=1e-12)


def test_each_horizon_is_a_table_of_its_own():
    first, second = make_margins(horizons=(1, 5)), make_margins(horizons=(1, 5), seed=1)
    found = margins(first, second)
    for _, rows in found.groupby("horizon"):
        np.testing.assert_allclose(rows.dm_p_holm, holm(rows.dm_p_value), rtol=1e-12)


def test_judged_policies_are_compared_whatever_they_are_called():
    first = make_margins(noise={"old": 0.5, "shared": 0.1})
    second = make_margins(noise={"new": 0.1, "shared": 0.1})
    found = margins(first, second, judged={1: ("old", "new")})
    assert list(zip(found.policy, found.second_policy, strict=True)) == [
        ("old", "new"),
        ("shared", "shared"),
    ]
    assert list(found.is_judged) == [True, False]
    assert found.quantile_loss_change[0] < 0.0  # less noise is better
    together = margins(first, second, judged={1: ("shared", "shared")})
    assert list(together.is_judged) == [True]


def test_only_rows_that_both_have_count():
    first, second = make_margins(n=300), make_margins(n=400, seed=1)
    second["loss"] = second["loss"].where(second.origin < first.origin.max(), np.nan)
    late = START + pd.Timedelta(days=100)
    # Two days more in the market of the longer one would be other losses.
    losses = first.drop(columns=["policy", "margin_rate"]).drop_duplicates()
    keys = ["instrument", "side", "origin", "horizon"]
    second = second.drop(columns="loss").merge(losses, on=keys, how="left")
    silent = (first.policy == "wild") & (first.origin < late + pd.Timedelta(days=10))
    first.loc[silent, "margin_rate"] = np.nan
    found = margins(first, second, test_from=late).set_index("policy")
    assert dict(found.n_origins) == {"quick": 200, "slow": 200, "wild": 190}
    assert dict(found.n_rows) == {"quick": 800, "slow": 800, "wild": 760}
    assert (found.n_left_out == 0).all()


def test_an_outcome_that_differs_is_left_out_and_counted():
    first = make_margins()
    second = make_margins(seed=1)
    wrong = (second.origin == START) & (second.instrument == "ALPHA")
    second.loc[wrong, "loss"] *= 1.01
    found = margins(first, second)
    assert set(found.n_left_out) == {2}
    assert set(found.n_rows) == {1198}
    clean = second.drop(index=second.index[wrong])
    columns = [name for name in MARGIN_COLUMNS if name != "n_left_out"]
    pd.testing.assert_frame_equal(found[columns], margins(first, clean)[columns])


def test_rounding_is_no_other_outcome():
    first = make_margins()
    second = first.assign(loss=first.loss * (1.0 + 1e-12))
    assert set(margins(first, second).n_left_out) == {0}


def test_runs_of_different_markets_are_refused():
    first = make_margins()
    second = first.assign(loss=first.loss * 1.01)
    with pytest.raises(InputError, match=r"the same market .* loss differs on 1,200 of 1,200"):
        margins(first, second)


@pytest.mark.parametrize(
    ("column", "offset"), [("policy", "-other"), ("instrument", "-other"), ("horizon", 4)]
)
def test_nothing_in_common_gives_no_rows(column, offset):
    table = make_margins()
    found = margins(table, table.assign(**{column: table[column] + offset}))
    assert found.empty
    assert list(found.columns) == list(MARGIN_COLUMNS)


def test_two_margins_for_one_cell_are_refused():
    table = make_margins()
    with pytest.raises(InputError, match=r"one margin per .* found 12 copies"):
        margins(table, pd.concat([table, table[table.origin == START]]))


def test_too_few_origins_carry_neither_interval_nor_test():
    first, second = make_margins(n=29), make_margins(n=29, seed=1)
    found = margins(first, second).set_index("policy").loc["wild"]
    assert np.isfinite(found.quantile_loss_change)
    assert found[["low", "high", "dm_p_value", "dm_p_holm"]].isna().all()


def test_a_difference_that_never_varies_has_no_p_value():
    first = make_margins(noise={"fixed": 0.0}).assign(margin_rate=1.0)
    found = margins(first, first.assign(margin_rate=2.0))
    assert found.quantile_loss_change[0] == pytest.approx(1.0)
    assert found[["dm_p_value", "dm_p_holm"]].isna().all(axis=None)


@pytest.mark.slow
def test_chance_alone_is_rejected_and_excluded_about_as_often_as_it_should():
    n_worlds = 100
    noise = {"wild": 0.5}
    rejected = excluded = 0
    for world in range(n_worlds):
        found = margins(
            make_margins(n=120, noise=noise, seed=2 * world),
            make_margins(n=120, noise=noise, seed=2 * world + 1),
            seed=world,
        ).iloc[0]
        rejected += found.dm_p_value < 0.1
        excluded += not found.low <= 0.0 <= found.high
    # 1e-3 two-sided. The test holds its level; blocks of 20 among 120 origins make the interval
    # too short, so that it excludes zero in 10 to 20 % of worlds in place of 10 %.
    low, high = stats.binom.interval(1 - 1e-3, n_worlds, 0.10)
    assert low <= rejected <= high
    low, high = stats.binom.interval(1 - 1e-3, n_worlds, 0.15)
    assert low <= excluded <= high


# Forecasts


def test_forecasts_against_themselves_change_nothing(make_forecasts):
    table = make_forecasts()
    found = forecasts(table, table)
    assert list(found.columns) == list(FORECAST_COLUMNS)
    assert len(found) == 2 * 2 * 3
    assert list(found.loss[:6]) == ["qlike_loss"] * 3 + ["fz0_loss"] * 3
    assert found.is_equal.all()
    assert (found[["difference", "low", "high", "dm_statistic"]] == 0.0).all(axis=None)
    assert (found.dm_p_holm == 1.0).all()


@pytest.fixture(scope="module")
def two(make_forecasts):
    """One market, in the second run of which every model has more noise."""
    first = make_forecasts()
    second = first.copy()
    noise = np.exp(0.5 * np.random.default_rng(3).standard_normal(len(first)))
    second["variance"] *= noise
    tails = [name for name in first if name.startswith(("var_", "es_"))]
    second[tails] = second[tails].mul(np.sqrt(noise), axis=0)
    return first, second


def test_more_noise_is_worse_and_swapped_runs_change_signs(two):
    first, second = two
    one, other = forecasts(first, second), forecasts(second, first)
    assert (one.difference[one.loss == "qlike_loss"] > 0.0).all()
    for name in ("difference", "dm_statistic"):
        np.testing.assert_allclose(one[name], -other[name], rtol=1e-9)
    # The same blocks, so the interval is mirrored.
    np.testing.assert_allclose(one.low, -other.high, rtol=1e-9)
    np.testing.assert_allclose(one.dm_p_holm, other.dm_p_holm, rtol=1e-9)


def test_losses_are_those_that_evaluate_shows(two):
    found = forecasts(*two).set_index(["horizon", "model"])
    for table, name in zip(two, ("first_loss", "second_loss"), strict=True):
        scores = score_forecasts(table, test_from=START).set_index(["horizon", "model"])
        for loss in ("qlike_loss", "fz0_loss"):
            rows = found[found.loss == loss]
            np.testing.assert_allclose(
                rows[name], scores[loss].reindex(rows.index), rtol=1e-12, err_msg=loss
            )


def test_an_outcome_that_one_run_did_not_know_is_not_scored(two):
    first, second = two
    later = second.copy()
    unknown = later.origin >= later.origin.max() - pd.Timedelta(days=9)
    later.loc[unknown, ["realized_variance", "log_return"]] = np.nan
    for found in (forecasts(first, later), forecasts(later, first)):
        assert set(found.n_origins) == {290}
        assert set(found.n_left_out) == {0}


def test_corrected_outcomes_are_left_out_and_other_markets_refused(two):
    first, second = two
    changed = second.copy()
    changed.loc[changed.origin == START, "log_return"] += 0.01
    found = forecasts(first, changed)
    assert set(found.n_left_out) == {2}
    assert set(found.n_origins) == {299}
    changed["realized_variance"] *= 1.01
    with pytest.raises(InputError, match="realized_variance or log_return differs on 600 of 600"):
        forecasts(first, changed)


def test_models_of_other_names_are_not_compared(two):
    first, second = two
    renamed = second.assign(model=second.model.replace("blunt", "dull"))
    assert set(forecasts(first, renamed).model) == {"sharp", "log-har"}
    assert forecasts(first, second.assign(model=second.model + "-other")).empty
