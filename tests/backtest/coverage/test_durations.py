import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from foremargin.backtest.coverage import (
    duration_shape,
    duration_test,
    simulated,
    time_between_failures,
)


def at(*periods: int, n: int) -> np.ndarray:
    return np.isin(np.arange(1, n + 1), periods)


def waits_and_ends(breach: np.ndarray) -> tuple[list[int], list[int]]:
    """Complete waits, and the quiet at both ends, counted one period after the other."""
    complete, ends, quiet, seen = [], [], 0, False
    for hit in breach:
        quiet += 1
        if hit:
            if seen:
                complete.append(quiet)
            elif quiet > 1:
                ends.append(quiet)
            quiet, seen = 0, True
    return complete, ends + ([quiet] if quiet else [])


def best_log_likelihood(breach: np.ndarray, *, shape: float | None = None) -> float:
    """Both Weibull parameters by the simplex, densities and survival from scipy."""
    complete, ends = waits_and_ends(breach)

    def minus(point):
        law = stats.weibull_min(shape or np.exp(point[1]), scale=np.exp(point[0]))
        return -(law.logpdf(complete).sum() + law.logsf(ends).sum())

    start = [np.log(len(breach) / len(complete)), 0.0]
    found = optimize.minimize(
        minus, start, method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-11, "maxiter": 4000}
    )
    return -float(found.fun)


@pytest.mark.parametrize("seed", range(6))
def test_the_ratio_agrees_with_a_search_over_both_parameters(seed):
    breach = np.random.default_rng(seed).random(400) < 0.03
    expected = 2 * (best_log_likelihood(breach) - best_log_likelihood(breach, shape=1.0))
    result = duration_test(breach)
    # The simplex stops at 1e-11 of a log-likelihood near 100.
    assert result.statistic == pytest.approx(expected, abs=1e-7)
    assert result.p_value == pytest.approx(stats.chi2.sf(expected, 1), abs=1e-7)
    assert result.df == 1


@pytest.mark.parametrize("first_and_last", [(1, 300), (1, 290), (7, 300), (7, 290)])
def test_a_breach_in_the_first_or_last_period_leaves_no_quiet_at_that_end(first_and_last):
    breach = at(30, 33, 90, 200, 202, *first_and_last, n=300)
    expected = 2 * (best_log_likelihood(breach) - best_log_likelihood(breach, shape=1.0))
    assert duration_test(breach).statistic == pytest.approx(expected, abs=1e-7)


def test_without_ends_the_exponential_likelihood_is_the_closed_form():
    # Waits 4, 10 and 16, none cut off: at b = 1 the best rate is one over their mean, and the
    # score of b is zero where m / b = m sum(D^b ln D) / sum(D^b) - sum(ln D).
    waits = np.array([4.0, 10.0, 16.0])
    shape = duration_shape(at(1, 5, 15, 31, n=31))
    power = waits**shape
    assert 3 / shape == pytest.approx(
        3 * (power @ np.log(waits)) / power.sum() - np.log(waits).sum(), rel=1e-8
    )
    exponential = -3 * np.log(waits.mean()) - 3
    weibull = (
        3 * np.log(3 / power.sum()) + 3 * np.log(shape) + (shape - 1) * np.log(waits).sum() - 3
    )
    statistic = duration_test(at(1, 5, 15, 31, n=31)).statistic
    assert statistic == pytest.approx(2 * (weibull - exponential), rel=1e-10)


def test_a_wait_cut_off_counts_as_at_least_so_long():
    # One complete wait of 1 and quiet of 9 after it: l(b) = -ln(1 + 9^b) + ln b - 1, by hand,
    # and b = 1 is compared with its best.
    grid = np.linspace(0.01, 3, 200_001)
    likelihood = -np.log(1 + 9**grid) + np.log(grid) - 1
    result = duration_test(at(1, 2, n=11))
    expected = 2 * (likelihood.max() - (-np.log(10) - 1))
    # The grid misses the best point by at most 1e-5, the likelihood by its square.
    assert result.statistic == pytest.approx(expected, abs=1e-8)


