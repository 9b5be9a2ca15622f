"""Which bundle is served: verified, swapped while running, rolled back, and written down."""

from .correlations import BundledCorrelations, read_correlations
from .loading import LoadedBundle, load
from .record import Action, Event, Placed
from .store import BundleStore

__all__ = [
    "Action",
    "BundleStore",
    "BundledCorrelations",
    "Event",
    "LoadedBundle",
    "Placed",
    "load",
    "read_correlations",
]
