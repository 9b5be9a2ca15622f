r"""Roll (1984): trades that bounce between bid and ask make price changes reverse.

With independent sides and an efficient price that is a random walk, the covariance of successive
log price changes is :math:`-S^2/4`. Roll (1984), Journal of Finance 39(4).

It cannot see a spread through serial correlation of another origin: momentum makes the covariance
positive (and the estimate undefined), mean reversion looks like a spread. It needs hundreds of
bars, or bars short enough that the bounce is not lost in the volatility.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .log_bars import LogBars
from .spread_estimator import SpreadEstimator, signed_root

Array = NDArray[np.float64]


def _terms(bars: LogBars) -> Sequence[Array]:
    change = bars.close - bars.previous_close
    before = bars.previous_close - bars.earlier_close
    return change, before, change * before


def _spread(means: Sequence[Array]) -> Array:
    change, before, product = means
    return signed_root(-4.0 * (product - change * before))


ROLL = SpreadEstimator(
    name="roll",
    source="Roll (1984), Journal of Finance 39(4)",
    terms=_terms,
    spread_from_means=_spread,
)
r""":math:`S = 2\sqrt{-\mathrm{cov}(r_t, r_{t-1})}` of closes; a positive covariance counts as a
negative spread."""
