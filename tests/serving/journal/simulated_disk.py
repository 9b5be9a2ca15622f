"""A disk in memory that fails on command, and forgets what was not synced when the power goes."""

import errno
import os
import random
from pathlib import Path

from foremargin.serving.journal import Disk, JournalError


class PowerCut(BaseException):
    """The machine stopped in the middle of a step."""


class File:
    """Content now, and what of it is certain."""

    def __init__(self, content: bytes = b"") -> None:
        self.now, self.certain = bytearray(content), content


class SimulatedDisk(Disk):
    """Files with what is certain of them, and writes since; names with and without a sync.

    `fault` is called before every step with its name; it may raise OSError or PowerCut. A write
    that is cut keeps a part of it, which `rng` chooses.
    """

    def __init__(self, rng: random.Random | None = None) -> None:
        self.rng = random.Random(0) if rng is None else rng
        self.fault = lambda step: None
        self._now: dict[str, File] = {}
        self._certain: dict[str, File] = {}  # names that survive a power cut
        self._open: dict[int, File] = {}
        self._next = 3
        self._locked: set[str] = set()
        self._locks: dict[int, str] = {}

    def _step(self, step: str) -> None:
        self.fault(step)

    def make_folder(self, folder: Path) -> None:
        pass

    def names(self, folder: Path) -> list[str]:
        self._step("names")
        return sorted(Path(p).name for p in self._now if Path(p).parent == folder)

    def read(self, path: Path, *, start: int = 0, end: int | None = None) -> bytes:
        self._step("read")
        if str(path) not in self._now:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return bytes(self._now[str(path)].now[start:end])

    def create(self, path: Path) -> int:
        self._step("create")
        self._now[str(path)] = File()
        return self._handle(path)

    def open(self, path: Path) -> int:
        self._step("open")
        self._now.setdefault(str(path), File())
        return self._handle(path)

    def _handle(self, path: Path) -> int:
        self._next += 1
        self._open[self._next] = self._now[str(path)]
        return self._next

    def write(self, handle: int, content: bytes, *, offset: int) -> None:
        file = self._open[handle].now
        try:
            self._step("write")
        except (OSError, PowerCut):
            part = content[: self.rng.randrange(len(content) + 1)]
            file[offset : offset + len(part)] = part
            raise
        file[offset : offset + len(content)] = content

    def sync(self, handle: int) -> None:
        self._step("sync")
        self._open[handle].certain = bytes(self._open[handle].now)

    def truncate(self, handle: int, *, length: int) -> None:
        self._step("truncate")
        del self._open[handle].now[length:]

    def close(self, handle: int) -> None:
        self._open.pop(handle, None)
        self._locked.discard(self._locks.pop(handle, ""))

    def rename(self, old: Path, new: Path) -> None:
        self._step("rename")
        self._now[str(new)] = self._now.pop(str(old))

    def sync_folder(self, folder: Path) -> None:
        self._step("sync_folder")
        self._names_certain(folder)

    def _names_certain(self, folder: Path) -> None:
        kept = {p: f for p, f in self._certain.items() if Path(p).parent != folder}
        here = {p: f for p, f in self._now.items() if Path(p).parent == folder}
        self._certain = {**kept, **here}

    def remove(self, path: Path) -> None:
        self._step("remove")
        self._now.pop(str(path), None)

    def lock(self, path: Path) -> int:
        if str(path) in self._locked:
            raise JournalError(f"a journal must have one writer, {path.parent} has another")
        self._locked.add(str(path))
        handle = self.open(path)
        self._locks[handle] = str(path)
        return handle

    def kill(self) -> None:
        """End the process: everything written is there, handles and locks are gone."""
        self._open.clear()
        self._locked.clear()
        self._locks.clear()
        self.fault = lambda step: None

    def cut_power(self) -> None:
        """End the machine: of every file, what was synced and any part of what came after."""
        names = self._now if self.rng.random() < 0.5 else self._certain
        self._now = {p: File(self._survivor(f.certain, bytes(f.now))) for p, f in names.items()}
        self._certain = dict(self._now)
        self.kill()

    def _survivor(self, certain: bytes, written: bytes) -> bytes:
        """Mix what was certain and what was written later, block by block, and cut it off."""
        length = self.rng.randint(*sorted((len(certain), len(written))))
        blocks = []
        for at in range(0, length, 512):
            source = written if self.rng.random() < 0.5 else certain
            blocks.append(source[at : at + 512].ljust(min(512, length - at), b"\0"))
        mixed = b"".join(blocks)
        same = next(
            (i for i, (a, b) in enumerate(zip(certain, written, strict=False)) if a != b),
            min(len(certain), len(written)),
        )
        return (certain[:same] + mixed[same:])[: max(length, same)]
