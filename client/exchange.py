"""One question and its answer, with retries: no input or output here.

A *plan* is a generator. It yields an :class:`Attempt` or a :class:`Wait`, is sent back what came of
it, and returns the answer. Both clients run the same plans.
"""

import random
import time
from collections.abc import Callable, Generator
from typing import TypeAlias, TypeVar

import httpx
from msgspec import Struct

from ..errors import InputError
from .errors import ProblemError, UnreachableError, problem_from
from .signing import Credentials

T = TypeVar("T")

_AGAIN = frozenset({408, 425, 429, 502, 503, 504})
"""Answers that say: nothing was decided, ask again."""


class RetryPolicy(Struct, frozen=True, kw_only=True):
    """How often, and for how long at most.

    Attributes
    ----------
    deadline_s : float
        Time for a call with all its attempts.
    attempt_s : float
        Time for one attempt.
    attempts : int
        Most attempts; 1 is never again.
    first_wait_s, longest_wait_s : float
        The n-th wait is uniform between 0 and ``first_wait_s`` times 2^n, at most the longest; a
        longer ``Retry-After`` is obeyed.
    """

    deadline_s: float = 10.0
    attempt_s: float = 5.0
    attempts: int = 4
    first_wait_s: float = 0.1
    longest_wait_s: float = 2.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or not (self.deadline_s > 0.0 and self.attempt_s > 0.0):
            raise InputError(
                f"attempts must be from 1 and times positive, found {self.attempts} attempts, "
                f"{self.attempt_s} s for one and {self.deadline_s} s for all"
            )

    def wait_s(self, n: int, *, rng: random.Random, at_least_s: float = 0.0) -> float:
        """Return the wait after the attempt `n`, from 0."""
        most = min(self.longest_wait_s, self.first_wait_s * 2.0 ** min(n, 60))
        return max(at_least_s, rng.uniform(0.0, most))


class Attempt(Struct, frozen=True):
    """Send this, and answer with the response or the failure."""

    request: httpx.Request
    timeout_s: float


class Wait(Struct, frozen=True):
    """Let so many seconds pass."""

    seconds: float


class Answer(Struct, frozen=True):
    """What came back.

    Attributes
    ----------
    status : int
        Of HTTP.
    headers, body : Headers, bytes
        Of the response.
    elapsed_s : float
        From before the last attempt to its answer, seconds.
    """

    status: int
    headers: httpx.Headers
    body: bytes
    elapsed_s: float


Reply: TypeAlias = Answer | httpx.RequestError | None
Plan: TypeAlias = Generator[Attempt | Wait, Reply, T]


class Call(Struct, frozen=True, kw_only=True):
    """What is asked.

    Attributes
    ----------
    method, path : str
        Path with its instrument percent-encoded.
    params : dict
        Query.
    body : bytes
        JSON; empty for none.
    headers : dict
        Beyond the usual ones.
    idempotency_key : str or None
        Of a call that changes something; it is sent with every attempt.
    accept : frozenset of int
        Statuses that are an answer; others are errors.
    wait_s : float
        For which the service is asked to keep its answer back; it adds to the times of the policy.
    """

    method: str
    path: str
    params: dict[str, str] = {}
    body: bytes = b""
    headers: dict[str, str] = {}
    idempotency_key: str | None = None
    accept: frozenset[int] = frozenset({200})
    wait_s: float = 0.0


class Exchange:
    """Asks one service.

    Every call here can be repeated: reads and simulations change nothing, the others have a key.
    """

    def __init__(
        self,
        base: httpx.URL,
        *,
        credentials: Credentials | None,
        retry: RetryPolicy,
        rng: random.Random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.base = base
        self.retry = retry
        self.rng = rng
        self._credentials = credentials
        self._monotonic = monotonic

    def request(self, call: Call) -> httpx.Request:
        """Return the request of one attempt, signed for it."""
        url = self.base.copy_merge_params(call.params) if call.params else self.base
        path = call.path.encode() + (b"?" + url.query if url.query else b"")
        url = url.copy_with(raw_path=path)
        headers = {"accept": "application/json", "user-agent": "foremargin", **call.headers}
        if call.body:
            headers["content-type"] = "application/json"
        if call.idempotency_key is not None:
            headers["idempotency-key"] = call.idempotency_key
        if self._credentials is not None:
            headers.update(self._credentials.headers(call.method, path.decode(), call.body))
        return httpx.Request(call.method, url, headers=headers, content=call.body or None)

    def ask(self, call: Call) -> Plan[Answer]:
        """Return a plan for the answer.

        Raises
        ------
        ProblemError
            If the service refuses, or still does when attempts or time are used up.
        UnreachableError
            If there was no answer at all.
        """
        retry, start = self.retry, self._monotonic()
        for n in range(retry.attempts):
            left = start + retry.deadline_s + call.wait_s - self._monotonic()
            if n and left <= 0.0:
                break
            reply = yield Attempt(self.request(call), min(retry.attempt_s + call.wait_s, left))
            if isinstance(reply, Answer) and reply.status in call.accept:
                return reply
            error = _error(reply, call)
            if not _again(error):
                raise error
            wait = retry.wait_s(n, rng=self.rng, at_least_s=_asked_wait_s(error))
            spent = self._monotonic() - start
            if n + 1 == retry.attempts or spent + wait >= retry.deadline_s + call.wait_s:
                break
            yield Wait(wait)
        raise error


def _error(reply: Reply, call: Call) -> ProblemError | UnreachableError:
    if isinstance(reply, Answer):
        return problem_from(
            reply.status,
            reply.body,
            title=httpx.codes.get_reason_phrase(reply.status),
            retry_after_s=retry_after_s(reply.headers),
        )
    what = f"{type(reply).__name__}: {reply}" if str(reply) else type(reply).__name__
    return UnreachableError(
        f"the service must answer {call.method} {call.path}, the last attempt ended with {what}",
        idempotency_key=call.idempotency_key,
    )


def _again(error: ProblemError | UnreachableError) -> bool:
    if isinstance(error, UnreachableError):
        return True
    # A conflict that says when to come back is a first attempt that is still under way.
    return error.status in _AGAIN or (error.status == 409 and error.retry_after_s is not None)


def _asked_wait_s(error: ProblemError | UnreachableError) -> float:
    return error.retry_after_s or 0.0 if isinstance(error, ProblemError) else 0.0


def retry_after_s(headers: httpx.Headers) -> float | None:
    """Return the seconds of Retry-After; None without one, or where it is a date."""
    text = headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
