"""A GARCH model on thousands of windows of one series, in one call."""

import numpy as np
from numpy.typing import ArrayLike

from ...errors import NotEnoughHistoryError, ShapeError
from .batch import GarchBatch, as_batch
from .kernel_rows import FEWEST
from .options import garch_model
from .running import fit_all

_CHAIN = 50  # windows that start where the one before them ended


def fit_garch_rolling(
    log_return: ArrayLike,
    *,
    window: int,
    step: int = 1,
    volatility: str = "garch",
    distribution: str = "normal",
    mean: str = "constant",
    start_variance: str = "mean-square",
    n_threads: int | None = None,
) -> GarchBatch:
    """Estimate one model on every window of a series, each from the solution of the one before.

    Chains of fifty windows run side by side; the first of each is searched cold.

    Parameters
    ----------
    log_return : array_like, shape (n_periods,)
        Finite, decimal or percent.
    window : int
        Returns in a window, at least 100.
    step : int
        Periods from one window to the next.
    volatility, distribution, mean, start_variance, n_threads
        As in :func:`fit_garch_batch`.

    Returns
    -------
    GarchBatch
        One row per window, the first window first; row i ends with return
        ``window + i step - 1``.
    """
    model = garch_model(
        volatility=volatility,
        distribution=distribution,
        mean=mean,
        start_variance=start_variance,
    )
    flat = np.array(log_return, dtype=np.float64)
    if flat.ndim != 1 or not np.isfinite(flat).all():
        raise ShapeError(
            f"log_return must be one series of finite returns, found shape {flat.shape} and "
            f"{int(np.sum(~np.isfinite(flat)))} that are not finite; drop them, or fit a batch"
        )
    if window < FEWEST or step < 1 or len(flat) < window:
        raise NotEnoughHistoryError(
            f"window must be at least {FEWEST} and at most the {len(flat)} returns, step at least "
            f"1; they were {window} and {step}"
        )
    firsts = np.arange(0, len(flat) - window + 1, step, dtype=np.int64)
    rows = np.column_stack([firsts, np.full_like(firsts, window)])
    found = fit_all(flat, rows, model, chain=_CHAIN, n_threads=n_threads)
    return as_batch(model, flat, rows, found)
