"""Answers that come later, idle connections, limits, and the end of the server."""

import asyncio
import logging
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.routing import Route

from foremargin.errors import InputError
from foremargin.serving.http import Additions, HotWork, HttpSettings
from foremargin.serving.http.answers import Answer
from foremargin.serving.http.hot import HotRead, HotTable
from foremargin.serving.http.problems import INVALID_BODY, ProblemError
from foremargin.serving.security import BodyLimits, Rate, RateLimits, revoke_key

from .wires import Server, answers, compare, get, post

INFER = "/v2/models/net/infer"


class Model:
    """Answers when it is told to."""

    def __init__(self):
        self.asked = []

    def infer(self, name, body):
        if body == b"[1]":
            return Answer(body=b"at once")
        if body == b"[2]":
            raise ProblemError(INVALID_BODY, "Two is wrong.")
        if body == b"[3]":
            raise RuntimeError("three")
        future = asyncio.get_running_loop().create_future()
        self.asked.append((name, body, future))
        return future

    def additions(self, observer=None):
        async def endpoint(request: Request):
            found = self.infer(request.path_params["name"], await request.body())
            return (found if isinstance(found, Answer) else await found).response()

        path = "/v2/models/{name}/infer"
        return Additions(
            works=(HotWork(template=path, answer=self.infer),),
            routes=[Route(path, endpoint, methods=["POST"])],
            observer=observer,
        )


@pytest.fixture
def model():
    return Model()


def infer(body=b"[0]", *, token="", **rest):
    return post(body, path=INFER, token=token, **rest)


async def ask(server, wire, sent):
    """Send without waiting for what must wait."""
    wire.protocol.data_received(sent)
    for _ in range(5):
        await asyncio.sleep(0)


def statuses(written):
    return [int(status.split()[1]) for status, _, _ in answers(written)]


def test_answers_that_come_later_keep_their_place(run, build, model, tokens):
    seen = []
    watcher = lambda route, status, seconds: seen.append((route, status))  # noqa: E731
    server = Server(build(additions=model.additions(watcher)))
    token = tokens["all"]

    async def work():
        wire = server.connect()
        sent = [get(token=token), infer(token=token), get(token=token), infer(b"[4]", token=token)]
        await ask(server, wire, b"".join(sent))
        assert statuses(wire.written) == [200]
        assert wire.is_paused()
        await ask(server, wire, infer(b"[1]", token=token) + b"GET /livez HTTP/1.1\r\n")
        assert len(model.asked) == 1
        model.asked[0][2].set_result(Answer(body=b"first"))
        await ask(server, wire, b"")
        model.asked[1][2].set_result(Answer(body=b"second"))
        await ask(server, wire, b"Host: localhost\r\n\r\n")
        await server.settle()
        assert not wire.is_paused()
        bodies = [body for _, _, body in answers(wire.written)]
        assert (bodies[1], bodies[3], bodies[4]) == (b"first", b"second", b"at once")
        assert statuses(wire.written) == [200] * 6
        assert [(name, body) for name, body, _ in model.asked] == [("net", b"[0]"), ("net", b"[4]")]

    run(work())
    assert server.state.total_requests == 6
    assert seen[:2] == [("/v1/margins/{instrument}", 200), ("/v2/models/{name}/infer", 200)]


def test_an_answer_that_does_not_come_is_a_timeout(run, build, model, tokens):
    app = build(additions=model.additions(), settings=HttpSettings(timeout_s=0.01))
    server = Server(app)

    async def work():
        wire = server.connect()
        await server.send(wire, infer(token=tokens["all"]))
        future = model.asked[0][2]
        await asyncio.wait([future], timeout=5.0)
        await server.settle()
        assert future.cancelled()
        assert statuses(wire.written) == [504]
        assert statuses(await server.send(wire, get(token=tokens["all"]))) == [200]

    run(work())


def test_a_server_that_stops_waits_for_the_answer_and_says_that_it_closes(
    run, build, model, tokens
):
    server = Server(build(additions=model.additions()))

    async def work():
        wire, idle, given_up = server.connect(), server.connect(), server.connect()
        await server.send(idle, get(token=tokens["all"]))
        await ask(server, wire, infer(token=tokens["all"]) + get(token=tokens["all"]))
        await ask(server, given_up, infer(token=tokens["all"]))
        for one in (wire, idle, given_up):
            one.protocol.shutdown()
        assert idle.is_closing()
        assert not wire.is_closing()
        assert len(server.state.tasks) == 2
        model.asked[0][2].set_result(Answer(body=b"last"))
        for task in list(server.state.tasks):
            task.cancel()  # as uvicorn does when its patience is over
        await server.settle()
        ((status, headers, body),) = answers(wire.written)
        assert (status, headers[b"connection: close"], body) == (b"HTTP/1.1 200 OK", 1, b"last")
        assert statuses(given_up.written) == [503]
        assert wire.closed
        assert given_up.closed

    run(work())


def test_nothing_is_written_to_a_client_that_went_away(run, build, model, tokens):
    server = Server(build(additions=model.additions()))

    async def work():
        wire = server.connect()
        await ask(server, wire, infer(token=tokens["all"]))
        wire.closed = True
        wire.protocol.connection_lost(None)
        model.asked[0][2].set_result(Answer(body=b"late"))
        await server.settle()
        assert wire.writes == 0
        assert not server.state.connections

    run(work())


