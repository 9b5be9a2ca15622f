"""The WebSocket against a real server."""

import json
import re
import socket
import time
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from foremargin.client import Changed, Follower, Snapshot
from foremargin.serving.stream import Refusal, StreamLimits

BATCH = "foremargin.batch.v1"


def opened(service, *, batch: bool = False, **options):
    wanted = [Subprotocol(name) for name in ([BATCH] if batch else []) + ["cloudevents.json"]]
    address = f"ws://127.0.0.1:{service.port}/v1/stream"
    return connect(address, subprotocols=wanted, compression=None, proxy=None, **options)


def ask(line, **message) -> None:
    line.send(json.dumps(message))


def events(line, n: int) -> list[dict[str, Any]]:
    return [json.loads(line.recv(timeout=5)) for _ in range(n)]


def closing(line) -> tuple[int, str]:
    with pytest.raises(ConnectionClosed, match="received") as found:
        [line.recv(timeout=5) for _ in range(1_000)]
    assert found.value.rcvd is not None
    return found.value.rcvd.code, found.value.rcvd.reason


def test_a_snapshot_then_changes_one_event_a_frame(serve):
    service = serve()
    service.publish("A", "B")
    with opened(service) as line:
        assert line.subprotocol == "cloudevents.json"
        ask(line, type="subscribe", instruments="all")
        resync, first, second = events(line, 3)
        assert resync["data"]["quotes"] == 2
        assert [first["partitionkey"], second["partitionkey"]] == ["A", "B"]
        service.publish("B")
        (change,) = events(line, 1)
        assert change["type"] == "dev.foremargin.quote.v1"
        assert (change["data"]["instrument"], change["data"]["sequence"]) == ("B", 2)
        assert change["previous"] == resync["sequence"]


def test_batches_are_arrays_and_say_the_same(serve):
    service = serve()
    service.publish("A", "B")
    with opened(service, batch=True) as line:
        assert line.subprotocol == BATCH
        ask(line, type="subscribe", instruments=["A", "B", "C"])
        follower = Follower()
        body = line.recv(timeout=5)
        assert isinstance(json.loads(body), list)
        (snapshot,) = follower.receive(body)
        assert isinstance(snapshot, Snapshot)
        assert set(snapshot.quotes) == {"A", "B"}
        assert snapshot.unknown == ["C"]


def test_a_subscription_grows_and_shrinks_and_each_time_a_snapshot_comes(serve):
    service = serve()
    service.publish("A", "B", "C")
    with opened(service) as line:
        follower = Follower()
        for message, reason, names in (
            ({"type": "subscribe", "instruments": ["A"]}, "new", {"A"}),
            ({"type": "subscribe", "instruments": ["B", "C"]}, "changed", {"A", "B", "C"}),
            ({"type": "unsubscribe", "instruments": ["A", "B"]}, "changed", {"C"}),
        ):
            ask(line, **message)
            found: list[Any] = []
            while not found:
                found = follower.receive(line.recv(timeout=5))
            assert (found[0].reason, set(found[0].quotes)) == (reason, names)
        service.publish("A", "C")
        (change,) = follower.receive(line.recv(timeout=5))
        assert isinstance(change, Changed)
        assert change.quote.instrument == "C"


def test_a_reader_resumes_without_a_snapshot(serve):
    service = serve()
    service.publish("A", "B")
    with opened(service) as line:
        ask(line, type="subscribe", instruments="all")
        events(line, 3)
        service.publish("A")
        (change,) = events(line, 1)
    service.publish("A", "B")
    with opened(service) as line:
        ask(line, type="subscribe", instruments="all", resume_from=change["id"])
        first, second = events(line, 2)
        assert [first["data"]["sequence"], second["data"]["sequence"]] == [3, 2]
        assert first["previous"] == change["sequence"]
        assert second["previous"] == first["sequence"]


def test_pings_are_answered_and_heartbeats_fill_silence(serve):
    service = serve(limits=StreamLimits(heartbeat_s=0.05))
    service.publish("A")
    with opened(service) as line:
        ask(line, type="subscribe", instruments="all")
        events(line, 2)
        (beat,) = events(line, 1)
        assert beat["type"] == "dev.foremargin.heartbeat.v1"
        assert beat["sequence"] == beat["previous"] == "0000000000000001"
        ask(line, type="ping", nonce="seven")
        answer = next(e for e in iter(lambda: events(line, 1)[0], None) if "pong" in e["type"])
        assert answer["data"] == {"nonce": "seven"}


