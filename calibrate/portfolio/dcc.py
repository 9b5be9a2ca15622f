r"""Dynamic conditional correlation of standardised residuals.

Engle (2002), "Dynamic conditional correlation", Journal of Business & Economic Statistics 20(3):

.. math:: Q_{t+1} = (1 - a - b) \bar Q + a z_t z_t' + b Q_t, \qquad
          R_t = \mathrm{diag}(Q_t)^{-1/2}\, Q_t\, \mathrm{diag}(Q_t)^{-1/2},

with two numbers for all pairs, so that every :math:`R_t` is positive definite if the target
:math:`\bar Q` is.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from ...errors import ConvergenceError, InputError, NotEnoughHistoryError, ShapeError
from .matrices import check_correlation

Array = NDArray[np.float64]

_HIGHEST_PERSISTENCE = 0.9999
_STARTS = ((0.02, 0.95), (0.05, 0.9), (0.01, 0.98), (0.1, 0.6))
_FEWEST = 50


@dataclass(frozen=True, kw_only=True, eq=False)
class DccFit:
    """Estimated dynamic correlations; read-only arrays.

    Attributes
    ----------
    a, b : float
        Answer to news and persistence, not negative, sum below one.
    target : ndarray, shape (n_instruments, n_instruments)
        Correlation matrix to which the recursion reverts.
    log_likelihood : float
        Of the correlations, normal, with the constant and without the variances.
    correlation : ndarray, shape (n_instruments, n_instruments)
        For the period after the last residual.
    """

    a: float
    b: float
    target: Array
    log_likelihood: float
    correlation: Array

    def __post_init__(self) -> None:
        self.target.setflags(write=False)
        self.correlation.setflags(write=False)


def fit_dcc(residual: ArrayLike, *, target: ArrayLike | None = None) -> DccFit:
    """Estimate a and b by normal quasi-likelihood, given the target.

    Parameters
    ----------
    residual : array_like, shape (n_periods, n_instruments)
        Returns over their volatility forecasts, finite, oldest first.
    target : array_like, shape (n_instruments, n_instruments), optional
        Positive definite correlation; that of the residuals by default. With many instruments, the
        correlation of :func:`shrunk_covariance` (Engle, Ledoit and Wolf 2019).

    Returns
    -------
    DccFit
        Parameters, and the correlation of the next period.

    Raises
    ------
    NotEnoughHistoryError
        If there are fewer than 50 periods.
    InputError
        If a residual is not finite, or the target is singular.
    ConvergenceError
        If no search ends.
    """
    z = np.ascontiguousarray(residual, dtype=np.float64)
    if z.ndim != 2 or z.shape[1] < 2:
        raise ShapeError(f"residual must have shape (n_periods, 2 or more), was {z.shape}")
    if not np.isfinite(z).all():
        raise InputError(
            f"residual must be finite, found {np.sum(~np.isfinite(z))} that are not; use dates "
            "that all instruments share"
        )
    if len(z) < _FEWEST:
        raise NotEnoughHistoryError(f"at least {_FEWEST} periods are needed, found {len(z)}")
    reverts_to = _target(z, target)

    def loss(parameters: Array) -> float:
        persistence, share = parameters
        return -dcc_log_likelihood(z, reverts_to, persistence * share, persistence * (1 - share))

    # Persistence and the part of news are nearly independent; a and b are not.
    starts = [np.array([a + b, a / (a + b)]) for a, b in _STARTS]
    best = min(starts, key=loss)
    found = minimize(
        loss,
        best,
        method="Nelder-Mead",
        bounds=[(0.0, _HIGHEST_PERSISTENCE), (0.0, 1.0)],
        options={"xatol": 1e-6, "fatol": 1e-7, "maxiter": 500},
    )
    if not found.success or not np.isfinite(found.fun):
        raise ConvergenceError(
            f"the correlations' likelihood has no maximum that the search finds: {found.message}; "
            "check that residuals have a variance near one"
        )
    persistence, share = found.x
    a, b = float(persistence * share), float(persistence * (1.0 - share))
    return DccFit(
        a=a,
        b=b,
        target=reverts_to,
        log_likelihood=-float(found.fun),
        correlation=dcc_correlations(z, reverts_to, a, b)[-1],
    )


def _target(z: Array, target: ArrayLike | None) -> Array:
    n = z.shape[1]
    if target is None:
        moments = z.T @ z / len(z)
        scale = np.sqrt(np.diag(moments))
        if (scale == 0.0).any():
            raise InputError(
                f"residual must vary, columns {np.flatnonzero(scale == 0.0)[:5].tolist()} do not"
            )
        target = moments / np.outer(scale, scale)
    matrix = check_correlation(target, n=n)
    lowest = float(np.linalg.eigvalsh(matrix)[0])
    if lowest < 1e-8:
        raise InputError(
            f"target must be positive definite, has eigenvalue {lowest:.3g}; hand over the "
            "correlation of shrunk_covariance, or leave out instruments that repeat others"
        )
    return matrix


@njit(cache=True, nogil=True)
def dcc_correlations(z: Array, target: Array, a: float, b: float) -> Array:
    """Return the correlation of every period and of the next, shape (n_periods + 1, n, n)."""
    n_periods, n = z.shape
    out = np.empty((n_periods + 1, n, n))
    q = target.copy()
    for t in range(n_periods + 1):
        for i in range(n):
            for j in range(n):
                out[t, i, j] = q[i, j] / np.sqrt(q[i, i] * q[j, j]) if i != j else 1.0
        if t < n_periods:
            _step(q, z[t], target, a, b)
    return out


@njit(cache=True, nogil=True)
def _step(q: Array, z: Array, target: Array, a: float, b: float) -> None:
    rest = 1.0 - a - b
    for i in range(len(z)):
        for j in range(len(z)):
            q[i, j] = rest * target[i, j] + a * z[i] * z[j] + b * q[i, j]


@njit(cache=True, nogil=True)
def dcc_log_likelihood(z: Array, target: Array, a: float, b: float) -> float:
    """Compute the normal log-likelihood given unit variances; minus infinity if impossible."""
    n_periods, n = z.shape
    q, lower, solved = target.copy(), np.zeros((n, n)), np.empty(n)
    total = -0.5 * n_periods * n * np.log(2.0 * np.pi)
    for t in range(n_periods):
        for i in range(n):
            for j in range(i + 1):
                rest = q[i, j] / np.sqrt(q[i, i] * q[j, j]) if i != j else 1.0
                for k in range(j):
                    rest -= lower[i, k] * lower[j, k]
                if i > j:
                    lower[i, j] = rest / lower[j, j]
                elif rest > 0.0:
                    lower[i, i] = np.sqrt(rest)
                else:
                    return -np.inf
            rest = z[t, i]
            for k in range(i):
                rest -= lower[i, k] * solved[k]
            solved[i] = rest / lower[i, i]
            total -= np.log(lower[i, i]) + 0.5 * solved[i] * solved[i]
        _step(q, z[t], target, a, b)
    return float(total)
