"""Covariance and correlation: closed forms, positive semidefinite always, adverse when stressed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import optimize, stats
from sklearn.covariance import LedoitWolf

from foremargin.calibrate.portfolio import (
    Covariance,
    ewma_covariance,
    factor_covariance,
    fit_dcc,
    shrunk_covariance,
    stressed_correlation,
)
from foremargin.calibrate.portfolio.dcc import dcc_correlations, dcc_log_likelihood
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError

Array = NDArray[np.float64]


def returns(n_periods: int = 400, n: int = 5, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    return 0.02 * (rng.normal(size=(n_periods, 1)) + rng.normal(size=(n_periods, n)))


def test_the_exponential_covariance_follows_its_recursion() -> None:
    log_return = returns(n_periods=60)
    matrix = np.zeros((5, 5))
    for row in log_return:
        matrix = 0.9 * matrix + 0.1 * np.outer(row, row)
    expected = matrix / (1.0 - 0.9**60)
    np.testing.assert_allclose(
        ewma_covariance(log_return, decay=0.9).matrix, expected, rtol=1e-12, atol=1e-18
    )


@pytest.mark.parametrize("n_factors", [0, 1, 3, 5])
def test_factors_keep_the_variances_and_the_largest_parts_of_the_spectrum(n_factors: int) -> None:
    log_return = returns()
    sample = log_return.T @ log_return / 400
    found = factor_covariance(log_return, n_factors=n_factors).matrix
    np.testing.assert_allclose(np.diag(found), np.diag(sample), rtol=1e-12)
    left, size, right = np.linalg.svd(log_return)
    size[n_factors:] = 0.0
    common = (right.T * size**2 / 400) @ right
    off = ~np.eye(5, dtype=bool)
    np.testing.assert_allclose(found[off], common[off], rtol=1e-9, atol=1e-15)
    assert left.shape == (400, 400)


def test_one_factor_recovers_an_exact_one_factor_model() -> None:
    # Returns with the sample covariance b b' scaled: rank one, no rest.
    loading = np.array([1.0, 2.0, -1.0])
    factor = np.random.default_rng(1).normal(size=(50, 1))
    log_return = factor * loading
    found = factor_covariance(log_return, n_factors=1)
    expected = np.outer(loading, loading) * (factor**2).mean()
    np.testing.assert_allclose(found.matrix, expected, rtol=1e-12)
    np.testing.assert_allclose(
        found.correlation(), np.outer(np.sign(loading), np.sign(loading)), rtol=1e-12
    )


def test_shrinkage_is_that_of_ledoit_and_wolf_and_can_be_inverted() -> None:
    log_return = returns(n_periods=20, n=40)
    found = shrunk_covariance(log_return).matrix
    expected = LedoitWolf(assume_centered=True).fit(log_return).covariance_
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert np.linalg.eigvalsh(found)[0] > 1e-6
    assert np.linalg.eigvalsh(ewma_covariance(log_return, decay=0.9).matrix)[0] < 1e-12


moves = hnp.arrays(
    np.float64,
    st.tuples(st.integers(3, 12), st.integers(1, 6)),
    elements=st.floats(-1.0, 1.0, allow_subnormal=False),
)


@settings(max_examples=60, deadline=None)
@given(log_return=moves, share=st.floats(0.0, 1.0))
def test_every_estimate_is_positive_semidefinite(log_return: Array, share: float) -> None:
    n = log_return.shape[1]
    for found in (
        ewma_covariance(log_return, decay=0.8),
        factor_covariance(log_return, n_factors=int(share * n)),
        shrunk_covariance(log_return),
    ):
        size = max(np.abs(found.matrix).max(), 1e-300)
        assert np.linalg.eigvalsh(found.matrix)[0] >= -1e-10 * n * size
        np.testing.assert_array_equal(found.matrix, found.matrix.T)
        assert (np.diag(found.correlation()) == 1.0).all()


def test_volatilities_are_replaced_and_correlations_kept() -> None:
    base = ewma_covariance(returns(), decay=0.97)
    moved = base.with_sigma([0.1, 0.2, 0.3, 0.4, 0.5])
    np.testing.assert_allclose(moved.sigma(), [0.1, 0.2, 0.3, 0.4, 0.5], rtol=1e-12)
    np.testing.assert_allclose(moved.correlation(), base.correlation(), rtol=1e-10)


def random_correlation(rng: np.random.Generator, n: int) -> Array:
    loading = rng.normal(size=(n, n))
    matrix = loading @ loading.T
    scale = np.sqrt(np.diag(matrix))
    return np.asarray(matrix / np.outer(scale, scale))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 7), strength=st.floats(0.0, 1.0))
def test_stressed_correlations_hurt_the_book_and_stay_correlations(
    seed: int, n: int, strength: float
) -> None:
    rng = np.random.default_rng(seed)
    correlation, exposure = random_correlation(rng, n), rng.normal(size=n)
    stressed = stressed_correlation(correlation, exposure, strength=strength)
    assert np.linalg.eigvalsh(stressed)[0] > -1e-10
    np.testing.assert_array_equal(np.diag(stressed), np.ones(n))
    before, after = exposure @ correlation @ exposure, exposure @ stressed @ exposure
    # The variance moves by its share of the way to the square of the gross exposure.
    gross = np.abs(exposure).sum() ** 2
    np.testing.assert_allclose(after, before + strength * (gross - before), rtol=1e-9)
    assert after >= before * (1.0 - 1e-12)


def test_an_instrument_that_is_not_held_is_stressed_towards_independence() -> None:
    correlation = np.array([[1.0, 0.6, 0.6], [0.6, 1.0, 0.6], [0.6, 0.6, 1.0]])
    stressed = stressed_correlation(correlation, [1.0, 0.0, -2.0], strength=1.0)
    np.testing.assert_allclose(stressed, [[1, 0, -1], [0, 1, 0], [-1, 0, 1]], atol=1e-15)


def plain_correlations(z: Array, target: Array, a: float, b: float) -> Array:
    q, out = target.copy(), []
    for row in [*z, None]:
        scale = np.sqrt(np.diag(q))
        out.append(q / np.outer(scale, scale))
        if row is not None:
            q = (1 - a - b) * target + a * np.outer(row, row) + b * q
    return np.array(out)


def simulated(n_periods: int, a: float, b: float, seed: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    target = np.array([[1.0, 0.5, 0.2], [0.5, 1.0, -0.3], [0.2, -0.3, 1.0]])
    q, z = target.copy(), np.empty((n_periods, 3))
    for t in range(n_periods):
        scale = np.sqrt(np.diag(q))
        z[t] = np.linalg.cholesky(q / np.outer(scale, scale)) @ rng.normal(size=3)
        q = (1 - a - b) * target + a * np.outer(z[t], z[t]) + b * q
    return z, target


def test_the_likelihood_is_that_of_normal_vectors_with_the_recursion() -> None:
    z, target = simulated(200, 0.05, 0.9, seed=1)
    paths = plain_correlations(z, target, 0.05, 0.9)
    np.testing.assert_allclose(dcc_correlations(z, target, 0.05, 0.9), paths, rtol=1e-10)
    expected = sum(
        stats.multivariate_normal(cov=r).logpdf(row) for r, row in zip(paths, z, strict=False)
    )
    np.testing.assert_allclose(dcc_log_likelihood(z, target, 0.05, 0.9), expected, rtol=1e-11)
    constant = stats.multivariate_normal(cov=target).logpdf(z).sum()
    np.testing.assert_allclose(dcc_log_likelihood(z, target, 0.0, 0.0), constant, rtol=1e-11)


def test_parameters_of_simulated_correlations_come_back() -> None:
    z, target = simulated(6_000, 0.04, 0.94, seed=2)
    fit = fit_dcc(z)
    # Standard errors at this size are about 0.003 and 0.006 (spread over simulations); four.
    np.testing.assert_allclose(fit.a, 0.04, rtol=0.0, atol=0.012)
    np.testing.assert_allclose(fit.b, 0.94, rtol=0.0, atol=0.024)
    np.testing.assert_allclose(fit.target, target, rtol=0.0, atol=0.12)
    np.testing.assert_allclose(
        fit.correlation, plain_correlations(z, fit.target, fit.a, fit.b)[-1], rtol=1e-9
    )


def test_the_search_finds_the_maximum() -> None:
    z, _ = simulated(400, 0.1, 0.6, seed=3)
    fit = fit_dcc(z)

    def loss(x: Array) -> float:
        return -dcc_log_likelihood(z, fit.target, x[0], x[1]) if x.sum() < 0.9999 else np.inf

    other = optimize.brute(loss, ((0.0, 0.3), (0.0, 0.98)), Ns=40, finish=optimize.fmin, disp=False)
    assert fit.log_likelihood >= -loss(np.asarray(other)) - 1e-5
    assert fit.log_likelihood == pytest.approx(-loss(np.array([fit.a, fit.b])), rel=1e-12)


def test_constant_correlations_ask_for_no_news() -> None:
    rng = np.random.default_rng(4)
    z = rng.normal(size=(2_000, 2)) @ np.linalg.cholesky([[1.0, 0.6], [0.6, 1.0]]).T
    fit = fit_dcc(z)
    assert fit.a < 0.02
    np.testing.assert_allclose(fit.correlation[0, 1], fit.target[0, 1], rtol=0.0, atol=0.1)


@pytest.mark.parametrize(
    ("log_return", "message"),
    [
        ([[0.1, np.nan]], "log_return must be finite, found 1"),
        ([0.1, 0.2], "n_periods, n_instruments"),
        (np.empty((0, 2)), "at least 1 periods"),
    ],
)
def test_returns_that_are_not_there_are_refused(log_return: Array, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ewma_covariance(log_return, decay=0.9)


def test_input_that_makes_no_sense_is_refused() -> None:
    log_return = returns()
    with pytest.raises(InputError, match=r"decay must be in \(0, 1\), was 1\.0"):
        ewma_covariance(log_return, decay=1.0)
    with pytest.raises(InputError, match=r"n_factors must be in \[0, 5\], was 6"):
        factor_covariance(log_return, n_factors=6)
    with pytest.raises(InputError, match="has eigenvalue -1"):
        Covariance(matrix=np.array([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(InputError, match=r"must be symmetric, is off by 0\.5"):
        Covariance(matrix=np.array([[1.0, 0.5], [0.0, 1.0]]))
    with pytest.raises(ShapeError, match="matrix must be square"):
        Covariance(matrix=np.ones((2, 3)))
    with pytest.raises(InputError, match="sigma must hold 5 finite numbers"):
        ewma_covariance(log_return, decay=0.9).with_sigma([1.0])
    with pytest.raises(InputError, match="ones on its diagonal"):
        stressed_correlation(4.0 * np.eye(2), [1.0, 1.0], strength=0.5)
    with pytest.raises(ShapeError, match=r"correlation must have shape \(3, 3\)"):
        stressed_correlation(np.eye(2), [1.0, 1.0, 1.0], strength=0.5)
    with pytest.raises(InputError, match=r"strength must be in \[0, 1\], was 50"):
        stressed_correlation(np.eye(2), [1.0, 1.0], strength=50)
    with pytest.raises(InputError, match="exposure must be one-dimensional and finite"):
        stressed_correlation(np.eye(2), [1.0, np.nan], strength=0.5)


def test_residuals_that_cannot_be_fitted_are_refused() -> None:
    z = np.random.default_rng(0).normal(size=(100, 2))
    with pytest.raises(NotEnoughHistoryError, match="at least 50 periods are needed, found 49"):
        fit_dcc(z[:49])
    with pytest.raises(ShapeError, match="2 or more"):
        fit_dcc(z[:, :1])
    with pytest.raises(InputError, match="residual must be finite, found 1"):
        fit_dcc(np.where(z == z[3, 0], np.nan, z))
    with pytest.raises(InputError, match=r"residual must vary, columns \[1\] do not"):
        fit_dcc(z * [1.0, 0.0])
    with pytest.raises(InputError, match="target must be positive definite"):
        fit_dcc(np.column_stack([z[:, 0], z[:, 0]]))
