"""Figures of skill: their tables against a recomputation, and that they can be drawn."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from foremargin.backtest import Family, score_side_by_side, side_by_side
from foremargin.backtest.report import (
    AdvantageDisplay,
    HitRateDisplay,
    ReliabilityDisplay,
    SkillDisplay,
    VarianceCalibrationDisplay,
)
from foremargin.backtest.report.panels import model_colors, panels, shown_models, thinned

TEST_FROM = pd.Timestamp("2020-05-01", tz="UTC")
MODELS = ("sharp", "blunt", "log-har")


@pytest.fixture(scope="module")
def compared(make_forecasts):
    return side_by_side(make_forecasts(n_origins=400), test_from=TEST_FROM)


@pytest.fixture(scope="module")
def scores(compared):
    return score_side_by_side(compared)


def qlike(placed):
    ratio = placed.outcome["realized_variance"] / placed.forecast["variance"]
    each = ratio - np.log(ratio) - 1
    return pd.DataFrame(each.T, columns=list(placed.models)).groupby(placed.origin).mean()


def test_skill_is_the_share_of_qlike_saved_and_its_interval_holds_it(compared):
    table = SkillDisplay(compared=compared).frame().set_index(["horizon", "model"])
    for placed in compared:
        mean = qlike(placed).mean()
        for model in placed.models:
            row = table.loc[(placed.horizon, model)]
            assert row.skill == pytest.approx(1 - mean[model] / mean["log-har"])
            assert row.low <= row.skill <= row.high
    own = table.xs("log-har", level="model")[["skill", "low", "high"]].to_numpy()
    assert (own == 0.0).all()
    assert (table.xs("sharp", level="model").low > 0.0).all()
    assert (table.xs("blunt", level="model").high < 0.0).all()


def test_the_interval_is_that_of_the_seed(compared):
    first = SkillDisplay(compared=compared, seed=1).frame()
    pd.testing.assert_frame_equal(first, SkillDisplay(compared=compared, seed=1).frame())
    assert (first.low != SkillDisplay(compared=compared, seed=2).frame().low).any()


def test_without_log_har_the_worst_is_the_reference(make_forecasts):
    table = make_forecasts(noise={"sharp": 0.1, "blunt": 0.8}, horizons=(1,))
    compared = side_by_side(table, test_from=TEST_FROM)
    assert set(SkillDisplay(compared=compared).frame().reference) == {"blunt"}


def test_the_advantage_ends_at_the_whole_difference(compared):
    table = AdvantageDisplay(compared=compared, models=MODELS).frame()
    for placed in compared:
        each = qlike(placed)
        own = table[(table.horizon == placed.horizon) & (table.model == "sharp")]
        saved = (each["log-har"] - each["sharp"]).cumsum()
        np.testing.assert_allclose(own.advantage, saved, rtol=1e-9)
        np.testing.assert_array_equal(own.origin.to_numpy(), saved.index.to_numpy())
    assert table.advantage[table.model == "log-har"].eq(0.0).all()


def test_deciles_of_a_forecast_that_is_right_realise_what_they_say(make_forecasts):
    table = make_forecasts(n_origins=4_000, horizons=(1,))
    compared = side_by_side(table, test_from=TEST_FROM)
    rows = VarianceCalibrationDisplay(compared=compared, models=MODELS).frame()
    by_model = {name: part.set_index("decile") for name, part in rows.groupby("model")}
    assert list(by_model["sharp"].index) == list(range(1, 11))
    assert by_model["sharp"].n.sum() == len(compared[0].origin)
    assert by_model["sharp"].ratio.between(0.9, 1.1).all()
    # Noise in the forecast makes its extremes too extreme.
    assert by_model["blunt"].ratio[1] > 1.3
    assert by_model["blunt"].ratio[10] < 0.7
    # Every instrument counts alike, although BETA's variance is twice as large.
    placed, m = compared[0], compared[0].models.index("sharp")
    flat = pd.DataFrame(
        {
            "instrument": placed.instrument,
            "forecast": placed.forecast["variance"][m],
            "realized": placed.outcome["realized_variance"],
        }
    )
    lowest = []
    for _, own in flat.groupby("instrument"):
        rank = own.forecast.rank(method="first", pct=True)
        lowest.append(own.realized[rank <= 0.1] / own.realized.mean())
    assert by_model["sharp"].realized[1] == pytest.approx(pd.concat(lowest).mean())


def test_reliability_holds_every_row_of_a_model_once(compared):
    table = ReliabilityDisplay(compared=compared, models=MODELS).frame()
    for placed in compared:
        own = table[(table.horizon == placed.horizon) & (table.model == "sharp")]
        assert own.n.sum() == len(placed.origin)
        assert own.n.max() - own.n.min() <= 1
        events = placed.outcome["stress"].sum()
        assert (own.n * own.rate).sum() == pytest.approx(events)
        assert ((own.low <= own.rate) & (own.rate <= own.high)).all()
    # Outcomes that overlap five times say a fifth as much.
    width = (table.high - table.low).groupby(table.horizon).mean()
    assert width[5] > 1.5 * width[1]


def test_a_probability_that_nobody_shown_gives_is_not_drawable(compared):
    family = Family.LIQUIDITY_STRESS
    shown = ReliabilityDisplay(compared=compared, models=MODELS, family=family)
    assert shown.drawable()
    assert set(shown.frame().model) == {"sharp"}
    assert not ReliabilityDisplay(compared=compared, models=("blunt",), family=family).drawable()


def test_hit_rates_move_over_a_window_of_origins(compared):
    display = HitRateDisplay(compared=compared, models=MODELS)
    assert display.horizon == 1
    table = display.frame()
    placed = compared[0]
    m = placed.models.index("sharp")
    hit = -placed.outcome["log_return"] > placed.forecast["var_lower_0.01"][m]
    own = table[(table.model == "sharp") & (table.side == "lower")].reset_index()
    n_origins = len(np.unique(placed.origin))
    window = n_origins // 2  # five hits take longer here
    assert own.hit_rate.isna().sum() == window - 1
    first = placed.origin <= own.origin[window - 1].to_datetime64()
    assert own.hit_rate[window - 1] == pytest.approx(hit[first].mean())
    assert (own.low <= 0.01).all()
    assert (own.high >= 0.01).all()


def test_figures_show_the_best_by_qlike_the_best_tails_and_the_reference():
    scores = pd.DataFrame(
        {
            "horizon": 1,
            "model": [*"abcdefg", "log-har", "tails"],
            "qlike_loss": [*(0.1 * k for k in range(1, 8)), 0.9, np.nan],
            "fz0_loss": [*(2.0 for _ in range(7)), 1.5, 1.0],
        }
    )
    assert shown_models(scores) == ("a", "b", "c", "d", "tails", "log-har")
    better = scores.assign(fz0_loss=scores.fz0_loss.where(scores.model != "b", 0.5))
    assert shown_models(better) == ("a", "b", "c", "d", "e", "log-har")
    alone = scores[scores.model.isin(["a", "log-har"])]
    assert shown_models(alone) == ("a", "log-har")


def test_a_model_has_one_colour():
    colors = model_colors(("a", "log-har", "b"))
    assert len(set(colors.values())) == 3
    assert colors["log-har"] == model_colors(("log-har",))["log-har"]


def test_long_lines_keep_their_ends():
    kept = thinned(100_000)
    assert len(kept) <= 600
    assert (kept[0], kept[-1]) == (0, 99_999)
    np.testing.assert_array_equal(thinned(5), np.arange(5))


def test_many_panels_go_into_rows():
    axes = panels([f"{k}" for k in range(5)], height=1.0)
    assert len(axes) == 5
    figure = axes[0].get_figure(root=True)
    assert isinstance(figure, Figure)
    assert len(figure.axes) == 5


@pytest.mark.parametrize(
    "make",
    [
        lambda c: SkillDisplay(compared=c),
        lambda c: AdvantageDisplay(compared=c, models=MODELS),
        lambda c: VarianceCalibrationDisplay(compared=c, models=MODELS),
        lambda c: ReliabilityDisplay(compared=c, models=MODELS),
        lambda c: HitRateDisplay(compared=c, models=MODELS),
    ],
    ids=["skill", "advantage", "variance", "reliability", "hits"],
)
def test_every_figure_can_be_drawn(compared, make):
    axes = make(compared).plot()
    assert len(axes) == 2
    assert all(ax.has_data() for ax in axes)
