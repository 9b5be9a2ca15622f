import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from foremargin.backtest.comparison import decision_rule, diebold_mariano, giacomini_white
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError

# At a true size of 5 %, 1000 trials fall outside this band once in 10,000 times.
BAND = tuple(k / 1000 for k in stats.binom.interval(1 - 1e-4, 1000, 0.05))


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.exponential(1.0, 150), rng.exponential(1.2, 150)


def textbook_statistic(moments: np.ndarray, horizon: int) -> float:
    """Quadratic form of the mean with the uncentred sum of equally weighted products."""
    n = len(moments)
    covariance = np.zeros((moments.shape[1],) * 2)
    for t in range(n):
        for s in range(n):
            if abs(t - s) < horizon:
                covariance += np.outer(moments[t], moments[s]) / n
    mean = moments.mean(axis=0)
    return float(n * mean @ np.linalg.inv(covariance) @ mean)


def test_at_one_period_it_is_n_times_r_squared_of_a_regression_of_one(pair):
    difference = pair[0] - pair[1]
    moments = np.column_stack([difference[1:], difference[1:] * difference[:-1]])
    fit = sm.OLS(np.ones(149), moments).fit()
    result = giacomini_white(*pair)
    assert result.statistic == pytest.approx(149 * fit.rsquared, rel=1e-10)
    assert result.p_value == pytest.approx(stats.chi2.sf(149 * fit.rsquared, 2), rel=1e-9)
    assert result.df == 2


@pytest.mark.parametrize("horizon", [2, 5])
def test_at_longer_horizons_it_is_the_quadratic_form_with_products_up_to_the_overlap(pair, horizon):
    difference = pair[0] - pair[1]
    known = np.column_stack([np.ones(150 - horizon), difference[:-horizon]])
    expected = textbook_statistic(known * difference[horizon:, None], horizon)
    assert giacomini_white(*pair, horizon=horizon).statistic == pytest.approx(expected, rel=1e-10)


def test_with_a_constant_alone_it_is_a_function_of_the_paired_t(pair):
    t = stats.ttest_rel(*pair).statistic
    result = giacomini_white(*pair, instruments=np.ones(150))
    # n d^2 / mean(d_t^2), with mean(d_t^2) = d^2 + (n - 1)/n s^2.
    assert result.statistic == pytest.approx(150 * t**2 / (149 + t**2), rel=1e-10)
    assert result.df == 1


def test_a_series_of_overlaps_that_cancel_falls_back_to_declining_weights():
    # d alternates 1, -1: equal weights give 1 - 2 (n-1)/n < 0, Bartlett weights 1 - (n-1)/n.
    difference = np.tile([1.0, -1.0], 20)
    difference[0] = 2.0
    n, square = 40, np.mean(difference**2)
    lagged = difference[1:] @ difference[:-1] / n
    expected = n * difference.mean() ** 2 / (square + lagged)
    result = giacomini_white(difference, np.zeros(n), instruments=np.ones(n), horizon=2)
    assert square + 2.0 * lagged < 0.0
    assert result.statistic == pytest.approx(expected, rel=1e-10)


def test_the_default_instruments_are_a_constant_and_the_last_difference_known(pair):
    difference = pair[0] - pair[1]
    known = np.column_stack([np.ones(147), difference[:-3]])
    by_hand = giacomini_white(pair[0][3:], pair[1][3:], instruments=known, horizon=3)
    assert giacomini_white(*pair, horizon=3) == by_hand


@settings(deadline=None)
@given(scale=st.floats(1e-6, 1e6), unit=st.floats(1e-6, 1e6), turn=st.floats(0.0, 6.0))
def test_neither_units_nor_the_choice_of_equivalent_instruments_matter(scale, unit, turn):
    rng = np.random.default_rng(2)
    a, b, flag = rng.exponential(1.0, (3, 60))
    base = giacomini_white(a, b, instruments=np.c_[np.ones(60), flag], horizon=2)
    turned = np.c_[np.cos(turn) + np.sin(turn) * flag, np.cos(turn) * flag - np.sin(turn)]
    moved = giacomini_white(scale * a, scale * b, instruments=turned * [unit, 1.0], horizon=2)
    assert moved.statistic == pytest.approx(base.statistic, rel=1e-9)


