"""What happened: panels of prices and measures, their sources and their quality checks."""

from .findings import Finding, Severity, findings_frame
from .panel import FIELDS, Missing, Panel

__all__ = ["FIELDS", "Finding", "Missing", "Panel", "Severity", "findings_frame"]
