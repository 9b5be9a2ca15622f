"""Where markets come from: one file per source, all behind one protocol."""

from .registry import SOURCES, Targets, read_tables, targets_of
from .tables import RawTable, Source

__all__ = ["SOURCES", "RawTable", "Source", "Targets", "read_tables", "targets_of"]
