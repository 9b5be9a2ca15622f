"""Server-sent events against a real server."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from foremargin.client import Follower, Snapshot
from foremargin.client.server_sent import EventReader
from foremargin.serving.stream import Refusal, StreamLimits


@contextmanager
def opened(
    service, query: str = "", **headers: str
) -> Iterator[tuple[httpx.Response, Iterator[dict[str, str]]]]:
    address = f"http://127.0.0.1:{service.port}/v1/events{query}"
    with (
        httpx.Client(trust_env=False, timeout=5.0) as client,
        client.stream("GET", address, headers=headers) as response,
    ):
        yield response, blocks(response)


def blocks(response: httpx.Response) -> Iterator[dict[str, str]]:
    """Yield events as their fields, read as the specification says, and comments."""
    rest = ""
    for text in response.iter_text():
        rest += text
        while "\n\n" in rest:
            block, rest = rest.split("\n\n", 1)
            cut = [line.partition(": ") for line in block.split("\n")]
            yield {name if colon else "": value if colon else name for name, colon, value in cut}


def test_a_snapshot_then_changes_with_places_to_resume_from(serve):
    service = serve()
    service.publish("A", "B")
    with opened(service) as (response, stream):
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-store"
        assert next(stream) == {"retry": "1000"}
        resync, first, last = (next(stream) for _ in range(3))
        assert resync["event"] == "dev.foremargin.resync.v1"
        assert "id" not in resync
        assert "id" not in first
        assert last["id"] == "e1-2"
        service.publish("A")
        change = next(stream)
        assert (change["event"], change["id"]) == ("dev.foremargin.quote.v1", "e1-3")
    service.publish("B")
    for headers, query in (({"last-event-id": "e1-3"}, ""), ({}, "?resume_from=e1-3")):
        with opened(service, query, **headers) as (_, stream):
            next(stream)
            assert next(stream)["id"] == "e1-4"


def test_a_list_of_instruments_and_silence(serve):
    service = serve(limits=StreamLimits(heartbeat_s=0.05))
    service.publish("A", "B")
    follower = Follower()
    with opened(service, "?instruments=B,C") as (_, stream):
        next(stream)
        follower.receive(next(stream)["data"])
        (snapshot,) = follower.receive(next(stream)["data"])
        assert isinstance(snapshot, Snapshot)
        assert (set(snapshot.quotes), snapshot.unknown) == ({"B"}, ["C"])
        assert next(stream) == {"": ":"}


def test_refusals_are_problems(serve):
    refusal = Refusal(status=403, code="scope", title="Not yours", detail="read is needed")
    service = serve(refusal=refusal)
    with opened(service) as (response, _):
        assert response.status_code == 403
        assert response.headers["content-type"] == "application/problem+json"
    service = serve(limits=StreamLimits(instruments=1, subscribers=1))
    for query, found in (("?instruments=", "was empty"), ("?instruments=A,B", "at most 1")):
        with opened(service, query) as (response, _):
            assert response.status_code == 400
            assert found in response.read().decode()
    with opened(service), opened(service) as (response, _):
        assert response.status_code == 503
        assert response.headers["retry-after"] == "5"


def test_a_stream_ends_in_order_after_its_time_and_when_the_hub_closes(serve):
    service = serve(limits=StreamLimits(longest_s=0.1))
    with opened(service) as (_, stream):
        assert len(list(stream)) == 2
    service = serve()
    with opened(service) as (_, stream):
        next(stream)
        next(stream)
        service.act(service.hub.close)
        assert list(stream) == []


def test_whoever_leaves_is_forgotten(serve):
    service = serve()
    with opened(service) as (_, stream):
        next(stream)
        assert service.hub.counts.subscribers == 1
    gone = threading.Event()
    for _ in range(500):
        if service.hub.counts.subscribers == 0:
            break
        gone.wait(0.01)
    assert service.hub.counts.subscribers == 0


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
def test_the_reader_of_events_follows_the_specification_however_the_bytes_are_cut(size):
    text = (
        "\ufeff: a comment\r\n\r\nretry: 1500\n\nevent: x\rdata: one\rdata:two\r\r"
        "data: a\u2028b\x0bc\x85\r\ndata: d\r\n\r\nid: 5\n\nevent: lost\n\ndata\n\ndata: end"
    ).encode()
    reader = EventReader()
    found = [
        (event.type, event.data.decode())
        for i in range(0, len(text), size)
        for event in reader.feed(text[i : i + size])
    ]
    assert found == [
        ("", ""),
        ("x", "one\ntwo"),
        ("message", "a\u2028b\x0bc\x85\nd"),
        ("message", ""),
    ]
    assert reader.retry_ms == 1500


def test_an_endless_event_is_refused():
    reader = EventReader()
    for _ in range(16):
        assert reader.feed(b"x" * 1_048_576) == []
    with pytest.raises(ValueError, match="at most 16777216 bytes"):
        reader.feed(b"x")
