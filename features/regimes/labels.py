"""Stress labels whose thresholds were known: past quantiles, onsets, and what the bar was when.

A label says whether a measure (variance, illiquidity, turbulence) exceeded a quantile of what had
been seen. The quantile is always one of the past; a quantile of the whole sample would know how
bad things were still to become.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..moving import ExpandingQuantile, Lag, TrailingMean, TrailingQuantile, Values

Present = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class StressLabels:
    """Labels of a measure; every array has shape (n_periods, n_instruments).

    Attributes
    ----------
    label : ndarray
        1.0 in stress, 0.0 outside, NaN where the measure or the threshold is not known.
    onset : ndarray
        1.0 where stress begins after quiet (see :func:`onsets`), 0.0 elsewhere, NaN as `label`.
    threshold : ndarray
        What the measure was held against, in its unit: known at the row itself.
    horizon : int
        Own periods ahead that the label speaks of; 0 if it speaks of the row. A label of row t
        must not be used before `horizon` own periods later.
    """

    label: Values
    onset: Values
    threshold: Values
    horizon: int


@dataclass(frozen=True, kw_only=True)
class LabelRule:
    """How a threshold and an onset are made.

    Attributes
    ----------
    probability : float
        Quantile of the past, in (0, 1).
    needed : int
        Own periods that must be known before a quantile means something.
    window : int or None
        Own periods that the quantile looks back; None for all.
    quiet : int
        Own periods without stress before the next onset can begin.
    """

    probability: float
    needed: int = 250
    window: int | None = None
    quiet: int = 5

    def __post_init__(self) -> None:
        if not 0.0 < self.probability < 1.0:
            raise InputError(
                f"probability must be in (0, 1), was {self.probability}; write 0.9 for 90 %"
            )
        if self.needed < 1 or self.quiet < 1 or (self.window is not None and self.window < 1):
            raise InputError(
                "needed, window and quiet must be at least one period, were "
                f"{self.needed}, {self.window} and {self.quiet}"
            )


VARIANCE_STRESS = LabelRule(probability=0.8)
"""Daily variance ahead above four fifths of all its past: stress."""

EXTREME_VARIANCE_STRESS = LabelRule(probability=0.9)
"""Daily variance ahead above nine tenths of all its past."""

LIQUIDITY_STRESS = LabelRule(probability=0.9, window=365)
"""Daily illiquidity, detrended, above nine tenths of its last year."""

TURBULENCE_STRESS = LabelRule(probability=0.95)
"""Daily turbulence above nineteen twentieths of all its past."""


def past_threshold(measure: Values, present: Present, rule: LabelRule) -> Values:
    """Quantile of the values up to and including each row; NaN on too few of them.

    Parameters
    ----------
    measure : ndarray, shape (n_periods, n_instruments)
        NaN where unknown.
    present : ndarray of bool, shape (n_periods, n_instruments)
        Own periods of each instrument.
    rule : LabelRule
        Which quantile of how much past.
    """
    needed = np.full(measure.shape[1], rule.needed, dtype=np.int64)
    if rule.window is None:
        return ExpandingQuantile.fresh(needed, rule.probability).advance(measure, present)
    window = np.full_like(needed, rule.window)
    part = TrailingQuantile.fresh(window, np.minimum(needed, window), rule.probability)
    return part.advance(measure, present)


def stress_now(measure: Values, present: Present, rule: LabelRule) -> StressLabels:
    """Label rows whose measure exceeds the quantile of the rows *before* them.

    Parameters and shapes are those of :func:`past_threshold`.
    """
    one = np.ones(measure.shape[1], dtype=np.int64)
    threshold = Lag.fresh(one).advance(past_threshold(measure, present, rule), present)
    label = _exceeds(measure, threshold)
    return StressLabels(
        label=label, onset=onsets(label, present, quiet=rule.quiet), threshold=threshold, horizon=0
    )


def stress_ahead(
    measure: Values, present: Present, rule: LabelRule, *, horizon: int
) -> StressLabels:
    """Label rows after which the mean measure of `horizon` own periods exceeds its past quantile.

    The threshold at a row is the quantile of the trailing means that are complete at it.

    Raises
    ------
    InputError
        If `horizon` is below one.
    """
    if horizon < 1:
        raise InputError(f"horizon must be a number of periods, at least 1, was {horizon}")
    window = np.full(measure.shape[1], horizon, dtype=np.int64)
    trailing = TrailingMean.fresh(window, window).advance(measure, present)
    threshold = past_threshold(trailing, present, rule)
    label = _exceeds(_ahead(trailing, present, horizon), threshold)
    return StressLabels(
        label=label,
        onset=onsets(label, present, quiet=rule.quiet),
        threshold=threshold,
        horizon=horizon,
    )


def onsets(label: Values, present: Present, *, quiet: int) -> Values:
    """Mark where stress begins: a 1 before which the last `quiet` own periods held none.

    Stress that flickers is one episode. A row whose label is not known is NaN and passed over;
    what lies before the first known row is not known to have been quiet.

    Parameters
    ----------
    label : ndarray, shape (n_periods, n_instruments)
        1.0, 0.0 or NaN.
    present : ndarray of bool, shape (n_periods, n_instruments)
        Own periods of each instrument.
    quiet : int
        At least one.

    Returns
    -------
    ndarray, shape (n_periods, n_instruments)
        1.0 at onsets, 0.0 elsewhere, NaN as `label`.
    """
    out = np.full(label.shape, np.nan)
    for i in range(label.shape[1]):
        rows = np.flatnonzero(present[:, i] & np.isfinite(label[:, i]))
        stressed = label[rows, i] == 1.0
        out[rows, i] = 0.0
        at = np.flatnonzero(stressed)
        begins = at[np.diff(at, prepend=-1) > quiet]
        out[rows[begins], i] = 1.0
    return out


def _ahead(trailing: Values, present: Present, horizon: int) -> Values:
    out = np.full(trailing.shape, np.nan)
    for i in range(trailing.shape[1]):
        rows = np.flatnonzero(present[:, i])
        out[rows[: max(0, len(rows) - horizon)], i] = trailing[rows[horizon:], i]
    return out


def _exceeds(value: Values, threshold: Values) -> Values:
    known = np.isfinite(value) & np.isfinite(threshold)
    return np.where(known, (value > threshold).astype(np.float64), np.nan)
