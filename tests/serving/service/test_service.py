"""The shell: real files, real processes, a clock of our own."""

import asyncio
import errno
import os
import threading

import pytest
from msgspec.structs import replace

from foremargin.errors import InputError
from foremargin.serving.journal import Disk, JournalDamagedError, JournalError
from foremargin.serving.ports import Outcome
from foremargin.serving.quote import Basis, Quote, Status
from foremargin.serving.service import (
    InProcessCalculator,
)
from foremargin.tests.serving.service.ewma import EwmaCalculator
from foremargin.tests.serving.service.running import (
    HOUR,
    Clock,
    bar,
    basis_of,
    left_out,
    running,
    tick,
    until,
)


def test_from_observation_to_quote_and_back_after_a_restart(tmp_path):
    async def first():
        shown: list[Quote] = []
        async with running(tmp_path) as service:
            service.subscribe(shown.extend)
            assert {row.quote.status for row in service.table.rows.values()} == {Status.FALLBACK}
            receipts = await service.accept([bar(1_000), bar(1_000), bar(999)], by="feed")
            assert [r.outcome for r in receipts] == [
                Outcome.ACCEPTED,
                Outcome.DUPLICATE,
                Outcome.LATE,
            ]
            await until(lambda: basis_of(service) is Basis.NETWORK)
            quote = service.table.rows["BTC"].quote
            assert shown[-1] == quote
            assert [q.sequence for q in service.history("BTC", limit=10)] == [1, 2]
            assert service.history("BTC", limit=1) == [quote]
            kinds = [entry.kind for entry in service.audit(after=0, limit=100)]
            assert kinds == ["quotes", "observations", "quotes"]
            entry = service.audit(after=1, limit=1)[0]
            assert (entry.sequence, entry.by) == (receipts[0].sequence, "feed")
            assert entry.what["observations"][0]["close"] == 100.0
            health = service.health()
            assert health["ready"]
            assert health["rungs"] == {"network": 1, "fixed": 1}
            assert health["calculator"]["fault"] == ""
            return quote

    async def second(quote):
        async with running(tmp_path) as service:
            assert service.table.rows["BTC"].quote == quote
            assert service.history("BTC", limit=5)[-1] == quote
            assert (await service.accept([bar(1_000)], by=""))[0].outcome is Outcome.DUPLICATE

    asyncio.run(second(asyncio.run(first())))


def test_requests_that_come_together_share_an_fsync(tmp_path):
    class Counting(Disk):
        syncs = 0

        def sync(self, handle):
            self.syncs += 1
            super().sync(handle)

    async def run():
        disk = Counting()
        async with running(tmp_path, disk=disk, names=("BTC",)) as service:
            before = disk.syncs
            times = range(999 * HOUR + 1, 999 * HOUR + 201)
            answers = await asyncio.gather(
                *(service.accept([tick(time, venue=f"v{time}")], by="") for time in times)
            )
            assert {a[0].outcome for a in answers} == {Outcome.ACCEPTED}
            assert disk.syncs - before < 20

    asyncio.run(run())


def test_reads_do_not_wait_for_a_slow_disk(tmp_path):
    class Slow(Disk):
        gate = threading.Event()

        def sync(self, handle):
            self.gate.wait(10.0)
            super().sync(handle)

    async def run():
        disk = Slow()
        disk.gate.set()
        async with running(tmp_path, disk=disk) as service:
            disk.gate.clear()
            asked = asyncio.ensure_future(service.accept([bar(1_000)], by=""))
            await asyncio.sleep(0)
            assert not asked.done()
            assert service.table.rows["BTC"].body
            assert service.history("BTC", limit=5)
            assert service.health()["ready"]
            disk.gate.set()
            assert (await asked)[0].outcome is Outcome.ACCEPTED

    asyncio.run(run())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("undo_fails", [False, True])
def test_a_disk_that_fails_refuses_writes_and_answers_reads(tmp_path, code, undo_fails):
    class Failing(Disk):
        failing = False

        def sync(self, handle):
            if self.failing:
                raise OSError(code, os.strerror(code))
            super().sync(handle)

        def truncate(self, handle, *, length):
            if self.failing and undo_fails:
                raise OSError(code, os.strerror(code))
            super().truncate(handle, length=length)

    async def run():
        disk, clock = Failing(), Clock()
        async with running(tmp_path, disk=disk, clock=clock) as service:
            await service.accept([bar(1_000)], by="")
            await until(lambda: basis_of(service) is Basis.NETWORK)
            disk.failing = True
            with pytest.raises(JournalError, match="cannot be written"):
                await service.accept([tick(1_000 * HOUR + 1)], by="")
            clock.time += 2 * HOUR
            # Margins come of age although the disk takes no quote.
            await until(lambda: service.table.rows["BTC"].quote.status is Status.STALE)
            assert service.health()["disk"]["fault"]
            disk.failing = False
            await until(lambda: not service.health()["disk"]["fault"])
            (receipt,) = await service.accept([tick(1_000 * HOUR + 1)], by="")
            assert receipt.outcome in (Outcome.ACCEPTED, Outcome.DUPLICATE)
            await until(lambda: service.health()["disk"] | {"last": 0} == {
                "fault": "", "last": 0, "owed": 0, "snapshot_fault": ""
            })  # fmt: skip
            quote = service.table.rows["BTC"].quote
        async with running(tmp_path, clock=clock) as service:
            assert service.table.rows["BTC"].quote.sequence >= quote.sequence
            journalled = [
                o["time"]
                for entry in service.audit(after=0, limit=100)
                for o in entry.what.get("observations", [])
            ]
            assert journalled == [1_000 * HOUR, 1_000 * HOUR + 1]

    asyncio.run(run())


