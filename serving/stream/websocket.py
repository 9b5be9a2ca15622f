"""The WebSocket conversation.

Codes it closes with: 1000 (one hour is over: resume), 1001 (the service stops), 1003 (a binary
message), 1007 (no known request), 1008 (no subscription in time, or too many requests), 1009 (a
request that is too large), 1013 (too slow, or no stream is free: connect again later).
"""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from ...errors import InputError
from .events import Ping, Pong, Request, Subscribe, Unsubscribe
from .hub import Hub, Subscription
from .records import Chunk
from .wire import problem_of, woken

BATCH = "foremargin.batch.v1"
"""Subprotocol with arrays of events in a frame; far cheaper when thousands change at once."""

SINGLE = "cloudevents.json"
"""Subprotocol with one event in a frame, as the CloudEvents binding for WebSockets has it."""

_CLOSING_S = 5.0

_read_request: Callable[[str], Request] = msgspec.json.Decoder(Request).decode


class _Close(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class WebSocketConversation:
    """One WebSocket, from the handshake to its end."""

    def __init__(self, hub: Hub, websocket: WebSocket) -> None:
        self._hub = hub
        self._websocket = websocket
        self._wake = asyncio.Event()
        self._subscription: Subscription | None = None
        self._batches = False
        self._requests = 0
        self._minute = 0.0

    async def run(self) -> None:
        """Accept, then read and write until either side has had enough."""
        offered = self._websocket.scope.get("subprotocols", [])
        chosen = next((name for name in (BATCH, SINGLE) if name in offered), None)
        self._batches = chosen == BATCH
        await self._websocket.accept(subprotocol=chosen)
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
        try:
            done, _ = await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if self._subscription is not None:
                self._subscription.close()
            for task in (reader, writer):
                task.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)
        await self._end(next(iter(done)).exception())

    async def _end(self, error: BaseException | None) -> None:
        if isinstance(error, _Close):
            try:
                async with asyncio.timeout(_CLOSING_S):
                    await self._websocket.close(error.code, error.reason)
            except (OSError, RuntimeError, TimeoutError, WebSocketDisconnect):
                pass  # it is gone, which is what was wanted
        elif error is not None and not isinstance(error, (OSError, WebSocketDisconnect)):
            raise error

    # ------------------------------------------------------------ reading

    async def _read(self) -> None:
        limits = self._hub.limits
        try:
            async with asyncio.timeout(limits.first_message_s):
                while self._subscription is None:
                    await self._take_request()
        except TimeoutError:
            reason = f"subscribe within {limits.first_message_s:g} s"
            raise _Close(1008, reason) from None
        while True:
            await self._take_request()

    async def _take_request(self) -> None:
        message = await self._websocket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        self._count_request()
        self._answer(self._parsed(message))

    def _count_request(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._minute >= 60.0:
            self._minute, self._requests = now, 0
        self._requests += 1
        if self._requests > self._hub.limits.requests_per_minute:
            raise _Close(1008, "too many requests in a minute")

    def _parsed(self, message: Any) -> Request:
        text = message.get("text")
        if text is None:
            raise _Close(1003, "requests are text")
        if len(text.encode()) > self._hub.limits.request_bytes:
            raise _Close(1009, f"a request has at most {self._hub.limits.request_bytes} bytes")
        try:
            return _read_request(text)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            # A close frame has room for 123 bytes.
            raise _Close(1007, f"not a request: {error}"[:120]) from None

    def _answer(self, request: Request) -> None:
        try:
            if isinstance(request, Subscribe):
                self._subscribe(request)
            elif isinstance(request, Unsubscribe):
                self._unsubscribe(request)
            elif isinstance(request, Ping):
                self._subscribed.reply(Pong(nonce=request.nonce))
        except InputError as error:
            if self._subscription is None:
                raise _Close(1008, str(error)[:120]) from None
            problem = problem_of("bad-subscription", "Not done", 400, str(error))
            self._subscription.reply(problem)

    @property
    def _subscribed(self) -> Subscription:
        if self._subscription is None:
            raise _Close(1008, "subscribe first")
        return self._subscription

    def _subscribe(self, request: Subscribe) -> None:
        names = None if request.instruments == "all" else frozenset(request.instruments)
        if self._subscription is None:
            self._subscription = self._hub.subscribe(
                names, wake=self._wake.set, resume_from=request.resume_from
            )
            self._wake.set()
            return
        known = self._subscription.instruments
        self._subscription.change(None if names is None or known is None else known | names)

    def _unsubscribe(self, request: Unsubscribe) -> None:
        known = self._subscribed.instruments
        if known is None:
            raise InputError(
                "names can be dropped from a subscription to a list, this one is to all; "
                "connect again and subscribe to a list"
            )
        self._subscribed.change(known - frozenset(request.instruments))

    # ------------------------------------------------------------ writing

    async def _write(self) -> None:
        loop, limits = asyncio.get_running_loop(), self._hub.limits
        end = loop.time() + limits.longest_s
        while loop.time() < end:
            rest = min(limits.heartbeat_s, end - loop.time())
            quiet = not await woken(self._wake, within_s=rest)
            if self._hub.closed:
                raise _Close(1001, "the service stops")
            if self._subscription is None:
                continue
            started = loop.time()
            try:
                async with asyncio.timeout(limits.slowest_s):
                    await self._send_round(self._subscription)
                    if quiet:
                        await self._send(Chunk([self._subscription.heartbeat()]))
            except TimeoutError:
                raise _Close(1013, "too slow; resume, or subscribe to less") from None
            await asyncio.sleep(self._hub.next_round(started) - loop.time())
        raise _Close(1000, "resume")

    async def _send_round(self, subscription: Subscription) -> None:
        for chunk in subscription.round():
            await self._send(chunk)
            await asyncio.sleep(0)  # a send that needs no waiting would not let others run

    async def _send(self, chunk: Chunk) -> None:
        if self._batches:
            await self._websocket.send_text(chunk.batch)
            return
        for delivery in chunk:
            await self._websocket.send_text(delivery.body.decode())
