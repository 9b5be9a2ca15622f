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
    basel_traffic_light,
    berkowitz,
    berkowitz_tail,
    binomial_coverage,
    christoffersen_conditional_coverage,
    christoffersen_independence,
    du_escanciano_conditional,
    du_escanciano_unconditional,
    duration_shape,
    duration_test,
    dynamic_quantile,
    kupiec_pof,
    kupiec_tuff,
    time_between_failures,
)
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError


def mixed_time_between_failures(breach, *, tail_probability):
    return time_between_failures(breach, tail_probability=tail_probability, mixed=True)


WITH_TAIL_PROBABILITY: dict[str, Callable[..., Any]] = {
    "pof": kupiec_pof,
    "tuff": kupiec_tuff,
    "binomial": binomial_coverage,
    "conditional coverage": christoffersen_conditional_coverage,
    "dynamic quantile": dynamic_quantile,
    "time between failures": time_between_failures,
    "mixed time between failures": mixed_time_between_failures,
    "traffic light": basel_traffic_light,
}
by_test = pytest.mark.parametrize(
    "test", WITH_TAIL_PROBABILITY.values(), ids=WITH_TAIL_PROBABILITY.keys()
)
OF_BREACHES: dict[str, Callable[[Any], Any]] = {
    name: (lambda breach, test=test: test(breach, tail_probability=0.05))
    for name, test in WITH_TAIL_PROBABILITY.items()
} | {"independence": christoffersen_independence, "durations": duration_test}
by_breach_test = pytest.mark.parametrize("test", OF_BREACHES.values(), ids=OF_BREACHES.keys())

OF_PIT: dict[str, Callable[..., Any]] = {
    "berkowitz": lambda pit, tail_probability: berkowitz(pit),
    "berkowitz tail": berkowitz_tail,
    "du escanciano unconditional": du_escanciano_unconditional,
    "du escanciano conditional": du_escanciano_conditional,
}
by_pit_test = pytest.mark.parametrize("test", OF_PIT.values(), ids=OF_PIT.keys())


def first_breaches(n_breaches: int, n: int) -> np.ndarray:
    return np.arange(n) < n_breaches


def rejection_rate(test, breach: np.ndarray, **kwargs) -> float:
    return float(np.mean([test(row, **kwargs).p_value < 0.05 for row in breach]))


EDGES: dict[str, np.ndarray] = {
    "none": np.zeros(250, dtype=bool),
    "all": np.ones(250, dtype=bool),
    "first": np.arange(250) == 0,
    "last": np.arange(250) == 249,
    "first and last": np.isin(np.arange(250), [0, 249]),
    "neighbours": np.isin(np.arange(250), [100, 101]),
    "clockwork": np.arange(250) % 20 == 0,
}


@by_breach_test
@pytest.mark.parametrize("breach", EDGES.values(), ids=EDGES.keys())
def test_every_edge_has_a_result(test, breach):
    result = test(breach)
    assert np.isfinite(result.statistic)
    assert 0.0 <= result.p_value <= 1.0 + 1e-12  # binomtest adds up to 1 + 1e-15


@by_pit_test
@pytest.mark.parametrize("breach", EDGES.values(), ids=EDGES.keys())
def test_every_edge_of_the_transforms_has_a_result(test, breach):
    u = np.linspace(0.1, 0.9, 250)
    result = test(np.where(breach, 0.04 * u, u), tail_probability=0.05)
    assert np.isfinite(result.statistic)
    assert 0.0 <= result.p_value <= 1.0


@by_breach_test
def test_nothing_but_breaches_are_too_many_or_no_evidence_of_dependence(test):
    result = test(EDGES["all"])
    # Only the first wait, or no state but one to compare: these cannot see how many there are.
    low_power = test in (OF_BREACHES["tuff"], OF_BREACHES["independence"])
    assert (result.p_value > 0.01) == low_power


@pytest.mark.parametrize(
    "test",
    [kupiec_pof, kupiec_tuff, christoffersen_conditional_coverage, mixed_time_between_failures],
)
def test_no_breach_leaves_only_the_chance_of_none(test):
    result = test(np.zeros(250, dtype=bool), tail_probability=0.01)
    assert result.statistic == pytest.approx(-2 * 250 * np.log(0.99), rel=1e-12)


@by_breach_test
def test_bool_integer_float_list_and_series_are_read_alike(test):
    breach = np.random.default_rng(4).random(120) < 0.05
    expected = test(breach)
    for same in (breach.astype(int), breach.astype(float), breach.tolist(), pd.Series(breach)):
        assert test(same) == expected


