from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from foremargin.backtest import diebold_mariano, make_cells, quantile_loss
from foremargin.backtest.statement import (
    Outcome,
    caveats,
    control_table,
    expected_breaches,
    failing_series,
    outcome,
    percent,
    rate_band,
    signed_percent,
    verdict_sentences,
)


def with_numbers(verdict, **numbers):
    """Change numbers of the judged policy in the table of policies."""
    policies = verdict.policies.copy()
    for key, value in numbers.items():
        policies.loc["predictive", key] = value
    return replace(verdict, policies=policies)


def with_change(verdict, *, estimate, low, high, p_value):
    change = replace(verdict.quantile_loss_change, estimate=estimate, low=low, high=high)
    return replace(verdict, quantile_loss_change=change, p_value=p_value)


def quoted(verdict, start):
    """Return the caveats that begin like this."""
    return [text for text in caveats(verdict) if text.startswith(start)]


@pytest.mark.parametrize(
    ("ours", "expected", "verb"),
    [
        ("sigma", Outcome.WINS, "predictive beats ewma-0.97-fhs"),
        ("same", Outcome.NO_DIFFERENCE, "predictive is not told apart from ewma-0.97-fhs"),
        ("dear", Outcome.LOSES, "predictive loses to ewma-0.97-fhs"),
    ],
)
def test_the_first_sentence_says_who_wins(make_verdict, ours, expected, verb):
    verdict = make_verdict(ours=ours)
    assert outcome(verdict) is expected
    assert verb in verdict_sentences(verdict)[0]


@pytest.mark.parametrize(
    ("low", "high", "p_value", "expected"),
    [
        (-0.05, -0.01, 0.049, Outcome.WINS),
        (-0.05, -0.01, 0.051, Outcome.NO_DIFFERENCE),
        (-0.05, 0.01, 0.001, Outcome.NO_DIFFERENCE),
        (-0.05, 0.00, 0.001, Outcome.NO_DIFFERENCE),
        (-0.01, 0.05, 0.001, Outcome.NO_DIFFERENCE),
        (0.00, 0.05, 0.001, Outcome.NO_DIFFERENCE),
        (0.01, 0.05, 0.049, Outcome.LOSES),
        (0.01, 0.05, 0.051, Outcome.NO_DIFFERENCE),
        (0.01, 0.05, np.nan, Outcome.NO_DIFFERENCE),
    ],
)
def test_a_win_needs_both_the_test_and_the_interval(make_verdict, low, high, p_value, expected):
    middle = 0.5 * (low + high)
    verdict = with_change(make_verdict(), estimate=middle, low=low, high=high, p_value=p_value)
    assert outcome(verdict) is expected


def test_there_are_three_sentences_and_each_is_one(make_verdict):
    sentences = verdict_sentences(make_verdict())
    assert len(sentences) == 3
    for sentence in sentences:
        assert sentence.endswith(".")
        assert ". " not in sentence


def test_the_first_sentence_holds_the_numbers(make_verdict):
    verdict = with_change(
        make_verdict(ours="same"), estimate=-0.0312, low=-0.0523, high=0.0047, p_value=0.0876
    )
    sentence = verdict_sentences(verdict)[0]
    assert "the best of 4 reactive policies, chosen with hindsight" in sentence
    assert "quantile loss is 3.12 % lower" in sentence
    assert "90 % interval −5.23 % to +0.47 %, which includes zero" in sentence  # noqa: RUF001
    assert "Diebold-Mariano p = 0.088" in sentence
    assert "it is in the 90 % model confidence set" in sentence


def test_the_first_sentence_says_when_predictive_is_outside_the_confidence_set(make_verdict):
    assert "it is not in the 90 % model" in verdict_sentences(make_verdict(ours="dear"))[0]


def test_an_unequal_cost_is_called_unequal(make_verdict):
    verdict = with_numbers(make_verdict(), matched_cost_ratio=1.031)
    assert (
        "but it cost 3.10 % more than ewma-0.97-fhs, which is not equal cost: the constant did "
        "not hold" in verdict_sentences(verdict)[1]
    )
    assert quoted(verdict, "The constants fitted on validation did not keep costs equal")