def test_swapping_the_forecasts_turns_the_rule_around_and_leaves_the_test(pair):
    assert giacomini_white(*pair).statistic == pytest.approx(
        giacomini_white(*pair[::-1]).statistic, rel=1e-12
    )
    forth, back = decision_rule(*pair), decision_rule(*pair[::-1])
    # A small prediction is a difference of larger ones and has fewer digits.
    np.testing.assert_allclose(
        forth.predicted_difference, -back.predicted_difference, rtol=1e-8, atol=1e-12
    )


def test_equal_losses_are_no_evidence():
    loss = np.random.default_rng(3).exponential(1.0, 50)
    result = giacomini_white(loss, loss.copy(), horizon=5)
    assert (result.statistic, result.p_value, result.df) == (0.0, 1.0, 2)


# Size and power ---------------------------------------------------------------------------------


def rejections(differences, **options) -> float:
    return float(
        np.mean([giacomini_white(d, 0.0 * d, **options).p_value < 0.05 for d in differences])
    )


@pytest.mark.parametrize("law", ["normal", "fat tails", "clusters"])
def test_unpredictable_differences_are_rejected_about_as_often_as_promised(law):
    rng = np.random.default_rng(4)
    difference = rng.standard_normal((1000, 500))
    if law == "fat tails":
        difference = rng.standard_t(5, (1000, 500))
    if law == "clusters":  # volatility that doubles for a while, as losses of forecasts have it
        difference *= np.repeat(1.0 + (rng.random((1000, 20)) < 0.3), 25, axis=1)
    assert BAND[0] <= rejections(difference) <= BAND[1]


def test_overlapping_differences_are_rejected_about_as_often_as_promised(moving_average):
    difference = moving_average(np.random.default_rng(5), (1000, 500), 5)
    # The estimated variance of an overlap of five adds up to two points at this length.
    assert BAND[0] <= rejections(difference, horizon=5) <= BAND[1] + 0.02


def test_ignoring_the_overlap_rejects_equal_skill_nearly_always(moving_average):
    difference = moving_average(np.random.default_rng(6), (200, 250), 5)
    assert rejections(difference) > 0.9


def test_it_sees_who_is_better_when_where_the_averages_are_equal():
    rng = np.random.default_rng(7)
    flag = np.tile(np.repeat([0.0, 1.0], 25), (200, 10))
    difference = rng.standard_normal((200, 500)) + 0.5 * (flag - 0.5)
    known = np.c_[np.ones(500), flag[0]]
    # Noncentrality 500 * 0.25^2 / 1.06 = 29: power above 0.99 at two degrees of freedom.
    assert rejections(difference, instruments=known) > 0.95
    unconditional = [diebold_mariano(d, 0.0 * d).p_value < 0.05 for d in difference]
    assert np.mean(unconditional) < 0.15


def test_power_follows_the_noncentral_law():
    difference = np.random.default_rng(8).standard_normal((1000, 400)) + 0.15
    # Uncentred products: noncentrality n mu^2 / (1 + mu^2), one condition.
    expected = stats.ncx2.sf(stats.chi2.isf(0.05, 1), 1, 400 * 0.15**2 / (1 + 0.15**2))
    low, high = stats.binom.interval(1 - 1e-4, 1000, expected)
    assert low / 1000 <= rejections(difference, instruments=np.ones(400)) <= high / 1000


# The rule ---------------------------------------------------------------------------------------


def test_the_rule_is_the_regression_of_the_difference(pair):
    difference = pair[0] - pair[1]
    fit = sm.OLS(difference[2:], np.column_stack([np.ones(148), difference[:-2]])).fit()
    rule = decision_rule(*pair, horizon=2)
    np.testing.assert_allclose(rule.coefficients, fit.params, rtol=1e-10)
    np.testing.assert_allclose(rule.predicted_difference, fit.fittedvalues, rtol=1e-10)
    assert rule.predict([1.0, 0.4]) == pytest.approx(fit.params @ [1.0, 0.4], rel=1e-10)


