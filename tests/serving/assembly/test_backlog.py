"""What may wait is done in order, and others get their turn."""

import asyncio

from foremargin.serving.assembly import backlog as backlog_module
from foremargin.serving.assembly.backlog import Backlog


def test_items_are_taken_in_order_between_the_turns_of_others(caplog):
    async def scenario():
        taken: list[object] = []
        rest: list[int] = []
        backlog, turns = Backlog(), 0

        def fails(piece):
            if 30 in piece:
                raise ValueError("no")
            rest.extend(piece)

        backlog.put(taken.extend, range(50))
        backlog.put(fails, range(100))
        backlog.put(taken.extend, "ab")
        task = asyncio.create_task(backlog.run())
        while len(taken) < 52:
            turns += 1
            await asyncio.sleep(0)
        task.cancel()
        return taken, rest, turns

    taken, rest, turns = asyncio.run(scenario())
    assert taken == [*range(50), "a", "b"]
    assert rest == [*range(20), *range(40, 100)], "the piece of twenty that failed, and no more"
    assert turns >= 4
    assert "a piece of work failed" in caplog.text


def test_work_gives_way_and_goes_on_all_the_same():
    async def scenario():
        busy, done = True, list[int]()
        backlog = Backlog(lambda: busy)
        task = asyncio.create_task(backlog.run())
        backlog.put(done.extend, range(60))
        await asyncio.sleep(0.05)
        assert len(done) == 20
        busy = False
        async with asyncio.timeout(5.0):
            while len(done) < 60:
                await asyncio.sleep(0.001)
        task.cancel()

    asyncio.run(scenario())


def test_work_that_always_gives_way_is_not_starved(monkeypatch):
    async def scenario():
        monkeypatch.setattr(backlog_module, "_LOOK_S", 0.0)
        done = list[int]()
        backlog = Backlog(lambda: True)
        task = asyncio.create_task(backlog.run())
        backlog.put(done.extend, range(60))
        async with asyncio.timeout(5.0):
            while len(done) < 60:
                await asyncio.sleep(0)
        task.cancel()

    asyncio.run(scenario())
