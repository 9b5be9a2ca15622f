import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from foremargin.backtest._results import TestResult
from foremargin.backtest.coverage import (
    TrafficLightZone,
    basel_traffic_light,
    binomial_coverage,
    christoffersen_conditional_coverage,
    christoffersen_independence,
    dynamic_quantile,
    holm,
    kupiec_pof,
    kupiec_tuff,
)
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError

WITH_TAIL_PROBABILITY: dict[str, Callable[..., Any]] = {
    "pof": kupiec_pof,
    "tuff": kupiec_tuff,
    "binomial": binomial_coverage,
    "conditional coverage": christoffersen_conditional_coverage,
    "dynamic quantile": dynamic_quantile,
    "traffic light": basel_traffic_light,
}
by_test = pytest.mark.parametrize(
    "test", WITH_TAIL_PROBABILITY.values(), ids=WITH_TAIL_PROBABILITY.keys()
)


def first_breaches(n_breaches: int, n: int) -> np.ndarray:
    return np.arange(n) < n_breaches


def published_transitions() -> np.ndarray:
    """1043 periods with N00=932, N01=53, N10=53, N11=4: 49 single breaches and 4 pairs."""
    calm = [12] * 52 + [309]
    runs = [1] * 49 + [2] * 4
    pieces = [piece for c, r in zip(calm, runs, strict=True) for piece in ([0] * c, [1] * r)]
    breach = np.concatenate([*pieces, [0] * (1043 - sum(calm) - sum(runs))]).astype(bool)
    pairs = 2 * breach[:-1] + breach[1:]
    assert np.bincount(pairs).tolist() == [932, 53, 53, 4]
    return breach


def rejection_rate(test, breach: np.ndarray, **kwargs) -> float:
    return float(np.mean([test(row, **kwargs).p_value < 0.05 for row in breach]))


# Reference values ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n_breaches", "n", "tail_probability", "statistic", "p_value"),
    [
        (57, 1043, 0.05, 0.46147, 0.49694),
        (17, 1043, 0.01, 3.51181, 0.060933),
        (3, 250, 0.05, 10.81233, 0.0010083),
    ],
)
def test_kupiec_gives_the_published_values(n_breaches, n, tail_probability, statistic, p_value):
    result = kupiec_pof(first_breaches(n_breaches, n), tail_probability=tail_probability)
    # Published with five significant digits.
    assert result.statistic == pytest.approx(statistic, rel=1e-5)
    assert result.p_value == pytest.approx(p_value, rel=1e-4)
    assert result.df == 1


def test_christoffersen_gives_the_published_values():
    breach = published_transitions()
    independence = christoffersen_independence(breach)
    joint = christoffersen_conditional_coverage(breach, tail_probability=0.05)
    # Published with five decimals.
    assert independence.statistic == pytest.approx(0.25866, abs=5e-6)
    assert independence.p_value == pytest.approx(0.61104, abs=5e-6)
    assert joint.statistic == pytest.approx(0.72013, abs=1e-5)
    assert joint.p_value == pytest.approx(0.69763, abs=1e-5)
    assert (independence.df, joint.df) == (1, 2)


def test_conditional_coverage_on_pairs_is_the_exact_joint_likelihood_ratio():
    breach = published_transitions()
    joint = christoffersen_conditional_coverage(
        breach, tail_probability=0.05, unconditional_on="pairs"
    )
    free = sum(n * np.log(n / total) for n, total in [(932, 985), (53, 985), (53, 57), (4, 57)])
    restricted = 57 * np.log(0.05) + 985 * np.log(0.95)
    assert joint.statistic == pytest.approx(2 * (free - restricted), rel=1e-10)


def test_conditional_coverage_on_pairs_ignores_a_breach_in_the_first_period():
    breach = np.zeros(300, dtype=bool)
    breach[[0, 50, 120]] = True
    expected = kupiec_pof(breach[1:], tail_probability=0.01).statistic
    expected += christoffersen_independence(breach).statistic
    joint = christoffersen_conditional_coverage(
        breach, tail_probability=0.01, unconditional_on="pairs"
    )
    assert joint.statistic == pytest.approx(expected, rel=1e-12)


def test_tuff_gives_the_published_value():
    breach = np.zeros(100, dtype=bool)
    breach[[57, 60]] = True
    result = kupiec_tuff(breach, tail_probability=0.05)
    # Published with five significant digits.
    assert result.statistic == pytest.approx(1.7354, rel=3e-5)
    assert result.p_value == pytest.approx(0.18773, rel=3e-5)


def test_tuff_ignores_what_follows_the_first_breach():
    breach = np.arange(200) == 30
    later = breach.copy()
    later[40:90] = True
    assert kupiec_tuff(breach, tail_probability=0.01) == kupiec_tuff(later, tail_probability=0.01)


