"""What was known when a forecast was made, beside the loss differences it explains."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import ShapeError
from .._checks import as_values, check_longer_than


def pair_with_instruments(
    difference: NDArray[np.float64], instruments: ArrayLike | None, *, horizon: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the differences used and what was known before each.

    Parameters
    ----------
    difference : ndarray, shape (n, n_differences)
        Loss differences, one row per origin.
    instruments : array_like, shape (n,) or (n, n_instruments), or None
        Row t holds what was known at origin t. None takes a constant and the differences of the
        last origin whose outcome was known, `horizon` rows above; the first rows are then lost.
    horizon : int
        Number of periods that outcomes span.

    Returns
    -------
    difference : ndarray, shape (n_used, n_differences)
        Loss differences of the origins that can be used.
    known : ndarray, shape (n_used, n_instruments)
        Instruments of the same origins.

    Raises
    ------
    InputError
        If instruments are not finite, have another number of rows or no column, or too few
        periods are left.
    """
    if instruments is None:
        check_longer_than("losses", difference, 2 * horizon, f"a lag of {horizon}")
        lagged = difference[:-horizon]
        return difference[horizon:], np.column_stack([np.ones(len(lagged)), lagged])
    known = as_values("instruments", instruments)
    if known.ndim == 1:
        known = known[:, None]
    if known.ndim != 2 or len(known) != len(difference) or known.shape[1] == 0:
        raise ShapeError(
            f"instruments must have shape ({len(difference)},) or ({len(difference)}, "
            f"n_instruments >= 1) to match the losses, was {np.shape(instruments)}"
        )
    return difference, known
