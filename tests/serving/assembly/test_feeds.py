"""A feed that fails, ends or cannot be started costs nothing but what it did not send."""

import asyncio
import os
import sys

import pytest

from foremargin.serving.assembly import feeds
from foremargin.serving.assembly.feeds import Feed
from foremargin.serving.journal import JournalError
from foremargin.serving.observations import encode_observations
from foremargin.serving.ports import Outcome, Receipt
from foremargin.tests.serving.assembly.quotes import HOUR, START


@pytest.fixture
def program(make_bar, tmp_path):
    """Return a function that writes a program which prints bars, and does something more."""

    def write(*hours, more=""):
        lines = [encode_observations([make_bar("A", hour)]).decode() for hour in hours]
        file = tmp_path / "feed.py"
        file.write_text("".join(f"print({line!r}, flush=True)\n" for line in lines) + more)
        return (sys.executable, str(file))

    return write


class Taker:
    """Takes observations, and fails at some of them."""

    def __init__(self, *, fails_at=()):
        self.hours, self._fails_at = [], set(fails_at)

    async def __call__(self, observations):
        hours = [(one.time - START) // HOUR for one in observations]
        if self._fails_at & set(hours):
            raise JournalError("the disk is full")
        self.hours += hours
        return [Receipt(outcome=Outcome.ACCEPTED)] * len(hours)


def listen(feed, holds):
    """Run a feed until something holds."""

    async def scenario():
        task = asyncio.create_task(feed.run())
        async with asyncio.timeout(30.0):
            while not holds():
                assert not task.done()
                await asyncio.sleep(0.005)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())


def test_a_program_that_ended_is_started_again(program, monkeypatch):
    monkeypatch.setattr(feeds, "_BACKOFF_S", 0.0)
    take = Taker()
    listen(Feed(program(1), accept=take), lambda: len(take.hours) >= 2)
    assert set(take.hours) == {1}


def test_what_the_disk_does_not_take_is_passed_over(program, caplog):
    take = Taker(fails_at=[1])
    listen(Feed(program(1, 2, 3), accept=take), lambda: len(take.hours) >= 2)
    assert take.hours == [2, 3]
    assert "was not taken: the disk is full" in caplog.text


def test_a_program_ends_with_the_service(program, monkeypatch):
    take = Taker()
    command = program(1, more="import time\ntime.sleep(600)\n")
    seen = []

    async def scenario():
        feed = Feed(command, accept=take)
        real = asyncio.create_subprocess_exec

        async def noted(*arguments, **rest):
            seen.append(await real(*arguments, **rest))
            return seen[-1]

        monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
        task = asyncio.create_task(feed.run())
        async with asyncio.timeout(30.0):
            while not take.hours:
                await asyncio.sleep(0.005)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())
    with pytest.raises(ProcessLookupError, match="process"):
        os.kill(seen[0].pid, 0)


def test_a_line_that_is_too_long_ends_the_program_and_not_the_feed(program, monkeypatch):
    monkeypatch.setattr(feeds, "_LONGEST_LINE", 200)
    feed = Feed(program(more="print('x' * 100_000, flush=True)\n"), accept=Taker())
    listen(feed, lambda: "limit" in feed.fault or "Separator" in feed.fault)


def test_a_program_that_cannot_be_started_is_tried_less_and_less_often(monkeypatch):
    waited, real = [], asyncio.sleep

    async def sleep(delay):
        if delay >= 1.0:
            waited.append(delay)
            delay = 0.0
        await real(delay)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    feed = Feed(("/nowhere/program",), accept=Taker())
    listen(feed, lambda: len(waited) >= 8)
    assert waited[:8] == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert feed.fault.startswith("/nowhere/program: ")
