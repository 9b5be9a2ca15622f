import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg, optimize, special, stats

from foremargin.backtest.coverage import berkowitz, berkowitz_tail, kupiec_pof
from foremargin.errors import InputError, NotEnoughHistoryError


def simplex(minus, start: list[float]) -> float:
    """Smallest value of a function that the simplex of Nelder and Mead finds."""
    options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 5000}
    return float(optimize.minimize(minus, start, method="Nelder-Mead", options=options).fun)  # type: ignore[call-overload]


def joint_log_likelihood(score: np.ndarray, mean: float, sigma: float, rho: float) -> float:
    """The scores as one draw of a normal vector with the covariances of an AR(1) process."""
    covariance = sigma**2 / (1 - rho**2) * linalg.toeplitz(rho ** np.arange(len(score)))
    return float(stats.multivariate_normal(np.full(len(score), mean), covariance).logpdf(score))


@pytest.mark.parametrize("rho", [-0.6, 0.0, 0.5])
def test_the_full_ratio_agrees_with_a_search_of_the_joint_normal_law(rho):
    rng = np.random.default_rng(1)
    score = rng.standard_normal(60)
    for t in range(1, 60):
        score[t] += rho * score[t - 1]

    def minus(point):
        return -joint_log_likelihood(score, point[0], np.exp(point[1]), np.tanh(point[2]))

    found = simplex(minus, [0.0, 0.0, 0.0])
    expected = 2 * (-found - stats.norm.logpdf(score).sum())
    result = berkowitz(special.ndtr(score))
    # The simplex stops at 1e-12 of a log-likelihood; covariance matrices lose some digits more.
    assert result.statistic == pytest.approx(expected, abs=1e-7)
    assert result.p_value == pytest.approx(stats.chi2.sf(expected, 3), abs=1e-7)
    assert result.df == 3


def test_scores_without_autocorrelation_leave_the_ratio_of_mean_and_variance():
    # Shifted pairs a, a, -a, -a: the best rho is near zero in a long sample, and then
    # LR = sum z^2 - n (1 + ln s^2).
    score = 0.2 + np.tile([1.3, 1.3, -1.3, -1.3], 5000)
    n, variance = score.size, score.var()
    expected = score @ score - n * (1 + np.log(variance))
    assert berkowitz(special.ndtr(score)).statistic == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("tail_probability", [0.02, 0.3])
@pytest.mark.parametrize("sigma", [0.7, 1.0, 1.6])
def test_the_tail_ratio_agrees_with_a_search_over_both_parameters(tail_probability, sigma):
    score = 0.1 + sigma * np.random.default_rng(2).standard_normal(600)
    threshold = stats.norm.ppf(tail_probability)
    inside = score < threshold

    def minus(point):
        law = stats.norm(point[0], np.exp(point[1]))
        return -(law.logpdf(score[inside]).sum() + (~inside).sum() * law.logsf(threshold))

    found = simplex(minus, [0.0, 0.0])
    expected = 2 * (minus([0.0, 0.0]) - found)
    result = berkowitz_tail(special.ndtr(score), tail_probability=tail_probability)
    assert result.statistic == pytest.approx(expected, abs=1e-7)
    assert result.p_value == pytest.approx(stats.chi2.sf(expected, 2), abs=1e-7)
    assert result.df == 2


def test_the_tail_that_is_the_whole_law_is_the_ratio_of_mean_and_variance():
    score = np.random.default_rng(3).standard_normal(300) * 1.1 - 0.1
    expected = score @ score - 300 * (1 + np.log(score.var()))
    u = special.ndtr(score)
    result = berkowitz_tail(u, tail_probability=1.0 - 1e-12)
    assert u.max() < 1.0 - 1e-12
    assert result.statistic == pytest.approx(expected, rel=1e-9)


def test_nothing_in_the_tail_leaves_only_the_chance_of_that():
    result = berkowitz_tail(np.linspace(0.02, 0.98, 250), tail_probability=0.01)
    assert result.statistic == pytest.approx(-2 * 250 * np.log(0.99), rel=1e-12)
    assert result.statistic == kupiec_pof(np.zeros(250, bool), tail_probability=0.01).statistic


