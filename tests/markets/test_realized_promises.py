"""What realised measures promise, by simulation with a stated false-alarm rate.

Bounds on means are four standard errors of the simulation, two-sided: one false alarm in 16,000.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from foremargin.errors import InputError
from foremargin.markets.realized import (
    bipower_variance,
    jump_test,
    kernel_bandwidth,
    median_quarticity,
    median_variance,
    minimum_variance,
    realized_kernel,
    realized_measures,
    signed_jump_variation,
    subsampled_variance,
    tripower_quarticity,
    two_scale_variance,
)

FALSE_ALARM = 1e-4


@dataclass(frozen=True)
class Diffusion:
    """Days of a price whose variance is largest at both ends of the day."""

    returns: np.ndarray  # (n_days, n)
    variance: float  # integrated over a day
    quarticity: float

    @property
    def heads(self):
        return np.arange(0, self.returns.size, self.returns.shape[1])

    def measure(self, function, returns=None, **options):
        r = self.returns if returns is None else returns
        return function(r.ravel(), self.heads, **options)


def diffusion(*, days, n, seed, shape=0.5):
    sigma = 1e-3 * np.sqrt(1.0 + shape * np.cos(2 * np.pi * (np.arange(n) + 0.5) / n))
    r = np.random.default_rng(seed).normal(size=(days, n)) * sigma
    return Diffusion(r, float((sigma**2).sum()), float(n * (sigma**4).sum()))


@pytest.fixture(scope="module")
def calm():
    return diffusion(days=4000, n=780, seed=1)


@pytest.fixture(scope="module")
def jumpy(calm):
    """One jump a day, ten times the volatility of a bar, at any time of the day; up or down."""
    rng = np.random.default_rng(2)
    jump = 0.01 * rng.choice([-1.0, 1.0], size=len(calm.returns), p=[0.7, 0.3])
    returns = calm.returns.copy()
    returns[np.arange(len(jump)), rng.integers(0, returns.shape[1], len(jump))] += jump
    return returns, jump


def realized(r, heads):
    return realized_measures(r, heads)["realized_variance"]


# Error variance over quarticity / n: Barndorff-Nielsen and Shephard (2004); Andersen, Dobrev and
# Schaumburg (2012).
EFFICIENCY = {
    realized: 2.0,
    bipower_variance: 2.61,
    median_variance: 2.96,
    minimum_variance: 3.81,
}
by_estimator = pytest.mark.parametrize("estimate", EFFICIENCY)


@by_estimator
def test_a_measure_recovers_integrated_variance_and_is_as_precise_as_published(calm, estimate):
    found = calm.measure(estimate)
    days, n = calm.returns.shape
    error = found / calm.variance - 1.0
    # Neighbours at the day's ends count less often: a bias of about two bars of 780 at most.
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(days) + 1.5 / n
    relative = (error**2).mean() * n * calm.variance**2 / calm.quarticity / EFFICIENCY[estimate]
    # The variance of nearly normal errors is chi-squared over its degrees of freedom; one in a
    # hundred on top for the finite day.
    low, high = stats.chi2.interval(1 - FALSE_ALARM, days) / np.array(days)
    assert low - 0.01 < relative < high + 0.03


@pytest.mark.parametrize(
    "estimate",
    [
        tripower_quarticity,
        median_quarticity,
        lambda r, h: realized_measures(r, h)["realized_quarticity"],
    ],
)
def test_quarticities_recover_integrated_quarticity(calm, estimate):
    error = calm.measure(estimate) / calm.quarticity - 1.0
    assert abs(error.mean()) < 4 * error.std() / np.sqrt(len(error)) + 3.0 / calm.returns.shape[1]


def test_the_error_of_realised_variance_is_as_wide_as_quarticity_says(calm):
    n = calm.returns.shape[1]
    measures = calm.measure(realized_measures)
    variance = measures["realized_variance"]
    sigma = np.sqrt(2.0 / n * measures["realized_quarticity"])
    # On the log scale, on which the normal limit is reached sooner.
    z = np.log(variance / calm.variance) * variance / sigma
    covered = int((np.abs(z) < stats.norm.ppf(0.975)).sum())
    low, high = stats.binom.interval(1 - FALSE_ALARM, len(z), 0.95)
    assert low <= covered <= high
    assert stats.kstest(z, "norm").pvalue > FALSE_ALARM


def test_a_jump_counts_in_realised_variance_and_not_in_the_robust_measures(calm, jumpy):
    returns, jump = jumpy
    excess = calm.measure(realized, returns) - calm.variance
    assert abs(excess.mean() - (jump**2).mean()) < 4 * excess.std() / np.sqrt(len(excess))
    # In bipower variance a jump J leaves pi/2 (|J| - E|r|) 2 E|r|; in the others nothing is left
    # that grows with J. The finite day moves each by up to 2.5 bars (see above).
    left = {f: calm.measure(f, returns).mean() / calm.variance - 1.0 for f in EFFICIENCY}
    n, size = calm.returns.shape[1], 10.0
    assert left[realized] == pytest.approx(size**2 / n, rel=0.1)
    bipower = (size - np.sqrt(2 / np.pi)) * np.sqrt(2 * np.pi) / n
    assert left[bipower_variance] == pytest.approx(bipower, abs=2.5 / n)
    assert left[median_variance] < 6.0 / n
    assert left[minimum_variance] < 4.0 / n


def test_the_jump_test_has_its_size_without_jumps(calm):
    statistic = calm.measure(jump_test).statistic
    for level, known in ((0.05, 0.062), (0.01, 0.018)):
        found = int((statistic > stats.norm.isf(level)).sum())
        # It rejects a little too often in finite samples (Huang and Tauchen 2005, section 3).
        low = stats.binom.ppf(FALSE_ALARM / 2, len(statistic), level)
        high = stats.binom.isf(FALSE_ALARM / 2, len(statistic), known)
        assert low <= found <= high


def test_the_jump_test_finds_jumps_and_their_size(calm, jumpy):
    returns, _ = jumpy
    found = calm.measure(jump_test, returns)
    share = (found.statistic > stats.norm.isf(0.001)).mean()
    assert share > 0.4
    large = returns.copy()
    large[:, 300] += 0.03
    split = calm.measure(jump_test, large).split()
    # Only two jumps next to each other can hide one another: they are a pair that bipower keeps.
    assert (split.jump > 0).mean() > 0.99
    # Two jumps a day are in it; bipower variance keeps a little of each.
    assert split.jump.mean() == pytest.approx(0.03**2 + 0.01**2, rel=0.1)


def test_both_parts_of_a_split_add_up_and_the_jump_needs_significance(calm, jumpy):
    test = calm.measure(jump_test, jumpy[0])
    for level in (0.05, 0.001):
        split = test.split(significance_level=level)
        np.testing.assert_allclose(
            split.continuous + split.jump, test.realized_variance, rtol=1e-14
        )
        significant = test.statistic > stats.norm.isf(level)
        np.testing.assert_array_equal(split.jump > 0, significant)
        np.testing.assert_allclose(
            split.continuous[significant], test.bipower_variance[significant]
        )
    np.testing.assert_allclose(
        test.jump_share, np.maximum(1 - test.bipower_variance / test.realized_variance, 0.0)
    )
    assert ((test.jump_share >= 0) & (test.jump_share <= 1)).all()


@pytest.mark.parametrize("level", [0.0, 0.5, 99.0])
def test_a_split_needs_a_probability(calm, level):
    with pytest.raises(InputError, match=r"significance_level must be in \(0, 0.5\), was"):
        calm.measure(jump_test).split(significance_level=level)


def test_a_period_without_a_statistic_has_neither_part():
    split = jump_test(np.array([0.01, -0.02, 0.01, 0.02, 0.01]), np.array([0, 2])).split()
    for part in (split.continuous, split.jump):
        assert np.isnan(part).tolist() == [True, False]


def test_signed_jump_variation_shows_which_way_the_price_jumped(calm, jumpy):
    returns, jump = jumpy
    signed = calm.measure(signed_jump_variation, returns) - np.sign(jump) * jump**2
    assert abs(signed.mean()) < 4 * signed.std() / np.sqrt(len(signed))


@pytest.fixture(scope="module")
def noisy():
    """Second by second for six and a half hours, with noise of a tenth of the day's volatility."""
    calm = diffusion(days=300, n=23_400, seed=7)
    scale = np.sqrt(1e-3 * calm.variance)
    noise = np.random.default_rng(8).normal(scale=scale, size=(300, 23_401))
    return calm, calm.returns + np.diff(noise, axis=1), scale**2


