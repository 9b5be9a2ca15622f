"""The journal: records that are on the disk before anyone is told so, in a chain of hashes."""

import struct
import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from zlib import crc32

from msgspec import Struct

from ...errors import InputError
from .disk import Disk
from .faults import JournalDamagedError, JournalError, raise_from
from .frames import START, BadFrame, Entry, Record, decode_frame, encode_frame, whole_frame_after
from .segments import (
    HEADER_SIZE,
    SUFFIX,
    UNFINISHED,
    Segment,
    encode_header,
    read_segment,
    segment_name,
)

_ACKNOWLEDGED = struct.Struct("<QI")


class Verified(Struct, frozen=True, kw_only=True):
    """What :meth:`Journal.verify` found whole.

    Attributes
    ----------
    first, last : int
        Sequences from and to which the chain holds; ``last < first`` where there is no record.
    digest : bytes
        Chain after the last record.
    segments : int
        Files.
    """

    first: int
    last: int
    digest: bytes
    segments: int


class Journal:
    """Records in segments of a folder; one writer, appended in groups, never changed.

    An append is one write and one fsync, and all of it or nothing counts. If either fails it is
    undone, and later appends go on; if undoing fails too, the journal takes nothing until it is
    opened again. Appends and reads may come from different threads.

    Parameters
    ----------
    folder : Path
        Made if there is none.
    segment_bytes : int
        Size from which the next append starts another segment.
    disk : Disk, optional
        The operating system, unless a test says otherwise.

    Raises
    ------
    JournalDamagedError
        If a record that was acknowledged is missing or damaged.
    JournalError
        If another process has the folder, or the disk cannot be read.

    Attributes
    ----------
    last : int
        Last sequence; 0 if there is none.
    digest : bytes
        Chain after it.
    cut_off : int
        Bytes of an unacknowledged tail that were cut off when it was opened.
    """

    def __init__(
        self, folder: Path, *, segment_bytes: int = 16 * 2**20, disk: Disk | None = None
    ) -> None:
        self._folder, self._size = folder, segment_bytes
        self._disk = Disk() if disk is None else disk
        self._guard = threading.Lock()
        self._handles: list[int] = []
        self._broken, self._rotating = "", False
        self._segments: list[Segment] = []
        self._file = self._marker = -1
        self._end = HEADER_SIZE
        self.last, self.digest, self.cut_off = 0, START, 0
        try:
            self._open()
        except OSError as error:
            self.close()
            raise_from(error, f"the journal in {folder} cannot be opened", do="check the disk")
        except BaseException:
            self.close()
            raise

    def append(self, entries: Sequence[Entry], *, time: int) -> int:
        """Append records; return when they are on the disk.

        Parameters
        ----------
        entries : sequence of Entry
            At least one; all or none of them is kept.
        time : int
            Now, ns UTC.

        Returns
        -------
        int
            Sequence of the first; the others follow.

        Raises
        ------
        JournalError
            If they are not on the disk, and never will be.
        """
        if not entries:
            raise InputError("entries must hold at least one, had none; leave the call out")
        with self._guard:
            self._ready()
            first = self.last + 1
            frame, digest = encode_frame(entries, sequence=first, time=time, before=self.digest)
            full = self._end > HEADER_SIZE and self._end + len(frame) > self._size
            if full or self._rotating:
                self._rotate()
            self._put(frame)
            self._segments[-1].mark(first, self._end, self.digest)
            self._end += len(frame)
            self.last, self.digest = first + len(entries) - 1, digest
            self._acknowledge()
        return first

    def read(self, *, after: int = 0, digest: bytes | None = None) -> Iterator[Record]:
        """Yield the records above a sequence, oldest first, and check their chain.

        Parameters
        ----------
        after : int
            Sequence to start behind.
        digest : bytes, optional
            Chain that must stand there.

        Raises
        ------
        JournalDamagedError
            If the chain is broken, or is not the one that `digest` is of; the records before
            the place have been yielded.
        InputError
            If the journal starts later: its older segments were moved away.
        """
        with self._guard:
            segments, last, end = list(self._segments), self.last, self._end
        if digest is not None and (after > last or digest != self.digest_at(after)):
            raise JournalDamagedError(
                f"record {after} must be in the journal, its last is {last} or it is of another "
                "chain; bring the segments of the snapshot back"
            )
        if after < segments[0].first - 1:
            raise InputError(
                f"after must be at least {segments[0].first - 1}, was {after}; "
                "older segments were moved away, put them back to read them"
            )
        place = max(bisect_right(segments, max(after, 1), key=lambda s: s.first) - 1, 0)
        return self._read(segments[place:], after=after, end=end)

    @property
    def fault(self) -> str:
        """Why it takes nothing until it is opened again; empty if it does."""
        return self._broken

    @property
    def starts(self) -> list[int]:
        """First sequence of every segment, oldest first."""
        return [segment.first for segment in self._segments]

    def digest_at(self, sequence: int) -> bytes:
        """Return the chain up to and including a record."""
        with self._guard:
            if sequence == self.last:
                return self.digest
            if sequence == self._segments[0].first - 1:
                return self._segments[0].before
        for record in self.read(after=sequence - 1):
            return record.digest
        raise InputError(f"sequence must be at most {self.last}, was {sequence}")

    def verify(self) -> Verified:
        """Read everything and check the chain.

        Raises
        ------
        JournalDamagedError
            If it is broken: which file, where, and what to do.
        """
        first = self._segments[0].first
        last, digest = first - 1, self._segments[0].before
        for record in self.read(after=last):
            last, digest = record.sequence, record.digest
        return Verified(first=first, last=last, digest=digest, segments=len(self._segments))

    def close(self) -> None:
        """Give the folder back; may be called again."""
        with self._guard:
            handles, self._handles = self._handles, []
            self._broken = "the journal must be open, it was closed; open it again"
            for handle in reversed(handles):
                with suppress(OSError):
                    self._disk.close(handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> None:
        self._disk.make_folder(self._folder)
        self._handles.append(self._disk.lock(self._folder / "lock"))
        names = self._disk.names(self._folder)
        for name in names:
            if name.endswith(UNFINISHED):
                self._disk.remove(self._folder / name)
        paths = [self._folder / name for name in names if name.endswith(SUFFIX)]
        if not paths:
            self._make_segment(first=1, before=START)
            paths = [self._folder / segment_name(1)]
        self._segments = [read_segment(self._disk, path) for path in paths]
        self._marker = self._disk.open(self._folder / "acknowledged")
        self._handles.append(self._marker)
        self._file = self._disk.open(paths[-1])
        self._handles.append(self._file)
        self._recover()

    def _recover(self) -> None:
        """Read the last segment, and cut off what was never acknowledged."""
        segment = self._segments[-1]
        content = self._disk.read(segment.path)
        self.last, self.digest, self._end = segment.first - 1, segment.before, HEADER_SIZE
        fault = ""
        while self._end < len(content) and not fault:
            try:
                records, end = decode_frame(
                    content, self._end, sequence=self.last + 1, before=self.digest
                )
            except BadFrame as error:
                fault = str(error)
                break
            segment.mark(self.last + 1, self._end, self.digest)
            self.last, self.digest, self._end = records[-1].sequence, records[-1].digest, end
        later = whole_frame_after(content, self._end, sequence=self.last + 1) if fault else None
        acknowledged = self._acknowledged()
        if later is not None or acknowledged > self.last:
            raise _damaged(segment.path, self._end, self.last + 1, fault or "the file ends here")
        if fault:
            self.cut_off = len(content) - self._end
            self._disk.truncate(self._file, length=self._end)
        # After a kill, records and names may have been read that are not on the disk yet.
        self._disk.sync(self._file)
        self._disk.sync_folder(self._folder)
        self._acknowledge()

    def _read(self, segments: Sequence[Segment], *, after: int, end: int) -> Iterator[Record]:
        sequence, offset, chain = segments[0].start(after)
        for segment in segments:
            if (segment.first, segment.before) != (sequence, chain) and segment is not segments[0]:
                raise _damaged(segment.path, 0, sequence, f"it starts with {segment.first}")
            stop = end if segment is segments[-1] else None
            for records in self._frames(segment, offset, stop, sequence, chain):
                sequence, chain = records[-1].sequence + 1, records[-1].digest
                yield from records[max(after + 1 - records[0].sequence, 0) :]
            offset = HEADER_SIZE

    def _frames(
        self, segment: Segment, offset: int, end: int | None, sequence: int, chain: bytes
    ) -> Iterator[list[Record]]:
        """Yield the frames of a file from an offset on."""
        try:
            content = self._disk.read(segment.path, start=offset, end=end)
        except OSError as error:
            raise_from(error, f"{segment.path} cannot be read", do="check the disk")
        at = 0
        while at < len(content):
            segment.mark(sequence, offset + at, chain)
            try:
                records, at = decode_frame(content, at, sequence=sequence, before=chain)
            except BadFrame as error:
                raise _damaged(segment.path, offset + at, sequence, str(error)) from None
            sequence, chain = records[-1].sequence + 1, records[-1].digest
            yield records

    def _put(self, frame: bytes) -> None:
        try:
            self._disk.write(self._file, frame, offset=self._end)
            self._disk.sync(self._file)
        except OSError as error:
            self._undo()
            raise_from(
                error,
                f"records after {self.last} cannot be written to {self._segments[-1].path}",
                do="check the disk",
            )

    def _undo(self) -> None:
        # A failed fsync may have thrown away pages and called them clean (Rebello et al. 2020,
        # "Can Applications Recover from fsync Failures?", USENIX ATC); cutting them off and
        # writing anew is the only retry that is one.
        try:
            self._disk.truncate(self._file, length=self._end)
            self._disk.sync(self._file)
        except OSError as error:
            self._broken = (
                "the journal must know what is on the disk, a failed append could not be undone "
                f"({error.strerror or error}); open it again"
            )

    def _ready(self) -> None:
        if self._broken:
            raise JournalError(self._broken)

    def _rotate(self) -> None:
        # Once begun it must be finished: the next file may have its name already, and says that
        # nothing more comes into the one before.
        self._rotating = True
        try:
            path = self._make_segment(first=self.last + 1, before=self.digest)
            handle = self._disk.open(path)
        except OSError as error:
            raise_from(error, f"no segment can be added to {self._folder}", do="check the disk")
        segment = Segment(path, first=self.last + 1, before=self.digest)
        old, self._file = self._file, handle
        self._handles[self._handles.index(old)] = handle
        self._segments = [*self._segments, segment]
        self._end, self._rotating = HEADER_SIZE, False
        with suppress(OSError):
            self._disk.close(old)

    def _make_segment(self, *, first: int, before: bytes) -> Path:
        path = self._folder / segment_name(first)
        unfinished = path.with_suffix(UNFINISHED)
        handle = self._disk.create(unfinished)
        try:
            self._disk.write(handle, encode_header(first, before), offset=0)
            self._disk.sync(handle)
        finally:
            self._disk.close(handle)
        self._disk.rename(unfinished, path)
        self._disk.sync_folder(self._folder)
        return path

    def _acknowledge(self) -> None:
        """Note the last sequence; a kill of the process does not lose the note."""
        sequence = struct.pack("<Q", self.last)
        with suppress(OSError):  # it is beside the records, which are on the disk
            self._disk.write(self._marker, sequence + struct.pack("<I", crc32(sequence)), offset=0)

    def _acknowledged(self) -> int:
        content = self._disk.read(self._folder / "acknowledged")
        if len(content) != _ACKNOWLEDGED.size:
            return 0
        sequence, check = _ACKNOWLEDGED.unpack(content)
        return int(sequence) if crc32(content[:8]) == check else 0


def _damaged(path: Path, offset: int, sequence: int, why: str) -> JournalDamagedError:
    return JournalDamagedError(
        f"record {sequence} must stand in {path} at byte {offset} since it, or one after it, was "
        f"acknowledged; {why}; bring the file back from a copy and read what came after it from "
        "the audit trail, or start with another state_dir"
    )
