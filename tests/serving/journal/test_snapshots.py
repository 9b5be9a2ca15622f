import errno
import os

import pytest

from foremargin.errors import InputError
from foremargin.serving.journal import Disk, JournalError, Snapshot, Snapshots


def snapshot(sequence, content=b"state"):
    return Snapshot(sequence=sequence, digest=bytes([sequence % 256]) * 32, content=content)


def test_latest_is_the_last_and_old_ones_go(tmp_path):
    snapshots = Snapshots(tmp_path / "here", keep=2)
    assert snapshots.latest() is None
    for sequence in (3, 10, 200):
        snapshots.save(snapshot(sequence, b"%d" % sequence))
    assert snapshots.latest() == snapshot(200, b"200")
    assert len(list((tmp_path / "here").iterdir())) == 2


@pytest.mark.parametrize("at", [0, 9, 30, 50, 85, 90])
def test_a_damaged_one_is_passed_over_and_named(tmp_path, at):
    snapshots = Snapshots(tmp_path)
    snapshots.save(snapshot(1))
    snapshots.save(snapshot(2, b"state of two"))
    path = tmp_path / f"{2:020d}.snapshot"
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    assert snapshots.latest() == snapshot(1)
    assert snapshots.damaged == [path.name]
    path.write_bytes(content[:at])
    assert snapshots.latest() == snapshot(1)


def test_a_renamed_one_is_passed_over(tmp_path):
    snapshots = Snapshots(tmp_path)
    snapshots.save(snapshot(1))
    (tmp_path / f"{1:020d}.snapshot").rename(tmp_path / f"{9:020d}.snapshot")
    assert snapshots.latest() is None


def test_a_full_disk_leaves_the_last_one(tmp_path):
    class Full(Disk):
        full = False

        def write(self, handle, content, *, offset):
            if self.full:
                super().write(handle, content[:5], offset=offset)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            super().write(handle, content, offset=offset)

    disk = Full()
    snapshots = Snapshots(tmp_path, disk=disk)
    snapshots.save(snapshot(1))
    disk.full = True
    with pytest.raises(
        JournalError, match=r"cannot be written: No space left.*make room"
    ) as caught:
        snapshots.save(snapshot(2))
    assert caught.value.full
    assert snapshots.latest() == snapshot(1)
    assert len(list(tmp_path.iterdir())) == 1


def test_arguments_that_cannot_be(tmp_path):
    with pytest.raises(InputError, match="keep must be at least 1, was 0"):
        Snapshots(tmp_path, keep=0)
    with pytest.raises(InputError, match="digest must have 32 bytes, had 2"):
        Snapshots(tmp_path).save(Snapshot(sequence=1, digest=b"ab", content=b""))
