from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib import colors
from matplotlib.figure import Figure

from foremargin.backtest.report import (
    CoverageDisplay,
    EpisodeDisplay,
    FrontierDisplay,
    ProcyclicalityDisplay,
    QuintileDisplay,
    ScoreDisplay,
)
from foremargin.backtest.report.coverage import exact_interval
from foremargin.backtest.report.palette import PREDICTIVE, REFERENCE, look_of
from foremargin.backtest.statement import rate_band

SCORES = pd.DataFrame(
    {
        "horizon": [1, 1, 5, 5],
        "model": ["log-har", "ewma-0.94", "ewma-0.94", "log-har"],
        "qlike_loss": [0.30, 0.40, 0.22, 0.25],
    }
)


def test_the_episode_is_the_window_with_the_largest_relative_shortfall(make_verdict):
    verdict = make_verdict()
    display = EpisodeDisplay.from_verdict(verdict, sessions=30)
    replayed = verdict.replay
    plain = ("fixed", "ewma-0.97-fhs", "hs-500", "predictive")
    rows = np.flatnonzero(replayed.in_test)[:-1]  # the last outcome is not known
    found = {}
    for i, name in enumerate(replayed.instruments):
        scale = np.sqrt((replayed.loss[rows, i] ** 2).mean())
        for start in range(len(rows) - 29):
            window = rows[start : start + 30]
            gap = [replayed.loss[window, i] - replayed.margin(p)[window, i] for p in plain]
            found[name, start] = np.maximum(gap, 0.0).sum() / scale
    total = found[display.instrument, int(np.flatnonzero(rows == display.rows[0])[0])]
    assert len(display.rows) == 30
    assert total == pytest.approx(max(found.values()))
    assert total > np.median(list(found.values()))


def test_the_choice_of_the_episode_does_not_depend_on_the_level_of_an_instrument(make_verdict):
    verdict = make_verdict()
    chosen = EpisodeDisplay.from_verdict(verdict, sessions=30)
    names = verdict.replay.instruments
    scale = np.where([name == chosen.instrument for name in names], 1.0, 10.0)[:, None]
    louder = replace(
        verdict.replay,
        loss=verdict.replay.loss * scale,
        schedules=tuple(
            replace(s, initial_margin_rate=s.initial_margin_rate * scale)
            for s in verdict.replay.schedules
        ),
    )
    again = EpisodeDisplay.from_verdict(replace(verdict, replay=louder), sessions=30)
    assert again.instrument == chosen.instrument
    np.testing.assert_array_equal(again.rows, chosen.rows)


def test_the_episode_frame_holds_the_replayed_numbers(make_verdict):
    verdict = make_verdict()
    display = EpisodeDisplay.from_verdict(verdict, sessions=30)
    column = verdict.replay.instruments.index(display.instrument)
    table = display.frame()
    assert list(table.columns) == [
        "side", "origin", "loss", "predictive", "ewma-0.97-fhs", "fixed",
    ]  # fmt: skip
    short = table[table.side == "short"]
    np.testing.assert_array_equal(short.loss, verdict.replay.loss[display.rows, column, 1])
    margin = verdict.replay.margin("predictive")[display.rows, column, 1]
    np.testing.assert_array_equal(short.predictive, margin)
    assert (short.fixed == 0.08).all()
    assert short.origin.iloc[0] == pd.Timestamp(verdict.replay.origin[display.rows[0]], tz="UTC")


def test_the_episode_title_is_dated(make_verdict):
    display = EpisodeDisplay.from_verdict(make_verdict(), sessions=30)
    first, last = (f"{t:%d %b %Y}" for t in display.frame().origin.iloc[[0, -1]])
    title = display.title()
    assert title.startswith(f"{display.instrument}, {first} to {last}")


def test_the_frontier_marks_the_margin_as_it_is(make_verdict):
    verdict = make_verdict()
    table = FrontierDisplay(verdict=verdict).frame()
    at = table[table.operating].set_index("policy")
    assert list(at.index) == [
        "fixed", "ewma-0.97-fhs", "hs-500", "predictive", "control-perfect-foresight",
    ]  # fmt: skip
    for policy, row in at.iterrows():
        assert row.mean_margin == pytest.approx(verdict.policies.loc[policy, "mean_margin"])
        own = verdict.series[verdict.series.policy == policy]
        assert row.shortfall == pytest.approx(own.shortfall.sum())


def test_quintile_frame_is_tidy_with_the_band_of_chance(make_verdict):
    verdict = make_verdict(horizon=5)
    table = QuintileDisplay(verdict=verdict).frame()
    low, high = rate_band(n=4 * 295 / 5 / 5, tail_probability=0.05)
    assert (table.band_low == low).all()
    assert (table.band_high == high).all()
    for row in table.itertuples():
        assert row.breach_rate == verdict.quintiles.loc[row.policy, f"q{row.quintile}"]
    assert len(table) == 5 * table.policy.nunique()


