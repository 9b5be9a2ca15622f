"""Hot routes: from the bytes of a plain request to the bytes of its answer.

What is answered here is what the long way answers, byte for byte but for the order of the headers.
What would be refused goes the long way, so that refusals have one source; only a caller over the
limit is told so here, since to ask twice would count twice.
"""

import asyncio
import logging
import math
import re
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import NamedTuple

from msgspec import Struct

from ...errors import InputError
from ..ports import Clock
from ..security import DATA_HEADERS, DATA_HEADERS_TLS, Allowance, BodyLimits, Scope, excess_of
from .access import scope_needed
from .answers import Answer, Header, dressed
from .door import Door, rate_headers, too_many
from .framing import LARGEST_HEAD
from .problems import INTERNAL, TIMEOUT, UNAVAILABLE, ProblemError, problem_answer
from .reads import Ready, matches
from .visits import Head, Pending, Visitor

_log = logging.getLogger(__name__)
Observer = Callable[[str, int, float], None]
Found = Answer | asyncio.Future[Answer]
_NAME = r"([A-Za-z0-9][A-Za-z0-9._:/-]{0,63})(?<!/history)"
_SEGMENT = r"([A-Za-z0-9][A-Za-z0-9._-]{0,127})"
_RATE = b"ratelimit-limit: %d\r\nratelimit-remaining: %d\r\nratelimit-reset: %d\r\n"


class HotRead(Struct, frozen=True, kw_only=True):
    """A read of one instrument.

    Attributes
    ----------
    template : str
        Path; it ends with the name of the instrument in braces.
    ready : callable
        What is to be sent of an instrument; None leaves it to the long way to say why not.
    """

    template: str
    ready: Callable[[str], Ready | None]


class HotWork(Struct, frozen=True, kw_only=True):
    """A computation on the body of a POST.

    Attributes
    ----------
    template : str
        Path; one of its segments may be a name in braces.
    answer : callable
        Of that name (empty if there is none) and the body. It returns an answer, or a future of
        this request alone: it is cancelled when the time is over. A :class:`.problems.ProblemError`
        is answered as what it is.
    typed : bool
        Whether its decoder knows the type of the body, so that the body cannot be deep, and counts
        by itself.
    """

    template: str
    answer: Callable[[str, bytes], Found]
    typed: bool = False


class Plain(NamedTuple):
    """A plain request: its route, the name in its path, its headers and body, and its end."""

    route: HotRead | HotWork
    name: str
    head: Head
    body: bytes
    end: int


