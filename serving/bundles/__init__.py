"""Which bundle is served: verified, swapped while running, rolled back, and written down."""

from .loading import LoadedBundle, load
from .record import Action, Event, Placed
from .store import BundleStore

__all__ = ["Action", "BundleStore", "Event", "LoadedBundle", "Placed", "load"]
