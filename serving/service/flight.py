"""What waits to be appended, and what is being appended."""

from collections.abc import Sequence

from msgspec import Struct

from ..journal import Entry
from ..ladder import Standing, Trial
from ..observations import Observation
from ..ports import Receipt
from ..table import EncodedQuote
from .records import Made


class Request(Struct, frozen=True):
    """Observations that somebody waits to have on the disk."""

    ticket: int
    observations: Sequence[Observation]
    by: str


class Note(Struct, frozen=True):
    """A record that somebody waits to have on the disk."""

    ticket: int
    entry: Entry


class Flight(Struct):
    """What is being appended: receipts hold the place of their entry until it has a sequence."""

    trial: Trial
    now: int
    entries: list[Entry] = []
    receipts: list[tuple[int, list[Receipt]]] = []
    submits: list[tuple[int, list[Observation]]] = []
    made: list[tuple[Standing, Made]] = []
    rows: list[EncodedQuote] = []
    owed: list[str] = []
    accompanied: bool = False
