"""The seams of the service: what each room may ask of the others.

Rooms know these protocols and not one another; :mod:`.service` puts them together.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol

from msgspec import Struct

from .journal import Entry
from .observations import Observation
from .quote import Calculation, Quote
from .table import QuoteTable


class Clock(Protocol):
    """Where the time comes from; simulations bring their own."""

    def now(self) -> int:
        """Return ns since 1970-01-01T00:00Z."""
        ...


class Outcome(StrEnum):
    """What became of an observation."""

    ACCEPTED = "accepted"
    """Journalled, and on its way to the margins."""
    DUPLICATE = "duplicate"
    """Known already, the same in every number; nothing was done."""
    CONFLICT = "conflict"
    """Another one of the same instrument and moment is known; this one was set aside."""
    LATE = "late"
    """Its period was closed before; set aside."""
    INVALID = "invalid"
    """A number that cannot be: not finite, not positive, out of order; set aside."""
    OUTLIER = "outlier"
    """Accepted into the journal and held back until another source or tick confirms it."""
    UNKNOWN_INSTRUMENT = "unknown-instrument"
    """The service has no such instrument; set aside."""


class Receipt(Struct, frozen=True, kw_only=True, gc=False):
    """Answer to one observation.

    Attributes
    ----------
    outcome : Outcome
        What became of it.
    sequence : int
        Its place in the journal; 0 if it is not there.
    reason : str
        Why it was set aside, as a sentence; empty if it was not.
    """

    outcome: Outcome
    sequence: int = 0
    reason: str = ""


class AuditEntry(Struct, frozen=True, kw_only=True):
    """One thing that the service did, or was told to do.

    Attributes
    ----------
    sequence : int
        Its place in the journal.
    time : int
        When, ns UTC.
    kind : str
        For example ``observations``, ``quotes``, ``bundle``, ``command``, ``published``.
    by : str
        Identifier of the key that asked for it; empty for the service itself.
    what : mapping
        Plain JSON.
    digest : str
        Hash of the chain up to and including it, hex.
    """

    sequence: int
    time: int
    kind: str
    by: str
    what: dict[str, Any]
    digest: str


class CalculatorPort(Protocol):
    """The calculator, in this process or in another; never blocks for long."""

    @property
    def applied(self) -> int:
        """Sequence up to which everything handed over was applied, and its results yielded."""
        ...

    @property
    def fault(self) -> str:
        """Why it is not calculating; empty if it is."""
        ...

    async def submit(self, observations: Sequence[Observation], *, sequence: int) -> None:
        """Hand over what was journalled, in the order of the journal."""
        ...

    def calculations(self) -> AsyncIterator[Sequence[Calculation]]:
        """Yield results as they come; ends when the calculator has stopped."""
        ...


class Companion(Protocol):
    """Who has a record to write with new quotes, so that both take one turn of the disk.

    It never raises, and never waits.
    """

    def beside(self, quotes: Sequence[Quote], *, now: int) -> Entry | None:
        """Return what is to be on the disk with `quotes`, if anything is.

        The quotes are not shown yet. After an entry nothing is asked before :meth:`settled`.
        """
        ...

    def settled(self, *, on_disk: bool) -> None:
        """Take what became of the entry; the quotes are shown, either way.

        If it is said not to be on the disk, it may be there after all.
        """
        ...


class ServicePort(Protocol):
    """What HTTP, streams and the page may ask."""

    @property
    def table(self) -> QuoteTable:
        """Last quotes."""
        ...

    async def accept(self, observations: Sequence[Observation], *, by: str) -> list[Receipt]:
        """Take observations; returns when those accepted are on the disk."""
        ...

    def audit(self, *, after: int, limit: int) -> Sequence[AuditEntry]:
        """Return entries with a sequence above `after`, oldest first, at most `limit`."""
        ...

    def history(self, instrument: str, *, limit: int) -> Sequence[Quote]:
        """Return the last quotes of an instrument, oldest first."""
        ...

    def health(self) -> Mapping[str, Any]:
        """Return plain JSON: ``ready`` (bool), rungs, ages, breakers, disk, bundle."""
        ...

    async def command(self, name: str, arguments: Mapping[str, Any], *, by: str) -> dict[str, Any]:
        """Carry out ``activate``, ``rollback``, ``shadow``, ``pause`` or ``resume``.

        Raises
        ------
        InputError
            If it cannot be done; nothing changed.
        """
        ...


class ScenarioPort(Protocol):
    """What portfolio what-if needs of the margins."""

    def simulate(self, positions: Mapping[str, float]) -> dict[str, Any]:
        """Return the margin of signed notional amounts by instrument, with its parts."""
        ...
