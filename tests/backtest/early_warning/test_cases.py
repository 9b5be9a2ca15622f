import numpy as np
import pytest

from foremargin.backtest import StressMeasure, WarningRule, find_onsets, warning_cases
from foremargin.errors import InputError

REAL = ("predictive", "average-fhs", "hs-250")  # the controls are allowed to know the future


@pytest.fixture(scope="module")
def panel(make_panel):
    return make_panel(n_periods=900, seed=8)


@pytest.fixture(scope="module")
def replayed(panel, replay_of):
    return replay_of(panel)


@pytest.mark.parametrize("measure", StressMeasure)
def test_a_changed_future_changes_no_onset_and_no_alarm_before_it(
    measure, panel, replayed, replay_of, shock_after
):
    row = 700
    other = replay_of(shock_after(panel, row))
    rule = WarningRule(measure=measure, history_days=200)
    moment = panel.time[row + 1]
    pairs = zip(
        *(warning_cases(one, rule=rule, policies=REAL).series for one in (replayed, other)),
        strict=True,
    )
    n_onsets, n_margins = 0, 0
    for one, two in ((a.upto(moment), b.upto(moment)) for a, b in pairs):
        for name in ("origin", "onset", "calm", "strength", "margin"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
        n_onsets += one.onset.sum()
        n_margins += np.isfinite(one.strength).sum()
    assert n_onsets >= (3 if measure is StressMeasure.VOLATILITY else 1)
    assert n_margins > 1_000


def test_series_are_in_own_time_and_their_margins_the_mean_of_both_sides(panel, replayed):
    cases = warning_cases(replayed, policies=REAL)
    by_name = {one.instrument: one for one in cases.series}
    index = panel.instruments.index("INDEX")
    rows = np.flatnonzero(panel.present[450:, index])
    series = by_name["INDEX"]
    assert len(series.origin) == len(rows) < 450
    assert series.lead == 7  # ten calendar days of an exchange
    mean = np.stack([replayed.margin(name)[rows, index].mean(axis=-1) for name in REAL])
    known = np.isfinite(series.strength)
    np.testing.assert_array_equal(series.margin[known], mean[known])
    np.testing.assert_allclose(
        series.excess[0, 50], mean[0, 50] - np.median(mean[0, 36:50]), rtol=1e-12
    )


def test_an_onset_counts_only_if_every_policy_could_have_warned(replayed):
    rule = WarningRule(history_days=200, quantile=0.7, stress_quiet_days=1)
    coin = warning_cases(replayed, rule=rule, policies=REAL).series[0]
    variance = replayed.market.history.features.variance[:, 0]
    found = find_onsets(variance, quiet=1, min_history=200, quantile=0.7).onset[450:]
    # Twenty margins before there is a baseline, ten strengths before an onset can have a lead.
    assert found[:30].any()
    assert not coin.onset[:30].any()
    np.testing.assert_array_equal(coin.onset[30:], found[30:])


def test_validation_ends_where_the_test_begins(replayed):
    cases = warning_cases(replayed, policies=REAL)
    series, since = cases.period(test=False)
    assert since is None
    assert all(one.origin.max() < cases.test_from for one in series)
    assert cases.test_from == replayed.origin[replayed.in_test][0]


def test_stress_is_above_the_quantile_of_the_past_before(panel, replayed):
    rule = WarningRule(history_days=200, stress_quiet_days=5)
    coin = warning_cases(replayed, rule=rule, policies=REAL).series[0]
    variance = replayed.market.history.features.variance[:, 0]
    for at in np.flatnonzero(coin.onset):
        row = at + 450
        past = variance[:row][np.isfinite(variance[:row])]
        assert variance[row] > np.quantile(past, 0.95)


def test_an_unknown_policy_is_refused(replayed):
    with pytest.raises(InputError, match=r"policies must be among .* found \['best'\]"):
        warning_cases(replayed, policies=["best"])


def test_a_rule_needs_positive_lengths():
    with pytest.raises(InputError, match=r"every length must be > 0 days, was lead_days 0"):
        WarningRule(lead_days=0)
    with pytest.raises(InputError, match=r"smallest_rise must be > 0, was 0"):
        WarningRule(smallest_rise=0.0)
