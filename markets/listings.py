"""What an instrument is: its kind, its underlying, its venue; so that nothing is spliced."""

from dataclasses import dataclass
from enum import StrEnum

import pandas as pd


class Kind(StrEnum):
    """What kind of instrument it is."""

    SPOT = "spot"
    PERPETUAL = "perpetual"
    FUTURE = "future"
    OPTION = "option"
    INDEX = "index"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Listing:
    """One instrument as a venue lists it.

    Attributes
    ----------
    instrument : str
        Name, unique in a panel: that of the venue, or ``venue:name`` where two venues share it.
    kind : Kind
        What it is.
    underlying : str
        What it is about, for example ``BTC``: spot, perpetual and options of one underlying share
        it and so can be found from one another; empty if unknown.
    quote : str
        Currency of its prices; empty if unknown.
    venue : str
        Where it trades; empty if unknown.
    calendar : str
        Name of an exchange calendar (``XNYS``), ``24/7``, or empty: then the bars tell.
    expiry : pandas.Timestamp or None
        When it expires, UTC; None for what does not.
    """

    instrument: str
    kind: Kind = Kind.UNKNOWN
    underlying: str = ""
    quote: str = ""
    venue: str = ""
    calendar: str = ""
    expiry: pd.Timestamp | None = None

    @property
    def symbol(self) -> str:
        """Name at the venue: the name without the venue, where that had to be put before it."""
        return self.instrument.removeprefix(f"{self.venue}:") if self.venue else self.instrument

    @property
    def qualified(self) -> str:
        """Name with the venue, ``venue:symbol``; the plain name where no venue is known."""
        return f"{self.venue}:{self.symbol}" if self.venue else self.instrument

    @classmethod
    def unknown(cls, instrument: str) -> "Listing":
        """Return a listing of which only the name is known."""
        return cls(instrument=instrument)