@pytest.mark.slow
def test_noise_makes_realised_variance_explode_and_leaves_the_others_near_the_truth(noisy):
    calm, returns, noise = noisy
    days, n = returns.shape
    exploded = calm.measure(realized, returns)
    expected = calm.variance + 2 * n * noise
    assert abs(exploded.mean() - expected) < 4 * exploded.std() / np.sqrt(days)
    assert exploded.mean() > 40 * calm.variance
    estimates = {
        # K of the order n^(2/3), the best there is for this noise: (12 w^2 / IQ)^(1/3) n^(2/3).
        "two-scale": calm.measure(two_scale_variance, returns, step=180) / (1 - 180 / n),
        "kernel": calm.measure(realized_kernel, returns, sparse_step=1200),
    }
    for name, found in estimates.items():
        error = found / calm.variance - 1.0
        assert error.std() < 0.2, name
        # The kernel keeps |k''(0)| n w / H^2 of the noise, and that of the two end prices.
        assert abs(error.mean()) < 4 * error.std() / np.sqrt(days) + 0.03, name


def test_a_sparse_grid_divides_noise_by_its_step(noisy):
    calm, returns, noise = noisy
    days, n = returns.shape
    for step in (1, 60, 300):
        found = calm.measure(subsampled_variance, returns, step=step)
        expected = calm.variance + 2 * noise * n / step
        # The ends of the day, where variance is largest, are in fewer of the overlapping returns.
        error = 4 * found.std() / np.sqrt(days) + calm.variance * step / n
        assert abs(found.mean() - expected) < error


