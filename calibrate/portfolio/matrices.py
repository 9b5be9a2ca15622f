"""Symmetric matrices: checks, and roots that stay positive semidefinite."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, ShapeError

Array = NDArray[np.float64]

# Rounding leaves eigenvalues of this size, relative to the largest, below zero.
_ROUNDING = 1e-10


def check_semidefinite(matrix: ArrayLike, name: str) -> Array:
    """Return a symmetric positive semidefinite matrix, or say what it is instead."""
    array = np.array(matrix, dtype=np.float64)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not array.size:
        raise ShapeError(f"{name} must be square, was {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"{name} must be finite, found {np.sum(~np.isfinite(array))} that are not")
    size = float(np.abs(array).max())
    if np.abs(array - array.T).max() > _ROUNDING * size:
        raise InputError(f"{name} must be symmetric, is off by {np.abs(array - array.T).max():.3g}")
    array = 0.5 * (array + array.T)
    lowest = float(np.linalg.eigvalsh(array)[0])
    if lowest < -_ROUNDING * size * len(array):
        raise InputError(
            f"{name} must be positive semidefinite, has eigenvalue {lowest:.3g}; estimate it from "
            "dates that all instruments share"
        )
    return array


def check_correlation(matrix: ArrayLike, *, n: int) -> Array:
    """Return a correlation matrix of n instruments with an exact unit diagonal."""
    array = check_semidefinite(matrix, "correlation")
    if array.shape != (n, n):
        raise ShapeError(f"correlation must have shape ({n}, {n}), was {array.shape}")
    if np.abs(np.diag(array) - 1.0).max() > 1e-8:
        raise InputError(
            f"correlation must have ones on its diagonal, had {np.diag(array)[:3].tolist()}; "
            "divide a covariance by the standard deviations"
        )
    np.fill_diagonal(array, 1.0)
    return array


def root_of(matrix: Array) -> Array:
    """Return the symmetric root of a positive semidefinite matrix."""
    value, vector = np.linalg.eigh(matrix)
    root: Array = (vector * np.sqrt(np.maximum(value, 0.0))) @ vector.T
    return root
