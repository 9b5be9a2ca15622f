"""How an instrument moves with the others inside a period: beta and correlation to the market."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm

import numpy as np
from numpy.typing import NDArray

from ..bars.cleaning import Bars

_FEWEST = 6  # common bars in a period below which its beta and correlation are unknown


@dataclass(frozen=True, kw_only=True, eq=False)
class MarketCovariation:
    """Beta and correlation of one instrument to the mean of the others, one per period.

    Attributes
    ----------
    start : ndarray of int64, shape (n_known,)
        Start of each period with enough common bars, nanoseconds since 1970 UTC, increasing.
    beta : ndarray, shape (n_known,)
        Dimensionless; NaN where the market did not move.
    correlation : ndarray, shape (n_known,)
        From -1 to 1; NaN where the instrument or the market did not move.
    """

    start: NDArray[np.int64]
    beta: NDArray[np.float64]
    correlation: NDArray[np.float64]

    def fields(self, start: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        """Return both as panel fields for periods that start then; NaN where unknown."""
        place = np.searchsorted(self.start, start)
        found = place < len(self.start)
        found[found] = self.start[place[found]] == start[found]
        out = {}
        named = {"realized_beta": self.beta, "realized_correlation": self.correlation}
        for name, values in named.items():
            out[name] = np.full(len(start), np.nan)
            out[name][found] = values[place[found]]
        return out


def market_covariation(bars: Sequence[Bars], *, period: int) -> tuple[MarketCovariation, ...]:
    r"""Covariation of each instrument with the market inside every period.

    With returns :math:`r_j` of the instrument and :math:`m_j`, the plain mean of the returns of the
    *other* instruments that have one in the same bar,

    .. math:: \beta = \frac{\sum_j r_j m_j}{\sum_j m_j^2}, \qquad
        \rho = \frac{\sum_j r_j m_j}{\sqrt{\sum_j r_j^2 \sum_j m_j^2}},

    over the bars in which both are known [1]_. Its own return is left out of the market, so that
    an instrument that moves alone has a correlation near zero, however few there are.

    Bars of different lengths are first brought to the shortest length that is a multiple of all of
    them, from the last prices of the long bars. A return needs the price at both ends of its bar:
    one over a night, a halt or a hole is left out, and nothing is filled. Instruments whose bars
    are as long as the period take no part. With short bars the correlation of thinly traded
    instruments comes out too low (Epps 1979, Journal of the American Statistical Association
    74(366)).

    Parameters
    ----------
    bars : sequence of Bars
        One per instrument.
    period : int
        Length of a period, nanoseconds.

    Returns
    -------
    tuple of MarketCovariation
        In the order of `bars`; a period with fewer than six common bars is not in it. Empty if
        fewer than two instruments have bars that fit into the period together.

    References
    ----------
    .. [1] Barndorff-Nielsen and Shephard (2004), "Econometric Analysis of Realized Covariation:
       High Frequency Based Covariance, Regression, and Correlation in Financial Economics",
       Econometrica 72(3).
    """
    fine = [one for one in bars if 0 < one.length < period]
    length = lcm(*(one.length for one in fine))
    if len(fine) < 2 or period % length:
        return ()
    # Longer bars have no two ends in a row on this grid, and so no returns.
    returns = [_returns(one, length) for one in bars]
    axis = _union([one.slot for one in returns])
    places = [np.searchsorted(axis, one.slot) for one in returns]
    total, count = np.zeros(len(axis)), np.zeros(len(axis))
    for one, place in zip(returns, places, strict=True):
        total[place] += one.log_return
        count[place] += 1.0
    found = []
    for one, place in zip(returns, places, strict=True):
        others = count[place] - 1.0
        common = others > 0.0
        r = one.log_return[common]
        market = (total[place][common] - r) / others[common]
        bucket = one.slot[common] // (period // length)
        found.append(_covariation(r, market, bucket, period=period))
    return tuple(found)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Returns:
    """Returns on the common grid: slot k is the bar from k to k + 1 lengths after 1970."""

    slot: NDArray[np.int64]
    log_return: NDArray[np.float64]


def _returns(bars: Bars, length: int) -> _Returns:
    end = bars.start + bars.length
    on_grid = end % length == 0
    slot = end[on_grid] // length - 1
    moves = np.diff(np.log(bars.columns["close"][on_grid]))
    adjoining = np.diff(slot) == 1
    return _Returns(slot=slot[1:][adjoining], log_return=moves[adjoining])


def _union(slots: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    # A stable sort merges runs that are sorted already, in linear time.
    merged = np.sort(np.concatenate(slots), kind="stable")
    return merged[np.diff(merged, prepend=merged[:1] - 1) > 0]


def _covariation(
    log_return: NDArray[np.float64],
    market: NDArray[np.float64],
    bucket: NDArray[np.int64],
    *,
    period: int,
) -> MarketCovariation:
    heads = np.flatnonzero(np.diff(bucket, prepend=bucket[:1] - 1))
    enough = np.diff(heads, append=len(bucket)) >= _FEWEST
    products = (log_return * market, log_return**2, market**2)
    cross, own, other = (np.add.reduceat(x, heads)[enough] for x in products)
    other = np.where(other > 0.0, other, np.nan)
    own = np.where(own > 0.0, own, np.nan)
    return MarketCovariation(
        start=bucket[heads][enough] * period,
        beta=cross / other,
        # Rounding may pass one by its last digit.
        correlation=np.clip(cross / np.sqrt(own) / np.sqrt(other), -1.0, 1.0),
    )
