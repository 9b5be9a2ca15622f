"""A headless Chromium driven by its own protocol, and an honest small service for it to look at."""

import asyncio
import base64
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import msgspec
import numpy as np
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from websockets.sync.client import ClientConnection, connect

from foremargin.serving.monitor import Metrics, Monitor
from foremargin.serving.observations import Bar
from foremargin.serving.page import page_routes
from foremargin.serving.quote import Basis, Calculation, Quote, SideMargin, Status
from foremargin.serving.table import QuoteTable

SECOND = 1_000_000_000
HOUR = 3_600 * SECOND
NAMES = ("BTC-PERP", "ETH-PERP", "SOL-PERP", "XAU/USD")
P = 0.05  # so that a short history has breaches to show


class WallClock:
    def now(self) -> int:
        return time.time_ns()


def quote_of(name, sequence, origin, margins, basis=Basis.NETWORK, regime="calm", sigma=0.01):
    def side(bps):
        return SideMargin(
            initial_margin_bps=bps,
            maintenance_margin_bps=bps * 4 // 5,
            components={"tail": bps - 40.5, "liquidity": 40.0, "rounding": 0.5},
            bound=["floor"] if bps < 160 else [],
        )

    now = time.time_ns()
    calculation = Calculation(
        instrument=name,
        basis=basis,
        observed_at=origin,
        long=side(margins[0]),
        short=side(margins[1]),
        horizon_periods=1,
        horizon_s=3_600,
        tail_probability=P,
        sigma=sigma,
        sigma_lower=0.7 * sigma,
        sigma_upper=1.5 * sigma,
        regime=regime,
        stress_probability=0.031 if basis is Basis.NETWORK else None,
        liquidity_stress_probability=0.012 if basis is Basis.NETWORK else None,
        model="foremargin-network/7",
        reason="" if basis is Basis.NETWORK else "breaker network is open",
    )
    return Quote(
        instrument=name,
        sequence=sequence,
        status=Status.OK if basis is Basis.NETWORK else Status.DEGRADED,
        basis=basis,
        reason=calculation.reason,
        observed_at=origin,
        quoted_at=now,
        valid_until=now + 2 * HOUR,
        long=calculation.long,
        short=calculation.short,
        calculation=calculation,
    )


@dataclass
class Market:
    """Prices that move, margins from the volatility that they really have, a real monitor."""

    monitor: Monitor
    table: QuoteTable
    sequence: dict[str, int] = field(default_factory=dict)
    streams: list[asyncio.Queue[Quote | None]] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop | None = None
    streaming: bool = True
    down: bool = False
    refuse: bool = False
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)

    def fill(self, n: int) -> None:
        rng = np.random.default_rng(7)
        # Closes on whole hours, the last one a few seconds to an hour old.
        last = time.time_ns() // HOUR * HOUR
        for j, name in enumerate(NAMES):
            sigma, price = 0.004 * (j + 1), 100.0 * (j + 1)
            for k in range(n):
                if j == 1 and n - 90 < k < n - 70:
                    continue  # a feed that was gone for some hours
                origin = last - (n - 1 - k) * HOUR
                wave = float(sigma * (1.0 + 0.6 * np.sin(k / 30.0 + j)))
                price *= float(np.exp(wave * rng.standard_t(5) * 0.77))
                bar = Bar(
                    instrument=name, time=origin, open=price, high=price, low=price, close=price
                )
                self.monitor.observed([bar])
                bps = int(1.9 * wave * 1e4) + 1
                basis = Basis.LINEAR if j == 2 else Basis.NETWORK
                regime = ("calm", "elevated", "stressed", "calm")[j]
                self.write(name, origin, (bps, bps + 7), basis=basis, regime=regime, sigma=wave)

        self.monitor.breakers({"network SOL-PERP": "open"})

    def write(self, name: str, origin: int, margins: tuple[int, int], **more: Any) -> None:
        self.sequence[name] = self.sequence.get(name, 0) + 1
        quote = quote_of(name, self.sequence[name], origin, margins, **more)
        self.table.write([quote])
        self.monitor.quoted([quote])
        for queue in self.streams:
            assert self.loop is not None
            self.loop.call_soon_threadsafe(queue.put_nowait, quote)

    def hang_up(self) -> None:
        for queue in self.streams:
            assert self.loop is not None
            self.loop.call_soon_threadsafe(queue.put_nowait, None)


