"""A small honest service behind a wire that can be cut, and both clients with one face."""

import asyncio
import contextlib
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from time import time_ns
from typing import Any

import msgspec
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from foremargin.client import AsyncClient, AsyncStream, Client
from foremargin.serving.quote import Basis, Calculation, Quote, SideMargin, Status
from foremargin.serving.stream import Hub, Refusal, StreamLimits, make_stream_routes
from foremargin.serving.table import QuoteTable


class _SystemClock:
    def now(self) -> int:
        return time_ns()


def _quote(instrument: str, sequence: int, *, age_s: float = 5.0, **changes: Any) -> Quote:
    now = time_ns()
    components = {"tail": 499.5 + sequence, "rounding": 0.5}
    margins = {"initial_margin_bps": 500 + sequence, "maintenance_margin_bps": 400}
    side = SideMargin(**margins, components=components, bound=["floor"])
    observed_at = now - int(age_s * 1e9)
    calculation = Calculation(
        instrument=instrument,
        basis=Basis.NETWORK,
        observed_at=observed_at,
        long=side,
        short=side,
        horizon_periods=24,
        horizon_s=86_400,
        tail_probability=0.01,
        sigma=0.02,
        sigma_lower=0.015,
        sigma_upper=0.03,
        regime="calm",
        stress_probability=0.1,
    )
    quote = Quote(
        instrument=instrument,
        sequence=sequence,
        status=Status.OK,
        basis=Basis.NETWORK,
        reason="",
        observed_at=observed_at,
        quoted_at=now,
        valid_until=now + 600 * 10**9,
        long=side,
        short=side,
        calculation=calculation,
    )
    return msgspec.structs.replace(quote, **changes)


