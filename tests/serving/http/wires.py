"""Connections without sockets: what a protocol of uvicorn writes when it is sent bytes."""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from foremargin.serving.http.protocol import HotProtocol

logging.getLogger("uvicorn.error").addFilter(lambda record: "Invalid HTTP" not in record.msg)
BODY = b'{"positions":[{"instrument":"BTC-PERP","notional":1e6}]}'
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n")


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address, self.written, self.writes = address, b"", 0
        self.closed = self.paused = False
        self.protocol: Any = None

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        peers = {"peername": (self.address, 1234), "sockname": ("127.0.0.1", 8750)}
        return peers.get(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.closed:
            self.written += data
            self.writes += 1

    def is_closing(self) -> bool:
        return self.closed

    def is_paused(self) -> bool:
        return self.paused

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


class Server:
    """One server state, and the connections that are opened to it."""

    def __init__(self, app: Any, *, hot: bool = True, **options: Any) -> None:
        kind = HotProtocol if hot else HttpToolsProtocol
        options = {"access_log": False, "lifespan": "off", "proxy_headers": False, **options}
        self.config = uvicorn.Config(app, http=kind, log_config=None, ws="none", **options)
        self.config.load()
        self.state = ServerState()
        self.state.default_headers = [(b"date", b"now")]

    def connect(self, address: str = "127.0.0.1") -> Wire:
        wire = Wire(address)
        kind: Any = self.config.http_protocol_class
        wire.protocol = kind(config=self.config, server_state=self.state, app_state={})
        wire.protocol.connection_made(wire)
        return wire

    async def send(self, wire: Wire, *packets: bytes) -> bytes:
        """Send packets one after the other, each when all that can be done before is done."""
        before = len(wire.written)
        for packet in packets:
            if wire.closed:
                break
            wire.protocol.data_received(packet)
            await self.settle()
        return wire.written[before:]

    async def settle(self) -> None:
        """Let everything that needs no time happen."""
        quiet = 0
        while quiet < 5:
            await asyncio.sleep(0)
            quiet = 0 if self.state.tasks else quiet + 1


def answers(written: bytes) -> list[tuple[bytes, Counter[bytes], bytes]]:
    """Return status line, headers in no order and body of every answer."""
    found = []
    while written:
        head, _, rest = written.partition(b"\r\n\r\n")
        status, *headers = head.split(b"\r\n")
        length = _LENGTH.search(head + b"\r\n")
        size = int(length[1]) if length else 0
        found.append((status, Counter(headers), rest[:size]))
        written = rest[size:]
    return found


def cut(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Return the packets between places."""
    ends = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(ends)]


def get(path="/v1/margins/BTC-PERP", *headers, token=""):
    lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1:8750", *headers]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join([*lines, "", ""]).encode()


def post(body=BODY, *headers, path="/v1/portfolios:simulate", token="", kind="application/json"):
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1:8750", f"Content-Length: {len(body)}"]
    lines += [f"Content-Type: {kind}", *headers]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def compare(run, servers, packets, *, address="127.0.0.1"):
    async def through(server):
        wire = server.connect(address)
        return await server.send(wire, *packets), wire.closed

    found = [run(through(server)) for server in servers]
    said = [(answers(written), closed) for written, closed in found]
    assert said[0] == said[1]
    return said[0][0]
