"""Which rows are shared, what a silent model costs, and that groups know nothing of the future."""

import numpy as np
import pandas as pd
import pytest

from foremargin.backtest import Family, row_notes, side_by_side
from foremargin.backtest.side_by_side import TERCILES
from foremargin.errors import InputError

TEST_FROM = pd.Timestamp("2020-05-01", tz="UTC")


@pytest.fixture
def table(make_forecasts):
    return make_forecasts()


def one(table, horizon=1):
    return {c.horizon: c for c in side_by_side(table, test_from=TEST_FROM)}[horizon]


def test_every_cell_of_the_table_is_in_its_place(table):
    placed = one(table, 5)
    assert placed.models == ("blunt", "log-har", "sharp")
    row = 41
    origin = pd.Timestamp(placed.origin[row], tz="UTC")
    name = placed.instruments[placed.instrument[row]]
    found = table[
        (table.origin == origin) & (table.instrument == name) & (table.horizon == 5)
    ].set_index("model")
    for m, model in enumerate(placed.models):
        assert placed.forecast["variance"][m, row] == found.variance[model]
        assert placed.forecast["es_upper_0.05"][m, row] == found["es_upper_0.05"][model]
        assert placed.outcome["realized_variance"][row] == found.realized_variance[model]
    assert (np.diff(placed.origin) >= np.timedelta64(0)).all()
    assert placed.origin[0] == TEST_FROM.tz_localize(None)


def test_the_order_of_the_table_does_not_matter(table):
    shuffled = table.sample(frac=1.0, random_state=3)
    for a, b in zip(
        side_by_side(table, test_from=TEST_FROM),
        side_by_side(shuffled, test_from=TEST_FROM),
        strict=True,
    ):
        np.testing.assert_array_equal(a.forecast["variance"], b.forecast["variance"])
        np.testing.assert_array_equal(a.tercile, b.tercile)


def test_a_row_is_shared_if_every_model_that_takes_part_has_it(table):
    lost = (table.model == "blunt") & (table.origin == TEST_FROM)
    table.loc[lost, "variance"] = np.nan
    placed = one(table)
    shared = placed.shared(Family.VARIANCE)
    np.testing.assert_array_equal(shared, placed.origin != TEST_FROM.tz_localize(None))
    assert placed.shared(Family.TAILS).all()  # its tails are still there


def test_a_model_of_tails_alone_costs_nobody_rows_of_variance(table):
    table.loc[table.model == "blunt", "variance"] = np.nan
    placed = one(table)
    assert placed.comparable(Family.VARIANCE).models == ("log-har", "sharp")
    assert placed.comparable(Family.TAILS).models == placed.models
    assert placed.shared(Family.VARIANCE).all()
    (note,) = row_notes(side_by_side(table, test_from=TEST_FROM))
    assert note == "blunt has no variance: it is scored on what else it says (horizons 1, 5)"


def test_what_a_gap_costs_the_others_is_said(table):
    lost = (table.model == "sharp") & (table.instrument == "BETA") & (table.horizon == 5)
    table.loc[lost, "variance"] = np.nan
    # A row whose outcome is not known could not be scored anyway, and is not counted.
    table.loc[table.origin == TEST_FROM, "realized_variance"] = np.nan
    n = int((lost & (table.origin > TEST_FROM)).sum())
    (note,) = row_notes(side_by_side(table, test_from=TEST_FROM))
    assert note == (
        f"variance: {n:,} of {2 * n:,} rows are shared by all; rows without a forecast: "
        f"sharp {n:,} (horizon 5)"
    )


def test_without_gaps_there_is_nothing_to_say(table):
    assert row_notes(side_by_side(table, test_from=TEST_FROM)) == ()


def test_a_model_that_says_nothing_is_named(table):
    table.loc[table.model == "blunt", [c for c in table if c not in KEYS]] = np.nan
    assert "blunt has no forecasts (horizons 1, 5)" in row_notes(
        side_by_side(table, test_from=TEST_FROM)
    )


KEYS = [
    *("model", "instrument", "origin", "horizon", "realized_variance", "log_return"),
    *("stress", "stress_now", "liquidity_stress", "liquidity_stress_now", "regime", "regime_now"),
    *("realized_liquidity_cost", "liquidity_cost_level", "liquidity_cost_now"),
]


def test_zero_variance_and_unknown_outcomes_are_not_scored(table):
    at = table.origin == TEST_FROM
    table.loc[at, "realized_variance"] = 0.0
    table.loc[at, "log_return"] = np.nan
    placed = one(table)
    assert not placed.known(Family.VARIANCE)[:2].any()
    assert not placed.known(Family.TAILS)[:2].any()
    assert placed.known(Family.STRESS).all()