@by_test
@pytest.mark.parametrize("tail_probability", [99, 1.0, 0.0, -0.01, float("nan")])
def test_a_tail_probability_outside_the_unit_interval_is_refused(test, tail_probability):
    with pytest.raises(InputError, match=r"tail_probability must be in \(0, 1\).*0\.01 for 1 %"):
        test(np.zeros(250, dtype=bool), tail_probability=tail_probability)


@by_breach_test
def test_a_missing_breach_is_refused(test):
    with pytest.raises(InputError, match="breach must be finite, found 1 NaN"):
        test([0.0, 1.0, float("nan"), 0.0])


@by_breach_test
def test_a_loss_in_place_of_a_breach_is_refused(test):
    with pytest.raises(InputError, match=r"True/False or 0/1, found 2 other.*loss > margin"):
        test([0.0, 0.02, -0.01])


@by_breach_test
def test_a_table_of_breaches_is_refused(test):
    with pytest.raises(ShapeError, match=r"breach must have shape \(n,\), was \(5, 2\)"):
        test(np.zeros((5, 2), dtype=bool))


@by_breach_test
def test_no_periods_are_refused(test):
    with pytest.raises(NotEnoughHistoryError, match="at least 1 period"):
        test([])


def test_a_result_cannot_be_changed():
    result = kupiec_pof(first_breaches(3, 250), tail_probability=0.01)
    assert isinstance(result, TestResult)
    with pytest.raises(dataclasses.FrozenInstanceError, match="p_value"):
        result.p_value = 1.0  # type: ignore[misc]


@given(breach=st.lists(st.booleans(), min_size=11, max_size=60), tail=st.floats(0.001, 0.999))
def test_every_result_is_a_number_whatever_the_breaches(breach, tail):
    results = [test(breach, tail_probability=tail) for test in WITH_TAIL_PROBABILITY.values()]
    for result in [*results, christoffersen_independence(breach), duration_test(breach)]:
        assert np.isfinite(result.statistic)
        assert result.statistic >= 0.0
        assert 0.0 <= result.p_value <= 1.0 + 1e-12


@given(
    pit=st.lists(st.floats(1e-300, 1.0 - 1e-16), min_size=6, max_size=40, unique=True),
    tail=st.floats(0.001, 0.999),
)
def test_every_result_is_a_number_whatever_the_transforms(pit, tail):
    for test in OF_PIT.values():
        result = test(pit, tail_probability=tail)
        assert np.isfinite(result.statistic)
        assert 0.0 <= result.p_value <= 1.0


@by_pit_test
@pytest.mark.parametrize("end", [0.0, 1.0, -0.2, 1.7])
def test_a_transform_at_or_beyond_the_ends_is_refused(test, end):
    with pytest.raises(InputError, match=r"pit must be in \(0, 1\), found 1 outside.*of 12"):
        test([*np.linspace(0.1, 0.9, 11), end], tail_probability=0.05)


@by_pit_test
def test_a_missing_transform_is_refused(test):
    with pytest.raises(InputError, match="pit must be finite, found 1 NaN"):
        test([0.2, 0.4, float("nan"), 0.6, 0.1, 0.5, 0.9], tail_probability=0.05)


@pytest.mark.parametrize("test", [*list(OF_PIT.values())[1:]], ids=list(OF_PIT)[1:])
def test_transforms_need_a_tail_probability_inside_the_unit_interval(test):
    with pytest.raises(InputError, match=r"tail_probability must be in \(0, 1\), was 99"):
        test(np.linspace(0.1, 0.9, 20), tail_probability=99)


def test_the_shape_of_durations_reads_breaches_as_the_tests_do():
    with pytest.raises(InputError, match="breach must be finite, found 1 NaN"):
        duration_shape([0.0, float("nan")])


@pytest.mark.parametrize(
    "test", [kupiec_pof, christoffersen_conditional_coverage, dynamic_quantile]
)
def test_a_right_margin_is_rejected_about_as_often_as_promised(test):
    breach = np.random.default_rng(11).random((1000, 1000)) < 0.05
    # Nominal 5 %; the band has a false-alarm rate of 2e-4 over 1000 trials.
    low, high = np.array(stats.binom.interval(1 - 2e-4, 1000, 0.05)) / 1000
    assert low <= rejection_rate(test, breach, tail_probability=0.05) <= high
