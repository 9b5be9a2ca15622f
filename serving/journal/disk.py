"""What the journal asks of the operating system, in one place that tests can make fail."""

import fcntl
import os
from pathlib import Path

from .faults import JournalError

_full_sync = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: fsync alone stops at the drive's cache


class Disk:
    """Files of one folder; every method may raise OSError.

    A method is one step at which a process may be killed. Simulations replace the whole of it.
    """

    def make_folder(self, folder: Path) -> None:
        """Make a folder that only its owner may enter, and its parents."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def names(self, folder: Path) -> list[str]:
        """Return the names in a folder, sorted."""
        return sorted(os.listdir(folder))

    def read(self, path: Path, *, start: int = 0, end: int | None = None) -> bytes:
        """Return the bytes of a file from `start` to before `end`, or to its end."""
        with path.open("rb") as file:
            file.seek(start)
            return file.read(-1 if end is None else end - start)

    def create(self, path: Path) -> int:
        """Open an empty file for writing; what it held is gone."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def open(self, path: Path) -> int:
        """Open a file for writing, and make it if there is none."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, handle: int, content: bytes, *, offset: int) -> None:
        """Write all of `content` at `offset`."""
        rest = memoryview(content)
        while rest:
            written = os.pwrite(handle, rest, offset)
            rest, offset = rest[written:], offset + written

    def sync(self, handle: int) -> None:
        """Return when what was written can no longer be lost."""
        if _full_sync is not None:
            fcntl.fcntl(handle, _full_sync)
        else:
            os.fdatasync(handle)

    def truncate(self, handle: int, *, length: int) -> None:
        """Cut a file off."""
        os.ftruncate(handle, length)

    def close(self, handle: int) -> None:
        """Give a file back."""
        os.close(handle)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name in one step; a file of that name is replaced."""
        os.rename(old, new)

    def sync_folder(self, folder: Path) -> None:
        """Return when names in a folder can no longer be lost."""
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def remove(self, path: Path) -> None:
        """Remove a file."""
        path.unlink(missing_ok=True)

    def lock(self, path: Path) -> int:
        """Take the lock of a folder; it is held until the handle is closed, or the process ends."""
        handle = self.open(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise JournalError(
                f"a journal must have one writer, {path.parent} has another; "
                "stop the other service, or give this one a state_dir of its own"
            ) from error
        return handle
