"""What is quoted is written down and then signed, once, and what is read is never older."""

import asyncio
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from foremargin.errors import InputError
from foremargin.serving.assembly.publishing import Publishing
from foremargin.serving.journal import JournalError
from foremargin.serving.publish import Domain, Ledger, LocalSigner, Market, Publisher, batch_json
from foremargin.serving.table import QuoteTable
from foremargin.tests.serving.assembly.quotes import START, quoted

DOMAIN = Domain(chain_id=1, contract="0x" + "00" * 19 + "01")
SECOND = 10**9


class Desk:
    """A publisher at work, on a clock and a disk that a test holds in its hands."""

    def __init__(self, names, *, publisher=Publisher, look_s=3_600.0):
        self.time, self.full, self.records, self.seen = START + 10, 0, [], []
        self.signed: Any = asyncio.Queue()
        self.open = asyncio.Event()
        self.open.set()
        self.table = QuoteTable()
        markets = [Market(instrument=name) for name in names]
        self.publisher = publisher(Ledger(DOMAIN), markets, LocalSigner(b"\x01" * 32))
        self.names = names
        self.publishing = Publishing(
            self.publisher,
            table=self.table,
            write=self.write,
            clock=self,
            signed=self.signed.put_nowait,
            look_s=look_s,
            retry_s=0.001,
        )

    def now(self):
        return self.time

    async def write(self, record):
        await self.open.wait()
        self.seen.append([self.publishing.latest(self.names[0]), self.publishing.batch()])
        if self.full > 0:
            self.full -= 1
            raise JournalError("the disk is full")
        self.records.append(record)
        return len(self.records)

    def bps(self, name: str) -> Any:
        """Return the long initial margin of the update that is read."""
        read = self.publishing.latest(name)
        assert read is not None
        return msgspec.json.decode(read)["message"]["longInitialBps"]


def at_work(desk, steps):
    """Let the publisher run while the steps are taken."""

    async def scenario():
        task = asyncio.create_task(desk.publishing.run())
        try:
            async with asyncio.timeout(10.0):
                await steps()
            assert not task.done()
        finally:
            task.cancel()

    asyncio.run(scenario())


@pytest.mark.parametrize("n", [2, 70], ids=["few", "many"])
def test_what_was_read_is_forgotten_when_something_newer_is_signed(n):
    names = [f"I{k}" for k in range(n)]

    async def steps():
        desk.publishing.quoted([quoted(name, 300) for name in names])
        await desk.signed.get()
        before = desk.publishing.batch()
        read = [desk.publishing.latest(name) for name in names]
        desk.time += 1_000 * SECOND  # past a heartbeat
        fresh = [quoted(name, 300, sequence=2) for name in names]
        until = desk.time + 7_200 * SECOND
        desk.publishing.quoted(
            [replace(one, quoted_at=desk.time, valid_until=until) for one in fresh]
        )
        await desk.signed.get()
        again = [desk.publishing.latest(name) for name in names]
        assert all(new != old for new, old in zip(again, read, strict=True))
        batch = desk.publishing.batch()
        assert batch != before
        assert batch == batch_json(desk.publisher.batch())

    desk = Desk(names)
    at_work(desk, steps)


@pytest.mark.parametrize("n", [2, 70], ids=["few", "many"])
def test_neither_update_nor_batch_is_signed_before_the_disk_has_the_record(n):
    names = [f"I{k}" for k in range(n)]

    async def steps():
        desk.full = 2
        desk.publishing.quoted([quoted(name, 300) for name in names])
        await desk.signed.get()
        assert desk.seen == [[None, None]] * 3
        assert len(desk.records) == 1
        assert desk.bps("I0") == 300

    desk = Desk(names)
    at_work(desk, steps)


def test_what_is_in_the_table_is_signed_without_a_new_quote():
    async def steps():
        await desk.signed.get()
        assert desk.bps("A") == 300

    desk = Desk(["A"], look_s=0.001)
    desk.table.write([quoted("A", 300)])
    at_work(desk, steps)


def test_quotes_that_come_while_a_record_is_written_are_all_signed_afterwards():
    async def steps():
        desk.open.clear()
        desk.publishing.quoted([quoted("A", 300)])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert desk.publishing.busy
        desk.publishing.quoted([quoted("B", 300)])
        desk.publishing.quoted([quoted("C", 300)])
        desk.open.set()
        await desk.signed.get()
        await desk.signed.get()
        assert [desk.bps(name) for name in "ABC"] == [300] * 3
        await asyncio.sleep(0)
        assert not desk.publishing.busy

    desk = Desk(["A", "B", "C"])
    at_work(desk, steps)


def test_what_the_contract_would_refuse_is_said_until_it_is_looked_at_again():
    async def steps():
        desk.publishing.quoted([quoted(name, 300) for name in "AB"])
        await desk.signed.get()
        for name in "AB":
            desk.publishing.quoted([quoted(name, 400, sequence=2)])
            await asyncio.sleep(0)
            while desk.publishing.busy:
                await asyncio.sleep(0)
        assert desk.publishing.reports.keys() == {"A", "B"}
        desk.publishing.quoted([quoted("A", 300, sequence=3)])
        await asyncio.sleep(0)
        while desk.publishing.busy:
            await asyncio.sleep(0)
        assert desk.publishing.reports.keys() == {"B"}

    desk = Desk(["A", "B"])
    at_work(desk, steps)


class FailsOnce(Publisher):
    """A publisher of which the first plan cannot be made."""

    failed = False

    def plan(self, quotes, *, now):
        if not self.failed:
            self.failed = True
            raise InputError("the plan before must be committed")
        return super().plan(quotes, now=now)


def test_a_plan_that_cannot_be_made_ends_nothing(caplog):
    async def steps():
        desk.publishing.quoted([quoted("A", 300)])
        while not desk.publisher.failed or desk.publishing.busy:
            await asyncio.sleep(0)
        desk.publishing.quoted([quoted("A", 301, sequence=2)])
        await desk.signed.get()
        assert desk.bps("A") == 301

    desk = Desk(["A"], publisher=FailsOnce)
    at_work(desk, steps)
    assert "nothing could be signed" in caplog.text