def test_a_small_difference_of_cost_is_stated_without_alarm(make_verdict):
    verdict = with_numbers(make_verdict(), matched_cost_ratio=0.985)
    assert "and it cost 1.50 % less than ewma-0.97-fhs;" in verdict_sentences(verdict)[1]
    assert not quoted(verdict, "The constants")


def test_the_second_sentence_compares_shortfalls_at_hindsight_cost(make_verdict):
    verdict = make_verdict()
    table = verdict.policies.hindsight_shortfall
    change = table["predictive"] / table["ewma-0.97-fhs"] - 1.0
    assert change < 0.0
    sentence = verdict_sentences(verdict)[1]
    assert f"by hindsight the shortfall is {-100 * change:.2f} % smaller" in sentence
    more = with_numbers(verdict, hindsight_shortfall=1.25 * table["ewma-0.97-fhs"])
    assert "by hindsight the shortfall is 25.00 % larger" in verdict_sentences(more)[1]


def test_a_reference_without_shortfall_has_no_relative_change(make_verdict):
    verdict = make_verdict()
    policies = verdict.policies.copy()
    policies.loc[verdict.reference, ["matched_shortfall", "hindsight_shortfall"]] = 0.0
    sentence = verdict_sentences(replace(verdict, policies=policies))[1]
    assert "against none of the reference" in sentence
    assert "no relative change exists" in sentence
    assert "nan" not in sentence


def test_the_second_sentence_tells_coverage(make_verdict):
    verdict = with_numbers(make_verdict(), breach_rate=0.0466, series_passing=3)
    sentence = verdict_sentences(verdict)[1]
    assert "breached in 4.66 % of cases (target 5.00 %, reference 6.19 %)" in sentence
    assert "3 of 4 series pass the coverage tests (reference 3 of 4)" in sentence


@pytest.mark.parametrize(
    ("peak", "increase", "start"),
    [
        (2.0, 2.0, "Of the two margins, that of predictive is calmer: peak-to-trough 2.00×"),  # noqa: RUF001
        (4.0, 4.0, "Of the two margins, that of ewma-0.97-fhs is calmer"),
        (2.0, 4.0, "Neither margin is calmer by both measures"),
        (3.01, 3.01, "Neither margin is calmer by both measures"),
    ],
)
def test_the_third_sentence_says_which_margin_is_calmer(make_verdict, peak, increase, start):
    verdict = make_verdict()
    policies = verdict.policies.copy()
    policies.loc[verdict.reference, ["peak_to_trough", "largest_increase_20"]] = 3.0
    policies.loc["predictive", ["peak_to_trough", "largest_increase_20"]] = peak, increase
    assert verdict_sentences(replace(verdict, policies=policies))[2].startswith(start)


def test_controls_that_behave_are_reported(make_verdict):
    verdict = make_verdict()
    table = control_table(verdict).set_index("control")
    assert table.behaved.all()
    cells = make_cells(verdict.replay, test=True)
    ours = quantile_loss(cells.loss, cells.of("predictive"), tail_probability=0.05)
    shuffled = quantile_loss(
        cells.loss, cells.of("control-shuffled-forecast"), tail_probability=0.05
    )
    row = table.loc["control-shuffled-forecast"]
    assert row.quantile_loss == pytest.approx(shuffled.mean())
    assert row.relative_to_predictive == pytest.approx(shuffled.mean() / ours.mean() - 1.0)
    # Four series per origin, none missing: the mean over the cells of one origin by hand.
    per_origin = pd.Series(shuffled - ours).groupby(cells.origin).mean().to_numpy()
    p_value = diebold_mariano(per_origin, np.zeros_like(per_origin)).p_value
    assert row.dm_p_value == pytest.approx(p_value)
    assert "the controls behaved: control-shuffled-forecast loses" in verdict_sentences(verdict)[2]


