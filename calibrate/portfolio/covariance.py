"""Covariance of returns: exponentially weighted, by factors, shrunk; and correlations under stress.

All are positive semidefinite by construction, so they need dates that all instruments share.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.covariance import ledoit_wolf

from ...errors import InputError, NotEnoughHistoryError, ShapeError
from .matrices import check_correlation, check_semidefinite

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Covariance:
    """One covariance matrix; read-only.

    Attributes
    ----------
    matrix : ndarray, shape (n_instruments, n_instruments)
        Per period, decimal squared; symmetric and positive semidefinite.
    """

    matrix: Array

    def __post_init__(self) -> None:
        matrix = check_semidefinite(self.matrix, "matrix")
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)

    def sigma(self) -> Array:
        """Volatility per period, decimal, shape (n_instruments,)."""
        return np.asarray(np.sqrt(np.maximum(np.diag(self.matrix), 0.0)))

    def correlation(self) -> Array:
        """Correlation matrix; an instrument that never moved has no correlation with others."""
        sigma = self.sigma()
        scale = np.where(sigma > 0.0, sigma, 1.0)
        out = self.matrix / np.outer(scale, scale)
        np.fill_diagonal(out, 1.0)
        return np.asarray(np.clip(out, -1.0, 1.0))

    def with_sigma(self, sigma: ArrayLike) -> "Covariance":
        """Return the covariance with the same correlation and other, forecast volatilities."""
        target = np.asarray(sigma, dtype=np.float64)
        if target.shape != (len(self.matrix),) or not (
            np.isfinite(target).all() and (target >= 0.0).all()
        ):
            raise InputError(
                f"sigma must hold {len(self.matrix)} finite numbers that are not negative, was "
                f"{target}"
            )
        return Covariance(matrix=self.correlation() * np.outer(target, target))


def ewma_covariance(log_return: ArrayLike, *, decay: float) -> Covariance:
    r"""Weight past cross products by :math:`\lambda^k`, k periods ago, around a mean of zero.

    RiskMetrics (1996); the weights are scaled to sum to one over the sample.

    Parameters
    ----------
    log_return : array_like, shape (n_periods, n_instruments)
        Decimal, finite, oldest first.
    decay : float
        In (0, 1), for example 0.97.
    """
    returns = _returns(log_return, fewest=1)
    if not 0.0 < decay < 1.0:
        raise InputError(f"decay must be in (0, 1), was {decay}; write 0.97")
    weight = decay ** np.arange(len(returns) - 1, -1, -1.0)
    weighted = returns * np.sqrt(weight / weight.sum())[:, None]
    return Covariance(matrix=weighted.T @ weighted)


def factor_covariance(log_return: ArrayLike, *, n_factors: int) -> Covariance:
    r"""Keep the covariance of the first principal components, and each instrument's own rest.

    :math:`B B' + \mathrm{diag}(d)` with :math:`B B'` the first k terms of the spectrum of the
    sample covariance around zero and d what its diagonal lacks, so that variances are those of the
    sample.

    Parameters
    ----------
    log_return : array_like, shape (n_periods, n_instruments)
        Decimal, finite.
    n_factors : int
        From 0 (no dependence) to the number of instruments (the sample covariance).
    """
    returns = _returns(log_return, fewest=2)
    n = returns.shape[1]
    if not 0 <= n_factors <= n:
        raise InputError(f"n_factors must be in [0, {n}], was {n_factors}")
    sample = returns.T @ returns / len(returns)
    value, vector = np.linalg.eigh(sample)
    loading = vector[:, n - n_factors :] * np.sqrt(np.maximum(value[n - n_factors :], 0.0))
    common = loading @ loading.T
    specific = np.maximum(np.diag(sample) - np.diag(common), 0.0)
    return Covariance(matrix=common + np.diag(specific))


def shrunk_covariance(log_return: ArrayLike) -> Covariance:
    """Shrink the sample covariance around zero towards a multiple of the identity.

    Ledoit and Wolf (2004), "A well-conditioned estimator for large-dimensional covariance
    matrices", Journal of Multivariate Analysis 88(2), as in scikit-learn. Instruments of very
    different volatility should come in as standardised residuals, and get theirs back by
    :meth:`Covariance.with_sigma`.

    Parameters
    ----------
    log_return : array_like, shape (n_periods, n_instruments)
        Decimal, finite.
    """
    returns = _returns(log_return, fewest=2)
    matrix, _ = ledoit_wolf(returns, assume_centered=True)
    return Covariance(matrix=matrix)


def stressed_correlation(correlation: ArrayLike, exposure: ArrayLike, *, strength: float) -> Array:
    r"""Move correlations to those that hurt a book most.

    :math:`(1 - \lambda) R + \lambda T`, where T has +1 between exposures of one sign, −1 between
    those of opposite signs, and 0 to instruments that the book does not hold. T is the worst of all
    correlation matrices for the book; both are positive semidefinite, so their mean is.

    Parameters
    ----------
    correlation : array_like, shape (n_instruments, n_instruments)
        Where it starts.
    exposure : array_like, shape (n_instruments,)
        Money that the book gains per unit of relative price rise; only signs matter.
    strength : float
        Share of the way :math:`\lambda`, in [0, 1].

    Examples
    --------
    >>> stressed_correlation([[1.0, 0.8], [0.8, 1.0]], [5.0, -5.0], strength=0.5).round(3).tolist()
    [[1.0, -0.1], [-0.1, 1.0]]
    """
    sign = np.sign(np.asarray(exposure, dtype=np.float64))
    if sign.ndim != 1 or not np.isfinite(sign).all():
        raise InputError("exposure must be one-dimensional and finite")
    start = check_correlation(correlation, n=len(sign))
    if not (math.isfinite(strength) and 0.0 <= strength <= 1.0):
        raise InputError(f"strength must be in [0, 1], was {strength}; it is a share of the way")
    worst = np.outer(sign, sign)
    np.fill_diagonal(worst, 1.0)
    out: Array = (1.0 - strength) * start + strength * worst
    return out


def _returns(log_return: ArrayLike, *, fewest: int) -> Array:
    returns = np.asarray(log_return, dtype=np.float64)
    if returns.ndim != 2 or returns.shape[1] == 0:
        raise ShapeError(
            f"log_return must have shape (n_periods, n_instruments), was {returns.shape}"
        )
    if len(returns) < fewest:
        raise NotEnoughHistoryError(f"at least {fewest} periods are needed, found {len(returns)}")
    bad = ~np.isfinite(returns)
    if bad.any():
        raise InputError(
            f"log_return must be finite, found {bad.sum()} NaN or infinite; use dates that all "
            "instruments share: pairs of different dates give no covariance matrix"
        )
    return returns