def test_traffic_light_has_the_basel_zones():
    table = [basel_traffic_light(first_breaches(x, 250)) for x in range(11)]
    percent = [8.11, 28.58, 54.32, 75.81, 89.22, 95.88, 98.63, 99.60, 99.89, 99.97, 99.99]
    # Published with two decimals.
    np.testing.assert_allclose(
        [100 * light.cumulative_probability for light in table], percent, atol=0.0051
    )
    zones = [light.zone for light in table]
    assert zones == [TrafficLightZone.GREEN] * 5 + [TrafficLightZone.YELLOW] * 5 + ["red"]
    assert (table[7].n_breaches, table[7].n_periods) == (7, 250)


def test_binomial_coverage_sums_the_counts_no_more_likely_than_the_one_seen():
    probability = stats.binom.pmf(np.arange(251), 250, 0.05)
    result = binomial_coverage(first_breaches(17, 250), tail_probability=0.05)
    # Counts of 8 and fewer are as unlikely as 17 and more.
    expected = probability[probability <= probability[17] * (1 + 1e-7)].sum()
    assert expected > 1.5 * probability[17:].sum()
    assert result.p_value == pytest.approx(expected, rel=1e-9)
    assert (result.statistic, result.df) == (17.0, None)


def test_dynamic_quantile_is_the_wald_statistic_of_the_regression():
    rng = np.random.default_rng(3)
    breach, margin, lags = rng.random(400) < 0.08, rng.uniform(0.02, 0.06, 400), 3
    hit = breach - 0.05
    rows = [[1.0, hit[t - 1], hit[t - 2], hit[t - 3], margin[t]] for t in range(lags, len(breach))]
    x = np.array(rows)
    coefficients = np.linalg.solve(x.T @ x, x.T @ hit[lags:])
    expected = coefficients @ x.T @ x @ coefficients / (0.05 * 0.95)
    result = dynamic_quantile(breach, tail_probability=0.05, value_at_risk=margin, lags=lags)
    assert result.statistic == pytest.approx(expected, rel=1e-9)
    assert result.df == 5
    assert result.p_value == pytest.approx(stats.chi2.sf(expected, 5), rel=1e-9)


def test_dynamic_quantile_without_regressors_is_the_score_test_of_the_breach_rate():
    breach = first_breaches(20, 250)
    result = dynamic_quantile(breach, tail_probability=0.05, lags=0)
    assert result.statistic == pytest.approx(250 * (0.08 - 0.05) ** 2 / (0.05 * 0.95), rel=1e-10)
    assert result.df == 1


def test_holm_agrees_with_the_hand_example():
    # Sorted 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1 is 0.02, 0.03, 0.06, 0.04 -> 0.06.
    np.testing.assert_allclose(
        holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02], rtol=1e-12
    )


def test_holm_stops_at_one():
    np.testing.assert_array_equal(holm([0.9, 0.8]), [1.0, 1.0])


# Edge cases ------------------------------------------------------------------------------------


def test_no_breach_is_no_evidence_against_independence():
    result = christoffersen_independence(np.zeros(250, dtype=bool))
    assert (result.statistic, result.p_value) == (0.0, 1.0)


def test_nothing_but_breaches_is_no_evidence_against_independence():
    result = christoffersen_independence(np.ones(250, dtype=bool))
    assert (result.statistic, result.p_value) == (0.0, 1.0)


def test_one_breach_in_the_last_period_says_nothing_about_independence():
    result = christoffersen_independence(np.arange(250) == 249)
    assert result.statistic == 0.0
    assert result.p_value == 1.0


@pytest.mark.parametrize("test", [kupiec_pof, kupiec_tuff, christoffersen_conditional_coverage])
def test_no_breach_leaves_only_the_chance_of_none(test):
    result = test(np.zeros(250, dtype=bool), tail_probability=0.01)
    assert result.statistic == pytest.approx(-2 * 250 * np.log(0.99), rel=1e-12)


def test_nothing_but_breaches_leaves_only_the_chance_of_all():
    result = kupiec_pof(np.ones(20, dtype=bool), tail_probability=0.01)
    assert result.statistic == pytest.approx(-2 * 20 * np.log(0.01), rel=1e-12)


def test_dynamic_quantile_without_breaches_keeps_one_degree_of_freedom():
    result = dynamic_quantile(
        np.zeros(250, dtype=bool), tail_probability=0.01, value_at_risk=np.full(250, 0.03)
    )
    assert result.df == 1
    assert result.statistic == pytest.approx(246 * 0.01 / 0.99, rel=1e-9)


