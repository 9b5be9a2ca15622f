"""The known returns of each period, side by side in one array."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ...errors import InputError


@dataclass(frozen=True, kw_only=True, eq=False)
class Segments:
    """Known returns, period after period; a return that is not known is left out.

    Attributes
    ----------
    log_return : ndarray, shape (n_known,)
        Decimal log returns, all finite.
    bounds : ndarray of int64, shape (n_periods + 1,)
        Period i has the returns ``bounds[i]`` to ``bounds[i + 1] - 1``; it may have none.
    """

    log_return: NDArray[np.float64]
    bounds: NDArray[np.int64]

    @property
    def count(self) -> NDArray[np.float64]:
        """Known returns of each period, shape (n_periods,)."""
        return np.diff(self.bounds).astype(np.float64)

    def at_least(self, fewest: int) -> NDArray[np.float64]:
        """Return `count`, NaN where it is below `fewest`; NaN then spreads without a warning."""
        return np.where(self.count >= fewest, self.count, np.nan)


def segments(log_return: NDArray[np.float64], heads: NDArray[np.int64]) -> Segments:
    """Leave out what is not finite and keep the periods apart.

    Parameters
    ----------
    log_return : ndarray, shape (n_bars,)
        Decimal log return of each bar; NaN is left out.
    heads : ndarray of int64, shape (n_periods,)
        Index of the first bar of each period, strictly increasing, starting with 0.

    Raises
    ------
    InputError
        If the heads are not as described.
    """
    n = len(log_return)
    edges = np.append(heads, n).astype(np.int64)
    if edges[0] != 0 or (np.diff(edges) <= 0).any():
        raise InputError(
            f"heads must start with 0 and increase strictly below {n}, the number of returns, "
            f"were {heads.tolist()[:8]}; give the index of the first bar of each period"
        )
    known = np.isfinite(log_return)
    if known.all():
        return Segments(log_return=np.ascontiguousarray(log_return), bounds=edges)
    before = np.concatenate([[0], np.cumsum(known)])
    return Segments(log_return=log_return[known], bounds=before[edges])


@njit(cache=True)
def period_sums(values: NDArray[np.float64], bounds: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum the values of each period; zero for a period without any, shape (n_periods,)."""
    out = np.zeros(len(bounds) - 1)
    for i in range(len(out)):
        total = 0.0
        for j in range(bounds[i], bounds[i + 1]):
            total += values[j]
        out[i] = total
    return out


def sum_of_squares(known: Segments) -> NDArray[np.float64]:
    """Realised variance of each period, shape (n_periods,); NaN in a period without a return."""
    n = known.at_least(1)
    return np.asarray(period_sums(known.log_return**2, known.bounds) * (n / n))
