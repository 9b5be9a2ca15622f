"""Liquidity: spreads, impact, flow, order books and crowding."""

from .volume import DETREND_DAYS, LIQUIDITY_FEATURES, detrended_log_amihud, log_amihud

__all__ = ["DETREND_DAYS", "LIQUIDITY_FEATURES", "detrended_log_amihud", "log_amihud"]
