import numpy as np
import pandas as pd
import pytest
from scipy import stats

from foremargin.backtest.coverage import binomial_coverage, kupiec_pof, kupiec_tuff
from foremargin.errors import InputError


def first_breaches(n_breaches: int, n: int) -> np.ndarray:
    return np.arange(n) < n_breaches


def rejection_rate(test, breach: np.ndarray, **kwargs) -> float:
    return float(np.mean([test(row, **kwargs).p_value < 0.05 for row in breach]))


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


def test_binomial_coverage_sums_the_counts_no_more_likely_than_the_one_seen():
    probability = stats.binom.pmf(np.arange(251), 250, 0.05)
    result = binomial_coverage(first_breaches(17, 250), tail_probability=0.05)
    # Counts of 8 and fewer are as unlikely as 17 and more.
    expected = probability[probability <= probability[17] * (1 + 1e-7)].sum()
    assert expected > 1.5 * probability[17:].sum()
    assert result.p_value == pytest.approx(expected, rel=1e-9)
    assert (result.statistic, result.df) == (17.0, None)


def test_nothing_but_breaches_leaves_only_the_chance_of_all():
    result = kupiec_pof(np.ones(20, dtype=bool), tail_probability=0.01)
    assert result.statistic == pytest.approx(-2 * 20 * np.log(0.01), rel=1e-12)


def test_missing_values_of_pandas_are_refused():
    with pytest.raises(InputError, match="breach must be finite, found 1 NaN"):
        kupiec_pof(pd.array([True, None], dtype="boolean"), tail_probability=0.01)


def test_words_are_refused():
    with pytest.raises(InputError, match="breach must hold numbers, found list"):
        kupiec_pof(["breach", "held"], tail_probability=0.01)


def test_the_exact_test_never_rejects_a_right_margin_too_often():
    x = np.arange(251)
    rejected = [
        binomial_coverage(first_breaches(k, 250), tail_probability=0.01).p_value < 0.05
        for k in range(40)
    ]
    # Exact size: the probability of the rejected counts.
    assert stats.binom.pmf(x[:40], 250, 0.01) @ rejected <= 0.05


def test_kupiec_sees_twice_the_promised_breaches():
    breach = np.random.default_rng(13).random((300, 1000)) < 0.02
    assert rejection_rate(kupiec_pof, breach, tail_probability=0.01) > 0.7


@pytest.mark.parametrize(
    ("tail_probability", "n", "low", "high"),
    # Numbers of breaches between which Kupiec (1995, table 3) does not reject at 5 %. For 1 % and
    # 255 days he prints N < 7, without the lower end: no breach has a ratio of 5.13.
    [
        (0.01, 255, 0, 7),
        (0.01, 510, 1, 11),
        (0.01, 1000, 4, 17),
        (0.025, 255, 2, 12),
        (0.025, 510, 6, 21),
        (0.025, 1000, 15, 36),
        (0.05, 255, 6, 21),
        (0.05, 510, 16, 36),
        (0.05, 1000, 37, 65),
        (0.075, 255, 11, 28),
        (0.075, 510, 27, 51),
        (0.075, 1000, 59, 92),
        (0.10, 255, 16, 36),
        (0.10, 510, 38, 65),
        (0.10, 1000, 81, 120),
    ],
)
def test_kupiec_does_not_reject_in_his_published_regions(tail_probability, n, low, high):
    kept = [
        k
        for k in range(140)
        if kupiec_pof(first_breaches(k, n), tail_probability=tail_probability).p_value >= 0.05
    ]
    assert kept == list(range(low + 1, high))


def test_kupiec_rejects_a_right_margin_of_a_short_sample_too_often():
    # Kept are 1 to 6 breaches of 250, and 5 to 16 of 1000.
    for n, low, high, size in [(250, 1, 6, 0.0948), (1000, 5, 16, 0.0551)]:
        kept = stats.binom.cdf(high, n, 0.01) - stats.binom.cdf(low - 1, n, 0.01)
        assert 1.0 - kept == pytest.approx(size, abs=5e-5)
        ends = [low - 1, low, high, high + 1]
        p_value = [kupiec_pof(first_breaches(k, n), tail_probability=0.01).p_value for k in ends]
        assert [p < 0.05 for p in p_value] == [True, False, False, True]


def test_tuff_rejects_a_right_margin_too_often_and_hardly_sees_a_wrong_one():
    first = np.arange(1, 1001)
    rejected = np.array(
        [kupiec_tuff(first == t, tail_probability=0.05).p_value < 0.05 for t in first]
    )
    size, power = (stats.geom.pmf(first, rate) @ rejected for rate in (0.05, 0.1))
    # By the formula, at the 95 % quantile of its law, first breaches in periods 2 to 86 are kept.
    wait = np.array([1.0, 2.0, 86.0, 87.0])
    best = (wait - 1) ** (wait - 1) / wait**wait
    ratio = 2 * np.log(best / (0.05 * 0.95 ** (wait - 1)))
    assert (ratio > 3.8415).tolist() == [True, False, False, True]
    assert np.flatnonzero(~rejected).tolist() == list(range(1, 86))
    assert size == pytest.approx(0.05 + 0.95**86, abs=1e-10)
    assert power == pytest.approx(0.1 + 0.9**86, abs=1e-10)


def test_tuff_without_a_breach_waits_to_the_end():
    result = kupiec_tuff(np.zeros(250, dtype=bool), tail_probability=0.01)
    assert result.statistic == pytest.approx(-2 * 250 * np.log(0.99), rel=1e-12)


def test_kupiec_without_a_breach_leaves_only_the_chance_of_none():
    result = kupiec_pof(np.zeros(250, dtype=bool), tail_probability=0.01)
    assert result.statistic == pytest.approx(-2 * 250 * np.log(0.99), rel=1e-12)


def test_the_tests_of_the_rate_do_not_see_when_breaches_come():
    breach = np.random.default_rng(1).random(500) < 0.03
    together = np.sort(breach)
    for test in (kupiec_pof, binomial_coverage):
        assert test(breach, tail_probability=0.02) == test(together, tail_probability=0.02)
