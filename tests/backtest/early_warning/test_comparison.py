from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from foremargin.backtest import EqualBy, LeadTimeDisplay, compare_warnings
from foremargin.errors import InputError

RNG = np.random.default_rng


@pytest.fixture(scope="module")
def both(make_series, make_cases):
    """Two years each of validation and test; `ours` warns of two onsets of three, `theirs` one.

    In validation `ours` has false alarms of 0.2, 0.3 and 0.4, `theirs` of 0.06, 0.1 and 0.5.
    """
    onsets = [800, 1000, 1200]
    ours = {100: 0.2, 200: 0.3, 300: 0.4, 797: 0.35, 995: 0.35, 1300: 0.45, 1350: 0.25}
    theirs = {100: 0.1, 200: 0.5, 400: 0.06, 799: 0.2, 1400: 0.2, 1195: 0.05}
    rows = [make_series(n=1460, onsets=onsets, strength=s) for s in (ours, theirs)]
    series = replace(
        rows[0],
        strength=np.concatenate([one.strength for one in rows]),
        margin=np.concatenate([one.margin for one in rows]),
    )
    return make_cases([series], test=730)


def test_each_policy_gets_the_lowest_rise_that_keeps_to_the_target_over_validation(both):
    # One false alarm in two years: 0.5 a year. 0.3 would give `ours` two.
    found = compare_warnings(both, target=0.5, rng=RNG(0)).table
    assert found.rise["ours"] == 0.4
    assert found.rise["theirs"] == 0.5
    assert found.validation_value.tolist() == [0.5, 0.5]
    # 1.0 a year allows two: `ours` goes down to 0.3, `theirs` to 0.1.
    found = compare_warnings(both, target=1.0, rng=RNG(0)).table
    assert found.rise.tolist() == [0.3, 0.1]
    assert found.hits.tolist() == [2, 1]
    assert found.false_alarms.tolist() == [1, 1]
    assert found.test_value.tolist() == [0.5, 0.5]


def test_lead_times_and_their_curve_are_those_counted_by_hand(both):
    found = compare_warnings(both, target=1.0, rng=RNG(0))
    ours = found.leads[found.leads.policy == "ours"]
    np.testing.assert_array_equal(ours.lead_days, [3.0, 5.0, np.nan])
    assert str(ours.onset.dt.tz) == "UTC"
    display = LeadTimeDisplay(comparison=found)
    frame = display.frame().set_index(["policy", "days"]).warned
    assert display.policies == ("ours", "theirs")
    assert frame["ours", 5.0] == pytest.approx(1 / 3)
    assert frame["ours", 3.0] == pytest.approx(2 / 3)
    assert frame["ours", 10.0] == 0.0
    assert frame["theirs", 1.0] == pytest.approx(1 / 3)


def test_a_display_draws_the_judged_policy_and_the_best_reactive_one(both):
    found = compare_warnings(both, target=1.0, rng=RNG(0))
    ax = Figure().subplots()
    assert LeadTimeDisplay(comparison=found).plot(ax=ax) is ax
    legend = ax.get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert labels[0].startswith("ours: 67 %")
    assert labels[1].startswith("theirs (best reactive): 33 %")
    assert "3 onsets" in ax.get_ylabel()


def test_an_alarm_that_never_ends_does_not_meet_the_target(make_series, make_cases):
    # From 0.1 on there is one alarm of 500 days, from 0.5 on there are five, from 0.9 on one.
    strength = np.zeros(1460)
    strength[50:550] = 0.1
    strength[[100, 200, 300, 400, 500]] = [0.5, 0.5, 0.9, 0.5, 0.5]
    series = make_series(n=1460, onsets=[1000], strength=strength)
    cases = make_cases([series], test=730, policies=("ours",), generations=("predictive",))
    assert compare_warnings(cases, target=0.5, rng=RNG(0)).table.rise["ours"] == 0.9


def test_a_policy_whose_every_rise_keeps_below_the_target_gets_the_smallest(both):
    found = compare_warnings(both, target=50.0, rng=RNG(0)).table
    assert found.rise.tolist() == [0.05, 0.05]
    assert found.hits["theirs"] == 2


def test_hindsight_chooses_over_the_test_period(both):
    found = compare_warnings(both, target=0.5, rng=RNG(0), hindsight=True).table
    # Their only false alarm of the test is 0.2, so that the smallest rise makes one; ours are
    # 0.45 and 0.25, and 0.3 is the lowest of their strengths above the second.
    assert found.rise["theirs"] == 0.05
    assert found.rise["ours"] == 0.3


