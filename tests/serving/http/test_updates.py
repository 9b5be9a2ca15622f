"""Reads of signed updates that wait for the next one."""

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremargin.serving.http import Additions, HttpSettings
from foremargin.serving.http.updates import wait_of

URL = "/v1/updates/BTC-PERP"


@pytest.fixture
def app(build, updates):
    return build(additions=Additions(updates=updates))


def test_update_that_is_known_is_not_sent_again(app, call, tokens, updates):
    first = call(app, "GET", URL, token=tokens["read"])
    known = {"if-none-match": first.headers["etag"]}
    again = call(app, "GET", URL, token=tokens["read"], headers=known)
    assert (again.status_code, again.content) == (304, b"")
    assert "preference-applied" not in again.headers
    updates.sign("BTC-PERP", b'{"market":"BTC-PERP","seq":2}')
    newer = call(app, "GET", URL, token=tokens["read"], headers=known)
    assert newer.json()["seq"] == 2
    assert newer.headers["etag"] != first.headers["etag"]
    batch = call(app, "GET", "/v1/updates/batch", token=tokens["read"])
    known = {"if-none-match": f'"x", W/{batch.headers["etag"]}', "prefer": "wait=0"}
    same = call(app, "GET", "/v1/updates/batch", token=tokens["read"], headers=known)
    assert same.status_code == 304


def test_next_update_is_answered_when_it_is_signed(app, call, tokens, updates):
    async def scenario():
        first = await call.send(app, "GET", URL, token=tokens["read"])
        wanted = {"if-none-match": first.headers["etag"], "prefer": "respond-async, wait=5"}
        waiting = asyncio.create_task(
            call.send(app, "GET", URL, token=tokens["read"], headers=wanted)
        )
        while updates._changed is None:
            await asyncio.sleep(0.001)
        updates.sign("ETH-PERP", b'{"market":"ETH-PERP"}')  # of another, it goes on waiting
        while updates._changed is None:
            await asyncio.sleep(0.001)
        assert not waiting.done()
        updates.sign("BTC-PERP", b'{"seq":2}')
        return await waiting

    answer = call.runner.run(scenario())
    assert (answer.status_code, answer.json()) == (200, {"seq": 2})
    assert answer.headers["preference-applied"] == "wait=5"


def test_first_update_is_waited_for_and_its_lack_is_said_at_the_end(build, call, tokens, updates):
    app = build(additions=Additions(updates=updates), settings=HttpSettings(longest_wait_s=1.0))
    url, wait = "/v1/updates/ETH-PERP", {"prefer": "wait=60"}

    async def scenario():
        waiting = asyncio.create_task(
            call.send(app, "GET", url, token=tokens["read"], headers=wait)
        )
        while updates._changed is None:
            await asyncio.sleep(0.001)
        updates.sign("ETH-PERP", b'{"seq":1}')
        return await waiting

    assert call.runner.run(scenario()).json() == {"seq": 1}
    began = time.monotonic()
    url = "/v1/updates/SOL-PERP"
    missing = call(app, "GET", url, token=tokens["read"], headers=wait)
    assert 0.9 < time.monotonic() - began < 5.0
    assert missing.json()["type"].endswith("/no-update")


@pytest.mark.parametrize("why", ["closed", "too many wait"])
def test_who_cannot_wait_is_answered_at_once(build, call, tokens, updates, why):
    updates.closed = why == "closed"
    waiting = 0 if why == "too many wait" else 10
    app = build(additions=Additions(updates=updates), settings=HttpSettings(waiting=waiting))
    etag = call(app, "GET", URL, token=tokens["read"]).headers["etag"]
    wanted, began = {"if-none-match": etag, "prefer": "wait=8"}, time.monotonic()
    answer = call(app, "GET", URL, token=tokens["read"], headers=wanted)
    assert answer.status_code == 304
    assert time.monotonic() - began < 4.0
    assert ("preference-applied" in answer.headers) == (why == "closed")


def test_who_has_waited_makes_room(build, call, tokens, updates):
    settings = HttpSettings(waiting=1, longest_wait_s=0.01)
    app = build(additions=Additions(updates=updates), settings=settings)
    url, wait = "/v1/updates/ETH-PERP", {"prefer": "wait=1"}
    for _ in range(2):
        call(app, "GET", url, token=tokens["read"], headers=wait)
    updates.sign("ETH-PERP", b"{}")
    answer = call(app, "GET", url, token=tokens["read"], headers=wait)
    assert "preference-applied" in answer.headers


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("", 0.0),
        ("wait=5", 5.0),
        ('WAIT = "12"', 12.0),
        ("respond-async; wait=3, return=minimal", 3.0),
        ("await=5", 0.0),
        ("wait=-1", 0.0),
        ("wait=1.5", 0.0),
        ("wait=99999999999", 0.0),
    ],
)
def test_preference_is_read_as_the_standard_writes_it(prefer, seconds):
    assert wait_of(prefer) == seconds


@given(st.text(max_size=40))
def test_any_header_is_some_wait(prefer):
    assert 0.0 <= wait_of(prefer) < 1e6
