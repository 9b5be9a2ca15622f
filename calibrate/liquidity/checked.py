"""Numbers as the formulas of this package take them: finite, in range, of shapes that fit."""

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, ShapeError

Array = NDArray[np.float64]
Numbers = float | Array
"""One number or an array of them; everything here works elementwise and broadcasts."""


def non_negative(*, unknown: bool = False, **given: Numbers) -> tuple[Array, ...]:
    """Return the arguments as arrays; all must be zero or more, and fit each other.

    Parameters
    ----------
    unknown : bool
        Whether NaN may stand for what is not known.
    **given
        Each under the name that its caller knows.

    Raises
    ------
    InputError
        If a number is negative, infinite or not known.
    ShapeError
        If the shapes cannot be broadcast.
    """
    return _checked("zero or more and finite", given, unknown=unknown, lowest=0.0)


def positive(*, unknown: bool = False, **given: Numbers) -> tuple[Array, ...]:
    """Return the arguments as arrays, as :func:`non_negative`; all must exceed zero."""
    above = float(np.nextafter(0.0, 1.0))
    return _checked("positive and finite", given, unknown=unknown, lowest=above)


def probability(*, unknown: bool = False, **given: Numbers) -> tuple[Array, ...]:
    """Return the arguments as arrays, as :func:`non_negative`; all must be in [0, 1]."""
    return _checked("in [0, 1]", given, unknown=unknown, lowest=0.0, highest=1.0)


def _checked(
    wanted: str,
    given: dict[str, Numbers],
    *,
    unknown: bool,
    lowest: float,
    highest: float = float(np.finfo(np.float64).max),
) -> tuple[Array, ...]:
    arrays = tuple(np.asarray(value, dtype=np.float64) for value in given.values())
    for name, values in zip(given, arrays, strict=True):
        allowed = (values >= lowest) & (values <= highest)
        if unknown:
            allowed |= np.isnan(values)
        if not allowed.all():
            first = values[~allowed].flat[0]
            raise InputError(
                f"{name} must be {wanted}, found {first:g} and {np.sum(~allowed) - 1} more that "
                f"are not, of {values.size}; correct them, or leave those positions out"
            )
    common_shape(**dict(zip(given, arrays, strict=True)))
    return arrays


def common_shape(**given: Array) -> tuple[int, ...]:
    """Return the common shape of the arguments; a :class:`ShapeError` if there is none."""
    try:
        return np.broadcast_shapes(*(values.shape for values in given.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {values.shape}" for name, values in given.items())
        raise ShapeError(f"shapes must fit each other, were {shapes}; align the axes") from None


def finite(name: str, values: Array) -> Array:
    """Return a result that did not leave the range of numbers."""
    if not np.isfinite(values).all():
        raise InputError(
            f"{name} must be a finite number, but is not for {np.sum(~np.isfinite(values))} of "
            f"{values.size} positions; check the units of what goes into it"
        )
    return values
