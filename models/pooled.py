"""Pooled data: the rows of all instruments as one table, for models that learn from all at once."""

import numpy as np
from numpy.typing import NDArray

from ..features import History


def usable_rows(history: History) -> NDArray[np.bool_]:
    """Find where a pooled model may forecast: present, with a level and a month of variances.

    Shape (n_periods, n_instruments).
    """
    month = history.features.column("log_variance_month")
    level = history.features.level
    return np.asarray(history.panel.present & np.isfinite(month) & np.isfinite(level))
