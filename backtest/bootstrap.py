"""Intervals for anything, from dependent data: the stationary block bootstrap."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError, ShapeError
from ._checks import check_count, check_longer_than, check_probability

_RESAMPLES_AT_ONCE = 100


@dataclass(frozen=True, kw_only=True)
class BootstrapInterval:
    """Percentile interval of a statistic.

    Attributes
    ----------
    estimate : float
        Statistic of the data as they are, in its own unit.
    low, high : float
        Ends of the interval, same unit.
    confidence_level : float
        Nominal coverage in (0, 1), both tails cut equally.
    """

    estimate: float
    low: float
    high: float
    confidence_level: float


def stationary_block_indices(
    n: int, *, mean_block: float, n_resamples: int, rng: np.random.Generator
) -> NDArray[np.intp]:
    r"""Rows of `n` periods resampled in blocks of random length.

    Each step starts a new block at a uniform position with probability ``1 / mean_block``, else
    goes on to the next period; the last period is followed by the first. Block lengths are
    geometric, which keeps a stationary series stationary [1]_.

    Parameters
    ----------
    n : int
        Number of periods, >= 1.
    mean_block : float
        Mean block length in periods, >= 1; 1 resamples single periods. Choose at least the
        horizon when outcomes overlap.
    n_resamples : int
        Number of resamples, >= 1.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of intp, shape (n_resamples, n)
        Positions in [0, n).

    Raises
    ------
    InputError
        If an argument is out of range.

    References
    ----------
    .. [1] Politis and Romano (1994), "The Stationary Bootstrap", JASA 89(428).
    """
    check_count("n", n, minimum=1)
    check_count("n_resamples", n_resamples, minimum=1)
    if not 1.0 <= mean_block < np.inf:
        raise InputError(f"mean_block must be >= 1 period and finite, was {mean_block}")
    shape = (n_resamples, n)
    position = np.arange(n)
    is_start = rng.random(shape) < 1.0 / mean_block
    block_start = np.maximum.accumulate(np.where(is_start, position, 0), axis=1)
    # Within a block the periods move by one shift, drawn where the block starts.
    shift = np.take_along_axis(rng.integers(n, size=shape), block_start, axis=1)
    indices: NDArray[np.intp] = ((position + shift) % n).astype(np.intp)
    return indices


def bootstrap_means(
    values: NDArray[np.float64], *, mean_block: float, n_resamples: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Column means of resampled periods, all columns with the same periods.

    Parameters
    ----------
    values : ndarray, shape (n, n_columns)
        One row per period; finite.
    mean_block, n_resamples, rng
        As for :func:`stationary_block_indices`.

    Returns
    -------
    ndarray, shape (n_resamples, n_columns)
        Same unit as `values`.
    """
    n, means = len(values), []
    # A few resamples at a time: the positions of all of them would take hundreds of megabytes.
    for first in range(0, n_resamples, _RESAMPLES_AT_ONCE):
        some = min(_RESAMPLES_AT_ONCE, n_resamples - first)
        rows = stationary_block_indices(n, mean_block=mean_block, n_resamples=some, rng=rng)
        flat = (rows + n * np.arange(some)[:, None]).ravel()
        means.append(np.bincount(flat, minlength=some * n).reshape(some, n) @ values / n)
    return np.concatenate(means)


def bootstrap_interval(
    statistic: Callable[..., float],
    *arrays: ArrayLike,
    confidence_level: float,
    mean_block: float,
    n_resamples: int,
    rng: np.random.Generator,
) -> BootstrapInterval:
    """Percentile interval of ``statistic(*arrays)`` under the stationary bootstrap.

    All arrays are resampled with the same periods, so what is paired stays paired: the
    difference of two policies keeps their common shocks.

    Parameters
    ----------
    statistic : callable
        Takes as many arrays as are given and returns one finite number.
    *arrays : array_like, shape (n, ...)
        Data with periods along the first axis; one common n of at least 2.
    confidence_level : float
        Nominal coverage in (0, 1), for example 0.95. Blocks shorter than the dependence, and
        few breaches, make the true coverage lower.
    mean_block : float
        Mean block length in periods, >= 1.
    n_resamples : int
        Number of resamples, >= 1; the ends are noisy below about 1000.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    BootstrapInterval
        Estimate and ends in the unit of `statistic`.

    Raises
    ------
    InputError
        If arrays differ in length, an argument is out of range, or the statistic is not finite
        on the data or on a resample.

    References
    ----------
    Politis and Romano (1994), "The Stationary Bootstrap", JASA 89(428).

    Examples
    --------
    >>> loss = np.arange(100.0)
    >>> interval = bootstrap_interval(
    ...     np.mean, loss, confidence_level=0.9, mean_block=5, n_resamples=200,
    ...     rng=np.random.default_rng(0))
    >>> interval.low < interval.estimate == 49.5 < interval.high
    True
    """
    check_probability("confidence_level", confidence_level, example="0.95 for 95 %")
    data = _as_paired(arrays)
    indices = stationary_block_indices(
        len(data[0]), mean_block=mean_block, n_resamples=n_resamples, rng=rng
    )
    estimate = float(statistic(*data))
    resampled = np.array([statistic(*(array[row] for array in data)) for row in indices], float)
    n_bad = int(np.sum(~np.isfinite(resampled)))
    if n_bad or not np.isfinite(estimate):
        raise InputError(
            f"statistic must be finite, was {estimate} on the data and not finite on {n_bad} of "
            f"{n_resamples} resamples; drop missing periods, or say what it is on an empty case"
        )
    tail = (1.0 - confidence_level) / 2.0
    low, high = np.quantile(resampled, [tail, 1.0 - tail])
    return BootstrapInterval(
        estimate=estimate, low=float(low), high=float(high), confidence_level=confidence_level
    )


def _as_paired(arrays: tuple[ArrayLike, ...]) -> list[NDArray[np.generic]]:
    data: list[NDArray[np.generic]] = [np.asarray(array) for array in arrays]
    if not data:
        raise InputError("arrays must hold at least 1 array, was empty; pass data to resample")
    if any(array.ndim == 0 or len(array) != len(data[0]) for array in data):
        shapes = ", ".join(str(array.shape) for array in data)
        raise ShapeError(f"arrays must share the first axis, shapes were {shapes}; align them")
    check_longer_than("arrays", data[0], 1, "a bootstrap")
    return data
