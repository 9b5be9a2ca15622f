import numpy as np
import pandas as pd
import pytest
from arch.bootstrap import MCS
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from foremargin.backtest.comparison import diebold_mariano, model_confidence_set, newey_west_t
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError


def moving_average(rng: np.random.Generator, shape: tuple[int, int], horizon: int) -> np.ndarray:
    """Rows whose autocovariances end at lag horizon - 1, like losses of overlapping outcomes."""
    noise = rng.standard_normal((shape[0], shape[1] + horizon - 1))
    return np.asarray(np.lib.stride_tricks.sliding_window_view(noise, horizon, axis=1).sum(axis=2))


# Newey-West ------------------------------------------------------------------------------------


@pytest.mark.parametrize("horizon", [1, 5, 20])
def test_newey_west_agrees_with_an_independent_panel_computation(horizon):
    rng = np.random.default_rng(1)
    index = pd.MultiIndex.from_product(
        [pd.date_range("2020-01-01", periods=300, tz="UTC"), ["a", "b", "c"]],
        names=["origin", "instrument"],
    )
    difference = pd.Series(rng.standard_t(4, 900) + 0.05, index=index)
    mean = difference.groupby(level="origin").mean()
    centred = mean - mean.mean()
    long_run = (centred**2).mean()
    for lag in range(1, horizon + 1):
        product = (centred * centred.shift(lag)).sum() / len(mean)
        long_run += 2.0 * (1.0 - lag / (horizon + 1)) * product
    expected = mean.mean() / np.sqrt(long_run / len(mean))
    assert newey_west_t(mean, lags=horizon) == pytest.approx(expected, rel=1e-10)


def test_newey_west_gives_the_hand_value():
    # Deviations -1, 0, 1: variance 2/3, first autocovariance 0, second -1/3.
    # Lags 2: 2/3 + 2 * (1/3) * (-1/3) = 4/9; t = 2 / sqrt(4/9 / 3).
    assert newey_west_t([1.0, 2.0, 3.0], lags=2) == pytest.approx(3.0 * np.sqrt(3.0), rel=1e-12)


@given(series=st.lists(st.integers(-5, 5), min_size=6, max_size=40), lags=st.integers(0, 5))
def test_newey_west_is_a_number_that_changes_sign_with_its_series(series, lags):
    values = np.array(series, dtype=float)
    if np.ptp(values) == 0.0:
        return
    t = newey_west_t(values, lags=lags)
    assert np.isfinite(t)
    assert newey_west_t(-values, lags=lags) == pytest.approx(-t, rel=1e-10)
    # Rounding of the mean of -values may differ in the last digit.
    assert newey_west_t(8.0 * values, lags=lags) == pytest.approx(t, rel=1e-10)


def test_newey_west_of_no_difference_is_zero():
    assert newey_west_t(np.zeros(10), lags=3) == 0.0


def test_newey_west_refuses_a_constant_difference():
    with pytest.raises(InputError, match=r"must vary, was 0\.5 in every period"):
        newey_west_t(np.full(10, 0.5), lags=3)


def test_newey_west_refuses_as_many_lags_as_periods():
    with pytest.raises(NotEnoughHistoryError, match="more than 10 periods for a variance with 10"):
        newey_west_t(np.arange(10.0), lags=10)


def test_newey_west_refuses_missing_values():
    with pytest.raises(InputError, match="difference must be finite, found 1 NaN"):
        newey_west_t([1.0, np.nan, 2.0], lags=1)


# Diebold-Mariano -------------------------------------------------------------------------------


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
def test_equal_skill_is_rejected_about_as_often_as_promised(horizon):
    difference = moving_average(np.random.default_rng(5), (1000, 250), horizon)
    zeros = np.zeros(250)
    rejected = [diebold_mariano(d, zeros, horizon=horizon).p_value < 0.05 for d in difference]
    # 1000 trials: +-3.7 standard errors; at 5 periods the kernel still leaves up to 1.5 points.
    assert 0.025 <= np.mean(rejected) <= (0.076 if horizon == 1 else 0.091)


def test_ignoring_the_overlap_rejects_equal_skill_far_too_often():
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


# Model confidence set --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def losses() -> pd.DataFrame:
    rng = np.random.default_rng(8)
    common = rng.exponential(1.0, 300)
    noise = rng.standard_normal((300, 3))
    columns = {"good": 0.0, "as good": 0.0, "bad": 0.5}
    return pd.DataFrame(
        {name: common + noise[:, k] + gap for k, (name, gap) in enumerate(columns.items())}
    )