def test_the_shape_is_that_of_the_law_of_the_waits():
    waits = np.ceil(stats.weibull_min(0.6, scale=300).rvs(4000, random_state=1)).astype(int)
    breach = at(*np.cumsum(waits).tolist(), n=int(waits.sum()))
    # Fisher information gives a standard error of 0.6 sqrt(0.608 / 4000) = 0.0074; whole periods
    # instead of a continuous wait move it by as much again.
    assert duration_shape(breach) == pytest.approx(0.6, abs=0.04)


def test_the_shape_tells_clusters_from_distance():
    clusters = at(10, 11, 12, 13, 150, 151, 152, 290, 291, n=300)
    assert duration_shape(clusters) < 0.7
    assert duration_shape(np.arange(300) % 30 == 0) == 10.0


@pytest.mark.parametrize("periods", [(), (1,), (100,), (250,)])
def test_less_than_two_breaches_make_no_complete_wait(periods):
    result = duration_test(at(*periods, n=250))
    assert (result.statistic, result.p_value, result.df) == (0.0, 1.0, 1)
    assert np.isnan(duration_shape(at(*periods, n=250)))


def test_equal_waits_are_judged_at_the_largest_shape():
    # Nothing but breaches: m waits of 1 and no ends, l(b) = m ln b - m.
    result = duration_test(np.ones(21, bool))
    assert result.statistic == pytest.approx(2 * 20 * np.log(10.0), rel=1e-12)


@given(breach=st.lists(st.booleans(), min_size=2, max_size=80))
def test_reversing_time_changes_nothing(breach):
    # A wait is as long backwards; only the quiet before the first breach counts the breach too.
    forward = np.array([True, *breach, True])
    assert duration_test(forward[::-1]).statistic == pytest.approx(
        duration_test(forward).statistic, abs=1e-8
    )


def test_the_unit_of_time_does_not_matter_without_ends():
    waits = np.array([3, 8, 2, 20, 5, 5])
    periods = [1 + np.cumsum([0, *(unit * waits)]) for unit in (1, 7)]
    results = [duration_test(at(*p.tolist(), n=int(p[-1]))) for p in periods]
    assert results[0].statistic == pytest.approx(results[1].statistic, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n", "tail_probability", "size"),
    # Sizes of the documentation: few waits, the law for many rare ones, and whole periods.
    [(250, 0.01, 0.16), (2500, 0.01, 0.065), (2500, 0.05, 0.165)],
)
def test_the_size_is_what_the_documentation_says(n, tail_probability, size):
    breach = np.random.default_rng(1).random((1000, n)) < tail_probability
    rejected = np.mean([duration_test(row).p_value < 0.05 for row in breach])
    # False-alarm rate of 2e-4, and a point more, for the documented figure is measured too.
    low, high = np.array(stats.binom.interval(1 - 2e-4, 1000, size)) / 1000
    assert low - 0.01 <= rejected <= high + 0.01


@pytest.mark.slow
def test_rearranged_breaches_give_the_right_size_at_any_rate():
    rng = np.random.default_rng(2)
    breach = rng.random((200, 300)) < 0.05
    rejected = [
        simulated(duration_test, row, tail_probability=None, rng=rng, n_simulations=39).p_value
        <= 0.05
        for row in breach
    ]
    low, high = np.array(stats.binom.interval(1 - 2e-4, 200, 0.05)) / 200
    assert low <= np.mean(rejected) <= high


def test_clusters_are_seen_and_the_rate_is_not():
    rng = np.random.default_rng(3)
    moving = np.repeat(rng.choice([0.002, 0.06], (200, 20)), 100, axis=1)
    clusters = rng.random((200, 2000)) < moving
    often = rng.random((200, 2000)) < 0.02
    assert np.mean([duration_test(row).p_value < 0.05 for row in clusters]) > 0.9
    assert np.mean([duration_test(row).p_value < 0.05 for row in often]) < 0.2
    # Twice the breaches are for a test that knows the promise.
    told = [time_between_failures(row, tail_probability=0.01).p_value < 0.05 for row in often]
    assert np.mean(told) > 0.5
