"""How instruments move with the market: exponentially weighted and rolling correlation.

A market-wide series (an equity index, the dollar, a volatility index) has a calendar of its own.
Its value in a panel stays where it was until a new one is known. An instrument is compared with
it from one change of the series to the next, over the same span on both sides; see
:mod:`.comoments`.

A series that is published a day after what it speaks of would then be compared with the wrong day.
The features therefore add the correlation with the instrument's span *before*: whether the series
comes at once or a day late, one of the two holds what belongs together, and the other is zero on
average. Scholes and Williams (1977), Journal of Financial Economics 5(3), add lagged betas for the
same reason. The weights are those of RiskMetrics (1996), Technical Document, 4th edition.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit

from ..feature import Feature
from ..measures import Measures
from ..moving import Values, dense
from .comoments import Comoments, Pairs, correlation_of, decay_of, fresh_pairs, meet
from .context import DOLLAR, EQUITY, VIX, Series, series_of, spread_out

FAST_HALF_LIFE = 21.0
"""Half-life of the correlations, joint observations: as a rule trading days of the index."""

SLOW_HALF_LIFE = 126.0
"""Half-life of the correlations with which the fast ones are compared, joint observations."""

ROLLING_WINDOW = 63
"""Joint observations of the rolling correlation: a quarter of an index."""


@njit(cache=True)
def _with_market(log_return, market, pairs, level, decay, needed):  # type: ignore[no-untyped-def]
    # pairs[i, 0] compares the same span on both sides, pairs[i, 1] the span before with this one.
    out = np.full(log_return.shape, np.nan)
    for t in range(len(log_return)):
        for i in range(log_return.shape[1]):
            if not np.isfinite(log_return[t, i]):
                continue
            level[i] += log_return[t, i]
            # A value that has not moved is an old one: the span goes on.
            if np.isfinite(market[t]) and market[t] != pairs[i, 0].base_y:
                before = pairs[i, 0].base_x
                meet(pairs[i, 0], level[i], market[t], decay)
                for lag in range(1, pairs.shape[1]):
                    meet(pairs[i, lag], before, market[t], decay)
            total = 0.0
            for lag in range(pairs.shape[1]):
                total += correlation_of(pairs[i, lag], needed)
            out[t, i] = min(1.0, max(-1.0, total)) if np.isfinite(total) else np.nan
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
    pairs : ndarray of PAIR, shape (n_instruments, 1 or 2)
        The moments of each instrument (x) and the series (y); the second column for the span
        before.
    level : ndarray, shape (n_instruments,)
        Sum of the log returns seen so far, decimal.
    """

    half_life: float
    needed: int
    pairs: Pairs
    level: Values

    @classmethod
    def fresh(
        cls, n_instruments: int, *, half_life: float, needed: int = 30, delayed: bool = False
    ) -> Self:
        """Return the part before its first row.

        `delayed` adds the correlation with the instrument's span before, for a series that may
        be published a day after what it speaks of.
        """
        return cls(
            half_life=half_life,
            needed=needed,
            pairs=fresh_pairs(n_instruments, 2 if delayed else 1),
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
        rows, series = dense(log_return), dense(market)
        state = (self.pairs, self.level, decay_of(self.half_life), self.needed)
        return np.asarray(_with_market(rows, series, *state))

    def update(self, log_return: Values, market: float) -> Values:
        """Take one row, shape (n_instruments,); the same as a chunk of one row."""
        row: Values = self.advance(log_return[None], np.array([market]))[0]
        return row


@njit(cache=True)
def _window_correlation(x, y, needed):  # type: ignore[no-untyped-def]
    n, mean_x, mean_y = 0, 0.0, 0.0
    for j in range(len(x)):
        if np.isfinite(x[j] + y[j]):
            n += 1
            mean_x += x[j]
            mean_y += y[j]
    if n < needed:
        return np.nan
    mean_x, mean_y = mean_x / n, mean_y / n
    xx, yy, xy = 0.0, 0.0, 0.0
    for j in range(len(x)):
        if np.isfinite(x[j] + y[j]):
            xx += (x[j] - mean_x) ** 2
            yy += (y[j] - mean_y) ** 2
            xy += (x[j] - mean_x) * (y[j] - mean_y)
    spread = np.sqrt(xx * yy)
    return xy / spread if spread > 0.0 else np.nan


@njit(cache=True)
def _rolling(log_return, market, ring, last, level, needed):  # type: ignore[no-untyped-def]
    # ring[i] holds changes: of x, of x in the span before, of y. last[i] holds the two levels of
    # the last joint row, the change of x that ended in it, and how many changes there were.
    window = ring.shape[2]
    out = np.full(log_return.shape, np.nan)
    for t in range(len(log_return)):
        for i in range(log_return.shape[1]):
            if not np.isfinite(log_return[t, i]):
                continue
            level[i] += log_return[t, i]
            if np.isfinite(market[t]) and market[t] != last[i, 1]:
                change = level[i] - last[i, 0]
                if np.isfinite(last[i, 1]):
                    place = int(last[i, 3]) % window
                    ring[i, 0, place], ring[i, 1, place] = change, last[i, 2]
                    ring[i, 2, place] = market[t] - last[i, 1]
                    last[i, 3] += 1.0
                last[i, 0], last[i, 1], last[i, 2] = level[i], market[t], change
            total = _window_correlation(ring[i, 0], ring[i, 2], needed)
            total += _window_correlation(ring[i, 1], ring[i, 2], needed)
            out[t, i] = min(1.0, max(-1.0, total)) if np.isfinite(total) else np.nan
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class RollingMarketCorrelation:
    """The same over the last joint observations, all of one weight; a delay is allowed for.

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
    last: Values
    level: Values

    @classmethod
    def fresh(cls, n_instruments: int, *, window: int, needed: int = 30) -> Self:
        """Return the part before its first row."""
        last = np.full((n_instruments, 4), np.nan)
        last[:, 3] = 0.0
        return cls(
            window=window,
            needed=needed,
            ring=np.full((n_instruments, 3, window), np.nan),
            last=last,
            level=np.zeros(n_instruments),
        )

    def advance(self, log_return: Values, market: Values) -> Values:
        """Take further rows and return the correlation; as :meth:`MarketCorrelation.advance`."""
        state = (self.ring, self.last, self.level, self.needed)
        return np.asarray(_rolling(dense(log_return), dense(market), *state))

    def update(self, log_return: Values, market: float) -> Values:
        """Take one row, shape (n_instruments,); the same as a chunk of one row."""
        row: Values = self.advance(log_return[None], np.array([market]))[0]
        return row


def _ewma(m: Measures, series: Series, half_life: float) -> Values:
    n = m.panel.n_instruments
    part = m.remember(lambda: MarketCorrelation.fresh(n, half_life=half_life, delayed=True))
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
