"""Server-sent events.

References
----------
WHATWG HTML, section 9.2, "Server-sent events".
"""

import asyncio
import contextlib

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Send

from ...errors import InputError
from .hub import Hub, Subscription
from .wire import problem_bytes, problem_of, woken

_RETRY_MS = 1_000
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # or nginx keeps events back until a buffer is full
]


class ServerSentEvents:
    """One stream of events, from the request to its end."""

    def __init__(self, hub: Hub, request: Request) -> None:
        self._hub = hub
        self._request = request
        self._wake = asyncio.Event()

    async def run(self, receive: Receive, send: Send) -> None:
        """Answer the request; returns when either side has had enough."""
        try:
            subscription = self._subscribe()
        except InputError as error:
            problem = problem_of("bad-subscription", "Not a subscription", 400, str(error))
            answer = Response(problem_bytes(problem), 400, media_type="application/problem+json")
            await answer(self._request.scope, receive, send)
            return
        writer = asyncio.create_task(self._write(subscription, send))
        leaver = asyncio.create_task(_left(receive))
        try:
            await asyncio.wait((writer, leaver), return_when=asyncio.FIRST_COMPLETED)
        finally:
            subscription.close()
            for task in (writer, leaver):
                task.cancel()
            results = await asyncio.gather(writer, leaver, return_exceptions=True)
        if isinstance(results[0], Exception) and not isinstance(
            results[0], (OSError, TimeoutError)
        ):
            raise results[0]

    def _subscribe(self) -> Subscription:
        query = self._request.query_params
        names = query.get("instruments")
        place = self._request.headers.get("last-event-id") or query.get("resume_from", "")
        wanted = None if names is None else [name for name in names.split(",") if name]
        if wanted == []:
            raise InputError(
                "instruments must be names with commas between, was empty; leave it out for all"
            )
        return self._hub.subscribe(wanted, wake=self._wake.set, resume_from=place)

    async def _write(self, subscription: Subscription, send: Send) -> None:
        loop, limits = asyncio.get_running_loop(), self._hub.limits
        end = loop.time() + limits.longest_s
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await _send_body(send, b"retry: %d\n\n" % _RETRY_MS)
        while not self._hub.closed and loop.time() < end:
            started = loop.time()
            async with asyncio.timeout(limits.slowest_s):
                for chunk in subscription.round():
                    await _send_body(send, chunk.server_sent)
                    await asyncio.sleep(0)  # a send that needs no waiting would not let others run
            await asyncio.sleep(self._hub.next_round(started) - loop.time())
            rest = min(limits.heartbeat_s, end - loop.time())
            if not await woken(self._wake, within_s=rest) and loop.time() < end:
                async with asyncio.timeout(limits.slowest_s):
                    await _send_body(send, b":\n\n")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.slowest_s):
                await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_body(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