class HotTable:
    """The hot routes of an API.

    Parameters
    ----------
    reads, works : sequences of routes
        See there.
    door : Door
        Who comes in.
    clock : Clock
        For the age.
    limits : BodyLimits
        Of every body.
    timeout_s : float
        For answers that come later.
    observer : callable, optional
        Told path template, status and seconds of every answer.

    Raises
    ------
    InputError
        If a route is for everybody, or a read needs another scope than read.
    """

    def __init__(
        self,
        reads: Sequence[HotRead],
        works: Sequence[HotWork],
        *,
        door: Door,
        clock: Clock,
        limits: BodyLimits,
        timeout_s: float,
        observer: Observer | None = None,
    ) -> None:
        self._door, self._now, self._limits = door, clock.now, limits
        self.timeout_s, self._observer = timeout_s, observer
        self._routes: list[HotRead | HotWork] = [*reads, *works]
        self._scopes = {work.template: _scope("POST", work.template) for work in works}
        for read in reads:
            if _scope("GET", read.template) is not Scope.READ:
                raise InputError(f"a hot read must need the scope read, {read.template} does not")
        lines = ["GET " + _pattern(read.template, _NAME) for read in reads]
        patterns = [_pattern(work.template, _SEGMENT) for work in works]
        lines += [f"POST {pattern}" for pattern in patterns]
        every = "|".join(f"{line} HTTP/1\\.1\r\n" for line in lines)
        self._line = re.compile(every.encode()).match
        self._works = [(re.compile(one), work) for one, work in zip(patterns, works, strict=True)]
        self._default: object = None
        self._usual: dict[str, bytes] = {}

    def work(self, path: str) -> tuple[HotWork, str] | None:
        """Return the computation behind a decoded path, and the name in it; None if it is none."""
        for pattern, work in self._works:
            match = pattern.fullmatch(path)
            if match is not None:
                return work, match[1]
        return None

    def frame(self, data: bytes, start: int, visitor: Visitor) -> Plain | None:
        """Return the request that begins at `start`.

        Parameters
        ----------
        data : bytes
            What came on the connection.
        start : int
            Where the request begins.
        visitor : Visitor
            Who sent it.

        Returns
        -------
        Plain or None
            None: it is not plain, not complete, or on no hot route.
        """
        line = self._line(data, start)
        if line is None:
            return None
        begin = line.end()
        end = data.find(b"\r\n\r\n", begin, begin + LARGEST_HEAD)
        if end < 0 or not visitor.reads(data[begin : end + 2], self._door):
            return None
        place = line.lastindex or 0  # every alternative has a group
        route, name, head = self._routes[place - 1], line[place].decode(), visitor.head
        end += 4
        if isinstance(route, HotRead):
            return Plain(route, name, head, b"", end) if head.length < 0 else None
        if not 0 <= head.length <= len(data) - end:
            return None
        body = data[end : end + head.length]
        return Plain(route, name, head, body, end + head.length)

    def answer(
        self, plain: Plain, visitor: Visitor, default: Sequence[Header]
    ) -> bytes | Pending | None:
        """Answer a request.

        Parameters
        ----------
        plain : Plain
            It.
        visitor : Visitor
            Who sent it.
        default : sequence of headers
            What the server puts before all others, the date say; a new object when it changes.

        Returns
        -------
        bytes, Pending or None
            All of the answer, or that it comes later; None if it is to be refused.
        """
        if default is not self._default:
            self._remember(default)
        if isinstance(plain.route, HotRead):
            return self._read(plain.route, plain, visitor)
        return self._work(plain.route, plain, visitor)

    def finish(self, pending: Pending, default: Sequence[Header], *, closes: bool) -> bytes:
        """Return the bytes of an answer that came later; `closes` if the connection ends then."""
        if default is not self._default:
            self._remember(default)
        if pending.is_late:
            answer: Found = problem_answer(TIMEOUT, "The answer was not there in time.")
        elif pending.future.cancelled():
            answer = problem_answer(UNAVAILABLE, "The service is stopping.")
        else:
            answer = _settled(pending.future.result, pending.template)
        assert isinstance(answer, Answer)
        self._observe(pending.template, answer.status, pending.started)
        rate = rate_headers(pending.allowance)
        more = (*rate, (b"connection", b"close")) if closes else rate
        return self._encoded(answer, pending.head, pending.scheme, more)

    def _read(self, route: HotRead, plain: Plain, visitor: Visitor) -> bytes | None:
        started = time.perf_counter() if self._observer else 0.0
        head, ready = plain.head, route.ready(plain.name)
        if ready is None or not head.may_read:
            return None
        allowance = self._door.quick(head.authorization, visitor.address, Scope.READ)
        if allowance is None:
            return None
        if not allowance.allowed:
            return self._too_many(plain, allowance, visitor.scheme, started)
        tag, observed_at, age = head.if_none_match, ready.row.quote.observed_at, b""
        unchanged = tag is not None and matches(tag, etag=ready.row.etag)
        if observed_at:
            age = b"age: %d\r\n" % max((self._now() - observed_at) // 1_000_000_000, 0)
        rate = (allowance.limit, allowance.remaining, math.ceil(allowance.wait_s))
        self._observe(route.template, 304 if unchanged else 200, started)
        return b"".join(
            (
                ready.start_unchanged if unchanged else ready.start,
                self._usual[visitor.scheme],
                age,
                _RATE % rate,
                head.trace_line,
                b"\r\n",
                b"" if unchanged else ready.body,
            )
        )

    def _work(self, route: HotWork, plain: Plain, visitor: Visitor) -> bytes | Pending | None:
        started, head, body, limits = time.perf_counter(), plain.head, plain.body, self._limits
        if not head.may_post or len(body) > limits.size or (body and not head.is_json):
            return None
        if not route.typed and excess_of(body, limits=limits) is not None:
            return None
        scope = self._scopes[route.template]
        allowance = self._door.quick(head.authorization, visitor.address, scope)
        if allowance is None:
            return None
        if not allowance.allowed:
            return self._too_many(plain, allowance, visitor.scheme, started)
        found = _settled(lambda: route.answer(plain.name, body), route.template)
        if not isinstance(found, Answer):
            return Pending(
                found,
                template=route.template,
                head=head,
                scheme=visitor.scheme,
                allowance=allowance,
                started=started,
            )
        self._observe(route.template, found.status, started)
        return self._encoded(found, head, visitor.scheme, rate_headers(allowance))

    def _too_many(self, plain: Plain, allowance: Allowance, scheme: str, started: float) -> bytes:
        answer = too_many(allowance).answer()
        # The long way refuses before it looks for the route of a read.
        template = plain.route.template if isinstance(plain.route, HotWork) else "other"
        self._observe(template, answer.status, started)
        return self._encoded(answer, plain.head, scheme, ())

    def _observe(self, template: str, status: int, started: float) -> None:
        if self._observer is not None:
            self._observer(template, status, time.perf_counter() - started)

    def _encoded(self, answer: Answer, head: Head, scheme: str, more: tuple[Header, ...]) -> bytes:
        headers = dressed([*answer.all_headers(), *more], trace=head.trace, scheme=scheme)
        lines = [b"%b: %b\r\n" % header for header in headers]
        body = b"" if answer.status == 304 else answer.body
        return b"".join([_line(answer.status), self._usual[""], *lines, b"\r\n", body])

    def _remember(self, default: Sequence[Header]) -> None:
        self._default = default
        usual = b"".join(b"%b: %b\r\n" % header for header in default)
        self._usual = {"": usual}
        for scheme, headers in (("http", DATA_HEADERS), ("https", DATA_HEADERS_TLS)):
            self._usual[scheme] = usual + b"".join(b"%b: %b\r\n" % header for header in headers)


def _settled(work: Callable[[], Found], template: str) -> Found:
    """Return what comes of a computation; what goes wrong is an answer too."""
    try:
        return work()
    except ProblemError as error:
        return error.answer()
    except Exception:
        _log.exception("an error while answering POST %s", template)
        return problem_answer(INTERNAL, "The service made an error; it was written down.")


def _scope(method: str, template: str) -> Scope:
    scope = scope_needed(method, template)
    if scope is None:
        raise InputError(f"a hot route must need a scope, {method} {template} needs none")
    return scope


def _pattern(template: str, name: str) -> str:
    before, brace, after = template.partition("{")
    if not brace:
        return re.escape(template) + "()"
    return re.escape(before) + name + re.escape(after.partition("}")[2])


def _line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()
