"""What both streams do alike: where to connect, what a failure means, how long to wait."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

import httpx
import msgspec
from msgspec import Struct
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from ..errors import InputError
from .errors import AnswerError, ProblemError, UnreachableError, problem_from
from .exchange import Call, Exchange, RetryPolicy, retry_after_s
from .follow import Alive, Disconnected, Follower, GapError, StreamEvent
from .types import Quote

BATCH = "foremargin.batch.v1"
LARGEST = 16 * 1024 * 1024
_FINAL = frozenset({1002, 1003, 1007, 1008, 1009})  # close codes: the same again would fail again


class Transport(StrEnum):
    """How a stream travels."""

    SSE = "sse"
    """Server-sent events: plain HTTP, through every proxy."""
    WEBSOCKET = "websocket"
    """WebSocket: several events a frame, and silence is told from loss."""


class StreamSettings(Struct, frozen=True, kw_only=True):
    """How patient a stream is.

    Attributes
    ----------
    silence_s : float
        Without a byte for so long the connection counts as lost; the service says something every
        15 s.
    connect_s : float
        Time for one attempt to connect.
    first_wait_s, longest_wait_s : float
        Waits between attempts, as in :class:`.RetryPolicy`; they start anew once events come.
    patience_s : float or None
        Give up once it has waited for so long in vain; None is never.
    """

    silence_s: float = 45.0
    connect_s: float = 10.0
    first_wait_s: float = 0.2
    longest_wait_s: float = 30.0
    patience_s: float | None = None


class Lost(Exception):
    """The connection is gone and may be had again."""

    def __init__(self, reason: str, *, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


class StreamCore:
    """One subscription over as many connections as it takes."""

    def __init__(
        self,
        exchange: Exchange,
        instruments: Collection[str] | None,
        *,
        settings: StreamSettings,
    ) -> None:
        if instruments is not None and (isinstance(instruments, str) or not instruments):
            raise InputError(
                f"instruments must be a collection of names, or None for all, was {instruments!r}"
            )
        self.settings = settings
        self._exchange = exchange
        self._instruments = None if instruments is None else sorted(set(instruments))
        self._follower = Follower()
        self._waits = RetryPolicy(
            first_wait_s=settings.first_wait_s, longest_wait_s=settings.longest_wait_s
        )
        self._failures = 0
        self._waited_s = 0.0
        self.connected = False

    @property
    def quotes(self) -> Mapping[str, Quote]:
        """Newest quotes by instrument."""
        return self._follower.quotes

    def events_request(self) -> httpx.Request:
        """Return the request for server-sent events."""
        params = {} if self._instruments is None else {"instruments": ",".join(self._instruments)}
        headers = {"accept": "text/event-stream", "cache-control": "no-store"}
        if self._follower.resume_from:
            headers["last-event-id"] = self._follower.resume_from
        call = Call(method="GET", path="/v1/events", params=params, headers=headers)
        request = self._exchange.request(call)
        limits = httpx.Timeout(self.settings.connect_s, read=self.settings.silence_s)
        request.extensions["timeout"] = limits.as_dict()
        return request

    def websocket_target(self) -> tuple[str, dict[str, str]]:
        """Return address and headers of the WebSocket."""
        request = self._exchange.request(Call(method="GET", path="/v1/stream"))
        scheme = "wss" if request.url.scheme == "https" else "ws"
        own = {"host", "accept"}
        headers = {name: value for name, value in request.headers.items() if name not in own}
        return str(request.url.copy_with(scheme=scheme)), headers

    def subscribe_message(self) -> str:
        """Return the first message of a WebSocket."""
        wanted = "all" if self._instruments is None else self._instruments
        message = {"type": "subscribe", "instruments": wanted}
        if self._follower.resume_from:
            message["resume_from"] = self._follower.resume_from
        return msgspec.json.encode(message).decode()

    def receive(self, body: bytes | str | None) -> list[StreamEvent]:
        """Take in events, None for a sign of life.

        A gap counts as a lost connection, after which a snapshot comes.
        """
        try:
            out: list[StreamEvent] = [Alive()] if body is None else self._follower.receive(body)
        except GapError as error:
            self._follower.forget()
            raise Lost(f"gap: {error}") from error
        self.connected, self._failures, self._waited_s = True, 0, 0.0
        return out

    def lost(self, error: Lost) -> Disconnected:
        """Return what to tell and how long to wait.

        Raises
        ------
        UnreachableError
            If patience is at its end.
        """
        patience = self.settings.patience_s
        if patience is not None and self._waited_s >= patience:
            raise UnreachableError(
                f"the stream must come back within {patience:g} s of waiting, has not: {error}"
            ) from error
        self.connected = False
        self._follower.lost()
        wait = self._waits.wait_s(self._failures, rng=self._exchange.rng, at_least_s=error.wait_s)
        self._failures += 1
        self._waited_s += wait
        return Disconnected(reason=str(error), wait_s=wait)


def refused(status: int, headers: httpx.Headers, body: bytes) -> ProblemError | Lost:
    """Return what an answer other than a stream means."""
    if status in {408, 425, 429} or status >= 500:
        return Lost(f"refused for now with status {status}", wait_s=retry_after_s(headers) or 0.0)
    return problem_from(status, body, title=httpx.codes.get_reason_phrase(status))


def must_be_stream(headers: httpx.Headers) -> None:
    """Raise unless the answer is a stream of events."""
    found = headers.get("content-type", "")
    if found.partition(";")[0].strip() != "text/event-stream":
        raise AnswerError(f"the answer must be text/event-stream, was {found!r}")


def closed(code: int | None, reason: str) -> ProblemError | Lost:
    """Return what the close code of a WebSocket means; None is no code at all."""
    if code in _FINAL:
        return ProblemError(
            type="about:blank",
            status=400,
            title=f"WebSocket closed with {code}",
            detail=reason,
            retry_after_s=None,
        )
    return Lost(f"closed with {code or 'no code'}" + (f": {reason}" if reason else ""))


def websocket_options(settings: StreamSettings) -> dict[str, Any]:
    """Return the options of the WebSocket library, the same for both of its clients."""
    return {
        "subprotocols": [Subprotocol(BATCH)],
        "max_size": LARGEST,
        "open_timeout": settings.connect_s,
        "compression": None,
        "user_agent_header": None,
    }


def not_opened(error: Exception) -> ProblemError | Lost:
    """Return what the failure to open a WebSocket means."""
    if isinstance(error, InvalidStatus):
        answer = error.response
        headers = httpx.Headers(list(answer.headers.raw_items()))
        return refused(answer.status_code, headers, bytes(answer.body or b""))
    return Lost(f"could not connect: {type(error).__name__} {error}".rstrip())


def cut(error: ConnectionClosed) -> ProblemError | Lost:
    """Return what the end of a WebSocket means."""
    frame = error.rcvd
    return closed(None, "") if frame is None else closed(frame.code, frame.reason)
