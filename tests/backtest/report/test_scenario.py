"""Episodes, their figures and their page, on the market of which everything is known."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from foremargin.backtest import ReplayedScenario, Scenario
from foremargin.backtest.report import (
    CumulatedShortfallDisplay,
    RelativeMarginDisplay,
    ReportContext,
    instrument_displays,
    render_scenario,
    shown_policies,
)
from foremargin.backtest.report.scenario_displays import _apart
from foremargin.errors import InputError
from foremargin.markets.findings import findings_frame

SCENARIO = Scenario(
    name="test",
    title="A test",
    day=date(2020, 9, 1),
    happened="Nothing happened.",
    source="Nowhere",
    days_before=20,
    days_after=40,
)
CONTEXT = ReportContext(
    title="A test: ALPHA, BETA",
    config_yaml="seed: 7\n",
    command="foremargin scenario test",
    data=(("Source", "synthetic"),),
    notes=(),
    findings=findings_frame([]),
    provenance=(("commit", "0123abc"),),
)


@pytest.fixture
def episode(make_verdict):
    return ReplayedScenario.of(SCENARIO, make_verdict().replay)


def with_margin(replayed, policy, margin):
    """Give a policy one margin through time, shape (n_origins,), for all instruments and sides."""
    shape = replayed.margin(policy).shape
    rate = np.broadcast_to(margin[:, None, None], shape).copy()
    schedules = tuple(
        replace(s, initial_margin_rate=rate) if s.policy == policy else s
        for s in replayed.schedules
    )
    return replace(replayed, schedules=schedules)


def test_the_window_is_the_test_period_and_nothing_follows_it(episode):
    origin = pd.DatetimeIndex(episode.replay.origin)
    assert origin[episode.replay.in_test][0] == pd.Timestamp("2020-08-13")  # close of 12 August
    assert origin[-1] == pd.Timestamp("2020-10-12")
    assert episode.replay.in_test.sum() == 61
    assert len(episode.replay.loss) == len(episode.replay.regime) == len(origin)


def test_the_numbers_of_a_policy_are_those_of_its_margins(episode):
    replayed, table = episode.replay, episode.frame()
    assert set(table.index) == set(replayed.policies)
    loss = replayed.loss[replayed.in_test]
    for policy in ("fixed", "hs-500", "predictive"):
        margin = replayed.margin(policy)[replayed.in_test]
        missed = np.maximum(loss - margin, 0.0)
        row = table.loc[policy]
        assert row.breaches == (loss > margin).sum()
        assert row.shortfall == pytest.approx(missed.sum())
        assert row.worst_shortfall == pytest.approx(missed.max())
        assert row.mean_margin == pytest.approx(margin.mean())
        assert row.quantile_loss == pytest.approx((margin + missed / 0.05).mean())
        peaks = [m.max() / m.min() for m in margin.reshape(len(margin), -1).T]
        assert row.peak_to_trough == pytest.approx(np.median(peaks))
        rises = [(m[5:] / m[:-5]).max() for m in margin.reshape(len(margin), -1).T]
        assert row.largest_increase_5 == pytest.approx(np.median(rises))
    assert table.quantile_loss.is_monotonic_increasing


def test_numbers_per_series_add_up_to_the_pooled_ones(episode):
    series, table = episode.series(), episode.frame()
    assert len(series) == 4 * len(table)
    added = series.groupby("policy")[["breaches", "cases", "shortfall"]].sum()
    pd.testing.assert_frame_equal(
        added, table.loc[added.index, added.columns], check_dtype=False, rtol=1e-12
    )
    worst = series.groupby("policy").worst_shortfall.max()
    np.testing.assert_allclose(worst, table.worst_shortfall[worst.index])


def test_cumulated_shortfall_never_falls_and_ends_at_the_total(episode):
    grown = episode.cumulated_shortfall()
    assert (grown.diff().dropna() >= 0.0).all(axis=None)
    np.testing.assert_allclose(grown.iloc[-1], episode.frame().shortfall[grown.columns])


@pytest.mark.parametrize(
    ("rise_at", "days", "before"),
    [("2020-08-20", -12.0, 1.2), ("2020-09-01", 0.0, 1.2), ("2020-09-04", 3.0, 1.0)],
)
def test_the_first_rise_is_counted_from_the_start_of_the_marked_day(
    make_verdict, rise_at, days, before
):
    replayed = make_verdict().replay
    margin = np.where(replayed.origin >= np.datetime64(rise_at), 0.12, 0.10)
    episode = ReplayedScenario.of(SCENARIO, with_margin(replayed, "hs-500", margin))
    assert episode.first_rise()["hs-500"] == days
    assert episode.before_day()["hs-500"] == pytest.approx(before)
    assert np.isnan(episode.first_rise()["fixed"])


def test_a_rise_by_nine_percent_is_none(make_verdict):
    replayed = make_verdict().replay
    margin = np.where(replayed.origin >= np.datetime64("2020-09-01"), 0.109, 0.10)
    episode = ReplayedScenario.of(SCENARIO, with_margin(replayed, "hs-500", margin))
    assert np.isnan(episode.first_rise()["hs-500"])


def test_the_relative_margin_starts_at_one_and_knows_no_level(make_verdict):
    replayed = make_verdict().replay
    relative = ReplayedScenario.of(SCENARIO, replayed).relative_margin()
    np.testing.assert_array_equal(relative.iloc[0], 1.0)
    tripled = tuple(
        replace(s, initial_margin_rate=3.0 * s.initial_margin_rate) for s in replayed.schedules
    )
    again = ReplayedScenario.of(SCENARIO, replace(replayed, schedules=tripled)).relative_margin()
    pd.testing.assert_frame_equal(again, relative)


def test_what_comes_after_the_window_changes_nothing(make_verdict):
    replayed = make_verdict().replay
    later = replayed.origin > np.datetime64("2020-10-12")
    factor = np.where(later, 7.0, 1.0)[:, None, None]
    shocked = replace(
        replayed,
        loss=np.where(later[:, None, None], 10.0 * replayed.loss, replayed.loss),
        schedules=tuple(
            replace(s, initial_margin_rate=factor * s.initial_margin_rate)
            for s in replayed.schedules
        ),
    )
    base, after = ReplayedScenario.of(SCENARIO, replayed), ReplayedScenario.of(SCENARIO, shocked)
    pd.testing.assert_frame_equal(after.frame(), base.frame())
    assert after.reference == base.reference


def test_a_policy_that_never_rose_has_no_day_in_the_file(episode):
    (fixed,) = (r for r in episode.as_dict()["policies"] if r["policy"] == "fixed")
    assert fixed["first_rise_days"] is None
    assert fixed["before_day"] == 1.0


def test_figures_show_plain_policies_and_the_reference_or_those_that_are_named(episode):
    plain = ("fixed", "ewma-0.97-fhs", "hs-500", "predictive")
    assert set(shown_policies(episode)) == {*plain, episode.reference}
    assert shown_policies(episode, ["predictive", "fixed"]) == ("fixed", "predictive")
    for display in (CumulatedShortfallDisplay, RelativeMarginDisplay):
        drawn = display(episode=episode, policies=("predictive", "fixed"))
        assert list(drawn.frame().columns) == ["fixed", "predictive"]
        ax = Figure().subplots()
        assert drawn.plot(ax=ax) is ax


def test_every_instrument_is_drawn_once_over_the_window_with_the_day_marked(episode):
    displays = instrument_displays(episode)
    assert {d.instrument for d in displays} == {"ALPHA", "BETA"}
    for display in displays:
        assert len(display.rows) == 61
        top, bottom = display.plot()
        assert "01 Sep" in [text.get_text() for text in top.texts]
        assert bottom.get_lines()
    (first, _) = instrument_displays(episode, ["hs-500"])
    assert list(first.frame().columns) == ["side", "origin", "loss", "hs-500"]


def test_names_beside_lines_are_apart_and_in_the_order_of_the_lines():
    end = {"a": 0.50, "b": 0.51, "c": 0.0, "d": 0.001, "e": 0.9}
    places = _apart(end)
    assert sorted(places, key=lambda n: places[n]) == ["c", "d", "a", "b", "e"]
    assert np.diff(sorted(places.values())).min() >= 0.045 - 1e-12
    assert places["e"] == 0.9
    assert places["c"] == 0.0


def test_the_page_says_what_happened_and_holds_its_pictures(make_verdict):
    episodes = [ReplayedScenario.of(SCENARIO, make_verdict(horizon=h).replay) for h in (1, 5)]
    page = render_scenario(episodes, context=CONTEXT)
    assert "Nothing happened." in page
    assert "Source: Nowhere." in page
    assert "01 September 2020" in page
    # Two instruments, the sum and the ratio, for each margin period.
    assert page.count('src="data:image/svg+xml;base64,') == 8
    assert 'src="http' not in page
    assert page == render_scenario(episodes, context=CONTEXT)


def test_the_page_shows_the_named_policies_only(episode):
    page = render_scenario([episode], context=CONTEXT, policies=["predictive", "fixed"])
    first = page.split("Policies, best quantile loss first")[1].split("<details>")[0]
    assert first.count('scope="row"') == 2


def test_a_page_without_an_episode_is_refused():
    with pytest.raises(InputError, match="at least one episode, found none"):
        render_scenario([], context=CONTEXT)