def test_a_value_at_risk_that_is_not_positive_counts_as_no_forecast(table):
    table.loc[(table.model == "sharp") & (table.origin == TEST_FROM), "var_upper_0.05"] = -1e-4
    placed = one(table)
    assert (~placed.shared(Family.TAILS)).sum() == 2


def test_a_cost_at_or_below_zero_is_neither_scored_nor_a_forecast(table):
    at = table.origin == TEST_FROM
    table.loc[at, "realized_liquidity_cost"] = 0.0
    table.loc[(table.model == "blunt") & (table.origin == table.origin.max()), "liquidity_cost"] = 0
    placed = one(table)
    assert not placed.known(Family.LIQUIDITY_COST)[:2].any()
    assert not placed.speaks(Family.LIQUIDITY_COST)[0, -2:].any()
    assert (~placed.shared(Family.LIQUIDITY_COST)).sum() == 4
    assert placed.shared(Family.REGIME).all()


def test_a_model_without_regimes_costs_the_others_no_rows(table):
    gone = (table.model == "sharp") & (table.origin == TEST_FROM)
    table.loc[gone, "regime_calm_probability"] = np.nan
    placed = one(table)
    assert placed.comparable(Family.REGIME).models == ("blunt", "sharp")
    assert (~placed.shared(Family.REGIME)).sum() == 2


def test_naive_regimes_go_with_their_rows(table):
    placed = one(table)
    for rows in (placed.at(placed.instrument == 1), placed.comparable(Family.REGIME)):
        for said in rows.naive_regimes.values():
            assert said.shape == (len(rows.origin), 3)
        certain = rows.naive_regimes["persistence"].argmax(axis=1)
        np.testing.assert_array_equal(certain, rows.outcome["regime_now"])


def test_terciles_are_those_of_the_instruments_own_past(make_forecasts):
    table = make_forecasts(horizons=(1,))
    placed = one(table)
    typical = table.groupby(["instrument", "origin"]).variance.median().unstack("instrument")
    for row in (0, 57, 200, 357):
        origin = pd.Timestamp(placed.origin[row], tz="UTC")
        past = typical.loc[:origin, placed.instruments[placed.instrument[row]]]
        below = (past.quantile([1 / 3, 2 / 3]) < past.iloc[-1]).sum()
        assert placed.tercile[row] == below
    assert set(placed.tercile) == {0, 1, 2}
    assert len(TERCILES) == 3


def test_terciles_do_not_change_when_the_future_does(make_forecasts):
    table = make_forecasts(horizons=(1,))
    later = table.origin > pd.Timestamp("2020-07-01", tz="UTC")
    shocked = table.assign(variance=table.variance.where(~later, 50 * table.variance))
    base, after = one(table), one(shocked)
    before = base.origin <= np.datetime64("2020-07-01")
    np.testing.assert_array_equal(base.tercile[before], after.tercile[before])
    assert (base.tercile[~before] != after.tercile[~before]).any()


def test_too_little_past_gives_no_tercile(table):
    placed = side_by_side(table, test_from=pd.Timestamp("2020-01-01", tz="UTC"))[0]
    assert (placed.tercile[: 2 * 59] == -1).all()
    assert (placed.tercile[2 * 59 :] >= 0).all()


def test_averages_over_instruments_are_those_of_pandas(table):
    table = table[(table.instrument == "ALPHA") | (table.origin.dt.day_of_week < 5)]
    placed = one(table)
    values = placed.forecast["variance"]
    expected = pd.DataFrame(values.T).groupby(placed.origin).mean()
    np.testing.assert_allclose(placed.per_origin(values), expected, rtol=1e-12)


def test_columns_that_are_missing_are_unknown(table):
    placed = one(table.drop(columns=["stress_now", "var_lower_0.05"]))
    assert np.isnan(placed.outcome["stress_now"]).all()
    assert not placed.taking_part(Family.TAILS).any()
    assert not placed.shared(Family.TAILS).any()


def test_two_forecasts_for_one_cell_are_refused(table):
    with pytest.raises(InputError, match="one forecast per instrument, origin and horizon"):
        side_by_side(pd.concat([table, table.iloc[:1]]), test_from=TEST_FROM)


def test_a_test_period_after_the_last_forecast_is_refused(table):
    with pytest.raises(InputError, match="no forecast has an origin from 2031"):
        side_by_side(table, test_from=pd.Timestamp("2031-01-01", tz="UTC"))
