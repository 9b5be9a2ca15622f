"""What happened: panels of prices and measures, their sources and their quality checks."""

from .findings import Finding, Severity, findings_frame
from .inspection import InstrumentReport, SourceReport, inspect_source
from .loading import load_panel
from .panel import DAYS_PER_YEAR, FIELDS, SESSIONS_PER_YEAR, Missing, Panel
from .quality import check_bars
from .sources import SOURCES
from .tables import RawTable, Source

__all__ = [
    "DAYS_PER_YEAR",
    "FIELDS",
    "SESSIONS_PER_YEAR",
    "SOURCES",
    "Finding",
    "InstrumentReport",
    "Missing",
    "Panel",
    "RawTable",
    "Severity",
    "Source",
    "SourceReport",
    "check_bars",
    "findings_frame",
    "inspect_source",
    "load_panel",
]
