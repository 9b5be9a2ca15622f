"""What happened: panels of prices and measures, their sources and their quality checks."""

from .assembly.loading import load_panel
from .bars.ticks import bars_from_ticks
from .calendars import next_session
from .checks.quality import check_bars
from .fields import FIELD_FAMILIES, FIELDS, Field, Rule, field_named
from .findings import Finding, Severity, findings_frame
from .inspection.reports import InstrumentReport, SourceReport, inspect_source
from .listings import Kind, Listing
from .live import LivePanel
from .observations import Observations
from .panel import DAYS_PER_YEAR, SESSIONS_PER_YEAR, Missing, Panel
from .sources import SOURCES, RawTable, Source
from .synthetic import CALM, CRYPTO, EQUITY, MarketSpec, SyntheticMarket, simulate_market

__all__ = [
    "CALM",
    "CRYPTO",
    "DAYS_PER_YEAR",
    "EQUITY",
    "FIELDS",
    "FIELD_FAMILIES",
    "SESSIONS_PER_YEAR",
    "SOURCES",
    "Field",
    "Finding",
    "InstrumentReport",
    "Kind",
    "Listing",
    "LivePanel",
    "MarketSpec",
    "Missing",
    "Observations",
    "Panel",
    "RawTable",
    "Rule",
    "Severity",
    "Source",
    "SourceReport",
    "SyntheticMarket",
    "bars_from_ticks",
    "check_bars",
    "field_named",
    "findings_frame",
    "inspect_source",
    "load_panel",
    "next_session",
    "simulate_market",
]
