import errno
import os
import struct
from hashlib import sha256
from itertools import pairwise

import pytest

from foremargin.errors import InputError
from foremargin.serving.journal import (
    Disk,
    Entry,
    Journal,
    JournalDamagedError,
    JournalError,
)


def entries(*payloads):
    return [Entry("observations", "key", payload) for payload in payloads]


def payloads(journal, **options):
    return [record.payload for record in journal.read(**options)]


def test_what_was_appended_is_read_after_opening_again(tmp_path):
    with Journal(tmp_path) as journal:
        assert journal.append(entries(b"a", b"b"), time=5) == 1
        assert journal.append([Entry("quotes", "", b"")], time=6) == 3
        digest = journal.digest
    with Journal(tmp_path) as journal:
        first, _, last = journal.read()
        assert (first.kind, first.by, first.payload, first.time) == ("observations", "key", b"a", 5)
        assert (last.sequence, last.kind, last.by, last.payload) == (3, "quotes", "", b"")
        assert journal.digest == last.digest == digest
        assert payloads(journal, after=1) == [b"b", b""]
        assert journal.append(entries(b"d"), time=7) == 4
        assert journal.cut_off == 0


def test_chain_is_sha256_of_chain_place_and_record(tmp_path):
    with Journal(tmp_path) as journal:
        journal.append(entries(b"a"), time=5)
        entry = struct.pack("<IBB", 1, 12, 3) + b"observations" + b"key" + b"a"
        expected = sha256(bytes(32) + struct.pack("<QQ", 1, 5) + entry).digest()
        assert journal.digest == expected == journal.digest_at(1)
        assert journal.digest_at(0) == bytes(32)


def test_segments_follow_one_another_and_every_place_can_be_read_from(tmp_path):
    with Journal(tmp_path, segment_bytes=600) as journal:
        for i in range(40):
            journal.append(entries(b"%d" % i, b"x" * i), time=i)
        assert len(journal.starts) > 5
        whole = list(journal.read())
        for after in range(81):
            assert list(journal.read(after=after)) == whole[after:]
        assert [r.sequence for r in whole] == list(range(1, 81))
    with Journal(tmp_path, segment_bytes=600) as journal:
        assert list(journal.read()) == whole
        verified = journal.verify()
        assert (verified.first, verified.last, verified.digest) == (1, 80, whole[-1].digest)
        assert verified.segments == len(list(tmp_path.glob("*.segment")))


def test_reading_from_the_middle_of_a_long_segment_uses_marks(tmp_path):
    read = []

    class Counting(Disk):
        def read(self, path, *, start=0, end=None):
            content = super().read(path, start=start, end=end)
            read.append(len(content))
            return content

    with Journal(tmp_path, disk=Counting()) as journal:
        for _ in range(300):
            journal.append(entries(b"x" * 4_000), time=0)
        read.clear()
        assert len(payloads(journal, after=295)) == 5
        assert max(read) < 100_000  # of 1.2 MB


def test_older_segments_may_be_moved_away(tmp_path):
    with Journal(tmp_path, segment_bytes=300) as journal:
        for i in range(9):
            journal.append(entries(b"%d" % i * 100), time=i)
        starts, digest = journal.starts, journal.digest
    (tmp_path / f"{starts[0]:020d}.segment").unlink()
    with Journal(tmp_path, segment_bytes=300) as journal:
        verified = journal.verify()
        assert (verified.first, verified.last, verified.digest) == (starts[1], 9, digest)
        with pytest.raises(InputError, match=f"after must be at least {starts[1] - 1}, was 0"):
            journal.read(after=0)


def test_a_missing_segment_in_the_middle_is_damage(tmp_path):
    with Journal(tmp_path, segment_bytes=300) as journal:
        for i in range(9):
            journal.append(entries(b"%d" % i * 100), time=i)
        starts = journal.starts
    (tmp_path / f"{starts[2]:020d}.segment").unlink()
    with (
        Journal(tmp_path) as journal,
        pytest.raises(JournalDamagedError, match=f"record {starts[2]} must stand in .*copy"),
    ):
        journal.verify()


