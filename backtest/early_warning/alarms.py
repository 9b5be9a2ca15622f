"""When a margin warns: it stands well above where it had been.

A warning must not need a look ahead, and a policy must not be called a warner for being high
always: a margin is measured against its own recent past, so that scaling it changes nothing.
"""

from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ...errors import InputError, ShapeError
from .._checks import check_count


class Baseline(StrEnum):
    """What a margin is measured against, over the window before it."""

    MEDIAN = "median"
    """Its usual height; robust to single days."""
    MINIMUM = "minimum"
    """Its trough; a slow rise counts in full."""


def margin_baseline(
    margin: ArrayLike, *, window: int, baseline: Baseline = Baseline.MEDIAN
) -> NDArray[np.float64]:
    """Return the median or minimum of the `window` margins before each period, this one left out.

    Parameters
    ----------
    margin : array_like, shape (n,)
        Margin of one instrument through time, any unit, > 0; NaN where there is none.
    window : int
        Periods looked back, >= 1.
    baseline : Baseline
        Which of the two.

    Returns
    -------
    ndarray, shape (n,)
        Unit of `margin`; NaN unless all of the window is known.

    Raises
    ------
    InputError
        If a margin is not positive, or the window not a whole number of periods.
    """
    check_count("window", window, minimum=1)
    values = np.asarray(margin, dtype=np.float64)
    if values.ndim != 1:
        raise ShapeError(f"margin must have shape (n,), was {values.shape}; pass one instrument")
    if (values <= 0.0).any() or np.isinf(values).any():
        raise InputError(
            f"margin must be positive and finite, or NaN where there is none; the smallest was "
            f"{np.nanmin(values):g}, the largest {np.nanmax(values):g}; drop such periods"
        )
    before = pd.Series(values).shift(1).rolling(window, min_periods=window)
    found = before.median() if Baseline(baseline) is Baseline.MEDIAN else before.min()
    return np.asarray(found, dtype=np.float64)


def alarm_strength(
    margin: ArrayLike, *, window: int, baseline: Baseline = Baseline.MEDIAN
) -> NDArray[np.float64]:
    """Return by how much a margin stands above its baseline, a fraction: 0.2 is +20 %.

    Parameters, shape and errors as :func:`margin_baseline`. An alarm of x is a strength of at
    least x. It is the same for any multiple of the margin.

    Examples
    --------
    >>> alarm_strength([1.0, 1.0, 1.0, 1.25], window=2)
    array([ nan,  nan, 0.  , 0.25])
    """
    values = np.asarray(margin, dtype=np.float64)
    return values / margin_baseline(values, window=window, baseline=baseline) - 1.0


def alarm_starts(strength: NDArray[np.float64], *, rise: float, quiet: int) -> NDArray[np.bool_]:
    """Find where alarms begin: a strength of at least `rise` after `quiet` periods below it.

    Parameters
    ----------
    strength : ndarray, shape (n,)
        From :func:`alarm_strength`; NaN, where it is not known, is no alarm.
    rise : float
        Strength that raises an alarm, a fraction > 0.
    quiet : int
        Periods below it that separate two alarms, >= 1.

    Raises
    ------
    InputError
        If an argument is out of range.

    Examples
    --------
    >>> strength = np.array([0.0, 0.3, 0.1, 0.3, 0.0, 0.0, 0.4])
    >>> np.flatnonzero(alarm_starts(strength, rise=0.2, quiet=2))
    array([1, 6])
    """
    check_count("quiet", quiet, minimum=1)
    if not rise > 0.0:
        raise InputError(f"rise must be > 0, was {rise}; write 0.2 for +20 %")
    alarm = strength >= rise
    total = np.concatenate([np.zeros(quiet + 1, dtype=np.intp), np.cumsum(alarm)])
    recent = total[quiet:-1] - total[: -quiet - 1]
    return np.asarray(alarm & (recent == 0))
