"""Arrays of the moving parts: shape (n_periods, n_instruments), or one entry per instrument."""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Present = NDArray[np.bool_]
Counts = NDArray[np.int64]


def dense(x: Values) -> Values:
    """Return a writable copy in C order: one layout, so that a step is compiled once."""
    return np.array(x, dtype=np.float64, order="C")
