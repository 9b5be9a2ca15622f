"""When stress begins: a measure rises above what it had shown before, after a time of quiet.

Everything at a period is known at its close. The threshold of a period is a quantile of the
periods *before* it, so that an extreme value does not raise the bar that it has to clear.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, ShapeError
from .._checks import check_count, check_probability

ONSET_QUANTILE = 0.95
"""Stress is a measure above this quantile of its own past."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Onsets:
    """Where stress begins in one series; read-only arrays of shape (n,).

    Attributes
    ----------
    threshold : ndarray
        What the measure has to exceed, in its unit; NaN while the past is too short.
    onset : ndarray of bool
        The measure exceeds its threshold, and did not in the quiet time before.
    calm : ndarray of bool
        No period of the quiet time up to and including this one exceeded its threshold: stress is
        not under way, and can still be warned of. False while that is not known.
    """

    threshold: NDArray[np.float64]
    onset: NDArray[np.bool_]
    calm: NDArray[np.bool_]

    def __post_init__(self) -> None:
        for array in (self.threshold, self.onset, self.calm):
            array.setflags(write=False)


def find_onsets(
    measure: ArrayLike,
    *,
    quiet: int,
    min_history: int,
    quantile: float = ONSET_QUANTILE,
) -> Onsets:
    r"""Find where a measure crosses a quantile of its past, each stress once.

    Period t exceeds if :math:`x_t > Q_p(x_0, \dots, x_{t-1})`. It is an onset if it exceeds and
    the `quiet` periods before it all had a threshold and did not exceed theirs (runs
    declustering): a stress that flickers around its threshold begins once.

    Parameters
    ----------
    measure : array_like, shape (n,)
        Volatility, illiquidity or the like, of one instrument in own time, any unit, higher is
        worse. NaN where it is not known: such a period is neither calm nor an onset.
    quiet : int
        Periods without an excess that must lie between two stresses, >= 1.
    min_history : int
        Known values before there is a threshold, >= 1.
    quantile : float
        In (0, 1).

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> calm, stress = [1.0, 2.0] * 5, [9.0, 9.5, 1.0, 9.9]
    >>> np.flatnonzero(find_onsets(calm + stress, quiet=2, min_history=5).onset)
    array([10])
    """
    check_probability("quantile", quantile, example="0.95 for the 95th percentile")
    check_count("quiet", quiet, minimum=1)
    check_count("min_history", min_history, minimum=1)
    values = np.asarray(measure, dtype=np.float64)
    if values.ndim != 1:
        raise ShapeError(f"measure must have shape (n,), was {values.shape}; pass one instrument")
    if np.isinf(values).any():
        raise InputError(
            f"measure must be finite or NaN, found {int(np.isinf(values).sum())} infinite; "
            "set what is not known to NaN"
        )
    past = pd.Series(values).shift(1).expanding(min_periods=min_history)
    threshold = np.asarray(past.quantile(quantile), dtype=np.float64)
    known = np.isfinite(values) & np.isfinite(threshold)
    exceeds = known & (values > np.where(known, threshold, np.inf))
    restless = trailing_any(exceeds | ~known, quiet)
    return Onsets(
        threshold=threshold,
        onset=exceeds & ~_before(restless),
        calm=~trailing_any(exceeds | ~known, quiet + 1),
    )


def trailing_any(flag: NDArray[np.bool_], window: int) -> NDArray[np.bool_]:
    """Tell whether any of the last `window` periods, this one included, was flagged.

    Before the first period nothing is known, which counts as flagged.
    """
    flags = np.concatenate([np.ones(window, dtype=np.intp), flag.astype(np.intp)])
    total = np.cumsum(flags)
    return np.asarray(total[window:] - total[:-window] > 0)


def _before(flag: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the flag of the period before; flagged before the first."""
    return np.concatenate([[True], flag[:-1]])