def test_one_writer(tmp_path):
    with Journal(tmp_path), pytest.raises(JournalError, match="must have one writer"):
        Journal(tmp_path)
    with Journal(tmp_path) as journal:
        journal.append(entries(b"a"), time=0)


def _segment(tmp_path):
    (path,) = tmp_path.glob("*.segment")
    return path


def _three(tmp_path):
    ends = []
    with Journal(tmp_path) as journal:
        for payload in (b"first", b"second", b"third"):
            journal.append(entries(payload), time=0)
            ends.append(_segment(tmp_path).stat().st_size)
    return ends


def test_every_torn_tail_is_cut_off_and_nothing_else(tmp_path):
    _, second, third = _three(tmp_path)
    path = _segment(tmp_path)
    whole = path.read_bytes()
    (tmp_path / "acknowledged").unlink()
    for length in range(second, third):
        path.write_bytes(whole[:length])
        (tmp_path / "acknowledged").unlink(missing_ok=True)
        with Journal(tmp_path) as journal:
            assert payloads(journal) == [b"first", b"second"]
            assert journal.cut_off == length - second
            assert journal.append(entries(b"again"), time=0) == 3
            assert payloads(journal) == [b"first", b"second", b"again"]


def test_zeros_where_the_last_frame_should_be_are_a_torn_tail(tmp_path):
    _, second, third = _three(tmp_path)
    path = _segment(tmp_path)
    path.write_bytes(path.read_bytes()[:second] + bytes(third - second))
    (tmp_path / "acknowledged").unlink()
    with Journal(tmp_path) as journal:
        assert journal.last == 2
        assert path.stat().st_size == second


