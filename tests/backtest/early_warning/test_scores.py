import numpy as np
import pytest

from foremargin.backtest import match_alarms, warning_area, warning_curve, warning_scores
from foremargin.backtest.early_warning.scores import candidate_rises
from foremargin.errors import InputError


def test_lead_times_run_from_the_first_alarm_of_the_window_to_the_onset(make_series):
    # Alarms at 15, 22 and 60; onsets at 25 and 40. The window of 25 reaches back to 15.
    series = make_series(onsets=[25, 40], strength={15: 0.3, 22: 0.3, 60: 0.3})
    matched = match_alarms(series, 0, rise=0.2)
    np.testing.assert_array_equal(matched.lead, [10.0, np.nan])
    assert (matched.true_alarms, matched.false_alarms) == (2, 1)


def test_an_alarm_a_period_too_early_or_at_the_onset_has_not_warned(make_series):
    early = make_series(onsets=[25], strength={14: 0.3})
    same = make_series(onsets=[25], strength={25: 0.3})
    for series in (early, same):
        assert np.isnan(match_alarms(series, 0, rise=0.2).lead).all()
    assert match_alarms(early, 0, rise=0.2).false_alarms == 1
    # At the onset stress is under way: the alarm is late, not false.
    assert match_alarms(same, 0, rise=0.2).false_alarms == 0
    assert match_alarms(same, 0, rise=0.2).late_alarms == 1
    just = make_series(onsets=[25], strength={24: 0.3})
    assert match_alarms(just, 0, rise=0.2).lead.tolist() == [1.0]


def test_an_alarm_that_was_on_before_the_window_has_not_warned(make_series):
    series = make_series(onsets=[50], strength=np.full(100, 0.5))
    assert np.isnan(match_alarms(series, 0, rise=0.2).lead).all()


def test_alarms_under_stress_are_late_and_those_at_the_end_open(make_series):
    series = make_series(onsets=[20], stressed=tuple(range(21, 30)), strength={24: 0.3, 95: 0.3})
    matched = match_alarms(series, 0, rise=0.2)
    counts = (matched.late_alarms, matched.open_alarms, matched.false_alarms)
    assert counts == (1, 1, 0)
    followed = make_series(onsets=[97], strength={95: 0.3})
    assert match_alarms(followed, 0, rise=0.2).true_alarms == 1


def test_scores_are_those_counted_by_hand(make_series):
    # Three onsets, two hit 4 and 2 days before; alarms: two true, one false; 2 x 100 days.
    one = make_series(onsets=[20, 60], strength={16: 0.5, 80: 0.3})
    two = make_series(onsets=[50], strength={48: 0.2})
    scores = warning_scores([one, two], 0, rise=0.2)
    assert scores["onsets"] == 3
    assert scores["hits"] == 2
    assert scores["hit_rate"] == pytest.approx(2 / 3)
    assert scores["precision"] == pytest.approx(2 / 3)
    assert scores["false_alarms_per_year"] == pytest.approx(365 / 200)
    assert scores["median_lead_days"] == 3.0
    # Margin 0.1 (1 + s) over its baseline 0.1: an excess of 0.1 s for one day each.
    assert scores["cost_per_hit"] == pytest.approx(0.1 * (0.5 + 0.3 + 0.2) / 2)


def test_only_what_lies_in_the_period_counts(make_series):
    series = make_series(onsets=[20, 60], strength={16: 0.5, 40: 0.5, 55: 0.5, 80: 0.5})
    scores = warning_scores([series], 0, rise=0.2, since=series.origin[50])
    assert (scores["onsets"], scores["hits"], scores["alarms"]) == (1, 1, 2)
    assert scores["false_alarms_per_year"] == pytest.approx(365 / 50)


def test_a_warning_given_before_the_period_still_warns_of_an_onset_in_it(make_series):
    series = make_series(onsets=[52], strength={48: 0.5})
    scores = warning_scores([series], 0, rise=0.2, since=series.origin[50])
    assert (scores["hits"], scores["alarms"]) == (1, 0)


