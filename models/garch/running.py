"""Run the compiled estimation over many series, on some threads."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numba import config
from numpy.typing import NDArray

from .entries import fit_entry
from .options import ALL_PARAMETERS, GarchModel, Volatility

Array = NDArray[np.float64]

_SERIES_PER_TASK = 16
_SAMPLE = 15  # series whose median starts the others


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimates:
    """What the compiled code found, one row per series.

    Attributes
    ----------
    theta : ndarray, shape (n_series, 7)
        One value for each of `ALL_PARAMETERS`, in the units of the returns.
    log_likelihood, next_variance : ndarray, shape (n_series,)
        At the estimate; of the period after the series.
    status, passes : ndarray of int, shape (n_series,)
        Verdict and effort.
    """

    theta: Array
    log_likelihood: Array
    next_variance: Array
    status: NDArray[np.int64]
    passes: NDArray[np.int64]


def fit_all(
    log_return: Array,
    rows: NDArray[np.int64],
    model: GarchModel,
    *,
    start: Array | None = None,
    chain: int | None = None,
    n_threads: int | None = None,
) -> Estimates:
    """Estimate every row.

    Parameters
    ----------
    log_return : ndarray, shape (n_values,)
        Returns of all series, finite inside the rows.
    rows : ndarray of int, shape (n_series, 2)
        First place and length of each.
    model : GarchModel
        What to estimate.
    start : ndarray, shape (n_series, 7), optional
        Where to start, in the units of the returns; NaN in a row for a cold start.
    chain : int, optional
        Start each row where the one before it ended, in chains of this many rows.
    n_threads : int, optional
        Threads; none of the numbers depends on how many. All that numba may use by default.
    """
    theta = np.full((len(rows), len(ALL_PARAMETERS)), np.nan) if start is None else start.copy()
    value = np.full((len(rows), 2), np.nan)
    verdict = np.zeros((len(rows), 2), dtype=np.int64)
    plan = model.plan(chained=chain is not None)

    def run(first: int, size: int) -> None:
        part = slice(first, first + size)
        fit_entry(log_return, rows[part], plan, theta[part], value[part], verdict[part])

    size = chain or _SERIES_PER_TASK
    threads = int(vars(config)["NUMBA_NUM_THREADS"]) if n_threads is None else n_threads
    firsts = range(0, len(rows), size)
    if threads == 1 or len(firsts) == 1:
        for first in firsts:
            run(first, size)
    else:
        # The compiled code holds no lock; plain threads survive forks and nested pools.
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(partial(run, size=size), firsts))
    return Estimates(
        theta=theta,
        log_likelihood=value[:, 0],
        next_variance=value[:, 1],
        status=verdict[:, 0],
        passes=verdict[:, 1],
    )


def one_start_for_all(log_return: Array, rows: NDArray[np.int64], model: GarchModel) -> Array:
    """Return the median estimate of some series as the start of all, shape (n_series, 7).

    Each series gets it in its own units: the median is taken over series of deviation one.
    """
    chosen = np.unique(np.linspace(0, len(rows) - 1, _SAMPLE).astype(int))
    scale = np.array([_deviation(log_return, row) for row in rows])
    sample = fit_all(log_return, rows[chosen], model).theta
    known = np.isfinite(sample[:, 0])
    if not known.any():
        return np.full((len(rows), len(ALL_PARAMETERS)), np.nan)
    unit = rescaled(sample[known], 1.0 / scale[chosen][known], model)
    return rescaled(np.tile(np.median(unit, axis=0), (len(rows), 1)), scale, model)


def rescaled(theta: Array, factor: Array, model: GarchModel) -> Array:
    """Turn parameters for returns into those for `factor` times the returns, row by row."""
    out = theta.copy()
    out[:, 0] *= factor
    if model.volatility is Volatility.EGARCH:
        out[:, 1] += (1.0 - theta[:, 4]) * 2.0 * np.log(factor)
    else:
        out[:, 1] *= factor**2
    return out


def _deviation(log_return: Array, row: NDArray[np.int64]) -> float:
    own = log_return[row[0] : row[0] + row[1]]
    return float(np.std(own)) if len(own) and np.ptp(own) > 0.0 else np.nan
