"""Limits on what a request may carry, checked before anything is decoded."""

import re
from collections.abc import Awaitable, Callable, MutableMapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# A string is skipped whole, so that brackets inside of it do not count; one that never ends is
# skipped to the end, or scanning would be quadratic in its escapes.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)


class BodyLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a body may be.

    Attributes
    ----------
    size : int
        Bytes.
    depth : int
        Brackets open at once.
    array : int
        Elements of one array, or members of one object.
    """

    size: int = 1_048_576
    depth: int = 16
    array: int = 10_000


class Excess(StrEnum):
    """Which limit a body breaks."""

    SIZE = "size"
    DEPTH = "depth"
    ARRAY = "array"
    GONE = "gone"
    """The client went away before all of it had come."""


def excess_of(body: bytes, *, limits: BodyLimits) -> Excess | None:
    """Return the limit that a JSON body breaks, None if it breaks none.

    Malformed JSON is left to the decoder; this only promises that what passes is small, shallow
    and narrow.
    """
    if len(body) > limits.size:
        return Excess.SIZE
    counts: list[int] = []
    for match in _TOKEN.finditer(body):
        token = body[match.start()]
        if token in b"[{":
            if len(counts) >= limits.depth:
                return Excess.DEPTH
            counts.append(1)
        elif token in b"]}":
            if counts:
                counts.pop()
        elif token == 0x2C and counts:
            counts[-1] += 1
            if counts[-1] > limits.array:
                return Excess.ARRAY
    return None


async def read_body(receive: Receive, *, limits: BodyLimits) -> bytes | Excess:
    """Read a body of at most ``limits.size`` bytes; more is not read."""
    message = await receive()
    if message["type"] == "http.disconnect":
        return Excess.GONE
    body = message.get("body", b"")
    if not message.get("more_body", False):
        return body if len(body) <= limits.size else Excess.SIZE
    parts, size = [body], len(body)
    while message.get("more_body", False) and size <= limits.size:
        message = await receive()
        if message["type"] == "http.disconnect":
            return Excess.GONE
        parts.append(message.get("body", b""))
        size += len(parts[-1])
    return b"".join(parts) if size <= limits.size else Excess.SIZE


def replay_body(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that was read, and then what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


class LimitedBodies:
    """ASGI middleware: refuses a body beyond the limits, with the answer that `refuse` makes.

    Parameters
    ----------
    app : ASGI application
        What gets the request, body read and checked.
    limits : BodyLimits
        See there.
    refuse : callable
        ASGI application of an :class:`Excess`; not asked when the client is gone.
    """

    def __init__(self, app: App, *, limits: BodyLimits, refuse: Callable[[Excess], App]) -> None:
        self._app, self._limits, self._refuse = app, limits, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
            await self._app(scope, receive, send)
            return
        body = await read_body(receive, limits=self._limits)
        excess = body if isinstance(body, Excess) else excess_of(body, limits=self._limits)
        if excess is Excess.GONE:
            return
        if excess is not None:
            await self._refuse(excess)(scope, receive, send)
            return
        assert isinstance(body, bytes)
        await self._app(scope, replay_body(body, receive), send)