def event_of(quote: Quote, kind: str, number: int) -> bytes:
    body = {
        "specversion": "1.0",
        "id": str(number),
        "source": f"/v1/margins/{quote.instrument}",
        "type": f"dev.foremargin.{kind}.v1",
        "sequence": f"{number:016d}",
        "data": quote,
    }
    return b"id: %d\nevent: x\ndata: %b\n\n" % (number, msgspec.json.encode(body))


def make_app(market: Market) -> Starlette:  # noqa: C901 (six small endpoints)
    def down() -> Response | None:
        if market.refuse and "Bearer fm_1_secret" not in market.keys:
            return JSONResponse({"title": "no", "detail": "a key is needed"}, 401)
        return Response("gone", 503) if market.down else None

    async def margins(request: Request) -> Response:
        market.keys.add(request.headers.get("authorization", ""))
        rows = [msgspec.to_builtins(row.quote) for row in market.table.rows.values()]
        return down() or JSONResponse({"quotes": rows, "next": None})

    async def simulate(request: Request) -> Response:
        asked = await request.json()
        market.asked.append(asked)
        total, parts = 0.0, []
        for position in asked["positions"]:
            row = market.table.rows[position["instrument"]].quote
            side = row.long if position["notional"] > 0 else row.short
            margin = abs(position["notional"]) * side.initial_margin_bps / 1e4
            parts.append({"instrument": row.instrument, "margin": margin})
            total += margin
        if abs(total) > 1e9:
            problem = {"title": "Too large", "detail": "notional must be below 1e10 in all"}
            return JSONResponse(problem, 422, media_type="application/problem+json")
        return JSONResponse(
            {
                "margin": total,
                "expected_shortfall": 1.2 * total,
                "worst_scenario": {"name": "all down", "loss": 0.9 * total},
                "parts": parts,
            }
        )

    async def events(_: Request) -> Response:
        refused = down()
        if refused or not market.streaming:
            return refused or Response("no stream", 503)
        queue: asyncio.Queue[Quote | None] = asyncio.Queue()
        market.loop = asyncio.get_running_loop()
        market.streams.append(queue)

        async def body():
            number = 0
            yield b": hello\n\n"
            try:
                for row in list(market.table.rows.values()):
                    number += 1
                    yield event_of(row.quote, "snapshot", number)
                while (quote := await queue.get()) is not None:
                    number += 1
                    yield event_of(quote, "quote", number)
            finally:
                market.streams.remove(queue)

        return StreamingResponse(body(), media_type="text/event-stream")

    async def alerts_gate(request: Request) -> Response:
        inner = next(r for r in own if r.path == "/v1/alerts")
        return down() or await inner.endpoint(request)

    own = page_routes(market.monitor, clock=WallClock())
    return Starlette(
        routes=[
            Route("/v1/alerts", alerts_gate),
            Route("/v1/margins", margins),
            Route("/v1/portfolios:simulate", simulate, methods=["POST"]),
            Route("/v1/events", events),
            *own,
        ]
    )


@dataclass
class Service:
    market: Market
    url: str


@contextmanager
def serving() -> Iterator[Service]:
    clock = WallClock()
    market = Market(
        monitor=Monitor(Metrics(clock, version="test"), clock=clock), table=QuoteTable()
    )
    market.fill(420)
    market.monitor.evaluate()
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        make_app(market), log_level="error", ws="none", lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    until(lambda: server.started, "the service listens")
    yield Service(market, f"http://127.0.0.1:{listener.getsockname()[1]}")
    market.hang_up()
    server.should_exit = True
    thread.join(timeout=10)


@pytest.fixture(scope="session")
def service() -> Iterator[Service]:
    """A service that nobody changes."""
    with serving() as found:
        yield found


@pytest.fixture
def changing() -> Iterator[Service]:
    """A service of one's own."""
    with serving() as found:
        yield found


def until(holds: Callable[[], Any], what: str, *, seconds: float = 10.0) -> Any:
    end = time.monotonic() + seconds
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() > end:
            pytest.fail(f"in {seconds} s never: {what}")
        time.sleep(0.03)


