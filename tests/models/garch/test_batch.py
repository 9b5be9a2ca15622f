"""The batch: laws of scale, order and threads; verdicts; what is refused."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError
from foremargin.models import FitStatus, fit_garch_batch

Array = NDArray[np.float64]
ByHand = Callable[..., Array]

VOLATILITIES = ("garch", "gjr", "egarch")
DISTRIBUTIONS = ("normal", "t", "skewt")
by_volatility = pytest.mark.parametrize("volatility", VOLATILITIES)
by_distribution = pytest.mark.parametrize("distribution", DISTRIBUTIONS)


def simulate(n_series: int, n_periods: int, *, seed: int = 3, alpha: float = 0.05) -> Array:
    """Simulate GJR variance with t errors, about 2 % a period."""
    rng = np.random.default_rng(seed)
    z = rng.standard_t(6, size=(n_series, n_periods)) * np.sqrt(4 / 6)
    h, out = np.ones(n_series), np.empty((n_series, n_periods))
    for t in range(n_periods):
        out[:, t] = 0.05 + np.sqrt(h) * z[:, t]
        h = 0.05 + (alpha + 0.06 * (z[:, t] < 0)) * h * z[:, t] ** 2 + (0.92 - alpha) * h
    return 0.02 * out


@pytest.fixture(scope="module")
def table() -> Array:
    return simulate(6, 1_200)


@by_volatility
@by_distribution
def test_estimates_carry_the_unit_of_the_returns(
    table: Array, volatility: str, distribution: str
) -> None:
    fit = partial(fit_garch_batch, volatility=volatility, distribution=distribution)
    small, large = fit(table[:2]), fit(100.0 * table[:2])
    factor = np.ones(len(small.param_names))
    shift = np.zeros_like(small.params)
    factor[0] = 100.0
    if volatility == "egarch":
        beta = small.params[:, small.param_names.index("beta")]
        shift[:, 1] = (1 - beta) * 2 * np.log(100)
    else:
        factor[1] = 100.0**2
    # A search stops a millionth of a standard error from the solution.
    within = 1e-4 * large.standard_errors("hessian")
    assert (np.abs(large.params - factor * small.params - shift) <= within).all()
    np.testing.assert_allclose(
        large.log_likelihood, small.log_likelihood - 1_200 * np.log(100), rtol=1e-10
    )
    np.testing.assert_allclose(
        large.forecast_variance(3), 1e4 * small.forecast_variance(3), rtol=1e-5
    )


@by_volatility
def test_a_series_does_not_depend_on_its_neighbours_or_on_threads(
    table: Array, volatility: str
) -> None:
    many = np.tile(table, (6, 1))  # more series than one task takes
    one = fit_garch_batch(many, volatility=volatility, n_threads=1)
    two = fit_garch_batch(many, volatility=volatility, n_threads=2)
    alone = fit_garch_batch(table[3], volatility=volatility)
    assert np.isfinite(one.params).all()
    np.testing.assert_array_equal(one.params, two.params)
    np.testing.assert_array_equal(one.passes, two.passes)
    np.testing.assert_array_equal(one.params[[3, 9]], np.tile(alone.params, (2, 1)))


def test_series_of_unequal_length_are_estimated_on_what_they_have(table: Array) -> None:
    ragged = table[:3].copy()
    ragged[0, :200] = np.nan
    ragged[1, 1_000:] = np.nan
    batch = fit_garch_batch(ragged)
    np.testing.assert_array_equal(batch.params[0], fit_garch_batch(table[0, 200:]).params[0])
    np.testing.assert_array_equal(batch.params[1], fit_garch_batch(table[1, :1_000]).params[0])


def test_a_series_that_cannot_be_estimated_says_why_and_leaves_the_others_alone(
    table: Array,
) -> None:
    broken = table[:4].copy()
    broken[1] = 0.01
    broken[2, 99:] = np.nan
    batch = fit_garch_batch(broken)
    wanted = [FitStatus.CONVERGED, FitStatus.CONSTANT, FitStatus.TOO_SHORT, FitStatus.CONVERGED]
    np.testing.assert_array_equal(batch.status, wanted)
    np.testing.assert_array_equal(batch.converged, [True, False, False, True])
    assert np.isnan(batch.params[1:3]).all()
    assert np.isnan(batch.standard_errors()[1:3]).all()
    assert np.isnan(batch.forecast_variance(4)[1:3]).all()
    assert np.isfinite(batch.forecast_variance(4)[[0, 3]]).all()
    np.testing.assert_array_equal(batch.params[3], fit_garch_batch(table[3]).params[0])


@by_volatility
@by_distribution
def test_converged_means_that_a_step_in_any_parameter_is_less_likely(
    table: Array, log_density_by_hand: ByHand, volatility: str, distribution: str
) -> None:
    batch = fit_garch_batch(table, volatility=volatility, distribution=distribution)
    assert batch.converged.all()
    inside = np.flatnonzero(batch.status == FitStatus.CONVERGED)
    errors = batch.standard_errors("hessian")
    # EGARCH has summits between returns all along its mean, as high as this to a thousandth.
    first = 1 if volatility == "egarch" else 0
    for i in inside[:2]:
        for k in range(first, len(batch.param_names)):
            for sign in (-1.0, 1.0):
                moved = batch.params[i].copy()
                moved[k] += sign * 0.05 * errors[i, k]
                named = dict(zip(batch.param_names, moved, strict=True))
                there = log_density_by_hand(table[i], named, volatility=volatility).sum()
                # A twentieth of a standard error costs at least half of its square.
                assert there < batch.log_likelihood[i] - 0.4 * 0.05**2


def test_returns_without_news_lie_on_a_bound_and_still_have_errors_along_it() -> None:
    noise = np.random.default_rng(12).normal(size=(20, 1_000))
    batch = fit_garch_batch(noise, volatility="gjr")
    # Without news, omega and beta lie in a long flat valley, in which a search may tire.
    assert batch.converged.mean() >= 0.9
    on_bound = batch.status == FitStatus.AT_BOUND
    assert 5 <= on_bound.sum() <= 20
    alpha = batch.params[:, 2]
    errors = batch.standard_errors()
    resting = on_bound & (alpha < 2e-5)
    assert resting.any()
    assert np.isnan(errors[resting, 2]).all()
    assert np.isfinite(errors[resting, 0]).all()


def test_a_start_on_the_bound_moves_off_it(table: Array) -> None:
    # Persistence of one, no beta: a start that other optimisers never leave.
    start = [0.0, 1e-5, 1.0, 0.0]
    wanted = fit_garch_batch(table)
    got = fit_garch_batch(table, start=start)
    np.testing.assert_allclose(got.log_likelihood, wanted.log_likelihood, atol=1e-6)
    assert got.converged.all()


@by_volatility
def test_a_warm_start_finds_the_same_solution_in_fewer_passes(
    table: Array, volatility: str
) -> None:
    cold = fit_garch_batch(table, volatility=volatility, distribution="t")
    warm = fit_garch_batch(table, volatility=volatility, distribution="t", start=cold.params)
    shared = fit_garch_batch(table, volatility=volatility, distribution="t", start="panel-median")
    np.testing.assert_allclose(warm.log_likelihood, cold.log_likelihood, atol=1e-6)
    np.testing.assert_allclose(shared.log_likelihood, cold.log_likelihood, atol=1e-6)
    assert warm.passes.mean() < 0.7 * cold.passes.mean()
    assert shared.passes.mean() < cold.passes.mean()


def test_without_a_mean_there_is_no_mu(table: Array) -> None:
    batch = fit_garch_batch(table, mean="zero", volatility="gjr", distribution="skewt")
    assert batch.param_names == ("omega", "alpha", "gamma", "beta", "nu", "lambda")
    assert batch.params.shape == batch.standard_errors().shape == (6, 6)
    centred = fit_garch_batch(table, volatility="gjr", distribution="skewt")
    assert (batch.log_likelihood < centred.log_likelihood).all()


def test_arrays_cannot_be_written_to(table: Array) -> None:
    batch = fit_garch_batch(table)
    with pytest.raises(ValueError, match="read-only"):
        batch.params[0, 0] = 1.0


def test_the_table_names_what_it_holds(table: Array) -> None:
    frame = fit_garch_batch(table, distribution="t").frame()
    names = ["mu", "omega", "alpha", "beta", "nu", "log_likelihood", "status", "passes"]
    assert list(frame.columns) == names
    assert set(frame["status"]) <= {"converged", "at-bound"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("volatility", "volatility must be one of 'garch', 'gjr', 'egarch', was 'figarch'"),
        ("distribution", "distribution must be one of 'normal', 't', 'skewt', was 'figarch'"),
        ("mean", "mean must be one of 'constant', 'zero', was 'figarch'"),
        ("start_variance", "start_variance must be one of 'exponential', 'mean-square', was"),
        ("start", 'start must be parameters or "panel-median"'),
    ],
)
def test_an_unknown_word_is_answered_with_the_known_ones(
    table: Array, name: str, message: str
) -> None:
    unknown: dict[str, Any] = {name: "figarch"}
    with pytest.raises(InputError, match=message):
        fit_garch_batch(table, **unknown)


def test_holes_are_counted_and_refused(table: Array) -> None:
    holes = table.copy()
    holes[2, 50], holes[3, 60] = np.nan, np.inf
    with pytest.raises(InputError, match="found 1 inside and 1 infinite"):
        fit_garch_batch(holes)
    with pytest.raises(InputError, match="found 1 inside and 0 infinite"):
        fit_garch_batch(holes[[0, 2]])


def test_wrong_shapes_and_lengths_are_refused(table: Array) -> None:
    with pytest.raises(ShapeError, match=r"\(n_series, n_periods\) or \(n_periods,\), was \(1, 6,"):
        fit_garch_batch(table[None])
    with pytest.raises(ShapeError, match=r"start must have shape \(6, 4\) or \(4,\) for mu, omega"):
        fit_garch_batch(table, start=[0.1, 0.1])
    with pytest.raises(NotEnoughHistoryError, match="the longest of 6 had 99"):
        fit_garch_batch(table[:, :99])
    with pytest.raises(InputError, match="kind must be one of hessian, opg, robust, was 'white'"):
        fit_garch_batch(table).standard_errors("white")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="horizon must be a number of periods"):
        fit_garch_batch(table).forecast_variance(0)
