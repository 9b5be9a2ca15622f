"""Quotes, a clock and a real server on loopback, for the tests of streams."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
import uvicorn
from starlette.applications import Starlette

from foremargin.serving.quote import Basis, Calculation, Quote, SideMargin, Status
from foremargin.serving.stream import Hub, Refusal, StreamLimits, make_stream_routes

START = 1_790_000_000_000_000_000


@dataclass
class HandClock:
    """A clock that is moved by hand."""

    ns: int = START

    def now(self) -> int:
        return self.ns


def _quote(instrument: str, sequence: int) -> Quote:
    side = SideMargin(
        initial_margin_bps=500 + sequence,
        maintenance_margin_bps=400,
        components={"tail": 499.5 + sequence, "rounding": 0.5},
        bound=["floor"],
    )
    calculation = Calculation(
        instrument=instrument,
        basis=Basis.NETWORK,
        observed_at=START + sequence,
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
    return Quote(
        instrument=instrument,
        sequence=sequence,
        status=Status.OK,
        basis=Basis.NETWORK,
        reason="",
        observed_at=START + sequence,
        quoted_at=START + sequence + 1,
        valid_until=START + 10**12,
        long=side,
        short=side,
        calculation=calculation,
    )


class Service:
    """A hub behind a real server, whose event loop runs in a thread of its own."""

    def __init__(self, hub: Hub, server: uvicorn.Server, port: int) -> None:
        self.hub = hub
        self.port = port
        self._server = server
        self._numbers: dict[str, int] = {}

    def publish(self, *instruments: str) -> None:
        """Publish a new quote of each; returns once the hub has them."""

        def act() -> None:
            quotes = []
            for name in instruments:
                self._numbers[name] = self._numbers.get(name, 0) + 1
                quotes.append(_quote(name, self._numbers[name]))
            self.hub.publish(quotes)

        self.act(act)

    def wait_until_left(self) -> None:
        """Wait until every connection is gone.

        uvicorn 0.54 raises when it stops while a WebSocket has been closed by its reader and still
        has bytes to send.
        """
        pause = threading.Event()
        for _ in range(1_000):
            if not self._server.server_state.connections:
                return
            pause.wait(0.01)
        raise AssertionError("connections were left open")

    def act(self, action: Callable[[], object]) -> None:
        """Run something in the loop of the server and wait for it."""
        done = threading.Event()
        loop = self._server.own_loop  # type: ignore[attr-defined]

        def run() -> None:
            action()
            done.set()

        loop.call_soon_threadsafe(run)
        assert done.wait(10.0)


@contextmanager
def _served(
    limits: StreamLimits | None, refusal: Refusal | None, origins: tuple[str, ...]
) -> Iterator[Service]:
    hub = Hub(HandClock(), limits=limits, epoch="e1")
    routes = make_stream_routes(hub, authorise=lambda _: refusal, allowed_origins=origins)
    config = uvicorn.Config(
        Starlette(routes=routes),
        port=0,
        log_level="warning",
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)

    async def main() -> None:
        server.own_loop = asyncio.get_running_loop()  # type: ignore[attr-defined]
        await server.serve()

    thread = threading.Thread(target=lambda: asyncio.run(main()), daemon=True)
    thread.start()
    pause = threading.Event()
    for _ in range(1_000):
        if server.started:
            break
        pause.wait(0.01)
    service = Service(hub, server, server.servers[0].sockets[0].getsockname()[1])
    try:
        yield service
    finally:
        service.act(hub.close)
        server.should_exit = True
        thread.join(10.0)
        assert not thread.is_alive()


@pytest.fixture
def clock() -> HandClock:
    """Clock that stands still."""
    return HandClock()


@pytest.fixture(scope="session")
def make_quote() -> Callable[[str, int], Quote]:
    """Return a function from instrument and number to a quote."""
    return _quote


@pytest.fixture
def serve() -> Iterator[Callable[..., Service]]:
    """Return a function that starts a service; all are stopped after the test."""
    with ExitStack() as stack:

        def start(
            *,
            limits: StreamLimits | None = None,
            refusal: Refusal | None = None,
            origins: tuple[str, ...] = (),
        ) -> Service:
            return stack.enter_context(_served(limits, refusal, origins))

        yield start