def test_the_rule_chooses_the_forecast_that_is_better_in_the_state_it_sees():
    rng = np.random.default_rng(9)
    stress = (rng.random(400) < 0.25).astype(float)
    calm_model = 1.0 + stress + 0.1 * rng.standard_normal(400)
    stress_model = 1.5 + 0.1 * rng.standard_normal(400)
    rule = decision_rule(calm_model, stress_model, instruments=np.c_[np.ones(400), stress])
    better = rule.frame()["better"]
    np.testing.assert_array_equal(better, np.where(stress == 1.0, "b", "a"))
    assert rule.share_of_b == stress.mean()
    assert rule.predict([1.0, 1.0]) > 0.0 > rule.predict([1.0, 0.0])


def test_the_rule_of_equal_losses_prefers_nobody():
    rule = decision_rule(np.arange(9.0), np.arange(9.0))
    assert rule.frame()["better"].unique().tolist() == ["-"]
    assert rule.share_of_b == 0.0


def test_the_numbers_of_a_rule_cannot_be_changed(pair):
    with pytest.raises(ValueError, match="read-only"):
        decision_rule(*pair).coefficients[0] = 1.0


def test_the_rule_refuses_other_columns_than_it_was_fitted_with(pair):
    with pytest.raises(ShapeError, match=r"must have 2 columns as in the fit, had shape \(3,\)"):
        decision_rule(*pair).predict([1.0, 2.0, 3.0])


def test_the_rule_refuses_instruments_that_repeat_one_another(pair):
    with pytest.raises(InputError, match="found 2 columns of rank 1"):
        decision_rule(*pair, instruments=np.ones((150, 2)))


# What is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [giacomini_white, decision_rule])
@pytest.mark.parametrize("gap", [1.0, 0.1])
def test_a_constant_difference_is_refused_even_where_rounding_blurs_it(function, gap):
    loss = np.random.default_rng(10).exponential(1.0, 40)
    with pytest.raises(InputError, match=r"must vary, was (1|0\.1) in every period"):
        function(loss + gap, loss)


def test_instruments_that_repeat_one_another_are_named(pair):
    known = np.c_[np.ones(150), np.arange(150.0), 3.0 - 2.0 * np.arange(150.0)]
    with pytest.raises(InputError, match="found that instrument 2 times the loss difference"):
        giacomini_white(*pair, instruments=known)


def test_a_state_in_which_nothing_differs_is_named(pair):
    flag = np.zeros(150)
    flag[:5] = 1.0
    same = np.where(flag == 1.0, pair[0], pair[1])
    with pytest.raises(InputError, match=r"instrument 1 times .* is zero in every period"):
        giacomini_white(pair[0], same, instruments=np.c_[np.ones(150), flag])


def test_missing_instruments_are_refused(pair):
    with pytest.raises(InputError, match="instruments must be finite, found 1 NaN"):
        giacomini_white(*pair, instruments=np.r_[np.nan, np.ones(149)])


@pytest.mark.parametrize("shape", [(149,), (149, 2), (150, 0), (150, 2, 2)])
def test_instruments_of_another_shape_are_refused(pair, shape):
    with pytest.raises(ShapeError, match=r"instruments must have shape \(150,\) or \(150, n_"):
        giacomini_white(*pair, instruments=np.ones(shape))


def test_missing_losses_are_refused(pair):
    with pytest.raises(InputError, match="loss_a must be finite, found 1 NaN"):
        giacomini_white(np.r_[np.nan, pair[0][1:]], pair[1])


def test_losses_of_different_lengths_are_refused(pair):
    with pytest.raises(ShapeError, match=r"loss_a \(150,\), loss_b \(149,\)"):
        giacomini_white(pair[0], pair[1][1:])


@pytest.mark.parametrize("n", [1, 4, 6])
def test_a_series_too_short_for_its_lag_is_refused(n):
    with pytest.raises(NotEnoughHistoryError, match="losses must hold more than"):
        giacomini_white(np.arange(float(n)), np.zeros(n), horizon=3)


def test_as_many_conditions_as_periods_are_refused():
    with pytest.raises(NotEnoughHistoryError, match="more than 4 periods for 4 conditions"):
        giacomini_white([1.0, 2.0, 4.0, 3.0], np.zeros(4), instruments=np.eye(4))


@pytest.mark.parametrize("horizon", [0, 1.5])
def test_a_horizon_that_is_no_count_is_refused(pair, horizon):
    with pytest.raises(InputError, match="horizon must be a whole number >= 1"):
        giacomini_white(*pair, horizon=horizon)
