"""Both clients, both transports, a wire that is cut."""

import random
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from foremargin.client import (
    Alive,
    AnswerError,
    Changed,
    Disconnected,
    Follower,
    GapError,
    ProblemError,
    RetryPolicy,
    Snapshot,
    StreamSettings,
    UnreachableError,
)
from foremargin.client.exchange import Exchange
from foremargin.client.streaming import Lost, StreamCore, closed, must_be_stream, not_opened
from foremargin.errors import InputError
from foremargin.serving.stream import Refusal, StreamLimits

QUICK = StreamSettings(first_wait_s=0.001, longest_wait_s=0.02)

by_transport = pytest.mark.parametrize("transport", ["sse", "websocket"])


def news(stream: Any) -> Iterator[Any]:
    """Yield events without signs of life."""
    return (event for event in stream if not isinstance(event, Alive))


@by_transport
def test_a_snapshot_then_changes(connect, service, make_quote, transport):
    with connect().stream(transport=transport, settings=QUICK) as stream:
        events = news(stream)
        first = next(events)
        assert isinstance(first, Snapshot)
        assert (first.reason, set(first.quotes)) == ("new", {"A", "B", "C/USDT"})
        assert stream.connected
        service.publish(make_quote("B", 2))
        change = next(events)
        assert isinstance(change, Changed)
        assert (change.quote.instrument, change.quote.sequence, change.missed) == ("B", 2, 0)
        assert stream.quotes["B"] is change.quote
        assert first.quotes["B"].sequence == 1


@by_transport
def test_some_instruments_only(connect, service, make_quote, transport):
    with connect().stream(["C/USDT", "LATER"], transport=transport, settings=QUICK) as stream:
        events = news(stream)
        first = next(events)
        assert (set(first.quotes), first.unknown) == ({"C/USDT"}, ["LATER"])
        service.publish(make_quote("A", 2), make_quote("LATER", 1))
        assert next(events).quote.instrument == "LATER"


@by_transport
def test_after_a_cut_it_goes_on_where_it_was_and_says_what_it_missed(
    connect, service, make_quote, transport
):
    with connect().stream(transport=transport, settings=QUICK) as stream:
        events = news(stream)
        next(events)
        service.wire.refuse = 2
        service.wire.cut()
        service.publish(*(make_quote("A", n) for n in range(2, 8)))
        lost = [next(events) for _ in range(3)]
        assert all(isinstance(event, Disconnected) for event in lost)
        assert not stream.connected
        assert stream.quotes["A"].sequence == 1
        change = next(events)
        assert isinstance(change, Changed)
        assert (change.quote.sequence, change.missed) == (7, 5)
        assert stream.connected


@by_transport
def test_after_a_restart_of_the_service_a_snapshot_comes(connect, service, make_quote, transport):
    with connect().stream(transport=transport, settings=QUICK) as stream:
        events = news(stream)
        next(events)
        service.table.write([make_quote("A", 50)])
        service.start_hub_again()
        lost = next(events)
        assert isinstance(lost, Disconnected)
        found = next(event for event in events if not isinstance(event, Disconnected))
        assert isinstance(found, Snapshot)
        assert (found.reason, found.quotes["A"].sequence) == ("unknown-place", 50)


@by_transport
def test_a_refusal_ends_the_stream_and_one_for_now_does_not(connect, service, transport):
    service.refusal = Refusal(status=401, code="no-key", title="Who are you?", detail="a key")
    client = connect()
    with client.stream(transport=transport, settings=QUICK) as stream:
        with pytest.raises(ProblemError, match=r"401 Who are you\?: a key") as found:
            next(iter(stream))
        assert found.value.type == "https://foremargin.dev/problems/no-key"
    service.refusal = Refusal(
        status=503, code="busy", title="Busy", detail="", headers={"Retry-After": "0"}
    )
    with client.stream(transport=transport, settings=QUICK) as stream:
        events = news(stream)
        first = next(events)
        assert isinstance(first, Disconnected)
        assert "503" in first.reason
        service.refusal = None
        assert any(isinstance(event, Snapshot) for event in events)


