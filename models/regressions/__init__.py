"""Regressions of the variance ahead on the variances so far."""

from .extended_har import ExtendedHar
from .har_combined import QLIKE_PRIOR, CombinedHar
from .level_har import LevelForm, LevelHar
from .log_har import LogHar
from .pooled_har import PooledHar
from .terms import EXPONENTIAL_TERMS

__all__ = [
    "EXPONENTIAL_TERMS",
    "QLIKE_PRIOR",
    "CombinedHar",
    "ExtendedHar",
    "LevelForm",
    "LevelHar",
    "LogHar",
    "PooledHar",
]