def test_the_set_drops_the_bad_model_and_keeps_the_equals(losses):
    result = model_confidence_set(losses, size=0.1, n_resamples=200)
    assert result.included == ("good", "as good")
    assert result.names == ("good", "as good", "bad")
    assert result.p_values.max() == 1.0
    assert result.p_values[2] < 0.1


def test_the_set_agrees_with_arch(losses):
    expected = MCS(losses, 0.1, reps=200, block_size=10, seed=3)
    expected.compute()
    result = model_confidence_set(losses, size=0.1, block_length=10, n_resamples=200, rng=3)
    in_order = expected.pvalues.loc[list(losses.columns), "Pvalue"]
    np.testing.assert_allclose(result.p_values, in_order, rtol=1e-12)
    assert set(result.included) == set(expected.included)


def test_the_default_set_repeats_exactly_and_a_generator_can_be_given(losses):
    first, second = (model_confidence_set(losses, size=0.1, n_resamples=50) for _ in range(2))
    np.testing.assert_array_equal(first.p_values, second.p_values)
    drawn = model_confidence_set(losses, size=0.1, n_resamples=50, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(drawn.p_values, first.p_values)


def test_an_array_names_its_models_by_number(losses):
    result = model_confidence_set(losses.to_numpy(), size=0.1, n_resamples=50)
    assert result.names == (0, 1, 2)
    assert 2 not in result.included


def test_the_frame_says_what_the_set_says(losses):
    result = model_confidence_set(losses, size=0.1, n_resamples=50)
    frame = result.frame()
    assert frame.index[frame["included"]].tolist() == list(result.included)
    np.testing.assert_array_equal(frame["p_value"], result.p_values)


def test_identical_models_share_a_p_value_and_do_not_change_the_others(losses):
    twice = losses.assign(copy=losses["bad"])[["bad", "good", "copy", "as good"]]
    once = model_confidence_set(losses[["bad", "good", "as good"]], size=0.1, n_resamples=100)
    both = model_confidence_set(twice, size=0.1, n_resamples=100)
    assert both.p_values[0] == both.p_values[2]
    np.testing.assert_array_equal(both.p_values[[0, 1, 3]], once.p_values)


def test_models_that_are_all_identical_are_all_included():
    result = model_confidence_set(np.tile(np.arange(9.0)[:, None], 3), size=0.1)
    assert result.included == (0, 1, 2)


def test_models_with_the_same_mean_are_both_included():
    one = np.tile([1.0, 2.0, 4.0], 20)
    result = model_confidence_set(
        np.stack([one, one[::-1]], axis=1), size=0.1, block_length=3, n_resamples=100
    )
    assert result.included == (0, 1)


def test_the_set_refuses_models_that_differ_by_a_constant():
    loss = np.arange(20.0)
    with pytest.raises(InputError, match="differ by a constant, found columns 0 and 1"):
        model_confidence_set(np.stack([loss, loss + 1.0], axis=1), size=0.1)


def test_the_set_refuses_missing_losses(losses):
    with pytest.raises(InputError, match="losses must be finite, found 1 NaN"):
        model_confidence_set(losses.mask(losses == losses.iloc[0, 0]), size=0.1)


@pytest.mark.parametrize("shape", [(10,), (10, 1)])
def test_the_set_refuses_fewer_than_two_models(shape):
    with pytest.raises(ShapeError, match=r"losses must have shape \(n, n_models >= 2\)"):
        model_confidence_set(np.ones(shape), size=0.1)


def test_the_set_refuses_one_period():
    with pytest.raises(NotEnoughHistoryError, match="losses must hold more than 1 periods"):
        model_confidence_set(np.ones((1, 2)), size=0.1)


@pytest.mark.parametrize("size", [90, 0.0])
def test_the_set_refuses_a_size_outside_the_unit_interval(losses, size):
    with pytest.raises(InputError, match=r"size must be in \(0, 1\).*0\.1 for a 90 % set"):
        model_confidence_set(losses, size=size)


def test_the_p_values_of_a_set_cannot_be_changed(losses):
    result = model_confidence_set(losses, size=0.1, n_resamples=20)
    with pytest.raises(ValueError, match="read-only"):
        result.p_values[0] = 1.0
