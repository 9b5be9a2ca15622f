from itertools import permutations

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from foremargin.backtest.comparison import giacomini_white, multivariate_giacomini_white
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError

BAND = tuple(k / 1000 for k in stats.binom.interval(1 - 1e-4, 1000, 0.05))


@pytest.fixture
def losses() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(rng.exponential(1.0, (300, 3)), columns=["one", "two", "three"])


@pytest.mark.parametrize("horizon", [1, 4])
def test_of_two_models_it_is_the_test_of_a_pair(losses, horizon):
    pair = losses[["one", "two"]]
    expected = giacomini_white(losses["one"], losses["two"], horizon=horizon)
    result = multivariate_giacomini_white(pair, horizon=horizon)
    assert result.statistic == pytest.approx(expected.statistic, rel=1e-12)
    assert result.df == expected.df == 2


def test_at_one_period_it_is_n_times_r_squared_of_a_regression_of_one(losses):
    table = losses.to_numpy()
    gaps = np.c_[table[:, 0] - table[:, 2], table[:, 1] - table[:, 2]]
    moments = np.hstack([gaps[1:], gaps[1:] * gaps[:-1, [0]], gaps[1:] * gaps[:-1, [1]]])
    fit = sm.OLS(np.ones(299), moments).fit()
    result = multivariate_giacomini_white(losses)
    assert result.statistic == pytest.approx(299 * fit.rsquared, rel=1e-10)
    assert result.p_value == pytest.approx(stats.chi2.sf(299 * fit.rsquared, 6), rel=1e-9)
    assert result.df == 6


def test_with_a_constant_alone_it_is_hotellings_test(losses):
    table = losses.to_numpy()
    gaps = np.c_[table[:, 0] - table[:, 1], table[:, 0] - table[:, 2]]
    mean = gaps.mean(axis=0)
    t_squared = 300 * mean @ np.linalg.solve(np.cov(gaps.T), mean)
    result = multivariate_giacomini_white(losses, instruments=np.ones(300))
    assert result.statistic == pytest.approx(300 * t_squared / (299 + t_squared), rel=1e-10)
    assert result.df == 2


@pytest.mark.parametrize("horizon", [1, 5])
def test_the_order_of_the_models_does_not_matter(losses, horizon):
    found = [
        multivariate_giacomini_white(losses[list(order)], horizon=horizon).statistic
        for order in permutations(losses.columns)
    ]
    np.testing.assert_allclose(found, found[0], rtol=1e-9)


def test_identical_models_count_as_one(losses):
    twice = losses.assign(copy=losses["one"])
    assert multivariate_giacomini_white(twice) == multivariate_giacomini_white(losses)


def test_models_that_are_all_identical_are_no_evidence():
    result = multivariate_giacomini_white(np.tile(np.arange(30.0)[:, None], 3))
    assert (result.statistic, result.p_value, result.df) == (0.0, 1.0, 6)


def rejections(tables, **options) -> float:
    tests = (multivariate_giacomini_white(table, **options).p_value < 0.05 for table in tables)
    return float(np.mean(list(tests)))


@pytest.mark.parametrize("n_models", [3, 4])
def test_equal_models_are_rejected_about_as_often_as_promised(n_models):
    rng = np.random.default_rng(2)
    tables = rng.standard_normal((1000, 500, n_models)) + rng.exponential(1.0, (1000, 500, 1))
    assert BAND[0] <= rejections(tables) <= BAND[1]


def test_overlapping_outcomes_are_rejected_about_as_often_as_promised(moving_average):
    columns = [moving_average(np.random.default_rng(k), (1000, 1000), 5) for k in range(3)]
    # The estimated variance of an overlap of five adds up to three points with six conditions.
    assert BAND[0] <= rejections(np.stack(columns, axis=2), horizon=5) <= BAND[1] + 0.03


def test_power_follows_the_noncentral_law():
    gap = np.array([0.0, 0.1, 0.2])
    tables = np.random.default_rng(3).standard_normal((1000, 400, 3)) + gap
    away = -np.diff(gap)
    # Uncentred second moments of neighbours' differences: covariance plus squared mean.
    second = np.array([[2.0, -1.0], [-1.0, 2.0]]) + np.outer(away, away)
    shift = 400 * away @ np.linalg.solve(second, away)
    expected = stats.ncx2.sf(stats.chi2.isf(0.05, 2), 2, shift)
    low, high = stats.binom.interval(1 - 1e-4, 1000, expected)
    assert low / 1000 <= rejections(tables, instruments=np.ones(400)) <= high / 1000


def test_models_that_differ_by_a_constant_are_refused(losses):
    with pytest.raises(InputError, match="differ by a constant, found columns 0 and 3"):
        multivariate_giacomini_white(losses.assign(worse=losses["one"] + 1.0))


def test_a_model_that_is_the_mean_of_others_is_named(losses):
    with pytest.raises(InputError, match=r"instrument 0 times .* of columns 2 and 3 is zero"):
        multivariate_giacomini_white(losses.assign(mean=losses.mean(axis=1)))


def test_missing_losses_are_refused(losses):
    with pytest.raises(InputError, match="losses must be finite, found 1 NaN"):
        multivariate_giacomini_white(losses.mask(losses == losses.iloc[0, 0]))


@pytest.mark.parametrize("shape", [(10,), (10, 1)])
def test_fewer_than_two_models_are_refused(shape):
    with pytest.raises(ShapeError, match=r"losses must have shape \(n, n_models >= 2\)"):
        multivariate_giacomini_white(np.ones(shape))


def test_instruments_of_another_length_are_refused(losses):
    with pytest.raises(ShapeError, match=r"instruments must have shape \(300,\)"):
        multivariate_giacomini_white(losses, instruments=np.ones(299))


def test_as_many_conditions_as_periods_are_refused():
    table = np.random.default_rng(4).exponential(1.0, (7, 3))
    with pytest.raises(NotEnoughHistoryError, match="more than 6 periods for 6 conditions"):
        multivariate_giacomini_white(table)


def test_a_horizon_that_is_no_count_is_refused(losses):
    with pytest.raises(InputError, match="horizon must be a whole number >= 1"):
        multivariate_giacomini_white(losses, horizon=0)
