"""Whether liquidity dries up everywhere at once.

Each instrument's illiquidity (log Amihud: absolute return per unit of quote currency traded, mean
of a day) is measured against its own last ninety days. The market contracts when the mean over
the instruments rises, and when many are beyond the 90 % quantile of their own past year at once.

Amihud (2002), Journal of Financial Markets 5(1). Commonality in liquidity: Chordia, Roll and
Subrahmanyam (2000), Journal of Financial Economics 56(1).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..feature import Feature
from ..measures import Measures
from ..moving import Lag, TrailingMean, TrailingQuantile, Values
from .context import spread_out

PROBABILITY = 0.9
"""An instrument is short of liquidity above this quantile of its own year before."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LiquidityWindows:
    """Own periods of each instrument, shape (n_instruments,).

    Attributes
    ----------
    day : ndarray of int64
        Over which illiquidity is averaged.
    quarter : ndarray of int64
        Against which it is detrended; half of it must be known.
    year : ndarray of int64
        Whose quantile says what is much.
    needed : ndarray of int64
        Detrended values that must be known before the quantile is.
    """

    day: Counts
    quarter: Counts
    year: Counts
    needed: Counts


@dataclass(frozen=True, kw_only=True, eq=False)
class ContractionPath:
    """Liquidity of the market, one value per row.

    Attributes
    ----------
    illiquidity : ndarray, shape (n_periods, n_instruments)
        Detrended log Amihud of each, log of a ratio; above zero is less liquid than usual.
    mean : ndarray, shape (n_periods,)
        Its mean over the instruments that know it.
    share : ndarray, shape (n_periods,)
        Share of the instruments beyond their own past quantile, 0 to 1.
    """

    illiquidity: Values
    mean: Values
    share: Values


@dataclass(frozen=True, kw_only=True, eq=False)
class LiquidityContraction:
    """Detrended illiquidity of each instrument and what they have in common.

    Attributes
    ----------
    recent, usual : TrailingMean
        Mean log Amihud of the last day and of the last quarter.
    bound, bound_before : TrailingQuantile, Lag
        Quantile of the detrended values, and the one of the row before.
    """

    recent: TrailingMean
    usual: TrailingMean
    bound: TrailingQuantile
    bound_before: Lag

    @classmethod
    def fresh(cls, windows: LiquidityWindows) -> Self:
        """Return the part before its first row."""
        one = np.ones(len(windows.day), dtype=np.int64)
        return cls(
            recent=TrailingMean.fresh(windows.day, one),
            usual=TrailingMean.fresh(windows.quarter, np.maximum(windows.quarter // 2, 1)),
            bound=TrailingQuantile.fresh(windows.year, windows.needed, PROBABILITY),
            bound_before=Lag.fresh(one),
        )

    def advance(
        self, log_return: Values, quote_volume: Values, present: NDArray[np.bool_]
    ) -> ContractionPath:
        """Take further rows, each of shape (n_periods, n_instruments).

        Parameters
        ----------
        log_return : ndarray
            Decimal.
        quote_volume : ndarray
            Traded value, quote currency. A row without a move or a trade says nothing.
        present : ndarray of bool
            Whether the instrument trades in the row.
        """
        usable = (log_return != 0.0) & (quote_volume > 0.0) & np.isfinite(log_return)
        ratio = np.abs(np.where(usable, log_return, np.nan)) / np.where(usable, quote_volume, 1.0)
        amihud = np.log(ratio)
        illiquidity = self.recent.advance(amihud, present) - self.usual.advance(amihud, present)
        bound = self.bound_before.advance(self.bound.advance(illiquidity, present), present)
        beyond = np.where(np.isfinite(bound), (illiquidity > bound).astype(float), np.nan)
        beyond[~np.isfinite(illiquidity)] = np.nan
        return ContractionPath(
            illiquidity=illiquidity, mean=_row_mean(illiquidity), share=_row_mean(beyond)
        )

    def update(
        self, log_return: Values, quote_volume: Values, present: NDArray[np.bool_]
    ) -> ContractionPath:
        """Take one row, each of shape (n_instruments,); the same as a chunk of one row."""
        return self.advance(log_return[None], quote_volume[None], present[None])


def _row_mean(x: Values) -> Values:
    known = np.isfinite(x)
    count = known.sum(axis=1)
    total = np.where(known, x, 0.0).sum(axis=1)
    return np.asarray(total / np.where(count > 0, count, np.nan))


def _contraction(m: Measures) -> Values:
    windows = LiquidityWindows(
        day=m.span(1), quarter=m.span(90), year=m.span(365), needed=m.span(60)
    )
    part = m.remember(lambda: LiquidityContraction.fresh(windows))
    path = part.advance(m.log_return, m.field("quote_volume"), m.present)
    return np.stack([path.mean, path.share])


CONTRACTION_FEATURES = (
    Feature(
        name="market_illiquidity",
        unit="log of a ratio",
        meaning="mean over instruments of Amihud illiquidity against ninety days",
        compute=lambda m: spread_out(m, m.once(_contraction)[0]),
    ),
    Feature(
        name="illiquid_share",
        unit="share of instruments, 0 to 1",
        meaning="instruments less liquid than in nine tenths of their last year",
        compute=lambda m: spread_out(m, m.once(_contraction)[1]),
    ),
)
