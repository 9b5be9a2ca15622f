"""The documented routes are made while hot ones answer."""

import asyncio
import threading

import pytest

from foremargin.serving.http.late import Late


@pytest.fixture
def slow():
    """Return an application that takes until it may be made, and how often it was."""
    may, made = threading.Event(), []

    async def app(scope, receive, send):
        await send(scope)

    def make():
        assert may.wait(5.0)
        made.append(threading.current_thread())
        return app

    return Late(make), may, made


def test_who_comes_early_waits_and_it_is_made_once_and_beside_the_loop(slow):
    late, may, made = slow
    sent = []

    async def send(message):
        sent.append(message)

    async def scenario():
        early = [asyncio.create_task(late({"type": str(n)}, send, send)) for n in range(3)]
        await asyncio.sleep(0.01)  # the loop goes on
        assert sent == []
        early[0].cancel()  # whoever goes away takes nothing from the others
        await asyncio.sleep(0)
        may.set()
        await asyncio.gather(*early, return_exceptions=True)
        await late({"type": "later"}, send, send)

    asyncio.run(scenario())
    assert [one["type"] for one in sent] == ["1", "2", "later"]
    assert len(made) == 1
    assert made[0] is not threading.main_thread()


def test_it_serves_another_loop_after_the_first_has_ended(slow):
    late, may, made = slow
    may.set()

    async def begun():
        await late.begin()

    async def left():
        late.begin()

    asyncio.run(left())  # it ends before that is made
    asyncio.run(begun())
    asyncio.run(begun())
    assert len(made) == 1


def test_what_cannot_be_made_is_an_error_of_every_request(caplog):
    def make():
        raise ValueError("no")

    async def nobody():
        raise AssertionError

    async def ask():
        late = Late(make)
        for _ in range(2):
            with pytest.raises(ValueError, match="no"):
                await late({}, nobody, lambda message: nobody())

    asyncio.run(ask())
    assert caplog.text.count("could not be made") == 1
