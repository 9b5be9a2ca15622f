"""Standard errors of GARCH estimates: three kinds, and what happens on a bound."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import null_space

from ...errors import InputError
from .entries import curvature_entry
from .kernel_rows import scale_of
from .kernel_transform import LARGEST_NU, LARGEST_SKEWED_NU, LOWEST_OMEGA, SMALLEST_NU
from .options import Distribution, GarchModel, Volatility
from .running import rescaled

Array = NDArray[np.float64]

ErrorKind = Literal["hessian", "opg", "robust"]

_ON_BOUND = (
    2e-5  # a parameter this close to a bound lies on it: a little more than the searches' slack
)


def standard_errors(
    model: GarchModel, log_return: Array, rows: NDArray[np.int64], theta: Array, *, kind: ErrorKind
) -> Array:
    """Return standard errors in the units of the returns, shape (n_series, n_params).

    Parameters
    ----------
    model : GarchModel
        What was estimated.
    log_return : ndarray, shape (n_values,)
        Returns of all series.
    rows : ndarray of int, shape (n_series, 2)
        First place and length of each.
    theta : ndarray, shape (n_series, 7)
        Estimates; rows of NaN get NaN.
    kind : {"hessian", "opg", "robust"}
        See :meth:`GarchBatch.standard_errors`.
    """
    if kind not in get_args(ErrorKind):
        raise InputError(f"kind must be one of {', '.join(get_args(ErrorKind))}, was {kind!r}")
    hessian, outer = np.empty((2, len(rows), 7, 7))
    curvature_entry(log_return, rows, model.plan(), theta, hessian, outer)
    columns = model.columns
    pick = np.ix_(columns, columns)
    out = np.full((len(rows), len(columns)), np.nan)
    for i in np.flatnonzero(np.isfinite(theta[:, 1])):
        first, n = rows[i]
        scale = scale_of(log_return[first : first + n], bool(model.plan().free_mean))[1]
        unit = rescaled(theta[i : i + 1], np.array([1.0 / scale]), model)[0]
        free = null_space(_bounds_reached(model, unit)[:, columns])
        covariance = _covariance(-hessian[i][pick], outer[i][pick], free, kind)
        if covariance is None:
            continue
        back = _back(model, scale)[pick]
        variance = np.diag(back @ covariance @ back.T)
        out[i] = np.sqrt(np.where(variance > 0.0, variance, np.nan))
    return out


def _covariance(information: Array, outer: Array, free: Array, kind: ErrorKind) -> Array | None:
    """Return the covariance along the free directions; None if it is not positive definite."""
    bread, meat = free.T @ information @ free, free.T @ outer @ free
    try:
        inverse = np.linalg.inv(meat if kind == "opg" else bread)
        np.linalg.cholesky(inverse)
    except np.linalg.LinAlgError:
        return None
    inner = inverse @ meat @ inverse if kind == "robust" else inverse
    out: Array = free @ inner @ free.T
    # What lies on a bound has no direction left: rounding is not an error of 1e-17.
    out[np.abs(out) < 1e-14 * np.abs(out).max()] = 0.0
    return out


def _back(model: GarchModel, scale: float) -> Array:
    """Return the derivatives of the parameters by those of the series of deviation one."""
    out = np.eye(7)
    out[0, 0] = scale
    if model.volatility is Volatility.EGARCH:
        out[1, 4] = -2.0 * np.log(scale)
    else:
        out[1, 1] = scale**2
    return out


def _bounds_reached(model: GarchModel, unit: Array) -> Array:
    """Return the gradients of the bounds that an estimate lies on, shape (n_reached, 7)."""
    _, omega, alpha, gamma, beta, nu, _ = unit
    identity = np.eye(7)
    reached = []
    if model.volatility is Volatility.EGARCH:
        if not _ON_BOUND < beta < 1.0 - _ON_BOUND:
            reached.append(identity[4])
    else:
        asymmetric = model.volatility is Volatility.GJR
        whole = identity[2] + 0.5 * identity[3] + identity[4]
        bounds = [
            (omega <= 10.0 * LOWEST_OMEGA, identity[1]),
            (alpha <= _ON_BOUND, identity[2]),
            (asymmetric and alpha + gamma <= _ON_BOUND, identity[2] + identity[3]),
            (beta <= _ON_BOUND, identity[4]),
            (whole @ unit >= 1.0 - _ON_BOUND, whole),
        ]
        reached += [direction for on, direction in bounds if on]
    if model.distribution is not Distribution.NORMAL:
        largest = LARGEST_NU if model.distribution is Distribution.T else LARGEST_SKEWED_NU
        if not SMALLEST_NU + 1e-4 < nu < 0.999 * largest:
            reached.append(identity[5])
    return np.array(reached).reshape(-1, 7)
