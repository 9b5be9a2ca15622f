"""Appends to journals and is killed at every step: ``crash_child.py FOLDER``.

For each step n and each moment (before it, in the middle of a write, after it) a forked process
does the same work with SIGKILL at its n-th step. What it was told to be on the disk it notes in
``acknowledged.txt`` of its folder, one payload a line. The last folder is of the run that nothing
killed.
"""

import os
import signal
import sys
from pathlib import Path

from foremargin.serving.journal import Disk, Entry, Journal, Snapshot, Snapshots

STEPS = ("create", "open", "write", "sync", "truncate", "rename", "sync_folder", "remove", "close")


class KillingDisk(Disk):
    """Counts its steps, and ends the process at one of them."""

    def __init__(self, step: int, moment: str) -> None:
        self.step, self.moment, self.count = step, moment, 0

    def _kill_at(self, moment: str) -> None:
        if self.count == self.step and moment == self.moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def write(self, handle: int, content: bytes, *, offset: int) -> None:
        self.count += 1
        self._kill_at("before")
        super().write(handle, content[: len(content) // 2], offset=offset)
        self._kill_at("middle")
        super().write(handle, content, offset=offset)
        self._kill_at("after")


def _counted(name):
    step = getattr(Disk, name)

    def counted(self, *arguments, **options):
        self.count += self.moment != "middle"  # only a write has one
        self._kill_at("before")
        result = step(self, *arguments, **options)
        self._kill_at("after")
        return result

    return counted


for _name in STEPS:
    if _name != "write":
        setattr(KillingDisk, _name, _counted(_name))


def work(folder: Path, disk: Disk) -> None:
    """Append with rotations, take snapshots, open again, append more."""
    noted = os.open(folder / "acknowledged.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    number = 0
    for _ in range(2):
        with Journal(folder / "journal", segment_bytes=500, disk=disk) as journal:
            snapshots = Snapshots(folder / "snapshots", keep=1, disk=disk)
            for group in (1, 3, 2):
                payloads = [b"payload %d" % (number + i) for i in range(group)]
                journal.append([Entry("test", "", p) for p in payloads], time=number)
                number += group
                os.write(noted, b"".join(p + b"\n" for p in payloads))
            content = b"state after %d" % journal.last
            at = Snapshot(sequence=journal.last, digest=journal.digest, content=content)
            snapshots.save(at)
            os.write(noted, b"snapshot %d\n" % journal.last)


def main(root: Path) -> None:
    """Fork and kill until a run gets to its end."""
    for moment in ("before", "middle", "after"):
        step = 0
        while True:
            step += 1
            folder = root / f"{moment}-{step}"
            folder.mkdir()
            child = os.fork()
            if child == 0:
                disk = KillingDisk(step, moment)
                work(folder, disk)
                os._exit(0 if disk.count < step else 1)  # 1: a step that has no such moment
            _, status = os.waitpid(child, 0)
            if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
                break


if __name__ == "__main__":
    main(Path(sys.argv[1]))