def test_a_policy_that_never_rises_has_no_score(make_series, make_cases):
    flat = make_series(n=400, onsets=[300], strength={})
    found = compare_warnings(
        make_cases([flat], test=200, policies=("ours",), generations=("predictive",)),
        target=1.0,
        rng=RNG(0),
    )
    row = found.table.loc["ours"]
    assert row.onsets == 1
    names = ["rise", "hits", "hit_rate", "precision", "low", "high", "exact_low", "test_value"]
    assert row[names].astype(float).isna().all()
    with pytest.raises(InputError, match="needs a reactive policy that warns, found none"):
        _ = found.best_reactive


def test_the_exact_interval_is_that_of_clopper_and_pearson(both):
    row = compare_warnings(both, target=1.0, rng=RNG(0), confidence_level=0.95).table.loc["theirs"]
    # 1 of 3: the low end has 1 - (1 - p)^3 = 0.025, the high one (1 - p)^3 + 3 p (1 - p)^2 = 0.025.
    assert row.exact_low == pytest.approx(1 - 0.975 ** (1 / 3), rel=1e-9)
    assert row.exact_high == pytest.approx(0.9057007, rel=1e-6)


def test_equal_cost_scales_policies_to_one_mean_margin(both):
    doubled = replace(
        both,
        series=tuple(
            replace(one, margin=one.margin * np.array([[1.0], [2.0]])) for one in both.series
        ),
    )
    plain, scaled = (
        compare_warnings(cases, target=0.05, rng=RNG(0), equal_by=EqualBy.COST).table
        for cases in (both, doubled)
    )
    # Twice the margin is the same policy once costs are made equal.
    np.testing.assert_allclose(plain.rise, scaled.rise)
    np.testing.assert_allclose(plain.cost_per_hit, scaled.cost_per_hit, rtol=1e-12)
    assert (plain.validation_value <= 0.05 + 1e-12).all()


def test_equal_cost_needs_margins_in_validation(both):
    cut = replace(both, test_from=both.series[0].origin[0])
    with pytest.raises(InputError, match="validation must hold origins at which every policy"):
        compare_warnings(cut, target=0.05, rng=RNG(0), equal_by=EqualBy.COST)


def test_the_difference_is_paired(make_series, make_cases):
    # The same policy twice: whatever is resampled, the difference is zero.
    one = make_series(n=800, onsets=[500, 600, 700], strength={100: 0.3, 495: 0.5, 695: 0.5})
    twice = replace(one, strength=np.tile(one.strength, (2, 1)), margin=np.tile(one.margin, (2, 1)))
    found = compare_warnings(make_cases([twice], test=400), target=1.0, rng=RNG(1))
    difference = found.differences[["hit_rate_difference", "low", "high"]]
    np.testing.assert_array_equal(difference.to_numpy(), [[0.0, 0.0, 0.0]])
    assert found.table.low["ours"] < found.table.hit_rate["ours"] < found.table.high["ours"]


def test_onsets_that_come_together_count_as_one_in_the_interval(make_series, make_cases):
    # Eight instruments, all hit or all missed: intervals as wide as those of one.
    def width(n_instruments, shift):
        series = []
        for i in range(n_instruments):
            onsets = [500 + 100 * k + shift * i for k in range(20)]
            warned = {onset - 2: 0.5 for onset in onsets[::2]}
            series.append(
                make_series(n=2600, onsets=onsets, strength={50: 0.3, **warned}, instrument=f"I{i}")
            )
        cases = make_cases(series, test=400, policies=("ours",), generations=("predictive",))
        row = compare_warnings(cases, target=1.0, rng=RNG(2)).table.loc["ours"]
        return row.high - row.low, row.exact_high - row.exact_low

    one, _ = width(1, 0)
    eight, exact = width(8, 0)
    # Same calendar, same resamples: the very same interval, where the exact one shrinks.
    assert eight == pytest.approx(one, rel=1e-9)
    assert exact < 0.6 * eight


def test_a_comparison_needs_an_onset_in_the_test_period(make_series, make_cases):
    cases = make_cases(
        [make_series(onsets=[20], strength={16: 0.3})],
        test=50,
        policies=("ours",),
        generations=("predictive",),
    )
    with pytest.raises(InputError, match="the test period must hold an onset"):
        compare_warnings(cases, target=1.0, rng=RNG(0))


@pytest.mark.parametrize("target", [0.0, np.nan, np.inf])
def test_a_target_that_is_not_positive_is_refused(both, target):
    with pytest.raises(InputError, match="target must be > 0 and finite"):
        compare_warnings(both, target=target, rng=RNG(0))
