"""Routes of the Open Inference Protocol (V2) over HTTP."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from ... import __version__
from ...errors import InputError
from .batches import Answer, Inference, refusal
from .messages import LARGEST_BODY, encode
from .model import InferenceModel

Handler: TypeAlias = Callable[[Scope, Receive], Awaitable[Answer | None]]


def make_inference_router(inference: Inference) -> Router:
    """Return the routes under ``/v2``; anything else under it gets an error of the protocol.

    Parameters
    ----------
    inference : Inference
        What can be asked, and answers; its models may change while the routes are in use.
    """
    routes = _Routes(inference)
    found: list[Route] = [
        Route("/v2", _Endpoint(routes.server)),
        Route("/v2/health/live", _Endpoint(routes.live)),
        Route("/v2/health/ready", _Endpoint(routes.ready)),
    ]
    for path in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        found += [
            Route(f"{path}/infer", _Endpoint(routes.infer, method="POST")),
            Route(f"{path}/ready", _Endpoint(routes.model_ready)),
            Route(path, _Endpoint(routes.model)),
        ]
    found.append(Route("/v2/{rest:path}", _Endpoint(routes.nothing)))
    return Router(routes=found)


class _Endpoint:
    """An ASGI application of one handler: no objects are made that nobody needs."""

    def __init__(self, handler: Handler, *, method: str = "GET") -> None:
        self._handler = handler
        self._methods = {method, "HEAD"} if method == "GET" else {method}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json")]
        if scope["method"] not in self._methods:
            status, body = refusal(405, f"the method must be one of {sorted(self._methods)}")
            headers.append((b"allow", ", ".join(sorted(self._methods)).encode()))
        else:
            try:
                answer = await self._handler(scope, receive)
            except InputError as error:
                answer = refusal(400, str(error))
            if answer is None:
                return  # whoever asked has gone
            status, body = answer
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        sent = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": sent})


class _Routes:
    def __init__(self, inference: Inference) -> None:
        self._inference, self._models = inference, inference.models

    async def server(self, scope: Scope, receive: Receive) -> Answer:
        return 200, encode({"name": "foremargin", "version": __version__, "extensions": []})

    async def live(self, scope: Scope, receive: Receive) -> Answer:
        return 200, encode({"live": True})

    async def ready(self, scope: Scope, receive: Receive) -> Answer:
        ready = bool(self._models.names())
        return 200 if ready else 503, encode({"ready": ready})

    async def model(self, scope: Scope, receive: Receive) -> Answer:
        model = self._found(scope)
        if model is None:
            return self._inference.unknown(scope["path_params"]["name"])
        return 200, encode(model.metadata(self._models.versions(model.name)))

    async def model_ready(self, scope: Scope, receive: Receive) -> Answer:
        model = self._found(scope)
        if model is None:
            return self._inference.unknown(scope["path_params"]["name"])
        return 200, encode({"name": model.name, "ready": True})

    async def infer(self, scope: Scope, receive: Receive) -> Answer | None:
        if self._found(scope) is None:
            return self._inference.unknown(scope["path_params"]["name"])
        for name, _ in scope["headers"]:
            if name == b"inference-header-content-length":
                return refusal(415, "tensors must be JSON here; leave the binary extension out")
        body = await _read_body(scope, receive)
        if body is None:
            return None
        if len(body) > LARGEST_BODY:
            return refusal(413, f"a request must be at most {LARGEST_BODY} bytes; send fewer rows")
        path: dict[str, str] = scope["path_params"]
        answer = self._inference.infer(path["name"], body, version=path.get("version"))
        return answer if isinstance(answer, tuple) else await answer

    async def nothing(self, scope: Scope, receive: Receive) -> Answer:
        return refusal(404, "there is nothing here; ask /v2 or /v2/models/{name}")

    def _found(self, scope: Scope) -> InferenceModel | None:
        path: dict[str, str] = scope["path_params"]
        return self._models.get(path["name"], path.get("version"))


async def _read_body(scope: Scope, receive: Receive) -> bytes | None:
    """Return the body, or a part that is too long already; None if the client has gone."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value[:20]) > LARGEST_BODY:
            return b" " * (LARGEST_BODY + 1)
    parts: list[bytes] = []
    size = 0
    while True:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        parts.append(part)
        if size > LARGEST_BODY or not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)