@dataclass
class Fault:
    """What happens to the next request instead of, or before, its answer."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    wait_s: float = 0.0
    drip: bool = False


@dataclass
class Heard:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Service:
    """Quotes, faults, what was heard, and the wire."""

    wire: "Wire"
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start from nothing."""
        self.table = QuoteTable()
        self.faults: deque[Fault] = deque()
        self.heard: list[Heard] = []
        self.taken: dict[str, bytes] = {}
        self.ready = True
        self.refusal: Refusal | None = None
        self.limits = StreamLimits(heartbeat_s=0.2)
        self.hub = Hub(_SystemClock(), limits=self.limits)
        self.extra: dict[str, Any] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.wire.port}"

    def publish(self, *quotes: Quote) -> None:
        def both() -> None:
            self.table.write(quotes)
            self.hub.publish(quotes)

        self.act(both)

    def start_hub_again(self) -> None:
        """Do to streams what a restart of the service does."""

        def again() -> None:
            self.hub.close()
            self.hub = Hub(_SystemClock(), limits=self.limits)
            self.hub.publish([row.quote for row in self.table.rows.values()])

        self.act(again)

    def act(self, action: Callable[[], object]) -> None:
        done = threading.Event()

        def run() -> None:
            action()
            done.set()

        self.loop.call_soon_threadsafe(run)
        assert done.wait(10.0)

    # ------------------------------------------------------------ answers

    def app(self) -> ASGIApp:
        routes = [
            Route("/v1/instruments", self.instruments),
            Route("/v1/margins", self.margins),
            Route("/v1/margins/{name:path}/history", self.history),
            Route("/v1/margins/{name:path}", self.margin),
            Route("/v1/forecasts/{name:path}", self.forecast),
            Route("/v1/schedules/{name:path}", self.schedule),
            Route("/v1/portfolios:simulate", self.simulate, methods=["POST"]),
            Route("/v1/observations", self.observations, methods=["POST"]),
            Route("/v1/commands/{name}", self.command, methods=["POST"]),
            Route("/v1/updates/{name:path}", self.update),
            Route("/v1/audit", self.audit),
            Route("/readyz", self.readyz),
        ]
        return _WithFaults(self, Starlette(routes=routes))

    async def instruments(self, _: Request) -> Response:
        return _json({"instruments": sorted(self.table.rows)})

    async def margin(self, request: Request) -> Response:
        row = self.table.rows.get(request.path_params["name"])
        if row is None:
            return _problem(404, "unknown-instrument", "there is no such instrument")
        age = (time_ns() - row.quote.observed_at) // 10**9
        headers = {"etag": row.etag.decode(), "age": str(age), "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        return Response(row.body, headers=headers, media_type="application/json")

    async def margins(self, request: Request) -> Response:
        query = request.query_params
        names = sorted(self.table.rows)
        if "instruments" in query:
            names = [name for name in query["instruments"].split(",") if name in names]
            return _json({"quotes": [self.table.rows[name].quote for name in names], "next": None})
        names = [name for name in names if name > query.get("after", "")]
        page = names[: int(query["limit"])]
        following = page[-1] if len(page) < len(names) else None
        quotes = [self.table.rows[name].quote for name in page]
        return _json({"quotes": quotes, "next": following, **self.extra})

    async def history(self, request: Request) -> Response:
        quote = self.table.rows[request.path_params["name"]].quote
        n = int(request.query_params["limit"])
        past = [msgspec.structs.replace(quote, sequence=i + 1) for i in range(quote.sequence)]
        return _json({"quotes": past[-n:]})

    async def forecast(self, request: Request) -> Response:
        found = self.table.rows[request.path_params["name"]].quote.calculation
        return _json(found) if found else _problem(404, "no-forecast", "the margin is fixed")

    async def schedule(self, request: Request) -> Response:
        quote = self.table.rows[request.path_params["name"]].quote
        plain = msgspec.to_builtins(quote)
        return _json({**plain, "effective": quote.quoted_at, "expires": quote.valid_until})

    async def simulate(self, request: Request) -> Response:
        positions = msgspec.json.decode(await request.body())["positions"]
        margin = 0.0
        for each in positions:
            side = self.table.rows[each["instrument"]].quote.long
            margin += abs(each["notional"]) * side.initial_margin_bps / 1e4
        return _json({"margin": margin, "parts": {"scenario": margin}})

    async def observations(self, request: Request) -> Response:
        key, body = request.headers["idempotency-key"], await request.body()
        if self.taken.setdefault(key, body) != body:
            return _problem(422, "idempotency-key", "the key was used for another body")
        n = len(msgspec.json.decode(body))
        return _json({"receipts": [{"outcome": "accepted", "sequence": i + 1} for i in range(n)]})

    async def command(self, request: Request) -> Response:
        key, body = request.headers["idempotency-key"], await request.body()
        self.taken.setdefault(key, body)
        arguments = msgspec.json.decode(body)
        return _json({"name": request.path_params["name"], "arguments": arguments})

    async def update(self, request: Request) -> Response:
        """Answer with the update that is due; a wait is over when another one is."""
        due = self.extra["updates"][request.path_params["name"]]
        update, *later = due if isinstance(due, list) else [due]
        self.extra["preferred"] = request.headers.get("prefer", "")
        if request.headers.get("if-none-match") == f'"{len(later)}"':
            if not (later and self.extra["preferred"]):
                return Response(status_code=304, headers={"etag": f'"{len(later)}"'})
            self.extra["updates"][request.path_params["name"]] = later
            update, *later = later
        answer = _json(update)
        answer.headers["etag"] = f'"{len(later)}"'
        return answer

    async def audit(self, request: Request) -> Response:
        after, limit = (int(request.query_params[name]) for name in ("after", "limit"))
        rows = [
            {"sequence": i, "time": i, "kind": "quotes", "by": "", "what": {"n": i}, "digest": "ab"}
            for i in range(after + 1, min(8, after + 1 + limit))
        ]
        return _json({"entries": rows})

    async def readyz(self, _: Request) -> Response:
        return _json({"ready": self.ready, "rungs": {}}, 200 if self.ready else 503)


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def _problem(status: int, code: str, detail: str) -> Response:
    kind = f"https://foremargin.dev/problems/{code}"
    content = {"type": kind, "title": code, "status": status, "detail": detail}
    return Response(msgspec.json.encode(content), status, media_type="application/problem+json")


class _WithFaults:
    """Records requests and puts faults before answers; streams go to the hub of the day."""

    def __init__(self, service: Service, app: ASGIApp) -> None:
        self.service = service
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        service = self.service
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        target = scope["raw_path"].decode()
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode()
        heard = Heard(scope.get("method", "GET"), target, headers, b"")
        service.heard.append(heard)
        if scope["path"] in {"/v1/stream", "/v1/events"}:
            routes = make_stream_routes(service.hub, authorise=lambda _: service.refusal)
            await Starlette(routes=routes)(scope, receive, send)
            return
        more = True
        while more:
            message = await receive()
            heard.body += message.get("body", b"")
            more = message.get("more_body", False)
        if service.faults and await _spoiled(service.faults.popleft(), send):
            return

        async def again() -> dict[str, Any]:
            return {"type": "http.request", "body": heard.body, "more_body": False}

        await self.app(scope, again, send)


async def _spoiled(fault: Fault, send: Send) -> bool:
    await asyncio.sleep(fault.wait_s)
    if fault.drip:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        with contextlib.suppress(OSError):
            for _ in range(200):
                await send({"type": "http.response.body", "body": b" ", "more_body": True})
                await asyncio.sleep(0.02)
        await send({"type": "http.response.body", "body": b"{}"})
        return True
    if fault.status:
        headers = [(k.encode(), v.encode()) for k, v in fault.headers.items()]
        await send({"type": "http.response.start", "status": fault.status, "headers": headers})
        await send({"type": "http.response.body", "body": fault.body})
    return bool(fault.status)


class Wire:
    """TCP between client and service that can be cut, or made to refuse."""

    def __init__(self, target: int) -> None:
        self.forget()
        self._target = target
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def forget(self) -> None:
        """Let everything through again."""
        self.refuse = 0  # so many new connections are closed at once
        self.cut_answers = 0  # so many connections are cut when their answer begins
        self.opened = 0

    def cut(self) -> None:
        """Cut what is open."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _shut(*pair)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            self.opened += 1
            if self.refuse > 0:
                self.refuse -= 1
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self._target))
            for end in (near, far):  # small messages must not wait for acknowledgements
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs.append((near, far))
            threading.Thread(target=self._carry, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._carry, args=(far, near, True), daemon=True).start()

    def _carry(self, here: socket.socket, there: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := here.recv(65_536):
                if answers and self.cut_answers > 0:
                    self.cut_answers -= 1
                    break
                there.sendall(data)
        _shut(here, there)


def _shut(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextmanager
def _served() -> Iterator[Service]:
    service = Service()
    config = uvicorn.Config(
        service.app(),
        port=0,
        log_level="critical",
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    started = threading.Event()

    async def main() -> None:
        service.loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(server.serve())
        while not server.started:
            await asyncio.sleep(0.005)
        started.set()
        await task

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    assert started.wait(10.0)
    service.wire = Wire(server.servers[0].sockets[0].getsockname()[1])
    try:
        yield service
    finally:
        service.act(service.hub.close)
        service.wire.close()
        server.should_exit = True
        thread.join(10.0)
        assert not thread.is_alive()


class _Awaiting:
    """The asyncio client, called like the one that blocks."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._runner = asyncio.Runner()
        self._client = self._runner.run(_made(*arguments, **options))

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            made = method(*arguments, **options)
            if isinstance(made, AsyncStream):
                return _AwaitingStream(self._runner, made)
            if hasattr(made, "__anext__"):
                return _iterated(self._runner, made)
            return self._runner.run(made)

        return call

    def close(self) -> None:
        self._runner.run(self._client.close())
        self._runner.close()


class _AwaitingStream:
    def __init__(self, runner: asyncio.Runner, stream: AsyncStream) -> None:
        self._runner = runner
        self._stream = stream

    def __enter__(self) -> "_AwaitingStream":
        self._runner.run(self._stream.__aenter__())
        return self

    def __exit__(self, *about: Any) -> None:
        self._runner.run(self._stream.__aexit__(*about))

    def __iter__(self) -> Iterator[Any]:
        return _iterated(self._runner, self._stream.__aiter__())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


async def _made(*arguments: Any, **options: Any) -> AsyncClient:
    return AsyncClient(*arguments, **options)


def _iterated(runner: asyncio.Runner, items: Any) -> Iterator[Any]:
    async def following() -> Any:
        return await anext(items, None)

    while (item := runner.run(following())) is not None:
        yield item


@pytest.fixture(scope="session")
def make_quote() -> Callable[..., Quote]:
    """Return a function from instrument, number and changes to a quote."""
    return _quote


@pytest.fixture(scope="session")
def make_fault() -> type[Fault]:
    """Return the class of faults."""
    return Fault


@pytest.fixture(scope="session")
def _one_service() -> Iterator[Service]:
    with _served() as service:
        yield service


@pytest.fixture
def service(_one_service: Service) -> Iterator[Service]:
    """Service with quotes of A, B and C/USDT."""
    service = _one_service
    service.act(service.forget)
    service.wire.forget()
    service.publish(_quote("A", 1), _quote("B", 1), _quote("C/USDT", 3))
    yield service
    service.act(service.hub.close)
    service.wire.cut()


@pytest.fixture(params=[Client, _Awaiting], ids=["blocking", "asyncio"])
def connect(request: pytest.FixtureRequest, service: Service) -> Iterator[Callable[..., Any]]:
    """Return a function that opens either client to the service."""
    with ExitStack() as stack:

        def opened(**options: Any) -> Any:
            client = request.param(service.address, **options)
            stack.callback(client.close)
            return client

        yield opened