@pytest.mark.parametrize("sent", [b"[1]", b"[2]", b"[3]", b"{", b"", b"[" * 17, b"[1,1,1,1]"])
@pytest.mark.parametrize("who", ["simulate", "read", "nobody"])
def test_computations_stand_behind_the_door_of_the_long_way(
    run,
    both,
    model,
    tokens,
    sent,
    who,
    caplog,
):
    caplog.set_level(logging.CRITICAL)
    limits = BodyLimits(size=100, depth=16, array=3)
    servers = both(additions=model.additions(), settings=HttpSettings(body=limits, timeout_s=0.05))
    for kind in ("application/json", "application/octet-stream"):
        request = infer(sent, token=tokens.get(who, ""), kind=kind)
        said = compare(run, servers, [request])
        assert len(said) == 1
        if who != "simulate":
            assert said[0][0].split()[1] in (b"401", b"403")
    if who != "simulate":
        assert not model.asked


def test_a_caller_over_a_limit_is_counted_once(run, both, tokens):
    servers = both(settings=HttpSettings(rates=RateLimits(address=Rate(1.0, 4))))
    for name in ("slow", "slow", "slow", "slow", "read", "read", "read"):
        compare(run, servers, [get(token=tokens[name])])


def test_a_revoked_key_is_refused_on_an_open_connection(run, build, tokens, clock):
    server, token = Server(build()), tokens["read"]

    async def work():
        wire = server.connect()
        assert statuses(await server.send(wire, get(token=token))) == [200]
        revoke_key(Path(tokens["file"]), token.split("_")[1], now=clock.now())
        clock.step(5.1)
        assert statuses(await server.send(wire, get(token=token))) == [401]

    run(work())


class Time:
    """A loop of which only the time is known."""

    def __init__(self):
        self.now, self.later = 0.0, []

    def time(self):
        return self.now

    def call_later(self, delay, callback):
        self.later.append((self.now + delay, callback))
        return asyncio.TimerHandle(self.now + delay, callback, (), asyncio.get_running_loop())


def test_a_connection_is_closed_when_it_was_idle_for_the_whole_time(run, build, tokens):
    server = Server(build(), timeout_keep_alive=30)

    async def work():
        wire = server.connect()
        wire.protocol.loop = time = Time()
        for now in (0.0, 10.0, 29.0):
            time.now = now
            await server.send(wire, get(token=tokens["read"]))
        assert [due for due, _ in time.later] == [30.0]
        time.now = 30.0
        time.later[0][1]()
        assert not wire.closed
        assert time.later[1][0] == 59.0
        time.now = 59.0
        time.later[1][1]()
        assert wire.closed

    run(work())


def test_a_connection_that_waits_for_its_answer_is_not_idle(run, build, model, tokens):
    server = Server(build(additions=model.additions()), timeout_keep_alive=0.02)

    async def work():
        wire = server.connect()
        await ask(server, wire, get(token=tokens["all"]))
        await ask(server, wire, infer(token=tokens["all"]))
        await asyncio.sleep(0.06)
        assert not wire.closed
        model.asked[0][2].set_result(Answer(body=b"late"))
        await server.settle()
        assert statuses(wire.written) == [200, 200]
        await asyncio.sleep(0.06)
        assert wire.closed

    run(work())


def test_connections_beyond_the_limit_are_refused_by_uvicorn(run, build, tokens):
    server = Server(build(), limit_concurrency=2)

    async def work():
        wires = [server.connect()]
        assert statuses(await server.send(wires[0], get(token=tokens["read"]))) == [200]
        wires.append(server.connect())
        assert statuses(await server.send(wires[0], get(token=tokens["read"]))) == [503]

    run(work())


def test_a_client_that_does_not_read_is_not_written_to(run, build, tokens):
    server = Server(build())

    async def work():
        wire = server.connect()
        wire.protocol.pause_writing()
        await ask(server, wire, get(token=tokens["read"]))
        assert wire.written == b""
        wire.protocol.resume_writing()
        await server.settle()
        assert statuses(wire.written) == [200]

    run(work())


def test_many_requests_of_one_packet_are_left_to_uvicorn(run, build, tokens):
    server = Server(build())

    async def work():
        wire = server.connect()
        assert statuses(await server.send(wire, get(token=tokens["read"]) * 16)) == [200] * 16
        assert wire.writes == 1
        assert statuses(await server.send(wire, get(token=tokens["read"]) * 17)) == [200] * 17
        assert wire.writes > 17

    run(work())


def test_what_wraps_the_gate_gets_every_request(run, build, tokens):
    gate, seen = build(), []

    async def middleware(scope, receive, send):
        seen.append(scope["path"])
        await gate(scope, receive, send)

    server = Server(middleware)

    async def work():
        assert statuses(await server.send(server.connect(), get(token=tokens["read"]))) == [200]

    run(work())
    assert seen == ["/v1/margins/BTC-PERP"]


def test_a_route_for_everybody_cannot_be_hot(build, clock):
    rest = {"door": None, "clock": clock, "limits": BodyLimits(), "timeout_s": 1.0}
    with pytest.raises(InputError, match=r"a hot route must need a scope, GET /livez needs none"):
        HotTable([HotRead(template="/livez", ready=lambda name: None)], [], **rest)
