"""What sets instruments apart in a pooled model of logs: the bias it has for each of them.

Logs of squared returns and of realised variances stand differently to their means, so that one
correction cannot fit both. What a fit has seen of an instrument it keeps; of an instrument that it
has not seen, the outcomes that came since say the same.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..features import History

Values = NDArray[np.float64]

_PRIOR = 100.0  # weight of "this instrument is like the others", rows


def log_offsets(error: Values, column: NDArray[np.intp], n_instruments: int) -> Values:
    """Log of each instrument's mean multiplicative error, shrunk to zero, shape (n_instruments,).

    Parameters
    ----------
    error : ndarray, shape (B,)
        Outcome over forecast.
    column : ndarray of int, shape (B,)
        Instrument of each.
    n_instruments : int
        Number of instruments.
    """
    count = np.bincount(column, minlength=n_instruments).astype(np.float64)
    total = np.bincount(column, weights=error, minlength=n_instruments).astype(np.float64)
    return _shrunk(total, count)


def unseen(history: History, log_offset: Mapping[str, Values]) -> NDArray[np.bool_]:
    """Tell which instruments of a history a fit knew nothing of, shape (n_instruments,)."""
    return np.array([name not in log_offset for name in history.panel.instruments])


def late_offsets(history: History, log_ratio: Values, *, origins: slice) -> Values:
    """Offsets learnt after a fit, from the outcomes that are known at each origin.

    Parameters
    ----------
    history : History
        Past and future; an outcome counts from the row on in which it is complete.
    log_ratio : ndarray, shape (n_periods, n_instruments, n_horizons)
        What the fit says without an offset: log variance per period over the level. NaN where it
        says nothing, or where no offset is wanted.
    origins : slice
        Panel rows.

    Returns
    -------
    ndarray, shape (n_origins, n_instruments, n_horizons)
        Log of the mean error so far, shrunk to zero.
    """
    if not np.isfinite(log_ratio).any():
        return np.zeros_like(log_ratio[origins])
    n_rows = len(log_ratio)
    targets = history.targets.upto(n_rows)
    usual = np.exp(history.features.level[:n_rows, :, None]) * np.array(history.horizons)
    error = targets.variance / (usual * np.exp(log_ratio))
    cells = np.nonzero(np.isfinite(error))
    # The first axis becomes the row in which the outcome is complete.
    when = (targets.known_at[cells], *cells[1:])
    total, count = np.zeros(log_ratio.shape), np.zeros(log_ratio.shape)
    np.add.at(total, when, error[cells])
    np.add.at(count, when, 1.0)
    return _shrunk(total.cumsum(axis=0)[origins], count.cumsum(axis=0)[origins])


def _shrunk(total: Values, count: Values) -> Values:
    return np.asarray(np.log((total + _PRIOR) / (count + _PRIOR)))
