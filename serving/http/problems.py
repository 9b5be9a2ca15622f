"""Every error that the API answers, in one table (RFC 9457).

``type`` is a name and not an address: nothing is to be fetched there. Names do not change within a
version of the API; titles and details may.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from ...errors import ForemarginError
from .answers import Answer, Header

BASE = "https://foremargin.dev/problems/"
MEDIA_TYPE = b"application/problem+json"


class Problem(Struct, frozen=True):
    """A kind of error.

    Attributes
    ----------
    code : str
        Last part of its ``type``.
    status : int
        HTTP status.
    title : str
        The same for every occurrence.
    remedy : str
        What a client does about it.
    """

    code: str
    status: int
    title: str
    remedy: str

    @property
    def type(self) -> str:
        """Name, as an absolute URI."""
        return BASE + self.code


UNAUTHENTICATED = Problem("unauthenticated", 401, "No valid key", "Send a valid key")
FORBIDDEN = Problem("forbidden", 403, "The key may not do this", "Use a key with the scope named")
FOREIGN_ORIGIN = Problem(
    "foreign-origin", 403, "Sent from a page of another site", "Send it from the service's page"
)
MISDIRECTED = Problem(
    "misdirected", 421, "The Host header is not of this service", "Use localhost or 127.0.0.1"
)
RATE_LIMITED = Problem("rate-limited", 429, "Too many requests", "Wait for Retry-After seconds")
NOT_FOUND = Problem("not-found", 404, "Nothing here", "See /openapi.json for the paths")
METHOD_NOT_ALLOWED = Problem(
    "method-not-allowed", 405, "Not with this method", "Use a method that Allow names"
)
UNKNOWN_INSTRUMENT = Problem(
    "unknown-instrument", 404, "No such instrument", "See /v1/instruments for the names"
)
NO_FORECAST = Problem(
    "no-forecast", 404, "No forecast", "Use the margin: it is the fixed one; try again later"
)
NO_UPDATE = Problem("no-update", 404, "No signed update yet", "Try again after the heartbeat")
NOT_OFFERED = Problem(
    "not-offered", 404, "This service does not offer it", "Ask its operator to configure it"
)
UNKNOWN_COMMAND = Problem("unknown-command", 404, "No such command", "See /openapi.json")
INVALID_PARAMETER = Problem(
    "invalid-parameter", 400, "A parameter is wrong", "Correct what errors names"
)
INVALID_CURSOR = Problem(
    "invalid-cursor", 400, "Not a cursor of this list", "Use next of the page before, unchanged"
)
MALFORMED_BODY = Problem("malformed-body", 400, "The body is not JSON", "Send UTF-8 JSON")
INVALID_BODY = Problem("invalid-body", 422, "The body is not what is asked for", "Correct it")
BODY_TOO_LARGE = Problem("body-too-large", 413, "The body is too large", "Send it in parts")
BODY_TOO_DEEP = Problem("body-too-deep", 422, "The body is nested too deeply", "Send it flatter")
TOO_MANY_ITEMS = Problem("too-many-items", 422, "Too many items at once", "Send them in parts")
UNSUPPORTED_MEDIA_TYPE = Problem(
    "unsupported-media-type", 415, "The body must be JSON", "Send Content-Type: application/json"
)
IDEMPOTENCY_KEY_MISSING = Problem(
    "idempotency-key-missing", 400, "No Idempotency-Key", "Send one, new for every new request"
)
IDEMPOTENCY_KEY_IN_FLIGHT = Problem(
    "idempotency-key-in-flight", 409, "The same request is being carried out", "Try again later"
)
IDEMPOTENCY_KEY_REUSED = Problem(
    "idempotency-key-reused", 422, "The key was used for another request", "Use a new key"
)
OUTCOME_UNKNOWN = Problem(
    "outcome-unknown",
    409,
    "It was begun, and the service stopped before it was known to be done",
    "Look at /v1/audit; then send it again with a new key if it was not done",
)
COMMAND_REFUSED = Problem(
    "command-refused", 409, "The command cannot be carried out; nothing changed", "See detail"
)
REQUEST_TIMEOUT = Problem("request-timeout", 408, "The body did not come in time", "Try again")
TIMEOUT = Problem(
    "timeout", 504, "No answer in time", "Try again; a write with the same Idempotency-Key"
)
UNAVAILABLE = Problem("unavailable", 503, "Not now", "Try again after Retry-After seconds")
NOT_READY = Problem("not-ready", 503, "Not ready", "See reasons; margins are answered meanwhile")
INTERNAL = Problem("internal", 500, "An error of the service", "Tell its operator the time")

PROBLEMS: tuple[Problem, ...] = tuple(
    sorted(
        (value for value in list(globals().values()) if isinstance(value, Problem)),
        key=lambda problem: (problem.status, problem.code),
    )
)
"""All of them, by status and code."""


class ProblemError(ForemarginError):
    """Stops a request with a problem as its answer.

    Attributes
    ----------
    problem : Problem
        Kind.
    detail : str
        What happened this time, as a sentence.
    more : mapping
        Further members of the body.
    headers : sequence of header
        Further headers.
    """

    def __init__(
        self,
        problem: Problem,
        detail: str,
        *,
        more: Mapping[str, Any] | None = None,
        headers: tuple[Header, ...] = (),
    ) -> None:
        super().__init__(detail)
        self.problem, self.detail = problem, detail
        self.more, self.headers = more or {}, headers

    def answer(self) -> Answer:
        """Return it as an answer."""
        return problem_answer(self.problem, self.detail, more=self.more, headers=self.headers)


def problem_answer(
    problem: Problem,
    detail: str,
    *,
    more: Mapping[str, Any] | None = None,
    headers: tuple[Header, ...] = (),
) -> Answer:
    """Return the answer of a problem."""
    members = {"type": problem.type, "title": problem.title, "status": problem.status}
    body = msgspec.json.encode({**(more or {}), **members, "detail": detail})
    return Answer(
        status=problem.status, body=body, headers=((b"content-type", MEDIA_TYPE), *headers)
    )
