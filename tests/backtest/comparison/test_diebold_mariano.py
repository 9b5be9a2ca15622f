import numpy as np
import pytest
from scipy import stats

from foremargin.backtest.comparison import diebold_mariano, newey_west_t
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError


def test_diebold_mariano_at_one_period_is_the_paired_t_test():
    rng = np.random.default_rng(2)
    a, b = rng.exponential(1.0, 80), rng.exponential(1.2, 80)
    expected = stats.ttest_rel(a, b)
    result = diebold_mariano(a, b)
    # sqrt((n - 1) / n) turns the 1/n variance into the unbiased one.
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-10)
    assert result.p_value == pytest.approx(expected.pvalue, rel=1e-10)
    assert result.df == 79


def test_diebold_mariano_gives_the_hand_value_at_two_periods():
    # Deviations -1, -1, 1, 1: variance 1, first autocovariance 1/4; mean 2; n = 4, h = 2.
    a = np.array([1.0, 1.0, 3.0, 3.0])
    expected = np.sqrt((4 + 1 - 4 + 2 / 4) / 4) * 2.0 / np.sqrt(1.5 / 4)
    result = diebold_mariano(a, np.zeros(4), horizon=2)
    assert result.statistic == pytest.approx(expected, rel=1e-12)
    assert result.p_value == pytest.approx(2 * stats.t.sf(expected, 3), rel=1e-12)


@pytest.mark.parametrize("n_cycles", [20, 40])
def test_diebold_mariano_falls_back_to_declining_weights(n_cycles):
    # d alternates 0, 1: the sum of equal weights is 1/4 - 2 * (1/4) (n - 1)/n < 0.
    a = np.tile([0.0, 1.0], n_cycles)
    n = a.size
    bartlett = newey_west_t(a, lags=1)
    correction = np.sqrt((n + 1 - 4 + 2 / n) / n)
    result = diebold_mariano(a, np.zeros(n), horizon=2)
    assert result.statistic == pytest.approx(correction * bartlett, rel=1e-10)


def test_a_positive_statistic_means_that_the_first_has_the_larger_loss():
    rng = np.random.default_rng(3)
    better = rng.exponential(1.0, 100)
    worse = better + rng.exponential(1.0, 100)
    assert diebold_mariano(worse, better).statistic > 0.0
    assert diebold_mariano(better, worse).statistic < 0.0
    assert diebold_mariano(worse, better).p_value == diebold_mariano(better, worse).p_value


def test_equal_losses_are_no_evidence():
    loss = np.random.default_rng(4).exponential(1.0, 50)
    result = diebold_mariano(loss, loss.copy(), horizon=5)
    assert (result.statistic, result.p_value, result.df) == (0.0, 1.0, 49)


@pytest.mark.parametrize("horizon", [1, 5])
def test_equal_skill_is_rejected_about_as_often_as_promised(moving_average, horizon):
    difference = moving_average(np.random.default_rng(5), (1000, 250), horizon)
    zeros = np.zeros(250)
    rejected = [diebold_mariano(d, zeros, horizon=horizon).p_value < 0.05 for d in difference]
    # 1000 trials: +-3.7 standard errors; at 5 periods the kernel still leaves up to 1.5 points.
    assert 0.025 <= np.mean(rejected) <= (0.076 if horizon == 1 else 0.091)


def test_ignoring_the_overlap_rejects_equal_skill_far_too_often(moving_average):
    difference = moving_average(np.random.default_rng(6), (300, 250), 5)
    rejected = [diebold_mariano(d, np.zeros(250)).p_value < 0.05 for d in difference]
    assert np.mean(rejected) > 0.25


def test_a_difference_of_three_standard_errors_is_seen():
    difference = np.random.default_rng(7).standard_normal((300, 225)) + 3.0 / 15.0
    rejected = [diebold_mariano(d, np.zeros(225)).p_value < 0.05 for d in difference]
    # Power at a mean of 3 standard errors is 0.85; 300 trials leave +-0.08.
    assert 0.77 < np.mean(rejected) < 0.93


def test_diebold_mariano_refuses_different_lengths():
    with pytest.raises(ShapeError, match=r"loss_a \(3,\), loss_b \(4,\)"):
        diebold_mariano(np.ones(3), np.ones(4))


def test_diebold_mariano_refuses_a_constant_difference():
    with pytest.raises(InputError, match="must vary, was 1 in every period"):
        diebold_mariano(np.full(9, 2.0), np.full(9, 1.0))


def test_diebold_mariano_refuses_missing_losses():
    with pytest.raises(InputError, match="loss_b must be finite"):
        diebold_mariano([1.0, 2.0], [np.nan, 1.0])


def test_diebold_mariano_refuses_a_horizon_as_long_as_the_sample():
    with pytest.raises(NotEnoughHistoryError, match="more than 5 periods for horizon 5"):
        diebold_mariano(np.arange(5.0), np.zeros(5), horizon=5)


@pytest.mark.parametrize("horizon", [0, 1.5])
def test_diebold_mariano_refuses_a_horizon_that_is_no_count(horizon):
    with pytest.raises(InputError, match="horizon must be a whole number >= 1"):
        diebold_mariano(np.arange(5.0), np.zeros(5), horizon=horizon)