def test_controls_that_do_not_behave_are_shouted(make_verdict):
    verdict = make_verdict(controls="swapped")
    assert not control_table(verdict).behaved.any()
    sentence = verdict_sentences(verdict)[2]
    assert "THE COMPARISON CANNOT BE TRUSTED" in sentence
    assert "control-shuffled-forecast does not lose" in sentence
    assert "control-perfect-foresight does not win" in sentence
    assert caveats(verdict)[0].endswith("the comparison cannot be trusted.")


def test_without_controls_the_sentence_says_so(make_verdict):
    verdict = make_verdict()
    kept = tuple(s for s in verdict.replay.schedules if "control" not in s.policy)
    bare = replace(verdict, replay=replace(verdict.replay, schedules=kept))
    assert "no control was run" in verdict_sentences(bare)[2]
    assert not quoted(bare, "A control did not behave")


def test_few_breaches_are_counted_without_overlap(make_verdict):
    # 299 test origins with a known outcome, two instruments, two sides, 5 %.
    assert expected_breaches(make_verdict()) == pytest.approx(0.05 * 299 * 4)
    assert expected_breaches(make_verdict(horizon=5)) == pytest.approx(0.05 * 295 * 4 / 5)
    assert "about 60 independent ones" in quoted(make_verdict(), "Few breaches")[0]
    assert "±21 %" in quoted(make_verdict(), "Few breaches")[0]  # 1.645 / sqrt(59.8)


def test_many_breaches_need_no_caveat(make_verdict):
    verdict = make_verdict()
    series = verdict.series.assign(n=10 * verdict.series.n)
    assert not quoted(replace(verdict, series=series), "Few breaches")


def test_overlapping_outcomes_are_a_caveat_only_where_they_overlap(make_verdict):
    assert quoted(make_verdict(horizon=5), "Outcomes over 5 periods overlap")
    assert not quoted(make_verdict(), "Outcomes over")


def test_few_instruments_are_a_caveat(make_verdict):
    assert quoted(make_verdict(), "Only 2 instruments")
    many = make_verdict(instruments=tuple("ABCDE"))
    assert not quoted(many, "Only")


def test_more_movement_is_a_caveat(make_verdict):
    verdict = with_numbers(make_verdict(), peak_to_trough=4.5)
    found = quoted(verdict, "predictive is more procyclical than the reference")
    assert "peak-to-trough 4.50× against 3.00×" in found[0]  # noqa: RUF001
    calm = with_numbers(verdict, peak_to_trough=1.0, large_increase_share=0.0)
    assert not quoted(calm, "predictive is more procyclical")


@pytest.mark.parametrize("test", ["kupiec", "conditional_coverage", "dynamic_quantile"])
def test_series_that_fail_a_coverage_test_are_named(make_verdict, test):
    verdict = make_verdict()
    assert failing_series(verdict, "predictive") == ()
    series = verdict.series.copy()
    row = (series.policy == "predictive") & (series.instrument == "BETA") & (series.side == "short")
    series.loc[row, f"{test}_p_holm"] = 0.049
    changed = replace(verdict, series=series)
    assert failing_series(changed, "predictive") == ("BETA short",)
    assert quoted(changed, "predictive fails a coverage test")[0].endswith("on: BETA short.")


def test_a_quintile_off_target_is_a_caveat(make_verdict):
    verdict = make_verdict()
    assert not quoted(verdict, "predictive misses its target")
    quintiles = verdict.quintiles.copy()
    quintiles.loc["predictive", "q5"] = 0.123
    found = quoted(replace(verdict, quintiles=quintiles), "predictive misses its target")
    assert "breach rate q5 12.30 % (q1 calmest" in found[0]


def test_the_band_holds_at_least_95_percent_of_the_counts():
    low, high = rate_band(n=240, tail_probability=0.05)
    counts = np.random.default_rng(1).binomial(240, 0.05, size=20_000) / 240
    assert np.mean((counts >= low) & (counts <= high)) >= 0.95
    inside = np.mean((counts > low) & (counts < high))
    assert inside < 0.95


def test_percent_signs_and_undefined_numbers():
    assert percent(0.01131) == "1.13 %"
    assert signed_percent(-0.0245) == "−2.45 %"  # noqa: RUF001
    assert signed_percent(0.0123) == "+1.23 %"
    assert signed_percent(float("nan")) == "not defined"
