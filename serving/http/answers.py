"""An answer as bytes, and how it is sent."""

from msgspec import Struct
from starlette.responses import Response

from ..security.limits import Send

Header = tuple[bytes, bytes]
JSON: Header = (b"content-type", b"application/json")


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
        response.raw_headers = self._all_headers()
        return response

    async def send(self, send: Send, *, more: tuple[Header, ...] = ()) -> None:
        """Send it over ASGI."""
        start = {"status": self.status, "headers": [*self._all_headers(), *more]}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": self.body})

    def _all_headers(self) -> list[Header]:
        if self.status == 304:
            return list(self.headers)
        return [*self.headers, (b"content-length", b"%d" % len(self.body))]
