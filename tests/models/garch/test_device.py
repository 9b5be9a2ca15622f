"""The search by torch against the compiled one: the same solutions, on the processor here."""

from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.errors import InputError
from foremargin.models import FitStatus, fit_garch_batch

Array = NDArray[np.float64]


@pytest.fixture(scope="module")
def table() -> Array:
    """Simulate four series, one of them shorter, one that does not vary, one without news."""
    rng = np.random.default_rng(2)
    z = rng.standard_t(6, size=(5, 400)) * np.sqrt(4 / 6)
    h, out = np.ones(5), np.empty((5, 400))
    for t in range(400):
        out[:, t] = np.sqrt(h) * z[:, t]
        h = 0.05 + (0.06 + 0.08 * (z[:, t] < 0)) * h * z[:, t] ** 2 + 0.84 * h
    out[1, :40] = np.nan
    out[1, 350:] = np.nan
    out[2] = 0.3
    out[3] = rng.normal(size=400)
    return 0.01 * out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("volatility", "distribution", "mean", "start_variance"),
    [
        ("garch", "normal", "constant", "mean-square"),
        ("garch", "t", "constant", "exponential"),
        ("gjr", "skewt", "zero", "mean-square"),
    ],
)
def test_a_device_finds_the_solutions_of_the_compiled_code(
    table: Array, volatility: str, distribution: str, mean: str, start_variance: str
) -> None:
    fit = partial(
        fit_garch_batch,
        volatility=volatility,
        distribution=distribution,
        mean=mean,
        start_variance=start_variance,
    )
    wanted, got = fit(table), fit(table, device="cpu")
    np.testing.assert_array_equal(got.status, wanted.status)
    assert got.status[2] == FitStatus.CONSTANT
    np.testing.assert_allclose(got.log_likelihood, wanted.log_likelihood, atol=1e-7)
    np.testing.assert_allclose(got.next_variance, wanted.next_variance, rtol=1e-5)
    # Both searches stop within a millionth of a standard error.
    errors = wanted.standard_errors("hessian")
    known = np.isfinite(errors)
    assert (np.abs(got.params - wanted.params)[known] < 1e-4 * errors[known]).all()


def test_a_device_can_be_given_a_start(table: Array) -> None:
    cold = fit_garch_batch(table[[0, 3]], device="cpu")
    warm = fit_garch_batch(table[[0, 3]], device="cpu", start=cold.params)
    np.testing.assert_allclose(warm.log_likelihood, cold.log_likelihood, atol=1e-7)
    assert warm.passes.sum() < 0.7 * cold.passes.sum()


def test_what_a_device_cannot_do_is_refused(table: Array) -> None:
    with pytest.raises(InputError, match="device must be None for EGARCH"):
        fit_garch_batch(table, volatility="egarch", device="cpu")
    with pytest.raises(InputError, match="device must be one that torch has here, was 'abacus'"):
        fit_garch_batch(table, device="abacus")