def test_what_cannot_be_done_is_an_error_event_and_the_stream_goes_on(serve):
    service = serve(limits=StreamLimits(instruments=2))
    service.publish("A")
    with opened(service) as line:
        ask(line, type="subscribe", instruments=["A"])
        events(line, 2)
        ask(line, type="subscribe", instruments=["B", "C"])
        (error,) = events(line, 1)
        assert error["type"] == "dev.foremargin.error.v1"
        assert error["data"]["type"] == "https://foremargin.dev/problems/bad-subscription"
        assert "at most 2 instruments, named 3" in error["data"]["detail"]
        service.publish("A")
        assert events(line, 1)[0]["data"]["sequence"] == 2


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ('{"type":"subscribe"}', 1007, "not a request: .*instruments"),
        ('{"type":"subscribe","instruments":"some"}', 1007, "not a request"),
        ('{"type":"subscribe","instruments":["no blanks"]}', 1007, "not a request"),
        ('{"type":"subscribe","instruments":["A"],"more":1}', 1007, "more"),
        ('{"type":"sing"}', 1007, "sing"),
        ("{", 1007, "not a request"),
        (b"{}", 1003, "text"),
        ('{"type":"ping"}', 1008, "subscribe first"),
        ('{"type":"unsubscribe","instruments":["A"]}', 1008, "subscribe first"),
        ('{"type":"subscribe","instruments":["A","B","C"]}', 1008, "at most 2 instruments"),
        ('{"type":"subscribe","instruments":["' + "A" * 300 + '"]}', 1009, "at most 256 bytes"),
    ],
)
def test_a_reader_that_does_not_keep_to_the_form_is_told_and_closed(serve, message, code, reason):
    service = serve(limits=StreamLimits(instruments=2, request_bytes=256))
    with opened(service) as line:
        line.send(message)
        found, why = closing(line)
        assert found == code
        assert re.search(reason, why)
    assert service.hub.counts.subscribers == 0


def test_too_many_requests_close_the_stream(serve):
    service = serve(limits=StreamLimits(requests_per_minute=3))
    with opened(service) as line:
        ask(line, type="subscribe", instruments=["A"])
        for _ in range(3):
            ask(line, type="ping")
        assert closing(line) == (1008, "too many requests in a minute")


def test_whoever_does_not_subscribe_is_closed(serve):
    service = serve(limits=StreamLimits(first_message_s=0.05))
    with opened(service) as line:
        assert closing(line) == (1008, "subscribe within 0.05 s")


def test_a_stream_ends_so_that_its_reader_is_asked_again_who_it_is(serve):
    service = serve(limits=StreamLimits(longest_s=0.1))
    with opened(service) as line:
        ask(line, type="subscribe", instruments="all")
        assert closing(line) == (1000, "resume")


def test_when_the_hub_closes_readers_are_told(serve):
    service = serve()
    with opened(service) as line:
        ask(line, type="subscribe", instruments="all")
        events(line, 1)
        service.act(service.hub.close)
        assert closing(line) == (1001, "the service stops")
    with pytest.raises(InvalidStatus, match="503"), opened(service):
        pass


def test_a_refusal_comes_as_a_problem_before_the_handshake(serve):
    refusal = Refusal(
        status=401,
        code="no-key",
        title="Who are you?",
        detail="a key must be given",
        headers={"WWW-Authenticate": "Bearer"},
    )
    service = serve(refusal=refusal)
    with pytest.raises(InvalidStatus, match="401") as found, opened(service):
        pass
    answer = found.value.response
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"
    assert json.loads(answer.body or b"") == {
        "type": "https://foremargin.dev/problems/no-key",
        "title": "Who are you?",
        "status": 401,
        "detail": "a key must be given",
    }


def test_pages_of_other_hosts_are_refused(serve):
    service = serve(origins=("https://risk.example",))
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{service.port + 1}"):
        with pytest.raises(InvalidStatus, match="403"), opened(service, origin=origin):
            pass
    for origin in ("https://risk.example", f"http://127.0.0.1:{service.port}"):
        with opened(service, origin=origin) as line:
            ask(line, type="subscribe", instruments="all")
            assert events(line, 1)[0]["data"]["reason"] == "new"


def test_no_more_streams_than_allowed(serve):
    service = serve(limits=StreamLimits(subscribers=1))
    with opened(service) as line:
        ask(line, type="subscribe", instruments="all")
        events(line, 1)
        with pytest.raises(InvalidStatus, match="503") as found, opened(service):
            pass
        assert found.value.response.headers["retry-after"] == "5"


def test_a_reader_that_stops_reading_is_closed_and_others_go_on(serve):
    service = serve(limits=StreamLimits(slowest_s=0.3, heartbeat_s=0.1))
    names = [f"N{i:04d}" for i in range(2_000)]
    service.publish(*names)
    narrow = socket.create_connection(("127.0.0.1", service.port))
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    with (
        opened(service, sock=narrow, close_timeout=0.1) as stuck,
        opened(service, batch=True) as good,
    ):
        ask(stuck, type="subscribe", instruments="all")  # and never read
        follower = Follower()
        ask(good, type="subscribe", instruments="all")
        while len(follower.quotes) < len(names):
            follower.receive(good.recv(timeout=5))
        deadline = time.monotonic() + 10.0
        while service.hub.counts.subscribers > 1 and time.monotonic() < deadline:
            service.publish(*names)
            while follower.quotes["N1999"].sequence < service._numbers["N1999"]:
                follower.receive(good.recv(timeout=5))
        assert service.hub.counts.subscribers == 1
    service.wait_until_left()
