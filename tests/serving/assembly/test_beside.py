"""What is signed goes to the disk with its quotes: durable first, and each number once."""

import asyncio

import msgspec
import pytest

from foremargin.serving.assembly.publishing import Publishing
from foremargin.serving.journal import JournalError
from foremargin.serving.publish import Domain, Ledger, LocalSigner, Market, Publisher, SignedBatch
from foremargin.serving.service import ServiceCore
from foremargin.serving.service.records import Accompanied, Append, Show
from foremargin.serving.table import QuoteTable
from foremargin.tests.serving.assembly.quotes import HOUR, START, quoted

DOMAIN = Domain(chain_id=1, contract="0x" + "00" * 19 + "01")
SIGNER = LocalSigner(b"\x01" * 32)


class Clock:
    def now(self):
        return START + 10


class Written:
    """Keeps records; the first tries may fail."""

    def __init__(self, *, failures=0):
        self.records, self.failures = [], failures

    async def __call__(self, record):
        self.records.append(record)
        if len(self.records) <= self.failures:
            raise JournalError("the disk is full")
        return len(self.records)


@pytest.fixture
def make_publishing():
    """Return a function that makes a publisher at work, and what it wrote and signed."""

    def make(*, failures=0, names=("A", "B")):
        ledger, written, signed = Ledger(DOMAIN), Written(failures=failures), list[SignedBatch]()
        publisher = Publisher(ledger, [Market(instrument=name) for name in names], SIGNER)
        publishing = Publishing(
            publisher,
            table=QuoteTable(),
            write=written,
            clock=Clock(),
            signed=signed.append,
            retry_s=0.001,
        )
        return publishing, written, signed

    return make


async def until(holds):
    async with asyncio.timeout(5.0):
        while not holds():
            await asyncio.sleep(0.001)


async def working(publishing, holds):
    """Let it run until something holds."""
    task = asyncio.create_task(publishing.run())
    await until(holds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_what_went_to_the_disk_with_its_quote_is_signed_at_once(make_publishing):
    publishing, written, signed = make_publishing()
    quotes = [quoted("A", 300)]
    entry = publishing.beside(quotes, now=START + 10)
    assert entry is not None
    assert entry.kind == "published"
    assert (publishing.busy, publishing.latest("A")) == (True, None)
    publishing.quoted(quotes)  # they are shown
    publishing.settled(on_disk=True)
    assert publishing.latest("A") is not None
    assert [batch.batch.batch_seq for batch in signed] == [1]
    assert (publishing.busy, written.records) == (False, [])
    restarted = Ledger(DOMAIN)
    restarted.replay(entry.payload)
    again = Publisher(restarted, (), SIGNER).signed("A")
    assert again is not None
    assert again.plain() == msgspec.json.decode(publishing.latest("A"))


def test_record_that_may_be_on_the_disk_is_written_again_and_no_other_has_its_number(
    make_publishing,
):
    publishing, written, signed = make_publishing(failures=2)

    async def scenario():
        task = asyncio.create_task(publishing.run())
        entry = publishing.beside([quoted("A", 300)], now=START + 10)
        publishing.settled(on_disk=False)
        assert publishing.beside([quoted("B", 300)], now=START + 10) is None
        publishing.quoted([quoted("B", 300)])
        await until(lambda: len(signed) == 2)
        task.cancel()
        return entry.payload

    first = asyncio.run(scenario())
    assert written.records[:3] == [first] * 3
    assert [(list(b.updates), b.batch.batch_seq) for b in signed] == [(["A"], 1), (["B"], 2)]


def test_look_for_heartbeats_waits_for_what_is_on_its_way_to_the_disk(make_publishing):
    publishing, _, signed = make_publishing()
    publishing._look_s = 0.001

    async def scenario():
        publishing.beside([quoted("A", 300)], now=START + 10)
        task = asyncio.create_task(publishing.run())
        await asyncio.sleep(0.02)
        assert (signed, task.done()) == ([], False)
        publishing.settled(on_disk=True)
        publishing.quoted([quoted("B", 300)])
        await until(lambda: len(signed) == 2)
        task.cancel()

    asyncio.run(scenario())


def test_many_quotes_and_those_that_could_not_be_planned_wait_until_they_are_shown(
    make_publishing, caplog
):
    names = [f"I{k}" for k in range(65)]
    publishing, written, signed = make_publishing(names=names)
    many = [quoted(name, 300) for name in names]
    assert publishing.beside(many, now=START + 10) is None
    whole, publishing._publisher.plan = publishing._publisher.plan, None
    assert publishing.beside(many[:1], now=START + 10) is None
    assert "nothing could be planned" in caplog.text
    publishing._publisher.plan = whole

    async def scenario():
        publishing.quoted(many)
        await working(publishing, lambda: signed)

    asyncio.run(scenario())
    assert len(written.records) == 1
    assert sorted(signed[0].updates) == sorted(names)


def test_quote_that_is_not_due_is_looked_at_once(make_publishing):
    publishing, _, _ = make_publishing()
    first, same = quoted("A", 300), quoted("A", 300, sequence=2)
    publishing.beside([first], now=START + 10)
    publishing.settled(on_disk=True)
    assert publishing.beside([same], now=START + 11) is None
    publishing.quoted([same])
    assert not publishing.busy
    publishing.quoted([same])  # shown by someone who had not asked
    assert publishing.busy


def test_core_appends_the_record_of_its_companion_with_the_quotes(make_publishing):
    core = ServiceCore(["A"])
    publishing, written, signed = make_publishing()
    core.ticked(START)
    core.appended(1, now=START)
    core.companion = publishing
    calculation = quoted("A", 300).calculation
    assert calculation is not None
    (append,) = core.calculated([calculation], applied=0, now=START + HOUR)
    assert isinstance(append, Append)
    assert [entry.kind for entry in append.entries] == ["quotes", "published"]
    shown, told = core.append_failed("no room", now=START + HOUR)
    assert isinstance(shown, Show)
    assert told == Accompanied(False)
    publishing.settled(on_disk=False)

    async def scenario():
        await working(publishing, lambda: signed)

    asyncio.run(scenario())
    assert written.records == [append.entries[1].payload]
    (owed,) = core.ticked(START + HOUR + 1)  # the quote is still owed, its update is not
    assert isinstance(owed, Append)
    assert [entry.kind for entry in owed.entries] == ["quotes"]
    assert not any(isinstance(e, Accompanied) for e in core.appended(2, now=START + HOUR + 1))


def test_who_waits_is_told_of_the_next_update_and_let_go_at_the_end(make_publishing):
    publishing, _, _ = make_publishing()

    async def scenario():
        first = publishing.changed()
        assert publishing.changed() is first  # one for all who wait
        publishing.beside([quoted("A", 300)], now=START + 10)
        assert not first.done()
        publishing.settled(on_disk=True)
        assert first.done()
        second = publishing.changed()
        publishing.close()
        assert second.done()
        assert publishing.changed() is None

    asyncio.run(scenario())
