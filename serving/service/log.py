"""The journal of the service, opened again when the disk has come back."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from ..journal import Disk, Entry, Journal, Record
from ..observations import Observation
from .records import observations_of


class Log:
    """A journal that survives its disk; appended by one thread, read by any.

    Parameters
    ----------
    folder : Path
        Folder of the journal.
    disk : Disk, optional
        The operating system, unless a test says otherwise.
    segment_bytes : int
        Size of a segment.

    Raises
    ------
    JournalError
        If the journal cannot be opened.
    """

    def __init__(
        self, folder: Path, *, disk: Disk | None = None, segment_bytes: int = 16 * 2**20
    ) -> None:
        self._folder, self._disk, self._bytes = folder, disk, segment_bytes
        self._journal = self._opened()

    @property
    def last(self) -> int:
        """Last sequence."""
        return self._journal.last

    @property
    def fault(self) -> str:
        """Why it takes nothing before :meth:`reopen`; empty if it does."""
        return self._journal.fault

    @property
    def starts(self) -> list[int]:
        """First sequence of every segment."""
        return self._journal.starts

    def append(self, entries: Sequence[Entry], time: int) -> int:
        """Append records; return the sequence of the first, when they are on the disk."""
        return self._journal.append(entries, time=time)

    def reopen(self, *, after: int) -> list[Record]:
        """Open the journal again; return records above `after` that are there after all.

        They are of an append that failed and could not be undone. They count from now on.
        """
        self._journal.close()
        self._journal = self._opened()
        return list(self._journal.read(after=after))

    def read(self, *, after: int) -> Iterator[Record]:
        """Yield records above a sequence, oldest first."""
        return self._journal.read(after=after)

    def digest_at(self, sequence: int) -> bytes:
        """Return the chain up to a record."""
        return self._journal.digest_at(sequence)

    def holds(self, sequence: int, digest: bytes) -> bool:
        """Whether a record is in this journal, with this chain up to it."""
        return self.starts[0] - 1 <= sequence <= self.last and self.digest_at(sequence) == digest

    def backlog(self, after: int, limit: int) -> tuple[int, list[tuple[int, list[Observation]]]]:
        """Read up to `limit` records; return the last one read and the observations in them."""
        records = list(islice(self.read(after=after), limit)) if after < self.last else []
        return (records[-1].sequence if records else after), observations_of(records)

    def close(self) -> None:
        """Give the folder back."""
        self._journal.close()

    def _opened(self) -> Journal:
        return Journal(self._folder, disk=self._disk, segment_bytes=self._bytes)
