"""First generation: one margin, set once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..empirical import rolling_tails
from ..market import MarginMarket, SideSeries
from ..schedule import Generation

_NEEDED = 100  # outcomes before a tail is read from them


@dataclass(frozen=True, kw_only=True)
class Fixed:
    """The empirical quantile of all losses known when judging begins, then never moved."""

    @property
    def name(self) -> str:
        """``fixed``."""
        return "fixed"

    @property
    def generation(self) -> Generation:
        """First."""
        return Generation.FIXED

    @property
    def models(self) -> tuple[str, ...]:
        """Needs no forecast."""
        return ()

    def margin(self, market: MarginMarket) -> NDArray[np.float64]:
        """Hold the quantile; an instrument listed later sets it with its 100th loss."""
        return market.each_side(_fixed)


def _fixed(series: SideSeries) -> NDArray[np.float64]:
    tails = np.array([series.tail_probability])
    n = len(series.log_loss)
    quantile = rolling_tails(series.log_loss, tails, series.horizon, max(n, _NEEDED), _NEEDED)[0]
    # Where no loss has been seen yet there is no margin to read: it is set with the first one.
    known = np.flatnonzero(quantile[:, 0] > 0.0)
    out = np.full(n, np.nan)
    later = known[known >= series.first]
    if len(later):
        out[later[0] :] = quantile[later[0], 0]
    # Before judging begins the margin is the quantile known then, for the tools that look back.
    earlier = known[known < series.first]
    out[earlier] = quantile[earlier, 0]
    return series.rate(out)
