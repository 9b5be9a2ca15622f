"""Bars for the tests (small, seeded, high and low enclose open and close), and a local server."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pandas as pd
import pytest

from foremargin.markets.download.client import Client

Bars = Callable[..., pd.DataFrame]
Write = Callable[..., Path]


@pytest.fixture
def make_bars() -> Bars:
    def make(
        start: str = "2024-01-01", *, n: int = 240, step: str = "1h", seed: int = 7
    ) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        close = 100 * np.exp(np.cumsum(rng.normal(scale=0.01, size=n)))
        open_ = np.concatenate([[100.0], close[:-1]])
        return pd.DataFrame(
            {
                "open_time": pd.date_range(start, periods=n, freq=step, tz="UTC"),
                "open": open_,
                "high": np.maximum(open_, close) * 1.001,
                "low": np.minimum(open_, close) * 0.999,
                "close": close,
                "volume": rng.uniform(1.0, 2.0, size=n),
            }
        )

    return make


@pytest.fixture
def make_sessions(make_bars: Bars) -> Bars:
    """Bars of an exchange: no Saturdays, no Sundays."""

    def make(start: str = "2024-01-01", **options: object) -> pd.DataFrame:
        bars = make_bars(start, **options)
        sessions: pd.DataFrame = bars[bars["open_time"].dt.day_of_week < 5].reset_index(drop=True)
        return sessions

    return make


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def save(frame: pd.DataFrame, name: str = "X.parquet") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_parquet(path)
        return path

    return save


@pytest.fixture
def real_data() -> Path:
    folder = os.environ.get("FOREMARGIN_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("FOREMARGIN_DATA names no folder of market data")
    return Path(folder)


@dataclass(kw_only=True)
class Reply:
    """What the server sends for a path, and how it misbehaves before or while it does."""

    body: bytes | Callable[[Mapping[str, str]], bytes]  # a function is given the query
    etag: str | None = None
    failures: list[int] = field(default_factory=list)  # statuses that are answered first
    retry_after: str | None = None  # sent with those failures
    cuts: list[int] = field(default_factory=list)  # answers that stop after so many bytes
    delay_s: float = 0.0
    ignores_range: bool = False
    hides_length: bool = False  # no Content-Length: the end of the body cannot be told


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that came in, and how many bytes of body it got."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    status: int
    sent_bytes: int


class LocalServer:
    """An HTTP server on this machine that serves what it was given, well or badly."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.replies: dict[str, Reply] = {}
        self.asked: list[Asked] = []
        self.posted: list[Any] = []

    def give(self, path: str, body: Any, **behaviour: Any) -> Reply:
        """Serve `body` (bytes, a function of the query, or else JSON) at `path`."""
        if not isinstance(body, bytes) and not callable(body):
            body = json.dumps(body).encode()
        reply = self.replies[path] = Reply(body=body, **behaviour)
        return reply

    def sent_bytes(self, suffix: str = "") -> int:
        """Return how many bytes were sent for paths with that suffix."""
        return sum(one.sent_bytes for one in self.asked if one.path.endswith(suffix))


def _handler_of(server: LocalServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            server.posted.append(json.loads(self.rfile.read(length)))
            self.do_GET()

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            query = dict(parse_qsl(url.query))
            reply = server.replies.get(url.path)
            status, body, headers = _answer(reply, query, self.headers)
            cut = len(body)
            if reply is not None and status < 300 and reply.cuts:
                cut = reply.cuts.pop(0)
            # Recorded before it is sent: the client may look as soon as it has the body.
            server.asked.append(
                Asked(
                    path=url.path,
                    query=query,
                    headers=dict(self.headers),
                    status=status,
                    sent_bytes=len(body[:cut]),
                )
            )
            if reply is not None:
                time.sleep(reply.delay_s)
            with suppress(BrokenPipeError, ConnectionResetError):  # the client lost patience
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body[:cut])

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def _answer(
    reply: Reply | None, query: Mapping[str, str], asked: Any
) -> tuple[int, bytes, dict[str, str]]:
    if reply is None:
        return 404, b"there is no such path", {}
    if reply.failures:
        after = {} if reply.retry_after is None else {"Retry-After": reply.retry_after}
        return reply.failures.pop(0), b"not now", after
    body = reply.body if isinstance(reply.body, bytes) else reply.body(query)
    headers = {} if reply.etag is None else {"ETag": reply.etag}
    status, start = 200, 0
    same = asked.get("If-Range", reply.etag) == reply.etag
    if "Range" in asked and same and not reply.ignores_range:
        start = int(asked["Range"].removeprefix("bytes=").removesuffix("-"))
        if start >= len(body):
            return 416, b"", {"Content-Range": f"bytes */{len(body)}"}
        status = 206
        headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
    if not reply.hides_length:
        headers["Content-Length"] = str(len(body) - start)
    return status, body[start:], headers


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    """A local server: ``server.give("/a", b"...", failures=[500, 500])``, then ask server.url."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    local = LocalServer("")
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(local)) as http:
        local.url = f"http://127.0.0.1:{http.server_port}"
        thread = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield local
        http.shutdown()
        thread.join()


@pytest.fixture
def pauses() -> list[float]:
    """Seconds that `client` would have slept."""
    return []


@pytest.fixture
def client(pauses: list[float]) -> Client:
    """A client that does not really sleep."""
    return Client(tries=4, timeout_s=5.0, sleep=pauses.append)
