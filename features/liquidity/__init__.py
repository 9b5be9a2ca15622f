"""Liquidity: spreads, impact, flow, order books and crowding; pure functions, then features."""

from .abdi_ranaldo import ABDI_RANALDO, ABDI_RANALDO_PAIRS
from .book_features import BOOK_FEATURES
from .corwin_schultz import CORWIN_SCHULTZ, corwin_schultz
from .cost import ORDER_VALUE, relative_cost
from .crowding import annualised_basis, annualised_funding, herfindahl, liquidation_share, log_basis
from .crowding_features import CROWDING_FEATURES
from .depth import depth_half_life, depth_imbalance, depth_within
from .edge import EDGE
from .flow import bulk_imbalance, taker_imbalance
from .illiquidity import ILLIQUIDITY_FEATURES
from .impact import KyleLambda, amihud, kyle_lambda
from .log_bars import LogBars
from .quoted import effective_spread_bps, mid_price, quoted_spread_bps
from .roll import ROLL
from .slippage import PowerLaw, SlippageCurve, fit_power_law, walk_book
from .spread_estimator import NegativeSpread, SpreadEstimator
from .spread_features import SPREAD_FEATURES
from .volume import DETREND_DAYS, LIQUIDITY_FEATURES, detrended_log_amihud, log_amihud

SPREAD_ESTIMATORS: tuple[SpreadEstimator, ...] = (
    ROLL,
    CORWIN_SCHULTZ,
    ABDI_RANALDO,
    ABDI_RANALDO_PAIRS,
    EDGE,
)
"""Every estimator of the spread from prices; all are tested by the same laws."""

MICROSTRUCTURE_FEATURES = (*SPREAD_FEATURES, *BOOK_FEATURES, *CROWDING_FEATURES)
"""Features that need bars with taker volume, order books, or the state of derivatives."""

__all__ = [
    "ABDI_RANALDO",
    "ABDI_RANALDO_PAIRS",
    "BOOK_FEATURES",
    "CORWIN_SCHULTZ",
    "CROWDING_FEATURES",
    "DETREND_DAYS",
    "EDGE",
    "ILLIQUIDITY_FEATURES",
    "LIQUIDITY_FEATURES",
    "MICROSTRUCTURE_FEATURES",
    "ORDER_VALUE",
    "ROLL",
    "SPREAD_ESTIMATORS",
    "SPREAD_FEATURES",
    "KyleLambda",
    "LogBars",
    "NegativeSpread",
    "PowerLaw",
    "SlippageCurve",
    "SpreadEstimator",
    "amihud",
    "annualised_basis",
    "annualised_funding",
    "bulk_imbalance",
    "corwin_schultz",
    "depth_half_life",
    "depth_imbalance",
    "depth_within",
    "detrended_log_amihud",
    "effective_spread_bps",
    "fit_power_law",
    "herfindahl",
    "kyle_lambda",
    "liquidation_share",
    "log_amihud",
    "log_basis",
    "mid_price",
    "quoted_spread_bps",
    "relative_cost",
    "taker_imbalance",
    "walk_book",
]
