"""How instruments move with the market: exponentially weighted and rolling correlation.

A market-wide series (an equity index, the dollar, a volatility index) has a calendar of its own.
Its value in a panel stays where it was until a new one is known. An instrument is compared with
it from one change of the series to the next, over the same span on both sides; see
:mod:`.comoments`. Dates of publication matter: an index that is published a day later is compared
over the day on which it became known.

The weights are those of RiskMetrics (1996), Technical Document, 4th edition.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .comoments import Pairs, Values, correlation_of, decay_of, fresh_pairs, meet

FAST_HALF_LIFE = 21.0
"""Half-life of the correlations, joint observations: as a rule trading days of the index."""

SLOW_HALF_LIFE = 126.0
"""Half-life of the correlations with which the fast ones are compared, joint observations."""

ROLLING_WINDOW = 63
"""Joint observations of the rolling correlation: a quarter of an index."""


@njit(cache=True)
def _with_market(log_return, market, pairs, level, decay, needed):  # type: ignore[no-untyped-def]
    out = np.full(log_return.shape, np.nan)
    for t in range(len(log_return)):
        for i in range(log_return.shape[1]):
            if not np.isfinite(log_return[t, i]):
                continue
            level[i] += log_return[t, i]
            # A value that has not moved is an old one: the span goes on.
            if np.isfinite(market[t]) and market[t] != pairs[i].base_y:
                meet(pairs[i], level[i], market[t], decay)
            out[t, i] = correlation_of(pairs[i], needed)
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class MarketCorrelation:
    """Exponentially weighted correlation of each instrument with one market-wide series.

    Attributes
    ----------
    half_life : float
        Joint observations after which a weight has halved.
    needed : int
        Joint observations before a correlation is called known.
    pairs : ndarray of PAIR, shape (n_instruments,)
        The moments of each instrument (x) and the series (y).
    level : ndarray, shape (n_instruments,)
        Sum of the log returns seen so far, decimal.
    """

    half_life: float
    needed: int
    pairs: Pairs
    level: Values

    @classmethod
    def fresh(cls, n_instruments: int, *, half_life: float, needed: int = 30) -> Self:
        """Return the part before its first row."""
        return cls(
            half_life=half_life,
            needed=needed,
            pairs=fresh_pairs(n_instruments),
            level=np.zeros(n_instruments),
        )

    def advance(self, log_return: Values, market: Values) -> Values:
        """Take further rows; return the correlation at each, the row included.

        Parameters
        ----------
        log_return : ndarray, shape (n_periods, n_instruments)
            Decimal log returns, NaN where absent.
        market : ndarray, shape (n_periods,)
            Level of the series: the log of a price or an index, a yield as it is; NaN where
            unknown.

        Returns
        -------
        ndarray, shape (n_periods, n_instruments)
            In [-1, 1]; NaN where absent or on too few joint observations.
        """
        decay = decay_of(self.half_life)
        return np.asarray(
            _with_market(log_return, market, self.pairs, self.level, decay, self.needed)
        )

    def update(self, log_return: Values, market: float) -> Values:
        """Take one row, shape (n_instruments,); the same as a chunk of one row."""
        row: Values = self.advance(log_return[None], np.array([market]))[0]
        return row


@njit(cache=True)
def _window_correlation(x, y, count, needed):  # type: ignore[no-untyped-def]
    n = min(count, len(x))
    if n < needed:
        return np.nan
    mean_x, mean_y = x[:n].mean(), y[:n].mean()
    xx, yy, xy = 0.0, 0.0, 0.0
    for j in range(n):
        xx += (x[j] - mean_x) ** 2
        yy += (y[j] - mean_y) ** 2
        xy += (x[j] - mean_x) * (y[j] - mean_y)
    spread = np.sqrt(xx * yy)
    return min(1.0, max(-1.0, xy / spread)) if spread > 0.0 else np.nan


@njit(cache=True)
def _rolling(log_return, market, ring, level, count, needed):  # type: ignore[no-untyped-def]
    # ring[i] holds the changes of x, those of y, and in its last column the two last levels.
    window = ring.shape[2] - 1
    out = np.full(log_return.shape, np.nan)
    for t in range(len(log_return)):
        for i in range(log_return.shape[1]):
            if not np.isfinite(log_return[t, i]):
                continue
            level[i] += log_return[t, i]
            base = ring[i, :, window]
            if np.isfinite(market[t]) and market[t] != base[1]:
                if np.isfinite(base[1]):
                    place = count[i] % window
                    ring[i, 0, place] = level[i] - base[0]
                    ring[i, 1, place] = market[t] - base[1]
                    count[i] += 1
                base[0], base[1] = level[i], market[t]
            out[t, i] = _window_correlation(
                ring[i, 0, :window], ring[i, 1, :window], count[i], needed
            )
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class RollingMarketCorrelation:
    """Correlation of each instrument with one market-wide series over the last observations.

    Attributes
    ----------
    window : int
        Joint observations.
    needed : int
        How many of them must be there.
    """

    window: int
    needed: int
    ring: Values
    level: Values
    count: NDArray[np.int64]

    @classmethod
    def fresh(cls, n_instruments: int, *, window: int, needed: int = 30) -> Self:
        """Return the part before its first row."""
        return cls(
            window=window,
            needed=needed,
            ring=np.full((n_instruments, 2, window + 1), np.nan),
            level=np.zeros(n_instruments),
            count=np.zeros(n_instruments, dtype=np.int64),
        )

    def advance(self, log_return: Values, market: Values) -> Values:
        """Take further rows and return the correlation; as :meth:`MarketCorrelation.advance`."""
        state = (self.ring, self.level, self.count)
        return np.asarray(_rolling(log_return, market, *state, self.needed))

    def update(self, log_return: Values, market: float) -> Values:
        """Take one row, shape (n_instruments,); the same as a chunk of one row."""
        row: Values = self.advance(log_return[None], np.array([market]))[0]
        return row


def _ewma(m: Measures, series: Series, half_life: float) -> Values:
    n = m.panel.n_instruments
    part = m.remember(lambda: MarketCorrelation.fresh(n, half_life=half_life))
    return part.advance(m.log_return, series_of(m, series))


def _shift(m: Measures, series: Series) -> Values:
    return _ewma(m, series, FAST_HALF_LIFE) - _ewma(m, series, SLOW_HALF_LIFE)


def _rolling_equity(m: Measures) -> Values:
    n = m.panel.n_instruments
    part = m.remember(lambda: RollingMarketCorrelation.fresh(n, window=ROLLING_WINDOW))
    return part.advance(m.log_return, series_of(m, EQUITY))


def _mean_correlation(m: Measures, half_life_days: float) -> Values:
    n, half_life = m.panel.n_instruments, float(m.span(half_life_days).max())
    part = m.remember(lambda: Comoments.fresh(n, half_life=half_life))
    return spread_out(m, part.advance(m.log_return))


def _with_series(series: Series) -> tuple[Feature, ...]:
    return (
        Feature(
            name=f"{series.name}_correlation",
            unit="correlation, -1 to 1",
            meaning=f"moving correlation of returns with changes of {series.meaning}",
            compute=lambda m: _ewma(m, series, FAST_HALF_LIFE),
        ),
        Feature(
            name=f"{series.name}_correlation_shift",
            unit="difference of correlations",
            meaning=f"fast minus slow correlation with changes of {series.meaning}",
            compute=lambda m: _shift(m, series),
        ),
    )


CORRELATION_FEATURES = (
    *_with_series(EQUITY),
    *_with_series(DOLLAR),
    *_with_series(VIX),
    Feature(
        name="equity_correlation_quarter",
        unit="correlation, -1 to 1",
        meaning="correlation with the equity index over its last 63 changes",
        compute=_rolling_equity,
    ),
    Feature(
        name="mean_correlation",
        unit="correlation, -1 to 1",
        meaning="mean correlation among the instruments that trade, half-life thirty days",
        compute=lambda m: _mean_correlation(m, 30),
    ),
    Feature(
        name="mean_correlation_shift",
        unit="difference of correlations",
        meaning="mean correlation, half-life thirty days minus half-life of 180 days",
        compute=lambda m: _mean_correlation(m, 30) - _mean_correlation(m, 180),
    ),
)
