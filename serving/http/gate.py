"""What stands before FastAPI: the checks, limits, headers and timeouts."""

import asyncio
import logging
import time
from collections.abc import Callable, MutableMapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

from starlette.routing import Router

from ..security import (
    Excess,
    Scope,
    SignedRequest,
    excess_of,
    is_signature,
    read_body,
    replay_body,
    with_security,
)
from ..security.limits import Message, Receive, Send
from .access import scope_needed
from .answers import Answer, Header, dressed, trace_header
from .door import Door, Guest, rate_headers
from .framing import SPLITTING
from .hot import HotTable, Observer
from .late import Late
from .problems import (
    BODY_TOO_DEEP,
    BODY_TOO_LARGE,
    INTERNAL,
    REQUEST_TIMEOUT,
    TIMEOUT,
    TOO_MANY_ITEMS,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
    ProblemError,
    problem_answer,
)
from .settings import HttpSettings

_log = logging.getLogger(__name__)
Connection = MutableMapping[str, Any]
_READ = Scope.READ  # an attribute of an enumeration costs a look-up through its class
_BODILESS = ("GET", "HEAD", "OPTIONS")
_EXCESSES: dict[Excess, tuple[Problem, str]] = {
    Excess.SIZE: (BODY_TOO_LARGE, "A body may have at most {0.size} bytes."),
    Excess.DEPTH: (BODY_TOO_DEEP, "A body may have at most {0.depth} brackets open at once."),
    Excess.ARRAY: (TOO_MANY_ITEMS, "An array may have at most {0.array} elements."),
}


class Gone(Exception):
    """The client went away; there is nobody to answer."""