def test_averaging_takes_back_a_third_of_what_a_sparse_grid_loses():
    calm = diffusion(days=8000, n=400, seed=9, shape=0.0)
    sparse = calm.returns.reshape(len(calm.returns), -1, 10).sum(axis=2)
    one_grid = (sparse**2).sum(axis=1)
    averaged = calm.measure(subsampled_variance, step=10)
    # 4/3 against 2 (Zhang, Mykland and Ait-Sahalia 2005); each variance is known to 1.6 %.
    assert averaged.var() / one_grid.var() == pytest.approx(2 / 3, rel=0.08)


def test_the_bandwidth_grows_with_noise_and_with_the_number_of_bars(noisy):
    calm, returns, noise = noisy
    n = returns.shape[1]
    quiet = calm.measure(kernel_bandwidth, sparse_step=1200)
    loud = calm.measure(kernel_bandwidth, returns, sparse_step=1200)
    assert (loud > quiet).all()
    # xi^2 = noise / integrated variance; what is estimated includes 1 / (2 n) for the price itself,
    # and the sparse variance 2 * 20 w for the noise.
    ratio = (noise / calm.variance + 0.5 / n) / (1.0 + 2 * n / 1200 * noise / calm.variance)
    assert loud.mean() == pytest.approx(3.5134 * ratio**0.4 * n**0.6, rel=0.05)


def test_bars_that_only_bounce_get_as_many_lags_as_there_are():
    bounce = np.tile([1e-3, -1e-3], 40)
    lags = kernel_bandwidth(bounce, np.array([0, 60]), sparse_step=2)
    assert lags.tolist() == [59, 19]
    kernel = realized_kernel(bounce, np.array([0]), sparse_step=2)[0]
    assert 0.0 <= kernel < 0.05 * (bounce**2).sum()
