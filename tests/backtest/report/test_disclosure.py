"""The quarterly disclosure against the same numbers from the table of margins."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from foremargin.backtest import disclosure_table, pooled_disclosure
from foremargin.backtest.disclosure import DISCLOSURE_COLUMNS
from foremargin.backtest.report import DisclosureDisplay, ReportContext, render_disclosure
from foremargin.errors import InputError
from foremargin.markets.findings import findings_frame

KEYS = ["period", "instrument", "side"]
CONTEXT = ReportContext(
    title="Disclosure: ALPHA, BETA",
    config_yaml="seed: 7\n",
    command="foremargin backtest test.yaml",
    data=(("Source", "synthetic"),),
    notes=(),
    findings=findings_frame([]),
    provenance=(("commit", "0123abc"),),
)


def test_the_table_can_be_recomputed_from_the_margins_alone(make_verdict):
    verdict = make_verdict()
    table = disclosure_table(verdict, "predictive").set_index(KEYS)
    margins = verdict.replay.frame()
    start = pd.Timestamp(verdict.replay.origin[verdict.replay.in_test][0], tz="UTC")
    own = margins[(margins.policy == "predictive") & (margins.origin >= start)].dropna()
    own = own.assign(
        period=own.origin.dt.tz_localize(None).dt.to_period("Q").astype(str),
        missed=(own.loss - own.margin_rate).clip(lower=0),
        breach=own.loss > own.margin_rate,
    )
    grouped = own.groupby(KEYS)
    assert table.index.equals(grouped.size().index)
    np.testing.assert_array_equal(table.cases, grouped.size())
    np.testing.assert_array_equal(table.breaches, grouped.breach.sum())
    np.testing.assert_allclose(table.achieved_coverage, 1.0 - grouped.breach.mean())
    np.testing.assert_allclose(table.peak_uncovered, grouped.missed.max())
    mean = own[own.breach].groupby(KEYS).missed.mean().reindex(table.index, fill_value=0.0)
    np.testing.assert_allclose(table.mean_uncovered, mean)
    np.testing.assert_allclose(table.mean_margin, grouped.margin_rate.mean())
    peak = grouped.margin_rate.max() / grouped.margin_rate.min()
    np.testing.assert_allclose(table.peak_to_trough, peak)
    rise = own.margin_rate / own.groupby(["instrument", "side"]).margin_rate.shift(20)
    np.testing.assert_allclose(
        table.largest_increase_20, rise.groupby([own[k] for k in KEYS]).max()
    )
    assert (table.target_coverage == 0.95).all()


def test_breaches_of_all_periods_are_those_of_the_verdict(make_verdict):
    verdict = make_verdict(horizon=5)
    for policy in ("predictive", "hs-500"):
        table = disclosure_table(verdict, policy)
        own = verdict.series[verdict.series.policy == policy]
        assert table.breaches.sum() == own.breaches.sum()
        assert table.cases.sum() == own.n.sum()


def test_an_increase_over_the_edge_belongs_to_the_period_in_which_the_margin_rose(make_verdict):
    replayed = make_verdict().replay
    step = np.where(replayed.origin >= np.datetime64("2020-10-01"), 0.2, 0.1)
    rate = np.broadcast_to(step[:, None, None], replayed.loss.shape).copy()
    schedules = tuple(
        replace(s, initial_margin_rate=rate) if s.policy == "hs-500" else s
        for s in replayed.schedules
    )
    table = disclosure_table(replace(replayed, schedules=schedules), "hs-500").set_index("period")
    for periods in (1, 5, 20, 30):
        column = table[f"largest_increase_{periods}"]
        assert (column["2020Q3"] == 1.0).all()
        assert (column["2020Q4"] == 2.0).all()
        assert (column["2021Q1"] == 1.0).all()
    assert (table.peak_to_trough == 1.0).all()  # the rise is between the quarters


def test_the_first_increases_have_no_margin_to_start_from(make_verdict):
    replayed = make_verdict().replay
    first = disclosure_table(replayed, "fixed", period="M").iloc[0]
    assert first.cases < 30
    assert np.isnan(first.largest_increase_30)
    assert first.largest_increase_1 == 1.0


def test_the_pooled_table_counts_every_case_once(make_verdict):
    table = disclosure_table(make_verdict(), "predictive")
    pooled = pooled_disclosure(table).set_index("period")
    assert pooled.cases.sum() == table.cases.sum()
    assert pooled.breaches.sum() == table.breaches.sum()
    np.testing.assert_allclose(pooled.achieved_coverage, 1.0 - pooled.breaches / pooled.cases)
    for name, own in table.groupby("period"):
        row = pooled.loc[name]
        assert row.mean_uncovered == pytest.approx(
            (own.mean_uncovered * own.breaches).sum() / own.breaches.sum()
        )
        assert row.mean_margin == pytest.approx(np.average(own.mean_margin, weights=own.cases))
        assert row.peak_uncovered == own.peak_uncovered.max()
        assert row.largest_increase_5 == own.largest_increase_5.max()


def test_columns_are_in_order_and_a_replay_will_do(make_verdict):
    verdict = make_verdict()
    table = disclosure_table(verdict, "fixed")
    assert list(table.columns) == list(DISCLOSURE_COLUMNS)
    pd.testing.assert_frame_equal(disclosure_table(verdict.replay, "fixed"), table)


def test_the_figure_shows_both_policies_in_every_period(make_verdict):
    display = DisclosureDisplay(verdict=make_verdict())
    table = display.frame()
    assert list(table.columns) == ["predictive", make_verdict().reference]
    assert ((table > 0.8) & (table <= 1.0)).all(axis=None)
    ax = Figure().subplots()
    assert display.plot(ax=ax) is ax


def test_the_page_has_a_table_per_instrument_and_needs_nothing_else(make_verdict):
    verdicts = [make_verdict(), make_verdict(horizon=5)]
    page = render_disclosure(verdicts, context=CONTEXT)
    assert page.count("<summary>ALPHA</summary>") == page.count("<summary>BETA</summary>") == 2
    assert page.count('src="data:image/svg+xml;base64,') == 2
    assert 'src="http' not in page
    assert "2020Q4" in page
    assert page == render_disclosure(verdicts, context=CONTEXT)


def test_what_is_not_there_is_refused(make_verdict):
    verdict = make_verdict()
    with pytest.raises(InputError, match=r"policy must be one of .*'fixed'.*was 'none'"):
        disclosure_table(verdict, "none")
    with pytest.raises(InputError, match=r"period must be a length .*was 'fortnight'.*write Q"):
        disclosure_table(verdict, "fixed", period="fortnight")
    with pytest.raises(InputError, match="at least one verdict, found none"):
        render_disclosure([], context=CONTEXT)
