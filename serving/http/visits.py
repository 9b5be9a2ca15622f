"""Who is at the other end of a connection, what its headers say, and what it waits for."""

import asyncio

from msgspec import Struct

from ..security import Allowance
from .answers import Answer, Header, trace_header
from .door import Door
from .framing import body_length, read_fields


class Head(Struct, frozen=True, kw_only=True):
    """What the headers of a request say.

    Attributes
    ----------
    authorization, if_none_match : bytes or None
        Values.
    trace : tuple of headers
        The traceparent that is sent back, if there is one.
    trace_line : bytes
        The same as it is sent.
    length : int
        Of the body, bytes; -1 if none was announced.
    is_json : bool
        Whether the body says that it is JSON.
    may_read, may_post : bool
        Whether host, origin and proxies are in order, so that only the key is left to look at.
    """

    authorization: bytes | None = None
    if_none_match: bytes | None = None
    trace: tuple[Header, ...] = ()
    trace_line: bytes = b""
    length: int = -1
    is_json: bool = False
    may_read: bool = False
    may_post: bool = False


def read_head(block: bytes, door: Door) -> Head | None:
    """Return what headers say, as :func:`.framing.read_fields`; None if they are not plain."""
    fields = read_fields(block)
    length = None if fields is None else body_length(fields)
    if fields is None or length is None:
        return None
    trace = trace_header(fields.get(b"traceparent"))
    kind = fields.get(b"content-type", b"").split(b";")[0].strip().lower()
    return Head(
        authorization=fields.get(b"authorization"),
        if_none_match=fields.get(b"if-none-match"),
        trace=trace,
        trace_line=b"".join(b"%b: %b\r\n" % header for header in trace),
        length=length,
        is_json=kind == b"application/json",
        may_read=door.is_usual(fields, changes=False),
        may_post=door.is_usual(fields, changes=True),
    )


class Visitor:
    """The other end of a connection.

    Parameters
    ----------
    address : str
        As the socket says; empty if it is not known.
    scheme : str
        ``http`` or ``https``.

    Attributes
    ----------
    head : Head
        Of its last plain request.
    """

    __slots__ = ("_block", "address", "head", "scheme")

    def __init__(self, address: str, scheme: str) -> None:
        self.address, self.scheme = address, scheme
        self._block, self.head = b"", Head()

    def reads(self, block: bytes, door: Door) -> bool:
        """Take the headers of a request; return whether they are plain.

        A client sends the same ones again and again: those of the last request are remembered, for
        its own connection alone.
        """
        if block == self._block:
            return True
        head = read_head(block, door)
        if head is None:
            return False
        self._block, self.head = block, head
        return True


class Pending:
    """An answer that is not there yet.

    Parameters
    ----------
    future : Future
        Of the answer.
    template : str
        Path template of the route.
    head : Head
        Of the request.
    scheme : str
        ``http`` or ``https``.
    allowance : Allowance
        What is left of their rate.
    started : float
        When the request had come, as ``time.perf_counter`` says, seconds.

    Attributes
    ----------
    is_late : bool
        Whether it was cancelled because its time was over.
    """

    __slots__ = ("allowance", "future", "head", "is_late", "scheme", "started", "template")

    def __init__(
        self,
        future: asyncio.Future[Answer],
        *,
        template: str,
        head: Head,
        scheme: str,
        allowance: Allowance,
        started: float,
    ) -> None:
        self.future, self.template, self.started = future, template, started
        self.head, self.scheme, self.allowance = head, scheme, allowance
        self.is_late = False

    def give_up(self) -> None:
        """Stop waiting: its time is over."""
        self.is_late = not self.future.done()
        self.future.cancel()