class Gate:
    """ASGI application in front of another.

    Parameters
    ----------
    app : Late
        Everything that is documented, and what was added.
    lifespan : callable
        Returns the context in which it answers.
    door : Door
        Who comes in.
    hot : HotTable
        Routes that :class:`.protocol.HotProtocol` answers before a request gets here; computations
        that come in another form go around FastAPI here.
    settings : HttpSettings
        Limits.
    observer : callable, optional
        Told path template, status and seconds of every answer.
    """

    def __init__(
        self,
        app: Late,
        *,
        lifespan: Callable[[], AbstractAsyncContextManager[None]],
        door: Door,
        hot: HotTable,
        settings: HttpSettings,
        observer: Observer | None = None,
    ) -> None:
        self.lifespan = lifespan
        self._app, self._door, self._hot = app, door, hot
        self._life = Router(lifespan=lambda _: lifespan())
        self._settings, self._observer = settings, observer

    @property
    def hot(self) -> HotTable | None:
        """Routes that may be answered before a request gets here; None if none may."""
        return self._hot if self._settings.fast_path else None

    async def complete(self) -> None:
        """Return when everything is made that answers."""
        await self._app.begin()

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self._life(scope, receive, send)

    async def _serve(self, scope: Connection, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        ending = _Ending(scope, send)
        try:
            answer = await self._answer(scope, receive, ending)
        except Gone:
            return
        except ProblemError as error:
            answer = error.answer()
        except Exception:
            _log.exception("an error while answering %s %s", scope["method"], self._route(scope))
            answer = problem_answer(INTERNAL, "The service made an error; it was written down.")
        if answer is not None and not ending.status:
            await answer.send(ending.send)
        if self._observer is not None:
            self._observer(self._route(scope), ending.status, time.perf_counter() - started)

    async def _answer(
        self, scope: Connection, receive: Receive, ending: "_Ending"
    ) -> Answer | None:
        """Return the answer, None if the application sent it."""
        method, path = scope["method"], scope["path"]
        headers = dict(scope["headers"])
        ending.trace = headers.get(b"traceparent")
        self._door.check_site(headers, changes=method not in _BODILESS)
        guest, body = await self._admit(scope, headers, receive)
        ending.guest = guest
        scope.setdefault("state", {})["principal"] = guest.principal
        hot = None
        if body is not None:
            if method == "POST" and self._settings.fast_path and SPLITTING not in headers:
                hot = self._hot.work(path)
            receive = replay_body(body, receive)
        try:
            async with asyncio.timeout(self._settings.timeout_s) as ending.timeout:
                if hot is not None and body is not None:
                    found = hot[0].answer(hot[1], body)
                    return found if isinstance(found, Answer) else await found
                await self._app(scope, receive, ending.send)
        except TimeoutError:
            if ending.timeout is not None and ending.timeout.expired():
                raise ProblemError(TIMEOUT, "The answer was not there in time.") from None
            raise
        return None

    async def _admit(
        self, scope: Connection, headers: dict[bytes, bytes], receive: Receive
    ) -> tuple[Guest, bytes | None]:
        """Let the request in, and read its body: after the key, or for the signature."""
        client = scope["client"]
        address = client[0] if client else ""
        need = scope_needed(scope["method"], scope["path"])
        authorization = headers.get(b"authorization")
        work = self._hot.work(scope["path"])
        typed = work is not None and work[0].typed
        has_body = scope["method"] not in _BODILESS
        if authorization is None or not is_signature(authorization):
            guest = self._door.enter(headers, address, need)
            return guest, await self._body(headers, receive, typed=typed) if has_body else None
        self._door.precheck(authorization, address)
        body = await self._body(headers, receive, typed=typed)
        request = SignedRequest(method=scope["method"], target=_target(scope), body=body)
        guest = self._door.enter(headers, address, need, request=request)
        return guest, body if has_body else None

    async def _body(self, headers: dict[bytes, bytes], receive: Receive, *, typed: bool) -> bytes:
        """Read a body; one whose decoder knows its type cannot be deep, and counts by itself."""
        limits = self._settings.body
        length = headers.get(b"content-length", b"0")
        found: bytes | Excess
        if length.isdigit() and int(length[:20]) > limits.size:
            found = Excess.SIZE
        else:
            try:
                async with asyncio.timeout(self._settings.body_timeout_s):
                    found = await read_body(receive, limits=limits)
            except TimeoutError:
                raise ProblemError(REQUEST_TIMEOUT, "The body did not come in time.") from None
        if found is Excess.GONE:
            raise Gone
        excess: Excess | None = found if isinstance(found, Excess) else None
        if isinstance(found, bytes) and not typed:
            excess = excess_of(found, limits=limits)
        if excess is not None:
            problem, said = _EXCESSES[excess]
            closing = ((b"connection", b"close"),) if excess is Excess.SIZE else ()
            raise ProblemError(problem, said.format(limits), headers=closing)
        assert isinstance(found, bytes)
        kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        if found and kind != b"application/json":
            raise ProblemError(UNSUPPORTED_MEDIA_TYPE, "Send Content-Type: application/json.")
        return found

    def _route(self, scope: Connection) -> str:
        """Return the template of a path, for counting."""
        route = scope.get("route")
        if route is not None:
            return str(getattr(route, "path_format", getattr(route, "path", "other")))
        work = self._hot.work(scope["path"])
        return "other" if work is None else work[0].template

    async def _socket(self, scope: Connection, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        client = scope["client"]
        try:
            self._door.check_site(headers, changes=True)
            guest = self._door.enter(
                headers,
                client[0] if client else "",
                scope_needed("GET", scope["path"]) or _READ,  # a socket is never a page
                request=SignedRequest(method="GET", target=_target(scope)),
            )
        except ProblemError as error:
            await _deny(scope, receive, send, error.answer())
            return
        scope.setdefault("state", {})["principal"] = guest.principal
        await self._app(scope, receive, send)


class _Ending:
    """Adds to an answer what every answer has, and stops the timeout when it begins."""

    def __init__(self, scope: Connection, send: Send) -> None:
        self._scope, self._send = scope, send
        self.guest: Guest | None = None
        self.trace: bytes | None = None
        self.timeout: asyncio.Timeout | None = None
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self.status:  # an error page after the answer began
                return
            self.status = message["status"]
            if self.timeout is not None:
                with suppress(RuntimeError):
                    self.timeout.reschedule(None)
            message["headers"] = self._headers(message.get("headers", []))
        await self._send(message)

    def _headers(self, headers: list[Header]) -> list[Header]:
        present = {name for name, _ in headers}
        extra: list[Header] = []
        if self.guest is not None and b"ratelimit-limit" not in present:
            extra.extend(rate_headers(self.guest.allowance))
        trace = trace_header(self.trace)
        return dressed([*headers, *extra], trace=trace, scheme=self._scope["scheme"])


def _target(scope: Connection) -> bytes:
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    return path + b"?" + query if query else path


async def _deny(scope: Connection, receive: Receive, send: Send, answer: Answer) -> None:
    """Refuse a WebSocket, with a body where the server can send one."""
    await receive()
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = with_security(list(answer.headers), scheme="http")
    await send(
        {"type": "websocket.http.response.start", "status": answer.status, "headers": headers}
    )
    await send({"type": "websocket.http.response.body", "body": answer.body})
