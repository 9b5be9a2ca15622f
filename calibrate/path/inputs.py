"""Checks of what the rule is given."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, ShapeError
from .limits import MarginLimits

# Far beyond any margin, and quotients and products of two such numbers stay finite.
SMALLEST_LEVEL, LARGEST_LEVEL = 1e-100, 1e100


def checked_target(target: ArrayLike) -> NDArray[np.float64]:
    """Return the target as an array, shape (n,); it must be positive and finite everywhere."""
    values = np.asarray(target, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ShapeError(f"target must have shape (n,) with n at least 1, was {values.shape}")
    _check_numbers("target", values, positive=True)
    return values


def checked_beside(
    name: str, values: ArrayLike | None, n: int, *, positive: bool
) -> NDArray[np.float64]:
    """Return an array beside the target, shape (n,); zeros where there is none."""
    if values is None:
        return np.zeros(n)
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (n,):
        raise ShapeError(f"{name} must have shape ({n},) like target, was {array.shape}")
    _check_numbers(name, array, positive=positive)
    return array


def checked_expected(expected: ArrayLike | None, n: int) -> NDArray[np.float64]:
    """Return the expected targets, shape (n, k); k is 0 where there are none."""
    if expected is None:
        return np.zeros((n, 0))
    array = np.ascontiguousarray(expected, dtype=np.float64)
    if array.ndim != 2 or len(array) != n:
        raise ShapeError(
            f"expected must have shape ({n}, k), one row per target, was {array.shape}"
        )
    _check_numbers("expected", array, positive=True)
    return array


def check_start(start: float | None, limits: MarginLimits) -> None:
    """Check that the margin in force before the first period obeys floor and cap."""
    if start is None:
        return
    _check_numbers("start", np.array([start], dtype=np.float64), positive=True)
    if not limits.floor <= start <= limits.cap:
        raise InputError(
            f"start must be within floor {limits.floor} and cap {limits.cap}, was {start}; leave "
            "it out to start at the first level asked for"
        )


def check_stressed(given: bool, limits: MarginLimits) -> None:
    """Check that a stressed margin is given if and only if it has a weight."""
    if given != (limits.lift.stress_weight > 0.0):
        raise InputError(
            "stressed must be given if and only if stress_weight is positive, weight was "
            f"{limits.lift.stress_weight} and stressed was {'given' if given else 'left out'}"
        )


def _check_numbers(name: str, values: NDArray[np.float64], *, positive: bool) -> None:
    lowest = SMALLEST_LEVEL if positive else 0.0
    bad = ~((values >= lowest) & (values <= LARGEST_LEVEL))
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"{name} must be finite, within {lowest:g} and {LARGEST_LEVEL:g}, found {bad.sum()} "
            f"values that are not, the first {values[first]} at {list(first)}; leave out what is "
            "not known"
        )