@by_transport
def test_silence_counts_as_lost(connect, service, transport):
    service.limits = StreamLimits(heartbeat_s=60.0)
    service.start_hub_again()
    settings = StreamSettings(first_wait_s=0.001, silence_s=0.1)
    with connect().stream(transport=transport, settings=settings) as stream:
        events = iter(stream)
        assert isinstance(next(events), Snapshot)
        lost = next(events)
        assert isinstance(lost, Disconnected)
        assert "nothing came" in lost.reason or "ReadTimeout" in lost.reason


@by_transport
def test_heartbeats_are_signs_of_life(connect, service, transport):
    service.limits = StreamLimits(heartbeat_s=0.05)
    service.start_hub_again()
    with connect().stream(transport=transport, settings=QUICK) as stream:
        events = iter(stream)
        assert isinstance(next(events), Snapshot)
        assert isinstance(next(events), Alive)


@by_transport
def test_patience_ends(connect, service, transport):
    settings = StreamSettings(first_wait_s=0.01, longest_wait_s=0.02, patience_s=0.05)
    service.wire.refuse = 1_000
    with (
        connect().stream(transport=transport, settings=settings) as stream,
        pytest.raises(UnreachableError, match=r"within 0\.05 s of waiting"),
    ):
        list(stream)


@by_transport
def test_whoever_leaves_the_stream_is_gone(connect, service, transport):
    with connect().stream(transport=transport, settings=QUICK) as stream:
        next(iter(stream))
    pause = threading.Event()
    for _ in range(500):
        if service.hub.counts.subscribers == 0:
            return
        pause.wait(0.01)
    raise AssertionError("the hub still has a subscriber")


def test_something_else_than_a_stream_is_an_error(connect, service):
    for found in ("text/html", "text/event-streams", ""):
        with pytest.raises(AnswerError, match="must be text/event-stream, was"):
            must_be_stream(httpx.Headers({"content-type": found}))
    must_be_stream(httpx.Headers({"content-type": "text/event-stream; charset=utf-8"}))
    client = connect()
    with pytest.raises(ValueError, match="telegraph"):
        client.stream(transport="telegraph")
    nothing: list[str] = []
    for wrong in (nothing, "A"):
        with pytest.raises(InputError, match="a collection of names, or None for all"):
            client.stream(wrong)


# ---------------------------------------------------------------- without a wire


@pytest.fixture
def core() -> StreamCore:
    exchange = Exchange(
        httpx.URL("http://a"), credentials=None, retry=RetryPolicy(), rng=random.Random(1)
    )
    return StreamCore(exchange, ["A"], settings=StreamSettings())


def event(kind: str, previous: int, sequence: int, data: str = "{}") -> str:
    return (
        f'{{"type":"dev.foremargin.{kind}.v1","id":"e-{sequence}","sequence":"{sequence}",'
        f'"previous":"{previous}","data":{data}}}'
    )


def quote_of(number: int, name: str = "A") -> str:
    side = '{"initial_margin_bps":1,"maintenance_margin_bps":1}'
    return (
        f'{{"instrument":"{name}","sequence":{number},"status":"ok","basis":"network",'
        f'"observed_at":1,"quoted_at":1,"valid_until":2,"long":{side},"short":{side}}}'
    )


def resync(at: int, quotes: int) -> str:
    data = f'{{"reason":"new","quotes":{quotes},"unknown":[],"resume_from":"e-{at}"}}'
    return event("resync", at, at, data)


