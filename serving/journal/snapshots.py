"""Snapshots: the state up to a record of the journal, so that a start need not read it all."""

import struct
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from msgspec import Struct

from ...errors import InputError
from .disk import Disk
from .faults import raise_from

_HEADER = struct.Struct("<8sQ32sQ")
_MAGIC = b"FMSNAP01"
_SUFFIX, _UNFINISHED = ".snapshot", ".new"


class Snapshot(Struct, frozen=True, kw_only=True):
    """A state, and the record that it is the state after.

    Attributes
    ----------
    sequence : int
        Last record that is in it; 0 for none.
    digest : bytes
        Chain after that record, 32 bytes.
    content : bytes
        The state.
    """

    sequence: int
    digest: bytes
    content: bytes


class Snapshots:
    """Snapshots of one state in a folder: the last ones, each whole or not there.

    Parameters
    ----------
    folder : Path
        Made if there is none.
    keep : int
        Snapshots to keep, at least 1; a damaged one is passed over for the one before.
    disk : Disk, optional
        The operating system, unless a test says otherwise.

    Attributes
    ----------
    damaged : list of str
        Names that :meth:`latest` passed over.
    """

    def __init__(self, folder: Path, *, keep: int = 2, disk: Disk | None = None) -> None:
        if keep < 1:
            raise InputError(f"keep must be at least 1, was {keep}; 2 survives a damaged one")
        self._folder, self._keep = folder, keep
        self._disk = Disk() if disk is None else disk
        self.damaged: list[str] = []

    def save(self, snapshot: Snapshot) -> None:
        """Write a snapshot; return when it is on the disk under its name, then drop old ones.

        Raises
        ------
        JournalError
            If it is not on the disk; those before are as they were.
        """
        if len(snapshot.digest) != 32:
            raise InputError(f"digest must have 32 bytes, had {len(snapshot.digest)}")
        path = self._folder / f"{snapshot.sequence:020d}{_SUFFIX}"
        try:
            self._disk.make_folder(self._folder)
            self._write(path.with_suffix(_UNFINISHED), _encode(snapshot))
            self._disk.rename(path.with_suffix(_UNFINISHED), path)
            self._disk.sync_folder(self._folder)
        except OSError as error:
            with suppress(OSError):
                self._disk.remove(path.with_suffix(_UNFINISHED))
            raise_from(error, f"the snapshot {path} cannot be written", do="check the disk")
        self._prune()

    def latest(self) -> Snapshot | None:
        """Return the last whole snapshot; None if there is none.

        Raises
        ------
        JournalError
            If the folder cannot be read.
        """
        self.damaged = []
        try:
            self._disk.make_folder(self._folder)
            for name in reversed(self._names(_SUFFIX)):
                snapshot = _decode(self._disk.read(self._folder / name))
                if snapshot is not None and name.startswith(f"{snapshot.sequence:020d}."):
                    return snapshot
                self.damaged.append(name)
        except OSError as error:
            raise_from(error, f"snapshots in {self._folder} cannot be read", do="check the disk")
        return None

    def _names(self, suffix: str) -> list[str]:
        return [name for name in self._disk.names(self._folder) if name.endswith(suffix)]

    def _write(self, path: Path, content: bytes) -> None:
        handle = self._disk.create(path)
        try:
            self._disk.write(handle, content, offset=0)
            self._disk.sync(handle)
        finally:
            self._disk.close(handle)

    def _prune(self) -> None:
        with suppress(OSError):  # too many snapshots harm nobody
            for name in self._names(_SUFFIX)[: -self._keep] + self._names(_UNFINISHED):
                self._disk.remove(self._folder / name)


def _encode(snapshot: Snapshot) -> bytes:
    content = snapshot.content
    header = _HEADER.pack(_MAGIC, snapshot.sequence, snapshot.digest, len(content))
    return header + sha256(header + content).digest() + content


def _decode(content: bytes) -> Snapshot | None:
    if len(content) < _HEADER.size + 32:
        return None
    magic, sequence, digest, length = _HEADER.unpack_from(content)
    header, rest = content[: _HEADER.size], content[_HEADER.size + 32 :]
    if magic != _MAGIC or len(rest) != length:
        return None
    if sha256(header + rest).digest() != content[_HEADER.size : _HEADER.size + 32]:
        return None
    return Snapshot(sequence=sequence, digest=digest, content=rest)
