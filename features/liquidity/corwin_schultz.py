r"""Corwin and Schultz (2012): the range of two bars holds two variances, but one spread.

The high of a bar is bought at the ask and the low is sold at the bid, so each log range holds the
spread once. The variance in the range of two bars together is twice that of one bar; the spread is
not. From :math:`\beta`, the sum of the two squared log ranges, and :math:`\gamma`, the squared log
range of both bars together,

.. math::

    \alpha = \frac{\sqrt{2\beta} - \sqrt{\beta}}{3 - 2\sqrt{2}}
             - \sqrt{\frac{\gamma}{3 - 2\sqrt{2}}}, \qquad
    S = \frac{2 (e^\alpha - 1)}{1 + e^\alpha}

for each pair of neighbouring bars, and the mean over pairs. Journal of Finance 67(2).

The gap between bars is taken out as in the paper: if the close before lies outside the range of the
second bar, that range is moved until it touches the close (in logs here, so that the estimate does
not depend on the price scale).

It cannot see a spread that is small beside the volatility of a bar, it assumes continuous trading
(few trades make ranges too short and the spread too small), and setting negative pairs to zero, as
published, turns volatility into spread.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .log_bars import LogBars
from .spread_estimator import NegativeSpread, SpreadEstimator

Array = NDArray[np.float64]

_SHRINK = 3.0 - 2.0 * np.sqrt(2.0)


def corwin_schultz_pairs(bars: LogBars) -> Array:
    """Signed spread of each bar and the bar before, decimal fraction of the price."""
    gap_up = np.maximum(bars.low - bars.previous_close, 0.0)
    gap_down = np.maximum(bars.previous_close - bars.high, 0.0)
    high, low = bars.high - gap_up + gap_down, bars.low - gap_up + gap_down
    both = (high - low) ** 2 + (bars.previous_high - bars.previous_low) ** 2
    together = np.maximum(high, bars.previous_high) - np.minimum(low, bars.previous_low)
    log_spread = np.sqrt(both) * (np.sqrt(2.0) - 1.0) / _SHRINK - together / np.sqrt(_SHRINK)
    return np.asarray(2.0 * np.tanh(0.5 * log_spread))


def corwin_schultz(negative_pairs: NegativeSpread) -> SpreadEstimator:
    """Return the estimator with a convention for pairs whose own estimate is negative.

    The paper prefers zero; `NegativeSpread.SIGNED` keeps them, which lowers the bias that
    volatility adds; `NegativeSpread.MISSING` leaves them out, which adds most.
    """

    def terms(bars: LogBars) -> Sequence[Array]:
        return (negative_pairs.apply(corwin_schultz_pairs(bars)),)

    return SpreadEstimator(
        name=f"corwin_schultz_{negative_pairs}",
        source="Corwin and Schultz (2012), Journal of Finance 67(2)",
        terms=terms,
        spread_from_means=lambda means: means[0],
    )


CORWIN_SCHULTZ = corwin_schultz(NegativeSpread.ZERO)
"""Negative pairs count as zero: the version that the paper prefers."""
