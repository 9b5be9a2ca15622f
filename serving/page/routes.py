"""The live page and what only it and its alerts ask for.

``/`` and ``/page/<file>`` are files of the package, read once; nothing outside the service is ever
loaded, and the content security policy holds the browser to that. ``/v1/monitor/{instrument}`` and
``/v1/alerts`` are plain JSON; authentication is that of the application which the routes are
mounted in.
"""

import hashlib
from collections.abc import Callable
from importlib.resources import files

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..monitor import Monitor
from ..ports import Clock

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
"""Own files only, no inline script or style, no frame, no markup from strings."""

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
_INDEX = "index.html"
_PROBLEMS = "https://foremargin.dev/problems/"

_encode = msgspec.json.Encoder().encode


class _File:
    """One file, its type and its tag."""

    def __init__(self, name: str, body: bytes) -> None:
        self.body = body
        self.media_type = _TYPES[name.rpartition(".")[2]]
        self.etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'

    def answer(self, request: Request) -> Response:
        headers = {**_HEADERS, "ETag": self.etag}
        if _matches(request.headers.get("if-none-match", ""), self.etag):
            return Response(status_code=304, headers=headers)
        return Response(self.body, media_type=self.media_type, headers=headers)


def page_routes(monitor: Monitor, *, clock: Clock) -> list[Route]:
    """Return the routes of the page.

    Parameters
    ----------
    monitor : Monitor
        Of coverage, drift and alerts.
    clock : Clock
        Sent with the alerts, so that the page shows ages by the time of the service.

    Returns
    -------
    list of Route
        ``/``, ``/page/{name}``, ``/v1/monitor/{instrument}`` and ``/v1/alerts``; all are GET.
    """
    pages = _read_files()

    async def index(request: Request) -> Response:
        return pages[_INDEX].answer(request)

    async def page(request: Request) -> Response:
        found = pages.get(request.path_params["name"])
        if found is None:
            return _problem(404, "not-found", f"the page has the files {', '.join(sorted(pages))}")
        return found.answer(request)

    async def described(request: Request) -> Response:
        name = request.path_params["instrument"]
        said = monitor.describe(name)
        if said is None:
            return _problem(
                404, "unknown-instrument", "nothing was quoted or observed of this instrument yet"
            )
        return _json(said)

    async def alerts(_: Request) -> Response:
        return _json({"now": clock.now(), "alerts": monitor.alerts()})

    table: list[tuple[str, Callable[..., object]]] = [
        ("/", index),
        ("/page/{name}", page),
        # Names of instruments may have slashes in them.
        ("/v1/monitor/{instrument:path}", described),
        ("/v1/alerts", alerts),
    ]
    return [Route(path, endpoint, methods=["GET"]) for path, endpoint in table]


def _read_files() -> dict[str, _File]:
    folder = files(__package__) / "static"
    return {item.name: _File(item.name, item.read_bytes()) for item in folder.iterdir()}


def _matches(asked: str, etag: str) -> bool:
    """Compare as RFC 9110, 13.1.2: any of a list, weak or not."""
    tags = [tag.strip().removeprefix("W/") for tag in asked.split(",")]
    return "*" in tags or etag in tags


def _json(value: object) -> Response:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    return Response(_encode(value), media_type="application/json", headers=headers)


def _problem(status: int, code: str, detail: str) -> Response:
    body = {
        "type": _PROBLEMS + code,
        "title": code.replace("-", " ").capitalize(),
        "status": status,
        "detail": detail,
    }
    return Response(_encode(body), status_code=status, media_type="application/problem+json")
