import numpy as np
import pandas as pd
import pytest
from arch.bootstrap import StationaryBootstrap
from scipy import stats

from foremargin.backtest import stationary_block_indices
from foremargin.backtest.comparison import superior_predictive_ability
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError


@pytest.fixture
def losses() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    # Very different scales: without dividing by the deviation the last one decides alone.
    table = rng.exponential(1.0, (200, 1)) + rng.standard_normal((200, 4)) * [0.2, 0.2, 0.3, 5.0]
    table += [0.0, -0.04, 0.3, 0.0]
    return pd.DataFrame(table, columns=["benchmark", "close", "bad", "noisy"])


def kernel_deviation(difference: np.ndarray, block_length: int) -> np.ndarray:
    """Hansen's estimate as a plain sum over lags."""
    n, centred = len(difference), difference - difference.mean(axis=0)
    keep = 1.0 - 1.0 / block_length
    total = (centred**2).sum(axis=0) / n
    for lag in range(1, n):
        weight = (n - lag) / n * keep**lag + lag / n * keep ** (n - lag)
        total += 2.0 * weight * (centred[lag:] * centred[:-lag]).sum(axis=0) / n
    return np.asarray(np.sqrt(total))


@pytest.mark.parametrize("models", [["close", "bad", "noisy"], ["bad"]])
def test_the_p_values_are_those_of_hansens_definition_on_the_same_resamples(losses, models):
    losses = losses[["benchmark", *models]]
    table = losses.to_numpy()
    n, difference = len(table), table[:, [0]] - table[:, 1:]
    deviation = kernel_deviation(difference, 8)
    mean = difference.mean(axis=0)
    t = np.sqrt(n) * mean / deviation
    statistic = max(0.0, t.max())
    clearly_worse = t < -np.sqrt(2.0 * np.log(np.log(n)))
    centre = {
        "lower": np.maximum(mean, 0.0),
        "consistent": np.where(clearly_worse, 0.0, mean),
        "upper": mean,
    }
    assert clearly_worse.tolist() == [name == "bad" for name in models]
    larger = dict.fromkeys(centre, 0)
    for (resampled,), _ in StationaryBootstrap(8, difference, seed=5).bootstrap(400):
        for name, value in centre.items():
            z = np.sqrt(n) * (resampled.mean(axis=0) - value) / deviation
            larger[name] += max(0.0, z.max()) > statistic
    result = superior_predictive_ability(
        losses, benchmark="benchmark", block_length=8, n_resamples=400, rng=5
    )
    assert result.statistic == pytest.approx(statistic, rel=1e-10)
    np.testing.assert_allclose(result.standard_error, deviation / np.sqrt(n), rtol=1e-10)
    assert result.p_value_lower == larger["lower"] / 400
    assert result.p_value == larger["consistent"] / 400
    assert result.p_value_upper == larger["upper"] / 400


def test_the_standard_error_is_that_of_resampled_means(losses):
    result = superior_predictive_ability(
        losses, benchmark="benchmark", block_length=8, n_resamples=10
    )
    difference = losses["benchmark"].to_numpy() - losses["bad"].to_numpy()
    rng = np.random.default_rng(2)
    rows = stationary_block_indices(200, mean_block=8, n_resamples=20_000, rng=rng)
    # 20,000 resamples leave a standard error of half a per cent.
    assert result.standard_error[1] == pytest.approx(difference[rows].mean(axis=1).std(), rel=0.02)


def test_gains_have_the_sign_of_what_the_models_save(losses):
    result = superior_predictive_ability(losses, benchmark="benchmark", n_resamples=10)
    assert result.names == ("close", "bad", "noisy")
    frame = result.frame()
    assert frame["gain"]["close"] == pytest.approx(
        losses["benchmark"].mean() - losses["close"].mean(), rel=1e-10
    )
    assert frame["t"]["bad"] < 0.0
    assert result.statistic == max(0.0, frame["t"].max())


def test_the_unit_of_the_loss_does_not_matter(losses):
    one, other = (
        superior_predictive_ability(scale * losses, benchmark="benchmark", n_resamples=100)
        for scale in (1.0, 1024.0)
    )
    assert (one.statistic, one.p_value) == (other.statistic, other.p_value)


def test_where_nobody_did_better_there_is_no_evidence(losses):
    result = superior_predictive_ability(
        losses[["benchmark", "bad"]], benchmark="benchmark", n_resamples=200
    )
    assert result.statistic == 0.0
    assert result.p_value_upper > 0.3


def test_a_copy_of_a_model_changes_nothing(losses):
    once = superior_predictive_ability(losses, benchmark="benchmark", n_resamples=100)
    twice = superior_predictive_ability(
        losses.assign(copy=losses["close"]), benchmark="benchmark", n_resamples=100
    )
    assert once.statistic == pytest.approx(twice.statistic, rel=1e-12)
    assert once.p_value == twice.p_value


