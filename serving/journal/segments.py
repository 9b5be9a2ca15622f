"""Segments: the files that a journal is cut into, their names and their headers."""

import struct
from bisect import bisect_right
from hashlib import sha256
from pathlib import Path

from .disk import Disk
from .faults import JournalDamagedError

SUFFIX = ".segment"
UNFINISHED = ".new"
_HEADER = struct.Struct("<8sQ32s")
_MAGIC = b"FMJRNL01"
HEADER_SIZE = _HEADER.size + 32
"""Magic, first sequence u64, chain before it, and the SHA-256 of these."""

_STRIDE = 64 * 1024


class Segment:
    """One file, and marks in it from which reading can start.

    Attributes
    ----------
    path : Path
        File; its name is its first sequence.
    first : int
        First sequence that it holds, or will hold.
    before : bytes
        Chain before it.
    """

    def __init__(self, path: Path, *, first: int, before: bytes) -> None:
        self.path, self.first, self.before = path, first, before
        self._marks: list[tuple[int, int, bytes]] = [(first, HEADER_SIZE, before)]

    def mark(self, sequence: int, offset: int, before: bytes) -> None:
        """Remember where a frame starts, if the last mark is far behind."""
        if offset >= self._marks[-1][1] + _STRIDE:
            self._marks.append((sequence, offset, before))

    def start(self, sequence: int) -> tuple[int, int, bytes]:
        """Return (sequence, offset, chain before) of a frame at or before `sequence`."""
        return self._marks[max(bisect_right(self._marks, sequence, key=lambda m: m[0]) - 1, 0)]


def segment_name(first: int) -> str:
    """Return the name of the file that starts with a sequence."""
    return f"{first:020d}{SUFFIX}"


def encode_header(first: int, before: bytes) -> bytes:
    """Return what a segment starts with."""
    header = _HEADER.pack(_MAGIC, first, before)
    return header + sha256(header).digest()


def read_segment(disk: Disk, path: Path) -> Segment:
    """Read the header of a segment; it was on the disk before the file had its name."""
    content = disk.read(path, end=HEADER_SIZE)
    if len(content) == HEADER_SIZE:
        magic, first, before = _HEADER.unpack_from(content)
        whole = magic == _MAGIC and sha256(content[: _HEADER.size]).digest() == content[-32:]
        if whole and path.name == segment_name(first):
            return Segment(path, first=first, before=before)
    raise JournalDamagedError(
        f"a segment must start with the header of its name, {path} does not; "
        "bring it back from a copy, or start with another state_dir"
    )
