"""Routes of the streams, and who may use them."""

from collections.abc import Callable, Collection, Mapping
from typing import TypeAlias
from urllib.parse import urlsplit

from msgspec import Struct
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from .asyncapi import asyncapi_bytes
from .events import Problem
from .hub import Hub
from .server_sent import ServerSentEvents
from .websocket import WebSocketConversation
from .wire import problem_bytes, problem_of


class Refusal(Struct, frozen=True, kw_only=True):
    """Why a stream is not opened.

    Attributes
    ----------
    status : int
        Of HTTP, 400 to 599.
    code, title, detail : str
        Last part of the problem's type, its name, and a sentence for the reader.
    headers : mapping
        Such as ``WWW-Authenticate`` or ``Retry-After``.
    """

    status: int
    code: str
    title: str
    detail: str
    headers: Mapping[str, str] = {}


Authorise: TypeAlias = Callable[[HTTPConnection], Refusal | None]
"""Says whether a connection may read, from its headers, query and address; None is yes."""


def make_stream_routes(
    hub: Hub, *, authorise: Authorise, allowed_origins: Collection[str] = ()
) -> list[BaseRoute]:
    """Return the routes /v1/stream, /v1/events and /v1/asyncapi.json.

    A browser says which page opens a WebSocket, and stops none from opening one to another host;
    a page of another host than ours is refused here unless its origin is allowed.

    Parameters
    ----------
    hub : Hub
        What is streamed; it must live in the event loop that serves the routes.
    authorise : callable
        Asked once for each stream, which lasts for an hour at most.
    allowed_origins : collection of str
        Such as ``https://risk.example``.
    """
    gate = _Gate(hub, authorise, frozenset(allowed_origins))
    return [
        WebSocketRoute("/v1/stream", gate.websocket),
        Route("/v1/events", _Events(gate), methods=["GET"]),
        Route("/v1/asyncapi.json", _document, methods=["GET"]),
    ]


class _Gate:
    """Opens a stream, or says why not."""

    def __init__(self, hub: Hub, authorise: Authorise, origins: frozenset[str]) -> None:
        self.hub = hub
        self._authorise = authorise
        self._origins = origins

    def refusal(self, connection: HTTPConnection) -> Refusal | None:
        if (refused := self._authorise(connection)) is not None:
            return refused
        if self.hub.closed or self.hub.counts.subscribers >= self.hub.limits.subscribers:
            return Refusal(
                status=503,
                code="too-many-streams",
                title="No stream is free",
                detail="every stream is taken or the service is stopping; connect again later",
                headers={"Retry-After": "5"},
            )
        return None

    async def websocket(self, websocket: WebSocket) -> None:
        refused = self._foreign(websocket) or self.refusal(websocket)
        if refused is None:
            await WebSocketConversation(self.hub, websocket).run()
        elif "websocket.http.response" in websocket.scope.get("extensions", {}):
            await websocket.send_denial_response(_answer(refused))
        else:
            await websocket.close(1008)

    def _foreign(self, websocket: WebSocket) -> Refusal | None:
        origin = websocket.headers.get("origin")
        if origin is None or origin in self._origins:
            return None
        if urlsplit(origin).netloc == websocket.headers.get("host"):
            return None
        return Refusal(
            status=403,
            code="foreign-origin",
            title="The page is of another host",
            detail=f"the origin must be this host or an allowed one, was {origin}",
        )


class _Events:
    """ASGI application of the server-sent events."""

    def __init__(self, gate: _Gate) -> None:
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if (refused := self._gate.refusal(request)) is not None:
            await _answer(refused)(scope, receive, send)
            return
        await ServerSentEvents(self._gate.hub, request).run(receive, send)


async def _document(_: Request) -> Response:
    return Response(asyncapi_bytes(), media_type="application/json")


def _answer(refused: Refusal) -> Response:
    problem: Problem = problem_of(refused.code, refused.title, refused.status, refused.detail)
    return Response(
        problem_bytes(problem),
        status_code=refused.status,
        headers=dict(refused.headers),
        media_type="application/problem+json",
    )