def test_what_cannot_be_known_is_nan_and_never_zero(make_series):
    without_onset = warning_scores([make_series(onsets=[], strength={5: 0.5})], 0, rise=0.2)
    assert np.isnan([without_onset["hit_rate"], without_onset["cost_per_hit"]]).all()
    assert without_onset["precision"] == 0.0
    silent = warning_scores([make_series(onsets=[50], strength={})], 0, rise=0.2)
    assert np.isnan([silent["precision"], silent["median_lead_days"]]).all()
    assert silent["hit_rate"] == 0.0
    unknown = make_series(onsets=[], strength=np.full(100, np.nan))
    assert np.isnan(warning_scores([unknown], 0, rise=0.2)["false_alarms_per_year"])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_alarms_that_know_nothing_have_the_precision_of_the_base_rate(make_series, seed):
    rng = np.random.default_rng(seed)
    n = 40_000
    onsets = np.flatnonzero(rng.random(n) < 0.01)
    onsets = onsets[np.diff(onsets, prepend=-100) > 12]
    strength = np.where(rng.random(n) < 0.02, 0.5, 0.0)
    series = make_series(n=n, onsets=onsets.tolist(), strength=strength)
    scores = warning_scores([series], 0, rise=0.2)
    # The chance that one of the ten days ahead of a calm day is an onset. Some 700 alarms have a
    # standard error of 0.011; three of them.
    calm = np.flatnonzero(series.calm)
    base = np.isin(calm[:, None] + np.arange(1, 11), onsets).any(axis=1).mean()
    assert 0.05 < base < 0.12
    assert scores["precision"] == pytest.approx(base, abs=0.033)


def test_the_area_of_a_strength_that_knows_nothing_is_the_base_rate(make_series, make_cases):
    rng = np.random.default_rng(5)
    n = 20_000
    series = make_series(n=n, onsets=list(range(100, n, 100)), strength=rng.random(n))
    found = warning_area(make_cases([series], test=0, policies=("ours",)), "ours")
    assert found["base_rate"] == pytest.approx(0.1, abs=0.002)  # ten of every 99 calm days
    # Average precision of noise exceeds the base rate by chance; 2,000 events leave under 0.01.
    assert found["area"] == pytest.approx(found["base_rate"], abs=0.01)


def test_the_area_of_a_strength_that_is_high_just_before_every_onset_is_one(
    make_series, make_cases
):
    onsets = [30, 60, 85]
    strength = np.zeros(100)
    for onset in onsets:
        strength[onset - 10 : onset] = 0.5
    cases = make_cases([make_series(onsets=onsets, strength=strength)], test=0, policies=("ours",))
    assert warning_area(cases, "ours")["area"] == 1.0


def test_an_area_needs_an_onset(make_series, make_cases):
    cases = make_cases([make_series(onsets=[], strength={5: 0.3})], test=0, policies=("ours",))
    with pytest.raises(InputError, match="must hold an onset that a margin could warn of"):
        warning_area(cases, "ours")


def test_a_curve_covers_all_rises_from_the_smallest_on(make_series, make_cases):
    series = make_series(onsets=[25, 75], strength={20: 0.3, 70: 0.6, 50: 0.04})
    curve = warning_curve(make_cases([series], test=0, policies=("ours",)), "ours")
    assert curve.rise.tolist() == [0.05, 0.3, 0.6]
    assert curve.hit_rate.tolist() == [1.0, 1.0, 0.5]
    assert curve.precision.tolist() == [1.0, 1.0, 1.0]


def test_a_margin_that_never_rises_has_an_empty_curve(make_series, make_cases):
    flat = make_cases([make_series(onsets=[25], strength={})], test=0, policies=("ours",))
    assert len(warning_curve(flat, "ours")) == 0
    assert len(candidate_rises(flat.series, 0, smallest=0.05)) == 0


def test_an_unknown_policy_is_refused(make_series, make_cases):
    cases = make_cases([make_series(onsets=[25], strength={})], test=0, policies=("ours",))
    with pytest.raises(InputError, match=r"a policy must be one of \['ours'\], was 'hers'"):
        warning_curve(cases, "hers")