def test_a_gap_brings_a_snapshot_by_connecting_again(core):
    core.receive(resync(3, 1))
    core.receive(event("snapshot", 3, 3, quote_of(1)))
    core.receive(event("quote", 3, 5, quote_of(2)))
    assert core.events_request().headers["last-event-id"] == "e-5"
    assert '"resume_from":"e-5"' in core.subscribe_message()
    with pytest.raises(Lost, match="gap: the event after 5 must follow it"):
        core.receive(event("quote", 6, 7, quote_of(4)))
    told = core.lost(Lost("gap"))
    assert told.wait_s <= core.settings.first_wait_s
    assert "last-event-id" not in core.events_request().headers
    assert "resume_from" not in core.subscribe_message()
    assert core.quotes["A"].sequence == 2


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([event("quote", 0, 1, quote_of(1))], "must begin with a snapshot"),
        ([event("snapshot", 1, 1, quote_of(1))], "must begin with a snapshot"),
        ([resync(1, 2), event("quote", 1, 2, quote_of(1))], "must be whole before a change, 2"),
        ([resync(1, 0), event("snapshot", 1, 1, quote_of(1))], "must be announced"),
        ([resync(1, 2), *[event("snapshot", 1, 1, quote_of(1))] * 2], "each instrument once"),
        ([resync(1, 0), event("heartbeat", 2, 2)], "after 1 must follow"),
        ([resync(5, 0), event("quote", 5, 4, quote_of(1))], "after 5 must follow"),
        ([resync(5, 0), event("quote", 5, 5, quote_of(1))], "a place of its own, 5"),
    ],
)
def test_every_gap_is_seen(events, reason):
    follower = Follower()
    for each in events[:-1]:
        follower.receive(each)
    with pytest.raises(GapError, match=reason):
        follower.receive(events[-1])


def test_a_snapshot_that_is_cut_off_changes_nothing():
    follower = Follower()
    follower.receive(resync(1, 1))
    follower.receive(event("snapshot", 1, 1, quote_of(1)))
    follower.receive(resync(9, 2))
    follower.receive(event("snapshot", 9, 9, quote_of(5)))
    assert follower.quotes["A"].sequence == 1
    follower.lost()
    assert follower.resume_from == "e-1"
    (changed,) = follower.receive(event("quote", 1, 9, quote_of(5)))
    assert isinstance(changed, Changed)
    assert (changed.quote.sequence, changed.missed) == (5, 3)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("{", "must bring events"),
        ("5", "must bring events"),
        (event("quote", 1, 2, "{}"), "must have its data"),
        (event("resync", 1, 1, "{}"), "must have its data"),
        (event("quote", 1, 2, quote_of(1)).replace('"2"', '"x"'), "decimal digits"),
    ],
)
def test_what_is_no_event_is_an_error(body, reason):
    follower = Follower()
    follower.receive(resync(1, 0))
    with pytest.raises(AnswerError, match=reason):
        follower.receive(body)


def test_an_error_event_raises_and_events_of_a_newer_service_pass():
    follower = Follower()
    follower.receive(resync(1, 0))
    assert follower.receive(event("weather", 1, 1)) == [Alive()]
    with pytest.raises(ProblemError, match="400 Not done: too many"):
        follower.receive(
            event("error", 1, 1, '{"status":400,"title":"Not done","detail":"too many"}')
        )


def test_what_the_end_of_a_connection_means():
    for final in (1003, 1007, 1008, 1009):
        assert isinstance(closed(final, "why"), ProblemError)
    for code in (None, 1000, 1001, 1006, 1011, 1012, 1013):
        assert isinstance(closed(code, ""), Lost)
    assert isinstance(not_opened(ConnectionRefusedError("no")), Lost)


def test_waits_grow_until_events_come(core):
    waits = [core.lost(Lost("x")).wait_s for _ in range(12)]
    assert max(waits[8:]) > 10 * max(waits[:3])
    assert max(waits) <= core.settings.longest_wait_s
    core.receive(resync(1, 0))
    assert core.lost(Lost("x")).wait_s <= core.settings.first_wait_s
    assert core.lost(Lost("x", wait_s=100.0)).wait_s == 100.0