def test_procyclicality_leaves_out_the_controls(make_verdict):
    verdict = make_verdict()
    table = ProcyclicalityDisplay(verdict=verdict).frame().set_index("policy")
    assert set(table.index) == {
        "fixed", "ewma-0.97-fhs", "ewma-0.97-fhs+buffer", "hs-500", "predictive",
    }  # fmt: skip
    assert table.peak_to_trough["predictive"] == verdict.policies.peak_to_trough["predictive"]


def test_score_frame_has_a_row_per_model_best_first():
    table = ScoreDisplay(scores=SCORES).frame()
    assert list(table.index) == ["log-har", "ewma-0.94"]
    assert list(table.loc["ewma-0.94"]) == [0.40, 0.22]


def test_the_exact_interval_is_that_of_the_binomial_test():
    from scipy import stats

    low, high = exact_interval(np.array([0.0, 3.0, 50.0]), np.array([50.0, 200.0, 50.0]))
    for k, n, lo, hi in zip((0, 3, 50), (50, 200, 50), low, high, strict=True):
        expected = stats.binomtest(k, n).proportion_ci(0.95, method="exact")
        assert (lo, hi) == pytest.approx((expected.low, expected.high))


def test_coverage_counts_overlapping_outcomes_once(make_verdict):
    one, five = (CoverageDisplay(verdict=make_verdict(horizon=h)).frame() for h in (1, 5))
    assert len(one) == 2 * 4  # policies, series
    row = five.iloc[0]
    low, high = exact_interval(np.array([row.breaches / 5]), np.array([row.n / 5]))
    assert (row.low, row.high) == (low[0], high[0])
    assert (five.high - five.low).mean() > (one.high - one.low).mean()
    assert ((one.low <= one.breach_rate) & (one.breach_rate <= one.high)).all()


def test_a_crowded_coverage_figure_shows_the_series_furthest_from_the_target(
    make_verdict, monkeypatch
):
    monkeypatch.setattr("foremargin.backtest.report.coverage.MOST_SERIES", 2)
    verdict = make_verdict()
    own = verdict.series[verdict.series.policy == "predictive"].copy()
    own["distance"] = (own.breach_rate - 0.05).abs()
    worst = own.nlargest(2, "distance").sort_index()
    drawn = [t.get_text() for t in CoverageDisplay(verdict=verdict).plot().get_yticklabels()]
    assert drawn == [f"{row.instrument} {row.side}" for row in worst.itertuples()]


@pytest.mark.parametrize("horizon", [1, 5])
def test_every_display_draws(make_verdict, horizon):
    verdict = make_verdict(horizon=horizon)
    displays = (
        EpisodeDisplay.from_verdict(verdict),
        FrontierDisplay(verdict=verdict),
        QuintileDisplay(verdict=verdict),
        ProcyclicalityDisplay(verdict=verdict),
        CoverageDisplay(verdict=verdict),
        ScoreDisplay(scores=SCORES),
    )
    for display in displays:
        drawn = display.plot()
        axes = drawn if isinstance(drawn, tuple) else (drawn,)
        assert all(ax.get_xlabel() or ax.get_ylabel() for ax in axes)
        axes[0].figure.canvas.draw()


def test_a_display_draws_where_it_is_told_to(make_verdict):
    ax = Figure().subplots()
    assert QuintileDisplay(verdict=make_verdict()).plot(ax=ax) is ax
    legend = ax.get_legend()
    assert legend is not None
    assert "target 5 %" in [text.get_text() for text in legend.get_texts()]


def test_colours_follow_the_policy_not_the_figure(make_verdict):
    verdict = make_verdict()
    assert look_of(verdict, "predictive").color == PREDICTIVE
    assert look_of(verdict, "ewma-0.97-fhs").color == REFERENCE
    assert look_of(verdict, "control-perfect-foresight").line == "--"
    other = replace(verdict, reference="hs-500")
    assert look_of(other, "hs-500").color == REFERENCE
    assert look_of(other, "ewma-0.97-fhs").color not in (PREDICTIVE, REFERENCE)
    for plot in (FrontierDisplay(verdict=verdict).plot(), QuintileDisplay(verdict=verdict).plot()):
        lines = {line.get_label(): colors.to_hex(line.get_color()) for line in plot.get_lines()}
        assert lines["predictive"] == PREDICTIVE.lower()
        assert lines["ewma-0.97-fhs (best reactive)"] == REFERENCE.lower()
