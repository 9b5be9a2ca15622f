"""The journal: what was acknowledged is on the disk, in order, in a chain of hashes."""

from .disk import Disk
from .faults import JournalDamagedError, JournalError
from .frames import Entry, Record
from .journal import Journal, Verified
from .snapshots import Snapshot, Snapshots

__all__ = [
    "Disk",
    "Entry",
    "Journal",
    "JournalDamagedError",
    "JournalError",
    "Record",
    "Snapshot",
    "Snapshots",
    "Verified",
]
