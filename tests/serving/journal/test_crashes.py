"""SIGKILL at every step: what was acknowledged is there, once, and the journal goes on."""

import subprocess
import sys
from pathlib import Path

import pytest

from foremargin.serving.journal import Entry, Journal, Snapshots

CHILD = Path(__file__).parent / "crash_child.py"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("crashes")
    subprocess.run([sys.executable, str(CHILD), str(root)], check=True, timeout=120)
    return sorted(root.iterdir())


def acknowledged(folder):
    path = folder / "acknowledged.txt"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    snapshots = [int(line.split()[1]) for line in lines if line.startswith(b"snapshot")]
    return [line for line in lines if line.startswith(b"payload")], snapshots


@pytest.mark.slow
def test_every_kind_of_step_was_killed(folders):
    killed = [folder for folder in folders if len(acknowledged(folder)[0]) < 12]
    assert len(killed) > 80
    assert {0, 1, 4, 6, 7, 10, 12} <= {len(acknowledged(folder)[0]) for folder in folders}


@pytest.mark.slow
def test_every_acknowledged_record_is_there_exactly_once(folders):
    for folder in folders:
        told, snapshots = acknowledged(folder)
        with Journal(folder / "journal", segment_bytes=500) as journal:
            found = [record.payload for record in journal.read()]
            # What was not acknowledged may be there too, and then it is what comes next.
            assert found[: len(told)] == told, folder.name
            assert found == [b"payload %d" % i for i in range(len(found))], folder.name
            assert len(found) - len(told) <= 3, folder.name
            snapshot = Snapshots(folder / "snapshots").latest()
            if snapshots:
                assert snapshot is not None, folder.name
                assert snapshot.sequence >= snapshots[-1], folder.name
            if snapshot is not None:
                assert snapshot.content == b"state after %d" % snapshot.sequence
                assert list(journal.read(after=snapshot.sequence, digest=snapshot.digest)) == list(
                    journal.read(after=snapshot.sequence)
                )
            journal.append([Entry("test", "", b"more")], time=0)
            assert journal.verify().last == len(found) + 1
        assert not list((folder / "journal").glob("*.new")), folder.name