@pytest.mark.parametrize("constant", [0.0, 0.03])
def test_a_constant_margin_does_not_change_dynamic_quantile(constant):
    breach = np.random.default_rng(1).random(300) < 0.05
    alone = dynamic_quantile(breach, tail_probability=0.05)
    both = dynamic_quantile(breach, tail_probability=0.05, value_at_risk=np.full(300, constant))
    assert both.df == alone.df == 5
    assert both.statistic == pytest.approx(alone.statistic, rel=1e-9)


@pytest.mark.parametrize("unit", [1e-15, 1e15])
def test_dynamic_quantile_does_not_depend_on_the_unit_of_the_margin(unit):
    rng = np.random.default_rng(2)
    breach, margin = rng.random(300) < 0.05, rng.uniform(0.01, 0.05, 300)
    base = dynamic_quantile(breach, tail_probability=0.05, value_at_risk=margin)
    scaled = dynamic_quantile(breach, tail_probability=0.05, value_at_risk=unit * margin)
    assert scaled.df == base.df == 6
    assert scaled.statistic == pytest.approx(base.statistic, rel=1e-9)


@by_test
def test_bool_integer_float_list_and_series_are_read_alike(test):
    breach = np.random.default_rng(4).random(120) < 0.05
    expected = test(breach, tail_probability=0.05)
    for same in (breach.astype(int), breach.astype(float), breach.tolist(), pd.Series(breach)):
        assert test(same, tail_probability=0.05) == expected


@by_test
@pytest.mark.parametrize("tail_probability", [99, 1.0, 0.0, -0.01, float("nan")])
def test_a_tail_probability_outside_the_unit_interval_is_refused(test, tail_probability):
    with pytest.raises(InputError, match=r"tail_probability must be in \(0, 1\).*0\.01 for 1 %"):
        test(np.zeros(250, dtype=bool), tail_probability=tail_probability)


@by_test
def test_a_missing_breach_is_refused(test):
    with pytest.raises(InputError, match="breach must be finite, found 1 NaN"):
        test([0.0, 1.0, float("nan"), 0.0], tail_probability=0.01)


@by_test
def test_a_loss_in_place_of_a_breach_is_refused(test):
    with pytest.raises(InputError, match=r"True/False or 0/1, found 2 other.*loss > margin"):
        test([0.0, 0.02, -0.01], tail_probability=0.01)


@by_test
def test_a_table_of_breaches_is_refused(test):
    with pytest.raises(ShapeError, match=r"breach must have shape \(n,\), was \(5, 2\)"):
        test(np.zeros((5, 2), dtype=bool), tail_probability=0.01)


@by_test
def test_no_periods_are_refused(test):
    with pytest.raises(NotEnoughHistoryError, match="at least 1 period"):
        test([], tail_probability=0.01)


def test_missing_values_of_pandas_are_refused():
    with pytest.raises(InputError, match="breach must be finite, found 1 NaN"):
        kupiec_pof(pd.array([True, None], dtype="boolean"), tail_probability=0.01)


def test_words_are_refused():
    with pytest.raises(InputError, match="breach must hold numbers, found list"):
        kupiec_pof(["breach", "held"], tail_probability=0.01)


def test_independence_needs_two_periods():
    with pytest.raises(NotEnoughHistoryError, match="more than 1 periods for a test of indep"):
        christoffersen_independence([True])


def test_dynamic_quantile_needs_more_periods_than_regressors():
    with pytest.raises(NotEnoughHistoryError, match="more than 10 periods for a regression on 4"):
        dynamic_quantile(np.zeros(10, dtype=bool), tail_probability=0.01)


def test_dynamic_quantile_refuses_a_margin_of_another_length():
    with pytest.raises(ShapeError, match=r"same shape.*breach \(50,\), value_at_risk \(49,\)"):
        dynamic_quantile(np.zeros(50, bool), tail_probability=0.01, value_at_risk=np.ones(49))


@pytest.mark.parametrize("lags", [-1, 1.5, True])
def test_dynamic_quantile_refuses_a_number_of_lags_that_is_no_count(lags):
    with pytest.raises(InputError, match="lags must be a whole number >= 0"):
        dynamic_quantile(np.zeros(50, bool), tail_probability=0.01, lags=lags)


def test_an_unknown_convention_is_refused():
    with pytest.raises(InputError, match='must be "all" or "pairs", was \'first\''):
        christoffersen_conditional_coverage(
            np.zeros(9, bool),
            tail_probability=0.01,
            unconditional_on="first",  # type: ignore[arg-type]
        )


def test_holm_refuses_what_is_no_probability():
    with pytest.raises(InputError, match=r"p_values must be in \[0, 1\], were 0.2 to 3.5"):
        holm([0.2, 3.5])


