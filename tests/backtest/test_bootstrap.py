import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from foremargin.backtest.bootstrap import (
    bootstrap_interval,
    bootstrap_means,
    stationary_block_indices,
)
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError


def interval(statistic, *arrays, seed=0, **changed):
    arguments = {"confidence_level": 0.9, "mean_block": 5.0, "n_resamples": 100} | changed
    return bootstrap_interval(statistic, *arrays, rng=np.random.default_rng(seed), **arguments)


def test_blocks_have_the_mean_length_asked_for():
    indices = stationary_block_indices(
        500, mean_block=10.0, n_resamples=2_000, rng=np.random.default_rng(1)
    )
    jumps = (np.diff(indices, axis=1) % 500 != 1).sum()
    # A new block that happens to go on where the last ended is not seen as a jump.
    probability = 0.1 * (1 - 1 / 500)
    low, high = stats.binom.interval(1 - 1e-4, 2_000 * 499, probability)
    assert low <= jumps <= high


def test_every_period_is_drawn_equally_often():
    indices = stationary_block_indices(
        20, mean_block=4.0, n_resamples=20_000, rng=np.random.default_rng(2)
    )
    first, last = np.bincount(indices[:, 0], minlength=20), np.bincount(indices[:, -1])
    # One column holds independent uniform draws; 1e-4 false-alarm rate each.
    assert stats.chisquare(first).pvalue > 1e-4
    assert stats.chisquare(last).pvalue > 1e-4


def test_a_block_goes_on_from_the_last_period_to_the_first():
    indices = stationary_block_indices(
        7, mean_block=1e12, n_resamples=50, rng=np.random.default_rng(3)
    )
    assert indices.shape == (50, 7)
    np.testing.assert_array_equal(np.diff(indices, axis=1) % 7, 1)
    assert len(np.unique(indices[:, 0])) == 7


def test_blocks_of_one_period_are_independent_draws():
    indices = stationary_block_indices(
        50, mean_block=1.0, n_resamples=2_000, rng=np.random.default_rng(4)
    )
    neighbours = (np.diff(indices, axis=1) % 50 == 1).sum()
    low, high = stats.binom.interval(1 - 1e-4, 2_000 * 49, 1 / 50)
    assert low <= neighbours <= high


@given(n=st.integers(1, 40), mean_block=st.floats(1.0, 100.0), n_resamples=st.integers(1, 5))
def test_indices_are_positions(n, mean_block, n_resamples):
    indices = stationary_block_indices(
        n, mean_block=mean_block, n_resamples=n_resamples, rng=np.random.default_rng(0)
    )
    assert indices.shape == (n_resamples, n)
    assert indices.min() >= 0
    assert indices.max() < n


def test_the_same_seed_gives_the_same_interval():
    data = np.random.default_rng(5).standard_normal(100)
    assert interval(np.mean, data, seed=7) == interval(np.mean, data, seed=7)
    assert interval(np.mean, data, seed=7) != interval(np.mean, data, seed=8)


def test_the_interval_holds_the_quantiles_of_the_resampled_statistic():
    data = np.random.default_rng(6).standard_normal(60)
    indices = stationary_block_indices(
        60, mean_block=5.0, n_resamples=100, rng=np.random.default_rng(9)
    )
    low, high = np.quantile(data[indices].mean(axis=1), [0.05, 0.95])
    found = interval(np.mean, data, seed=9)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-12)
    assert found.estimate == data.mean()
    assert found.confidence_level == 0.9


def test_paired_arrays_keep_their_common_shocks():
    rng = np.random.default_rng(10)
    shock, noise = rng.standard_normal(200), 0.01 * rng.standard_normal(200)
    found = interval(lambda a, b: float(np.mean(a - b)), shock + noise, shock)
    assert found.high - found.low < 0.01


def test_rows_of_a_table_stay_together():
    table = np.stack([np.arange(50.0), 2.0 * np.arange(50.0)], axis=1)
    found = interval(lambda t: float(np.abs(t[:, 1] - 2.0 * t[:, 0]).max()), table)
    assert (found.low, found.high) == (0.0, 0.0)


def test_the_interval_covers_about_as_often_as_promised():
    rng = np.random.default_rng(11)
    noise = rng.standard_normal((200, 450))
    series = np.zeros_like(noise)
    for t in range(1, 450):
        series[:, t] = 0.5 * series[:, t - 1] + noise[:, t]
    covered = sum(
        found.low <= 0.0 <= found.high
        for found in (
            interval(np.mean, row, seed=k, mean_block=15.0, n_resamples=200)
            for k, row in enumerate(series[:, 50:])
        )
    )
    # A percentile interval from 400 dependent periods covers 86-90 % at nominal 90 %; the band
    # is 1e-3 two-sided around 88 %. Blocks of one period cover about 66 %.
    low, high = stats.binom.interval(1 - 1e-3, 200, 0.88)
    assert low <= covered <= high


def test_a_statistic_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match="statistic must be finite, was nan on the data"):
        interval(np.mean, [1.0, np.nan, 2.0])


def test_a_statistic_that_fails_on_some_resamples_is_refused():
    def mean_of_breaches(breach):
        return 1.0 if breach.any() else np.nan

    with pytest.raises(InputError, match=r"was 1.0 on the data and not finite on \d+ of 100"):
        interval(mean_of_breaches, np.arange(20) == 3)


def test_arrays_of_different_length_are_refused():
    with pytest.raises(ShapeError, match=r"share the first axis, shapes were \(3,\), \(2,\)"):
        interval(lambda a, b: 0.0, np.ones(3), np.ones(2))


def test_no_arrays_are_refused():
    with pytest.raises(InputError, match="at least 1 array"):
        interval(lambda: 0.0)


def test_one_period_is_refused():
    with pytest.raises(NotEnoughHistoryError, match="more than 1 periods for a bootstrap"):
        interval(np.mean, [1.0])


def test_a_confidence_level_in_percent_is_refused():
    with pytest.raises(
        InputError, match=r"confidence_level must be in \(0, 1\), was 95.*0\.95 for"
    ):
        interval(np.mean, np.ones(9), confidence_level=95)


@pytest.mark.parametrize("mean_block", [0.5, np.nan, np.inf])
def test_a_block_shorter_than_a_period_is_refused(mean_block):
    with pytest.raises(InputError, match="mean_block must be >= 1 period"):
        interval(np.mean, np.ones(9), mean_block=mean_block)


def test_no_resamples_are_refused():
    with pytest.raises(InputError, match="n_resamples must be a whole number >= 1"):
        interval(np.mean, np.ones(9), n_resamples=0)


def test_means_of_resamples_are_those_of_the_resampled_rows():
    values = np.random.default_rng(2).random((70, 3))
    n_resamples = 250  # more than are drawn at once
    means = bootstrap_means(
        values, mean_block=6, n_resamples=n_resamples, rng=np.random.default_rng(9)
    )
    assert means.shape == (n_resamples, 3)
    rows = stationary_block_indices(70, mean_block=6, n_resamples=100, rng=np.random.default_rng(9))
    np.testing.assert_allclose(means[:100], values[rows].mean(axis=1), rtol=1e-12)
    # Resampled means scatter around the mean of the data: four standard errors of 250 draws.
    band = 4 * means.std(axis=0) / np.sqrt(n_resamples)
    assert (np.abs(means.mean(axis=0) - values.mean(axis=0)) < band).all()
