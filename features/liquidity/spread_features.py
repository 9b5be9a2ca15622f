"""Features from spreads that prices reveal, from signed flow and from impact.

What they are worth against real spreads is measured in the guide (page "Liquidity").
"""

import numpy as np

from ..feature import Feature
from ..measures import Measures
from ..moving import Values
from .abdi_ranaldo import ABDI_RANALDO_PAIRS
from .edge import EDGE
from .flow import taker_imbalance
from .log_bars import LogBars
from .spread_estimator import BPS, NegativeSpread, SpreadEstimator
from .volume import DETREND_DAYS


def log_bars(m: Measures) -> LogBars:
    """Return the bars of a panel in logs; bars with a zero or missing price are unknown."""
    opened, high, low, close = (
        np.log(np.where(price > 0.0, price, np.nan))
        for price in (m.field("open"), m.field("high"), m.field("low"), m.close)
    )
    before = m.lag(close)
    return LogBars(
        open=opened,
        high=high,
        low=low,
        close=close,
        previous_high=m.lag(high),
        previous_low=m.lag(low),
        previous_close=before,
        earlier_close=m.lag(before),
    )


def spread_bps(m: Measures, estimator: SpreadEstimator, *, days: float) -> Values:
    """Return the signed spread of a trailing window from prices, basis points."""
    means = [m.mean(term, days=days) for term in estimator.known_terms(log_bars(m))]
    return estimator.bps_from_means(means, negative=NegativeSpread.SIGNED)


def _edge(m: Measures) -> Values:
    variance = m.mean(m.variance, days=30)
    sigma = np.sqrt(np.where(variance > 0.0, variance, np.nan))
    return spread_bps(m, EDGE, days=7) / BPS / sigma


def _abdi_ranaldo(m: Measures) -> Values:
    week = spread_bps(m, ABDI_RANALDO_PAIRS, days=7)
    usual = spread_bps(m, ABDI_RANALDO_PAIRS, days=DETREND_DAYS)
    return _log_ratio(week, usual)


def _imbalance(m: Measures) -> Values:
    return taker_imbalance(m.field("taker_buy_volume"), m.field("volume"))


def _kyle(m: Measures) -> Values:
    flow = _imbalance(m) * m.field("quote_volume")
    # Both are known in the same rows only, or the two windows would differ.
    both = np.isfinite(flow) & np.isfinite(m.log_return)
    flow, move = np.where(both, flow, np.nan), np.where(both, m.log_return, np.nan)
    slopes = []
    for days in (7, DETREND_DAYS):
        spread = m.covariance(flow, flow, days=days)
        slopes.append(m.covariance(flow, move, days=days) / np.where(spread > 0.0, spread, np.nan))
    return _log_ratio(slopes[0], slopes[1])


def _log_ratio(value: Values, usual: Values) -> Values:
    usable = (value > 0.0) & (usual > 0.0)
    return np.log(np.where(usable, value, np.nan) / np.where(usable, usual, 1.0))


SPREAD_FEATURES = (
    Feature(
        name="spread_edge_week",
        unit="spread per volatility of one period, thirty-day",
        meaning="EDGE spread of the last week, negative where prices show none",
        compute=_edge,
    ),
    Feature(
        name="spread_abdi_ranaldo_week",
        unit="log of a ratio",
        meaning="Abdi-Ranaldo spread of the last week against ninety days",
        compute=_abdi_ranaldo,
        look_back_days=DETREND_DAYS,
    ),
    Feature(
        name="taker_imbalance_last",
        unit="share bought minus share sold by takers, -1 to 1",
        meaning="imbalance of takers in the last period",
        compute=_imbalance,
        look_back_days=0,
    ),
    Feature(
        name="taker_imbalance_week",
        unit="share bought minus share sold by takers, -1 to 1",
        meaning="mean imbalance of takers over the last week",
        compute=lambda m: m.mean(_imbalance(m), days=7),
        look_back_days=7,
    ),
    Feature(
        name="kyle_lambda_week",
        unit="log of a ratio",
        meaning="impact per quote currency of net taker flow of the last week against ninety days",
        compute=_kyle,
        look_back_days=DETREND_DAYS,
        intraday_only=True,
    ),
)
