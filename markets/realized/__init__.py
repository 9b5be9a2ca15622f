"""Realised measures: what the bars inside a period say about its variance."""

from .covariance import Ticks, hayashi_yoshida_covariance, realized_covariance
from .covariation import MarketCovariation, market_covariation
from .illiquidity import bar_illiquidity
from .intraday import intraday_measures, overnight_return, session_returns
from .jumps import JumpSplit, JumpTest, jump_test
from .kernel import kernel_bandwidth, realized_kernel
from .neighbours import (
    bipower_variance,
    median_quarticity,
    median_variance,
    minimum_variance,
    tripower_quarticity,
)
from .noise import subsampled_variance, two_scale_variance
from .powers import realized_measures, signed_jump_variation
from .ranges import realized_range

__all__ = [
    "JumpSplit",
    "JumpTest",
    "MarketCovariation",
    "Ticks",
    "bar_illiquidity",
    "bipower_variance",
    "hayashi_yoshida_covariance",
    "intraday_measures",
    "jump_test",
    "kernel_bandwidth",
    "market_covariation",
    "median_quarticity",
    "median_variance",
    "minimum_variance",
    "overnight_return",
    "realized_covariance",
    "realized_kernel",
    "realized_measures",
    "realized_range",
    "session_returns",
    "signed_jump_variation",
    "subsampled_variance",
    "tripower_quarticity",
    "two_scale_variance",
]
