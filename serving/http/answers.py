"""An answer as bytes, and how it is sent."""

import re
from collections.abc import Sequence

from msgspec import Struct
from starlette.responses import Response

from ..security import with_security
from ..security.limits import Send

Header = tuple[bytes, bytes]
JSON: Header = (b"content-type", b"application/json")
_TRACE = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Answer(Struct, frozen=True, kw_only=True):
    """Status, headers and body.

    Attributes
    ----------
    status : int
        HTTP status.
    body : bytes
        Complete.
    headers : tuple of (bytes, bytes)
        Names in lower case; the length is added on sending.
    """

    status: int = 200
    body: bytes = b""
    headers: tuple[Header, ...] = (JSON,)

    def response(self) -> Response:
        """Return it for a route of Starlette."""
        response = Response(self.body, status_code=self.status)
        response.raw_headers = self.all_headers()
        return response

    async def send(self, send: Send, *, more: tuple[Header, ...] = ()) -> None:
        """Send it over ASGI."""
        start = {"status": self.status, "headers": [*self.all_headers(), *more]}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": self.body})

    def all_headers(self) -> list[Header]:
        """Return the headers with that of the length."""
        if self.status == 304:
            return list(self.headers)
        return [*self.headers, (b"content-length", b"%d" % len(self.body))]


def trace_header(trace: bytes | None) -> tuple[Header, ...]:
    """Return the W3C traceparent of the request again, if it is one."""
    if trace is None or not _TRACE.fullmatch(trace):
        return ()
    return ((b"traceparent", trace),)


def dressed(headers: Sequence[Header], *, trace: tuple[Header, ...], scheme: str) -> list[Header]:
    """Return the headers of an answer with what every answer has."""
    return with_security([*headers, *trace], scheme=scheme)
