r"""Abdi and Ranaldo (2017): closes scatter around the middle of the ranges beside them.

With :math:`c` the log close and :math:`\eta` the mean of log high and log low,

.. math:: S^2 = 4 E[(c_{t-1} - \eta_{t-1})(c_{t-1} - \eta_t)],

because the middle of a range is free of the bounce that the close carries. Review of Financial
Studies 30(12).

It cannot see a spread that is small beside the volatility of a bar; where a bar has few trades the
close is often the high or the low, the middle is no longer free of it, and the spread is too small.
"""

import numpy as np
from numpy.typing import NDArray

from .log_bars import LogBars
from .spread_estimator import SpreadEstimator, signed_root

Array = NDArray[np.float64]


def abdi_ranaldo_squares(bars: LogBars) -> Array:
    """Signed squared spread of each bar and the bar before, decimal squared."""
    scatter = bars.previous_close - bars.previous_mid_range
    return 4.0 * scatter * (bars.previous_close - bars.mid_range)


ABDI_RANALDO = SpreadEstimator(
    name="abdi_ranaldo",
    source="Abdi and Ranaldo (2017), Review of Financial Studies 30(12)",
    terms=lambda bars: (abdi_ranaldo_squares(bars),),
    spread_from_means=lambda means: signed_root(means[0]),
)
"""The root of the mean square over the sample ("monthly corrected" in the paper)."""

ABDI_RANALDO_PAIRS = SpreadEstimator(
    name="abdi_ranaldo_pairs",
    source="Abdi and Ranaldo (2017), Review of Financial Studies 30(12)",
    terms=lambda bars: (np.sqrt(np.maximum(abdi_ranaldo_squares(bars), 0.0)),),
    spread_from_means=lambda means: means[0],
)
"""The mean of roots of pairs, negative pairs as zero ("two-day corrected" in the paper): less
noise, and more bias from volatility."""
