"""Probability integral transforms as the tests of densities take them."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError
from .._checks import as_series


def as_pit(pit: ArrayLike) -> NDArray[np.float64]:
    """Return `pit` as a 1-D float64 array; raise unless all lie strictly between 0 and 1."""
    series = as_series("pit", pit)
    n_bad = int(((series <= 0.0) | (series >= 1.0)).sum())
    if n_bad:
        raise InputError(
            f"pit must be in (0, 1), found {n_bad} outside or at the ends of {series.size}; "
            "pass F(outcome) of a law without atoms, for an empirical one (rank - 0.5) / size"
        )
    return series
