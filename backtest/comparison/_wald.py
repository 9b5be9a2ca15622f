"""Whether several dependent series all have mean zero, in one test."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ...errors import InputError
from .._checks import check_longer_than
from .._results import TestResult

_COLLINEAR = 1e-8
_SMALLEST_RATIO = 0.01


def wald_test(moments: NDArray[np.float64], *, horizon: int, names: Sequence[str]) -> TestResult:
    r"""Test that all columns of a table have mean zero.

    .. math:: S = n\,\bar z'\,\hat\Omega^{-1}\,\bar z \sim \chi^2(k), \qquad
              \hat\Omega = \frac1n\sum_t z_t z_t'
              + \frac1n\sum_{j=1}^{h-1}\sum_t (z_t z_{t-j}' + z_{t-j} z_t')

    The products are not centred, since their mean is zero under the hypothesis.

    Parameters
    ----------
    moments : ndarray, shape (n, k)
        One row per period, n > max(k, horizon); finite, any unit.
    horizon : int
        Number of periods that outcomes span; autocovariances end at lag horizon - 1.
    names : sequence of str, length k
        What each column is, for the error message.

    Returns
    -------
    TestResult
        With k degrees of freedom.

    Raises
    ------
    InputError
        If there are too few rows, or a column is a combination of those before it.
    """
    n, k = moments.shape
    check_longer_than("losses", moments, max(k, horizon), f"{k} conditions at horizon {horizon}")
    # The statistic is the same for every basis of the columns; in this one the first term of
    # the variance is the identity, so nothing depends on the units of the columns.
    basis = np.sqrt(n) * _orthonormal(moments, names)
    mean = basis.mean(axis=0)
    statistic = float(n * mean @ np.linalg.solve(_covariance(basis, horizon), mean))
    return TestResult(statistic=statistic, p_value=float(stats.chi2.sf(statistic, k)), df=k)


def _orthonormal(moments: NDArray[np.float64], names: Sequence[str]) -> NDArray[np.float64]:
    length = np.abs(moments).max(axis=0)
    scaled = moments / np.where(length > 0.0, length, 1.0)
    length = np.linalg.norm(scaled, axis=0)
    q, r = np.linalg.qr(scaled / np.where(length > 0.0, length, 1.0))
    dependent = np.flatnonzero(np.abs(np.diag(r)) < _COLLINEAR)
    if dependent.size:
        raise InputError(
            f"conditions must not repeat one another, found that {names[dependent[0]]} is zero "
            "in every period or a combination of those before it; drop that instrument or model"
        )
    return np.asarray(q, dtype=np.float64)


def _covariance(basis: NDArray[np.float64], horizon: int) -> NDArray[np.float64]:
    covariance = _weighted(basis, np.ones(horizon))
    # Equal weights are right for an h-step error, but the sum need not be positive definite;
    # then Bartlett weights, which always are, replace them as in the Diebold-Mariano test.
    if horizon > 1 and np.linalg.eigvalsh(covariance)[0] < _SMALLEST_RATIO:
        covariance = _weighted(basis, 1.0 - np.arange(horizon) / horizon)
    return covariance


def _weighted(basis: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    n = len(basis)
    total = basis.T @ basis / n
    for lag in range(1, len(weights)):
        product = basis[lag:].T @ basis[: n - lag] / n
        total = total + weights[lag] * (product + product.T)
    return np.asarray(total, dtype=np.float64)
