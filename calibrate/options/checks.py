"""What numbers of an option must be before anything is computed from them."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, ShapeError


def finite(name: str, value: ArrayLike) -> NDArray[np.float64]:
    """Return `value` as an array, or stop if a number in it is NaN or infinite."""
    array = np.asarray(value, dtype=np.float64)
    bad = np.count_nonzero(~np.isfinite(array))
    if bad:
        raise InputError(
            f"{name} must be finite, found {bad} of {array.size} NaN or infinite; leave out what "
            "has no mark, or mark it"
        )
    return array


def positive(name: str, value: ArrayLike) -> NDArray[np.float64]:
    """Return `value` as an array, or stop if a number in it is not finite and above zero."""
    array = finite(name, value)
    if np.any(array <= 0.0):
        raise InputError(
            f"{name} must be positive, found {np.count_nonzero(array <= 0.0)} of {array.size} that "
            f"are not, the lowest {array.min()}"
        )
    return array


def not_negative(name: str, value: ArrayLike) -> NDArray[np.float64]:
    """Return `value` as an array, or stop if a number in it is not finite or below zero."""
    array = finite(name, value)
    if np.any(array < 0.0):
        raise InputError(
            f"{name} must not be negative, found {np.count_nonzero(array < 0.0)} of {array.size} "
            f"that are, the lowest {array.min()}"
        )
    return array


def fraction(name: str, value: ArrayLike) -> NDArray[np.float64]:
    """Return `value` as an array, or stop if a number in it is outside [0, 1]."""
    array = not_negative(name, value)
    if np.any(array > 1.0):
        raise InputError(
            f"{name} must be in [0, 1], found {np.count_nonzero(array > 1.0)} above, the highest "
            f"{array.max()}; write 0.05 for 5 %"
        )
    return array


def same_shape(shape: tuple[int, ...], **arrays: NDArray[np.float64]) -> None:
    """Stop if an array does not have `shape`."""
    for name, array in arrays.items():
        if array.shape != shape:
            raise ShapeError(f"{name} must have shape {shape}, was {array.shape}")


def read_only(array: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a copy that nobody can write to."""
    copy = np.array(array, dtype=np.float64)
    copy.setflags(write=False)
    return copy
