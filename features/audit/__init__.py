"""The leak audit: whether a forecast, or a pipeline, has seen what came after its origin."""

from .lookahead import audit_lookahead
from .pipeline import audit_pipeline
from .report import LeakReport, LeakTest, LeakVerdict, ModelVerdict

__all__ = [
    "LeakReport",
    "LeakTest",
    "LeakVerdict",
    "ModelVerdict",
    "audit_lookahead",
    "audit_pipeline",
]