def test_the_default_repeats_exactly_and_a_generator_can_be_given(losses):
    first, second = (
        superior_predictive_ability(losses, benchmark="benchmark", n_resamples=50) for _ in range(2)
    )
    drawn = superior_predictive_ability(
        losses, benchmark="benchmark", n_resamples=50, rng=np.random.default_rng(0)
    )
    assert first.p_value == second.p_value == drawn.p_value


def test_an_array_names_its_models_by_number(losses):
    result = superior_predictive_ability(losses.to_numpy(), benchmark=2, n_resamples=20)
    assert (result.benchmark, result.names) == (2, (0, 1, 3))


# Size and power ---------------------------------------------------------------------------------


def p_values(tables, block_length=5) -> pd.DataFrame:
    results = [
        superior_predictive_ability(
            table, benchmark=0, block_length=block_length, n_resamples=99, rng=k
        )
        for k, table in enumerate(tables)
    ]
    return pd.DataFrame(
        [(r.p_value_lower, r.p_value, r.p_value_upper) for r in results],
        columns=["lower", "consistent", "upper"],
    )


@pytest.mark.slow
def test_equal_models_are_rejected_about_as_often_as_promised():
    tables = np.random.default_rng(3).standard_normal((300, 150, 4))
    p = p_values(tables)
    low, high = stats.binom.interval(1 - 1e-4, 300, 0.05)
    # A bootstrap variance at blocks of five is small by about 3 %.
    assert low / 300 <= (p["consistent"] <= 0.05).mean() <= high / 300 + 0.015
    assert (p["lower"] <= p["consistent"]).all()
    assert (p["consistent"] <= p["upper"]).all()


@pytest.mark.slow
def test_overlapping_outcomes_need_blocks_and_even_then_are_rejected_too_often(moving_average):
    columns = [moving_average(np.random.default_rng(10 + k), (200, 250), 5) for k in range(4)]
    tables = np.stack(columns, axis=2)
    # Blocks of twenty leave the variance a quarter too small: 8 % are cut off by the ends of
    # blocks and 2 * 20 / 250 = 16 % by the estimated mean. The size is then near 13 %.
    low, high = stats.binom.interval(1 - 1e-4, 200, 0.13)
    in_blocks = (p_values(tables, block_length=20)["consistent"] <= 0.05).mean()
    assert low / 200 <= in_blocks <= high / 200
    # With the variance of a sum of five taken for that of one, most maxima are too large.
    assert (p_values(tables[:60], block_length=1)["consistent"] <= 0.05).mean() > 0.3


@pytest.mark.slow
def test_a_crowd_of_bad_models_hides_a_good_one_from_whites_test_but_not_from_hansens():
    rng = np.random.default_rng(4)
    gap = np.r_[0.0, -0.23, np.full(30, 1.0)]
    p = p_values(rng.standard_normal((80, 250, 32)) + gap)
    power = (p <= 0.05).mean()
    # The good one alone is 0.23 sqrt(250 / 2) = 2.6 standard errors away, power 0.83 one-sided.
    assert power["consistent"] > 0.65
    assert power["upper"] < power["consistent"] - 0.2


# What is refused --------------------------------------------------------------------------------


@pytest.mark.parametrize("gap", [0.0, 1.0, 0.1])
def test_a_copy_of_the_benchmark_is_refused_shifted_or_not(losses, gap):
    copy = losses.assign(copy=losses["benchmark"] + gap)
    with pytest.raises(InputError, match="by a constant, found 'copy' and 'benchmark' with"):
        superior_predictive_ability(copy, benchmark="benchmark")


@pytest.mark.parametrize("benchmark", ["reference", 0])
def test_a_benchmark_that_is_no_column_is_refused(losses, benchmark):
    with pytest.raises(InputError, match=r"must name one column of losses, .* names 0; columns"):
        superior_predictive_ability(losses, benchmark=benchmark)


def test_missing_losses_are_refused(losses):
    with pytest.raises(InputError, match="losses must be finite, found 1 NaN"):
        superior_predictive_ability(losses.mask(losses == losses.iloc[0, 0]), benchmark="bad")


@pytest.mark.parametrize("shape", [(10,), (10, 1)])
def test_a_benchmark_alone_is_refused(shape):
    with pytest.raises(ShapeError, match=r"losses must have shape \(n, n_models >= 2\)"):
        superior_predictive_ability(np.ones(shape), benchmark=0)


def test_two_periods_are_refused():
    with pytest.raises(NotEnoughHistoryError, match="more than 2 periods for the bound of Hansen"):
        superior_predictive_ability(np.eye(2), benchmark=0)


@pytest.mark.parametrize("name", ["block_length", "n_resamples"])
def test_a_count_below_one_is_refused(losses, name):
    with pytest.raises(InputError, match=f"{name} must be a whole number >= 1"):
        superior_predictive_ability(losses, benchmark="bad", **{name: 0})


def test_the_numbers_of_a_result_cannot_be_changed(losses):
    result = superior_predictive_ability(losses, benchmark="benchmark", n_resamples=10)
    with pytest.raises(ValueError, match="read-only"):
        result.gain[0] = 1.0
