"""What may wait is done in order, and others get their turn."""

import asyncio

from foremargin.serving.assembly.backlog import Backlog


def test_items_are_taken_in_order_between_the_turns_of_others(caplog):
    async def scenario():
        taken: list[object] = []
        backlog, turns = Backlog(), 0

        def fails(piece):
            raise ValueError("no")

        backlog.put(taken.extend, range(50))
        backlog.put(fails, range(100))
        backlog.put(taken.extend, "ab")
        task = asyncio.create_task(backlog.run())
        while len(taken) < 52:
            turns += 1
            await asyncio.sleep(0)
        task.cancel()
        return taken, turns

    taken, turns = asyncio.run(scenario())
    assert taken == [*range(50), "a", "b"]
    assert turns >= 4
    assert "a piece of work failed" in caplog.text