def test_a_journal_that_lost_what_a_snapshot_has_is_not_opened(tmp_path):
    async def run():
        async with running(tmp_path) as service:
            await service.accept([bar(1_000)], by="")
        for path in (tmp_path / "journal").iterdir():
            path.unlink()
        with pytest.raises(JournalDamagedError, match="must be in the journal, since a snapshot"):
            async with running(tmp_path):
                pass

    asyncio.run(run())


class Store:
    def __init__(self):
        self.bundle = "one"

    def active(self):
        return self.bundle

    def activate(self, folder):
        if folder.name == "bad":
            raise InputError("a bundle must be signed, bad is not")
        self.bundle = folder.name

    def rollback(self):
        self.bundle = "one"

    def shadow(self, folder):
        self.beside = folder


class Beside(EwmaCalculator):
    """A calculator with a challenger that says half as much."""

    def apply(self, observations):
        said = super().apply(observations)
        half = [
            replace(one, shadow=True, long=_half(one.long), short=_half(one.short)) for one in said
        ]
        return [*half, *said]  # the core takes the first of an origin


def _half(side):
    bps = side.initial_margin_bps // 2
    return replace(side, initial_margin_bps=bps, maintenance_margin_bps=bps // 2)


def test_what_a_challenger_says_is_recorded_and_believed_in_nothing(tmp_path):
    async def run(folder, calculator):
        async with running(folder, calculator=InProcessCalculator(calculator)) as service:
            for hour in (998, 999, 1_000):
                await service.accept([bar(hour)], by="feed")
                await until(lambda hour=hour: seen(service) == hour * HOUR)
            await until(lambda: service.core._flight is None and not service.core._queue)
            quotes = [(q.observed_at, q.long, q.short) for q in service.history("BTC", limit=99)]
            shadows = [e for e in service.audit(after=0, limit=99) if e.kind == "shadow"]
            assert not service._appending.exception() if service._appending.done() else True
            return quotes, shadows

    def seen(service):
        return service.table.rows["BTC"].quote.observed_at

    alone, none = asyncio.run(run(tmp_path / "alone", EwmaCalculator()))
    beside, shadows = asyncio.run(run(tmp_path / "beside", Beside()))
    assert beside == alone
    assert none == []
    said = [one for entry in shadows for one in entry.what]
    assert len(said) >= 1
    assert all(one["shadow"] for one in said)


def test_commands_are_journalled_before_and_after(tmp_path):
    async def run():
        store = Store()
        async with running(tmp_path, bundles=store) as service:
            assert await service.command("activate", {"folder": "two"}, by="ann") == {
                "bundle": "two"
            }
            with pytest.raises(InputError, match="bad is not"):
                await service.command("activate", {"folder": "bad"}, by="ann")
            assert (await service.command("rollback", {}, by="ann"))["bundle"] == "one"
            await service.command("shadow", {"folder": None}, by="ann")
            assert store.beside is None
            await service.command("pause", {}, by="ann")
            for name, arguments, message in (
                ("stop", {}, "a command must be one of activate, rollback"),
                ("pause", {"x": 1}, "pause takes no arguments, got x"),
                ("activate", {"folder": 3}, "folder must be a path as text, was 3"),
            ):
                with pytest.raises(InputError, match=message):
                    await service.command(name, arguments, by="ann")
            stages = [
                (e.what["name"], e.what["stage"], e.by)
                for e in service.audit(after=0, limit=100)
                if e.kind == "command"
            ]
            assert stages[:4] == [
                ("activate", "asked", "ann"),
                ("activate", "done", "ann"),
                ("activate", "asked", "ann"),
                ("activate", "refused", "ann"),
            ]
        async with running(tmp_path, bundles=store) as service:
            assert service.health()["paused"]
            await service.command("resume", {}, by="ann")
            assert not service.health()["paused"]

    asyncio.run(run())


def test_a_listener_that_fails_stops_nothing(tmp_path, caplog):
    async def run():
        async with running(tmp_path) as service:
            service.subscribe(lambda quotes: 1 / 0)
            shown: list[Quote] = []
            stop = service.subscribe(shown.extend)
            await service.accept([bar(1_000)], by="")
            await until(lambda: shown)
            stop()
        assert "a listener failed" in caplog.text

    asyncio.run(run())


def test_a_service_that_is_not_running_takes_nothing(tmp_path):
    async def run():
        async with running(tmp_path) as service:
            pass
        with pytest.raises(InputError, match="the service must be running"):
            await service.accept([bar(1_000)], by="")

    asyncio.run(run())


def test_what_the_calculator_refuses_is_said_once(tmp_path):
    async def run(*ticks):
        async with running(tmp_path) as service:
            for one in ticks:
                await service.accept([one], by="")
            await until(lambda: service.table.rows["BTC"].quote.observed_at == ticks[-1].time)
            assert service.health()["calculator"]["left_out"] == 1
            await until(lambda: left_out(service))
            assert len(left_out(service)) == 1

    asyncio.run(run(tick(1_000 * HOUR, "refuse"), tick(1_000 * HOUR)))
    asyncio.run(run(tick(1_000 * HOUR + 1)))  # the calculator is given the whole journal again
