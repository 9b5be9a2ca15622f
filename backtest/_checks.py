"""Checks of what the caller hands in; every message says what to do about it."""

from numbers import Integral

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, NotEnoughHistoryError, ShapeError


def as_values(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return `values` as float64 of any shape; raise unless all are finite numbers."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name} must hold numbers, found {type(values).__name__} that does not convert "
            f"({error}); drop or convert missing entries first"
        ) from error
    n_bad = int(np.size(array) - np.isfinite(array).sum())
    if n_bad:
        raise InputError(
            f"{name} must be finite, found {n_bad} NaN or infinite of {array.size}; "
            "drop these periods from every series first"
        )
    return array


def as_series(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return `values` as a finite, non-empty, 1-D float64 array."""
    array = as_values(name, values)
    if array.ndim != 1:
        raise ShapeError(
            f"{name} must have shape (n,), was {array.shape}; "
            "pass one instrument and side at a time, or average first"
        )
    if array.size == 0:
        raise NotEnoughHistoryError(f"{name} must hold at least 1 period, was empty")
    return array


def as_breach(breach: ArrayLike) -> NDArray[np.bool_]:
    """Return `breach` as a 1-D bool array; raise on anything but True/False or 0/1."""
    series = as_series("breach", breach)
    n_bad = int(((series != 0) & (series != 1)).sum())
    if n_bad:
        raise InputError(
            f"breach must hold True/False or 0/1, found {n_bad} other values of {series.size}; "
            "pass loss > margin"
        )
    hits: NDArray[np.bool_] = series == 1
    return hits


def check_same_shape(**arrays: NDArray[np.float64] | NDArray[np.bool_]) -> None:
    """Raise unless all arrays have one shape; a scalar goes with any."""
    shapes = {name: array.shape for name, array in arrays.items() if array.ndim}
    if len(set(shapes.values())) > 1:
        found = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ShapeError(f"arrays must have the same shape, was {found}; align them first")


def check_probability(name: str, value: float, *, example: str = "0.01 for 1 %") -> None:
    """Raise unless `value` lies strictly between 0 and 1."""
    if not 0.0 < value < 1.0:
        raise InputError(f"{name} must be in (0, 1), was {value}; write {example}")


def check_count(name: str, value: object, *, minimum: int) -> None:
    """Raise unless `value` is a whole number of at least `minimum`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < minimum:
        raise InputError(f"{name} must be a whole number >= {minimum}, was {value!r}")


def check_longer_than(name: str, array: NDArray[np.generic], minimum: int, reason: str) -> None:
    """Raise unless `array` has more than `minimum` rows."""
    if len(array) <= minimum:
        raise NotEnoughHistoryError(
            f"{name} must hold more than {minimum} periods for {reason}, was {len(array)}; "
            "use a longer test period"
        )
