import numpy as np
import pytest
from scipy import stats

from foremargin.backtest.comparison import detectable_difference, diebold_mariano
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError


@pytest.fixture
def pair() -> np.ndarray:
    return np.random.default_rng(1).exponential(1.0, (2, 300))


def test_the_standard_error_is_that_of_the_diebold_mariano_test(pair):
    for horizon in (1, 5):
        result = detectable_difference(*pair, horizon=horizon)
        test = diebold_mariano(*pair, horizon=horizon)
        gap = (pair[0] - pair[1]).mean()
        assert result.standard_error == pytest.approx(gap / test.statistic, rel=1e-10)


def test_a_long_test_needs_the_sum_of_two_normal_quantiles(pair):
    result = detectable_difference(*pair, n_periods=1_000_000)
    # 1.96 + 0.84; the other tail and a million degrees of freedom move the fifth digit.
    expected = stats.norm.isf(0.025) + stats.norm.isf(0.2)
    assert result.absolute / result.standard_error == pytest.approx(expected, rel=1e-5)
    assert result.absolute / result.standard_error == pytest.approx(2.8016, abs=5e-5)


@pytest.mark.parametrize("power", [0.051, 0.5, 0.999])
def test_a_short_test_has_the_power_of_a_noncentral_t(pair, power):
    result = detectable_difference(pair[0][:6], pair[1][:6], power=power)
    shift = result.absolute / result.standard_error
    critical = stats.t.isf(0.025, 5)
    reached = stats.nct.sf(critical, 5, shift) + stats.nct.cdf(-critical, 5, shift)
    assert reached == pytest.approx(power, rel=1e-7)


def test_the_relative_difference_is_that_to_the_second_loss(pair):
    result = detectable_difference(*pair)
    assert result.relative == pytest.approx(result.absolute / pair[1].mean(), rel=1e-12)
    assert result.n_periods == 300


def test_a_level_that_means_nothing_gives_no_relative_difference(pair):
    result = detectable_difference(pair[0] - 5.0, pair[1] - 5.0)
    assert np.isnan(result.relative)
    assert result.absolute == pytest.approx(detectable_difference(*pair).absolute, rel=1e-9)


def test_the_difference_found_takes_no_part(pair):
    far = detectable_difference(pair[0] + 3.0, pair[1])
    assert far.absolute == pytest.approx(detectable_difference(*pair).absolute, rel=1e-9)


def test_a_longer_test_finds_less(pair):
    short, long = (detectable_difference(*pair, n_periods=n).absolute for n in (100, 400))
    # The root of n, but for the degrees of freedom.
    assert short / long == pytest.approx(2.0, rel=0.02)


def test_identical_losses_leave_nothing_to_find(pair):
    assert detectable_difference(pair[0], pair[0]).absolute == 0.0


@pytest.mark.parametrize(("horizon", "n"), [(1, 250), (5, 1000)])
def test_the_test_finds_such_a_difference_as_often_as_promised(moving_average, horizon, n):
    rng = np.random.default_rng(2)
    pilot = moving_average(rng, (1, 200_000), horizon)[0]
    delta = detectable_difference(pilot, 0.0 * pilot, horizon=horizon, n_periods=n).absolute
    sample = moving_average(rng, (1000, n), horizon) + delta
    found = [diebold_mariano(d, 0.0 * d, horizon=horizon).p_value < 0.05 for d in sample]
    low, high = stats.binom.interval(1 - 1e-4, 1000, 0.8)
    # The variance of an overlap of five is estimated with noise that the law does not know.
    assert low / 1000 <= np.mean(found) <= high / 1000 + (0.01 if horizon > 1 else 0.0)


def test_estimated_on_as_short_a_sample_it_is_right_on_average(moving_average):
    rng = np.random.default_rng(3)
    sample = moving_average(rng, (400, 250), 1)
    said = [detectable_difference(d, 0.0 * d).absolute for d in sample]
    # Standard deviation 1 is known; its estimate has an error of 1 / sqrt(500) per sample.
    expected = 2.8 / np.sqrt(250)
    assert np.mean(said) == pytest.approx(expected, rel=0.02)
    assert np.std(said) / expected == pytest.approx(1 / np.sqrt(500), rel=0.15)


def test_a_power_that_chance_has_already_is_refused(pair):
    with pytest.raises(InputError, match=r"power must be above significance_level, was 0\.05 with"):
        detectable_difference(*pair, power=0.05)


@pytest.mark.parametrize("name", ["power", "significance_level"])
def test_a_probability_in_per_cent_is_refused(pair, name):
    with pytest.raises(InputError, match=rf"{name} must be in \(0, 1\), was 80"):
        detectable_difference(*pair, **{name: 80})


def test_a_constant_difference_is_refused(pair):
    with pytest.raises(InputError, match=r"must vary, was 0\.1 in every period"):
        detectable_difference(pair[0] + 0.1, pair[0])


def test_missing_losses_are_refused(pair):
    with pytest.raises(InputError, match="loss_b must be finite, found 1 NaN"):
        detectable_difference(pair[0], np.r_[np.nan, pair[1][1:]])


def test_different_lengths_are_refused(pair):
    with pytest.raises(ShapeError, match=r"loss_a \(300,\), loss_b \(299,\)"):
        detectable_difference(pair[0], pair[1][1:])


def test_a_sample_or_a_plan_no_longer_than_the_horizon_is_refused(pair):
    with pytest.raises(NotEnoughHistoryError, match="more than 5 periods for horizon 5"):
        detectable_difference(pair[0][:5], pair[1][:5], horizon=5)
    with pytest.raises(InputError, match="n_periods must be a whole number >= 6, was 5"):
        detectable_difference(*pair, horizon=5, n_periods=5)