def test_what_happens_outside_the_tail_does_not_matter():
    u = np.random.default_rng(4).random(400)
    other = np.where(u < 0.05, u, np.random.default_rng(5).uniform(0.05, 0.99, 400))
    expected = berkowitz_tail(u, tail_probability=0.05)
    assert berkowitz_tail(other, tail_probability=0.05) == expected


def test_the_tail_does_not_see_order_and_the_whole_does():
    u = np.sort(np.random.default_rng(6).random(400))
    mixed = np.random.default_rng(7).permutation(u)
    whole, shuffled = berkowitz(u), berkowitz(mixed)
    assert whole.p_value < 1e-6 < shuffled.p_value
    tail = [berkowitz_tail(each, tail_probability=0.1).statistic for each in (u, mixed)]
    assert tail[0] == pytest.approx(tail[1], rel=1e-9)


def test_a_transform_at_the_threshold_lies_outside():
    u = np.linspace(0.2, 0.9, 50)
    at_threshold = berkowitz_tail(np.append(u, 0.05), tail_probability=0.05)
    assert at_threshold == berkowitz_tail(np.append(u, 0.5), tail_probability=0.05)


@pytest.mark.parametrize("n_tail", [1, 2, 249, 250])
def test_ties_in_the_tail_have_a_finite_ratio(n_tail):
    u = np.full(250, 0.5)
    u[:n_tail] = 0.004
    if n_tail == 250:
        u[0] = 0.003
    result = berkowitz_tail(u, tail_probability=0.01)
    assert np.isfinite(result.statistic)
    assert 0.0 <= result.p_value <= 1.0


@given(u=st.lists(st.floats(1e-6, 1.0 - 1e-6), min_size=5, max_size=30, unique=True))
def test_turning_gains_into_losses_does_not_change_the_full_ratio(u):
    pit = np.array(u)
    # 1 - u rounds, and a score near 5 magnifies it.
    assert berkowitz(1.0 - pit).statistic == pytest.approx(
        berkowitz(pit).statistic, rel=1e-4, abs=1e-6
    )


def test_equal_transforms_are_refused():
    with pytest.raises(InputError, match=r"pit must vary, was 0\.3 in every period; pass one"):
        berkowitz(np.full(20, 0.3))
    with pytest.raises(InputError, match=r"pit must vary, was 0\.003 in every period"):
        berkowitz_tail(np.full(20, 0.003), tail_probability=0.01)


def test_three_parameters_need_more_than_three_periods():
    with pytest.raises(NotEnoughHistoryError, match="more than 3 periods for three parameters"):
        berkowitz([0.2, 0.5, 0.7])


def test_a_right_law_is_rejected_about_as_often_as_promised():
    u = 1.0 - np.random.default_rng(8).random((1000, 500))
    # Nominal 5 %; the band has a false-alarm rate of 2e-4 over 1000 trials.
    low, high = np.array(stats.binom.interval(1 - 2e-4, 1000, 0.05)) / 1000
    assert low <= np.mean([berkowitz(row).p_value < 0.05 for row in u]) <= high
    tail = [berkowitz_tail(row, tail_probability=0.05).p_value < 0.05 for row in u]
    assert low <= np.mean(tail) <= high


def test_a_low_volatility_is_seen_by_both_and_a_shallow_tail_by_the_tail_alone():
    rng = np.random.default_rng(9)
    wide = special.ndtr(1.3 * rng.standard_normal((100, 500)))
    # The right number of breaches, all of them three times as deep in probability.
    deep = rng.random((100, 500))
    deep = np.where(deep < 0.05, deep**3 / 0.05**2, deep)
    for u, seen in ((wide, True), (deep, False)):
        whole = np.mean([berkowitz(row).p_value < 0.05 for row in u])
        tail = [berkowitz_tail(row, tail_probability=0.05).p_value < 0.05 for row in u]
        assert np.mean(tail) > 0.9
        assert (whole > 0.9) == seen


def test_clustered_tails_are_seen_through_the_autocorrelation_only():
    rng = np.random.default_rng(10)
    score = rng.standard_normal((100, 500))
    for t in range(1, 500):
        score[:, t] = 0.3 * score[:, t - 1] + np.sqrt(1 - 0.3**2) * score[:, t]
    u = special.ndtr(score)
    assert np.mean([berkowitz(row).p_value < 0.05 for row in u]) > 0.95
    tail = [berkowitz_tail(row, tail_probability=0.05).p_value < 0.05 for row in u]
    assert np.mean(tail) < 0.3