def test_a_result_cannot_be_changed():
    result = kupiec_pof(first_breaches(3, 250), tail_probability=0.01)
    assert isinstance(result, TestResult)
    with pytest.raises(dataclasses.FrozenInstanceError, match="p_value"):
        result.p_value = 1.0  # type: ignore[misc]


# Properties ------------------------------------------------------------------------------------


@given(breach=st.lists(st.booleans(), min_size=11, max_size=60), tail=st.floats(0.001, 0.999))
def test_every_result_is_a_number_whatever_the_breaches(breach, tail):
    results = [test(breach, tail_probability=tail) for test in WITH_TAIL_PROBABILITY.values()][:5]
    for result in [*results, christoffersen_independence(breach)]:
        assert np.isfinite(result.statistic)
        assert result.statistic >= 0.0
        # binomtest adds up to 1 + 1e-15.
        assert 0.0 <= result.p_value <= 1.0 + 1e-12


@given(p_values=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20))
def test_holm_keeps_the_order_and_never_lowers_a_p_value(p_values):
    raw = np.array(p_values)
    adjusted = holm(raw)
    assert (adjusted >= raw).all()
    assert (adjusted <= np.minimum(raw.size * raw, 1.0)).all()
    assert (np.diff(adjusted[np.argsort(raw, kind="stable")]) >= 0.0).all()


# The statistical promise -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "test", [kupiec_pof, christoffersen_conditional_coverage, dynamic_quantile]
)
def test_a_right_margin_is_rejected_about_as_often_as_promised(test):
    breach = np.random.default_rng(11).random((1000, 1000)) < 0.05
    # Nominal 5 %; the band has a false-alarm rate of 2e-4 over 1000 trials.
    low, high = np.array(stats.binom.interval(1 - 2e-4, 1000, 0.05)) / 1000
    assert low <= rejection_rate(test, breach, tail_probability=0.05) <= high


def test_the_exact_test_never_rejects_a_right_margin_too_often():
    x = np.arange(251)
    rejected = [
        binomial_coverage(first_breaches(k, 250), tail_probability=0.01).p_value < 0.05
        for k in range(40)
    ]
    # Exact size: the probability of the rejected counts.
    assert stats.binom.pmf(x[:40], 250, 0.01) @ rejected <= 0.05


def test_independent_breaches_are_rejected_slightly_more_often_than_promised():
    breach = np.random.default_rng(12).random((1000, 1000)) < 0.05
    # The chi-squared law gives about 7 % at 50 breaches; same false-alarm rate as above.
    low, high = np.array(stats.binom.interval(1 - 2e-4, 1000, 0.07)) / 1000
    assert low <= rejection_rate(christoffersen_independence, breach) <= high


def test_kupiec_sees_twice_the_promised_breaches():
    breach = np.random.default_rng(13).random((300, 1000)) < 0.02
    assert rejection_rate(kupiec_pof, breach, tail_probability=0.01) > 0.7


def clustered(rng: np.random.Generator, n_trials: int, n: int, *, lag: int) -> np.ndarray:
    """Breach rate 5 %; a breach `lag` periods ago makes one eight times as likely."""
    breach = np.zeros((n_trials, n), dtype=bool)
    calm = 0.05 * 0.6 / 0.95  # 0.05 * 0.4 + 0.95 * calm = 0.05
    for t in range(n):
        after = breach[:, t - lag] if t >= lag else np.zeros(n_trials, dtype=bool)
        breach[:, t] = rng.random(n_trials) < np.where(after, 0.4, calm)
    return breach


def test_independence_sees_neighbouring_breaches():
    breach = clustered(np.random.default_rng(14), 200, 500, lag=1)
    assert rejection_rate(christoffersen_independence, breach) > 0.9


def test_only_dynamic_quantile_sees_breaches_three_periods_apart():
    breach = clustered(np.random.default_rng(15), 200, 500, lag=3)
    assert rejection_rate(dynamic_quantile, breach, tail_probability=0.05) > 0.9
    assert rejection_rate(christoffersen_independence, breach) < 0.2


def test_dynamic_quantile_sees_a_margin_that_is_low_when_it_should_be_high():
    rng = np.random.default_rng(16)
    margin = rng.uniform(0.02, 0.06, (200, 1000))
    breach = rng.random((200, 1000)) < np.where(margin < 0.04, 0.09, 0.01)
    seen = [
        dynamic_quantile(b, tail_probability=0.05, value_at_risk=m).p_value < 0.05
        for b, m in zip(breach, margin, strict=True)
    ]
    unseen = rejection_rate(dynamic_quantile, breach, tail_probability=0.05)
    assert np.mean(seen) > 0.9
    assert unseen < 0.2