def test_a_tail_that_was_acknowledged_is_not_cut_off(tmp_path):
    _, second, third = _three(tmp_path)
    path = _segment(tmp_path)
    whole = path.read_bytes()
    for length in (second, second + 1, third - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(JournalDamagedError, match=r"record 3 must stand in .* at byte \d+"):
            Journal(tmp_path)
        assert path.read_bytes() == whole[:length]


def test_any_changed_byte_before_the_last_frame_is_damage(tmp_path):
    first, second, _ = _three(tmp_path)
    path = _segment(tmp_path)
    whole = path.read_bytes()
    (tmp_path / "acknowledged").unlink()
    for at in range(first, second):
        changed = bytearray(whole)
        changed[at] ^= 0x40
        path.write_bytes(changed)
        with pytest.raises(JournalDamagedError, match=f"record 2 must stand in .* byte {first} "):
            Journal(tmp_path)
        assert path.read_bytes() == changed


def test_any_changed_byte_of_an_older_segment_is_found(tmp_path):
    with Journal(tmp_path, segment_bytes=400) as journal:
        for i in range(4):
            journal.append(entries(b"%d" % i * 90), time=i)
        path = tmp_path / f"{journal.starts[0]:020d}.segment"
    whole = path.read_bytes()
    for at in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[at] ^= 1
        path.write_bytes(changed)
        with (
            pytest.raises(JournalDamagedError, match=r"must (stand|start)"),
            Journal(tmp_path) as j,
        ):
            j.verify()


class Failing(Disk):
    """Fails the steps that it is told to, in their order."""

    def __init__(self):
        self.faults = {}

    def _step(self, name):
        code = self.faults.pop(name, None)
        if code is not None:
            raise OSError(code, os.strerror(code))

    def write(self, handle, content, *, offset):
        if "write" in self.faults:  # a full disk takes a part
            super().write(handle, content[: len(content) // 2], offset=offset)
        self._step("write")
        super().write(handle, content, offset=offset)

    def sync(self, handle):
        self._step("sync")
        super().sync(handle)

    def truncate(self, handle, *, length):
        self._step("truncate")
        super().truncate(handle, length=length)

    def rename(self, old, new):
        self._step("rename")
        super().rename(old, new)


@pytest.mark.parametrize("step", ["write", "sync"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_failed_append_leaves_nothing_and_the_next_goes_on(tmp_path, step, code):
    disk = Failing()
    with Journal(tmp_path, disk=disk) as journal:
        journal.append(entries(b"a"), time=0)
        size = _segment(tmp_path).stat().st_size
        disk.faults = {step: code}
        with pytest.raises(JournalError, match="records after 1 cannot be written") as caught:
            journal.append(entries(b"lost", b"too"), time=0)
        assert caught.value.full == (code != errno.EIO)
        assert _segment(tmp_path).stat().st_size == size
        assert payloads(journal) == [b"a"]
        assert journal.append(entries(b"b"), time=0) == 2
    with Journal(tmp_path) as journal:
        assert payloads(journal) == [b"a", b"b"]


def test_an_append_that_cannot_be_undone_stops_the_journal_until_it_is_opened(tmp_path):
    disk = Failing()
    with Journal(tmp_path, disk=disk) as journal:
        journal.append(entries(b"a"), time=0)
        disk.faults = {"sync": errno.EIO, "truncate": errno.EIO}
        with pytest.raises(JournalError, match="cannot be written"):
            journal.append(entries(b"b"), time=0)
        with pytest.raises(JournalError, match=r"could not be undone.*open it again"):
            journal.append(entries(b"c"), time=0)
        assert payloads(journal) == [b"a"]
        assert journal.fault
    with Journal(tmp_path, disk=disk) as journal:
        assert payloads(journal) == [b"a", b"b"]  # it is on the disk after all
        assert journal.append(entries(b"c"), time=0) == 3


@pytest.mark.parametrize("step", ["write", "sync", "rename"])
def test_a_rotation_that_fails_is_tried_again(tmp_path, step):
    disk = Failing()
    with Journal(tmp_path, segment_bytes=200, disk=disk) as journal:
        journal.append(entries(b"a" * 100), time=0)
        disk.faults = {step: errno.ENOSPC}
        with pytest.raises(JournalError, match=r"no segment can be added.*make room"):
            journal.append(entries(b"b" * 100), time=0)
        journal.append(entries(b"c" * 100), time=0)
        assert journal.starts == [1, 2]
    with Journal(tmp_path) as journal:
        assert [p[:1] for p in payloads(journal)] == [b"a", b"c"]


def test_entries_that_do_not_fit_are_refused(tmp_path):
    with Journal(tmp_path) as journal:
        for bad, message in (
            ([], "entries must hold at least one"),
            ([Entry("", "", b"")], "kind must have 1 to 255 bytes"),
            ([Entry("a", "é" * 128, b"")], "by at most 255, had 1 and 256"),
        ):
            with pytest.raises(InputError, match=message):
                journal.append(bad, time=0)
        assert journal.append(entries(b"a"), time=0) == 1


def test_a_closed_journal_takes_nothing(tmp_path):
    journal = Journal(tmp_path)
    journal.close()
    with pytest.raises(JournalError, match="it was closed; open it again"):
        journal.append(entries(b"a"), time=0)


def test_reading_checks_the_digest_that_it_is_given(tmp_path):
    with Journal(tmp_path) as journal:
        journal.append(entries(b"a", b"b"), time=0)
        digests = [record.digest for record in journal.read()]
        assert payloads(journal, after=1, digest=digests[0]) == [b"b"]
        assert payloads(journal, after=2, digest=digests[1]) == []
        assert payloads(journal, after=7) == []
        for after, digest in ((1, digests[1]), (2, digests[0]), (3, digests[1]), (0, digests[0])):
            with pytest.raises(JournalDamagedError, match=f"record {after} must be in the journal"):
                journal.read(after=after, digest=digest)


def test_chain_differs_wherever_anything_differs(tmp_path):
    variants = [
        ([Entry("a", "b", b"c")], 1),
        ([Entry("a", "b", b"d")], 1),
        ([Entry("a", "c", b"c")], 1),
        ([Entry("b", "b", b"c")], 1),
        ([Entry("a", "b", b"c")], 2),
        ([Entry("ab", "", b"c")], 1),
        ([Entry("a", "bc", b"")], 1),
    ]
    digests = []
    for i, (records, time) in enumerate(variants):
        with Journal(tmp_path / str(i)) as journal:
            journal.append(records, time=time)
            digests.append(journal.digest)
    assert len(set(digests)) == len(variants)
    assert all(a != b for a, b in pairwise(digests))
