"""Regressions of the variance ahead on the variances so far."""

from .log_har import LogHar
from .pooled_har import PooledHar

__all__ = ["LogHar", "PooledHar"]