class Tab:
    """One page and what it did: messages of the console, requests."""

    def __init__(self, browser: "Browser", session: str) -> None:
        self._browser, self._session = browser, session
        self.console: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log", "Accessibility", "DOM"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, session=self._session, **params)

    def note(self, event: dict[str, Any]) -> None:
        params = event["params"]
        if event["method"] == "Runtime.exceptionThrown":
            self.console.append(json.dumps(params["exceptionDetails"])[:600])
        elif event["method"] == "Runtime.consoleAPICalled" and params["type"] in (
            "error",
            "warning",
            "assert",
        ):
            self.console.append(json.dumps(params["args"])[:600])
        elif event["method"] == "Log.entryAdded" and params["entry"]["level"] in (
            "error",
            "warning",
        ):
            self.console.append(params["entry"]["text"] + " " + params["entry"].get("url", ""))
        elif event["method"] == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    def run(self, script: str) -> Any:
        """Value of an expression in the page."""
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            pytest.fail(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def text(self, selector: str) -> str:
        return str(self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def wait(self, script: str, *, seconds: float = 10.0) -> Any:
        return until(lambda: self.run(f"Boolean({script})"), script, seconds=seconds)

    def press(self, key: str, *, shift: bool = False) -> None:
        code = {"Tab": 9, "Enter": 13, " ": 32, "ArrowLeft": 37, "ArrowRight": 39, "Home": 36}[key]
        more: dict[str, Any] = {"modifiers": 8} if shift else {}
        if key in ("Enter", " "):
            more["text"] = "\r" if key == "Enter" else " "
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **more
            )
            more.pop("text", None)

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        find = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{find}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
        box = self.run(
            f"(() => {{ const r = {find}.getBoundingClientRect();"
            " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call(
                "Input.dispatchMouseEvent",
                type=kind,
                x=box[0],
                y=box[1],
                button="left",
                clickCount=1,
            )

    def size(self, width: int, height: int) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def media(self, **features: str) -> None:
        listed = [{"name": k.replace("_", "-"), "value": v} for k, v in features.items()]
        self.call("Emulation.setEmulatedMedia", features=listed)

    def picture(self, path: Path) -> None:
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def tree(self) -> list[dict[str, Any]]:
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [
            {
                "role": node.get("role", {}).get("value", ""),
                "name": node.get("name", {}).get("value", ""),
                "properties": {
                    p["name"]: p["value"].get("value") for p in node.get("properties", [])
                },
            }
            for node in nodes
            if not node["ignored"]
        ]


class Browser:
    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self._tabs: dict[str, Tab] = {}

    def call(self, method: str, *, session: str = "", **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=20))
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer)
                return dict(answer["result"])
            tab = self._tabs.get(answer.get("sessionId", ""))
            if tab is not None:
                tab.note(answer)

    def tab(self) -> tuple[Tab, str]:
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context)
        session = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)[
            "sessionId"
        ]
        tab = Tab.__new__(Tab)
        self._tabs[session] = tab
        tab.__init__(self, session)  # type: ignore[misc]
        return tab, context


@pytest.fixture(scope="session")
def browser(tmp_path_factory) -> Iterator[Browser]:
    program = os.environ.get("FOREMARGIN_CHROMIUM") or "/usr/bin/chromium"
    if shutil.which(program) is None:
        pytest.skip(f"no Chromium at {program}; name one in FOREMARGIN_CHROMIUM")
    folder = tmp_path_factory.mktemp("chromium")
    process = subprocess.Popen(
        [
            program,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--remote-debugging-port=0",
            f"--user-data-dir={folder}",
            "about:blank",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    port_file = folder / "DevToolsActivePort"

    def address() -> str:
        with suppress(OSError, ValueError):
            port = port_file.read_text().split()[0]
            with urlopen(f"http://127.0.0.1:{port}/json/version", timeout=2) as answer:
                return str(json.load(answer)["webSocketDebuggerUrl"])
        return ""

    try:
        listening = until(address, "Chromium listens", seconds=30.0)
        with connect(listening, max_size=None, proxy=None) as devtools:
            yield Browser(devtools)
    finally:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture
def tab(browser) -> Iterator[Tab]:
    opened, context = browser.tab()
    opened.size(1280, 900)
    yield opened
    browser.call("Target.disposeBrowserContext", browserContextId=context)


@pytest.fixture
def shown(tab, service) -> Tab:
    """The page, with everything on it."""
    return ready(tab, service)


@pytest.fixture
def moving(tab, changing) -> Tab:
    """The same of a service of one's own."""
    return ready(tab, changing)


def ready(tab: Tab, service: Service) -> Tab:
    tab.call("Page.navigate", url=service.url + "/")
    tab.wait("document.querySelectorAll('#margins-body tr').length === 4")
    tab.wait("document.querySelector('#chart .margin') && document.querySelector('.gauge .bar')")
    tab.wait("document.querySelector('#connection').dataset.state === 'live'")
    return tab
