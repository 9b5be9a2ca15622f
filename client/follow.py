"""What a stream says, put together: snapshot, changes, and whether anything is missing.

No input or output; the bytes of both transports go in.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

import msgspec
from msgspec import Raw, Struct

from .errors import AnswerError, ClientError, ProblemError
from .types import Quote


class Changed(Struct, frozen=True, kw_only=True):
    """A new quote.

    Attributes
    ----------
    quote : Quote
        The newest of its instrument.
    missed : int
        Quotes of the instrument between the last one seen and this: a slow reader, or one that was
        away, is sent the newest only.
    """

    quote: Quote
    missed: int


class Snapshot(Struct, frozen=True, kw_only=True):
    """All quotes, in place of all that was known.

    Attributes
    ----------
    quotes : mapping
        By instrument.
    reason : str
        new, changed, or unknown-place (most likely the service was started again).
    unknown : list of str
        Subscribed instruments that have no quote yet.
    """

    quotes: Mapping[str, Quote]
    reason: str
    unknown: list[str]


class Alive(Struct, frozen=True, kw_only=True):
    """Nothing is new and nothing was lost; a good moment to look at ages."""


class Disconnected(Struct, frozen=True, kw_only=True):
    """Nothing is known from here on, until :class:`Changed` or :class:`Snapshot` comes.

    Attributes
    ----------
    reason : str
        Why.
    wait_s : float
        Seconds until the next attempt.
    """

    reason: str
    wait_s: float


StreamEvent: TypeAlias = Changed | Snapshot | Alive | Disconnected
"""What iterating over a stream gives."""


class GapError(ClientError):
    """Something is missing between two events; streams recover from it themselves."""


class _Event(Struct, frozen=True, kw_only=True):
    type: str
    id: str
    sequence: str
    previous: str
    data: Raw


class _Resync(Struct, frozen=True, kw_only=True):
    reason: str
    quotes: int
    unknown: list[str] = []
    resume_from: str


class _ErrorData(Struct, frozen=True, kw_only=True):
    type: str = "about:blank"
    title: str = ""
    status: int = 0
    detail: str = ""


class Follower:
    """Puts the events of one subscription together.

    Attributes
    ----------
    resume_from : str
        What to resume from after the connection was lost; empty if only a snapshot will do.
    """

    def __init__(self) -> None:
        self.resume_from = ""
        self._quotes: dict[str, Quote] = {}
        self._place: int | None = None  # of the last event
        self._safe_place: int | None = None  # of `resume_from`
        self._resync: _Resync | None = None
        self._staged: dict[str, Quote] = {}

    @property
    def quotes(self) -> Mapping[str, Quote]:
        """Newest quotes by instrument; a view that follows."""
        return MappingProxyType(self._quotes)

    def receive(self, body: bytes | str) -> list[StreamEvent]:
        """Take in an event, or an array of them.

        Raises
        ------
        GapError
            If an event before it is missing.
        AnswerError
            If it is no event.
        ProblemError
            If it says that something asked for was not done.
        """
        try:
            events = msgspec.json.decode(body, type=list[_Event] | _Event)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise AnswerError(
                f"a stream must bring events, brought something else: {error}"
            ) from error
        out: list[StreamEvent] = []
        for event in events if isinstance(events, list) else [events]:
            out += self._one(event)
        return out

    def lost(self) -> None:
        """Note that the connection is gone: what was staged is void, what is known stays."""
        self._resync, self._staged = None, {}
        self._place = self._safe_place

    def forget(self) -> None:
        """Ask for a snapshot next time."""
        self.resume_from, self._safe_place = "", None
        self.lost()

    def _one(self, event: _Event) -> list[StreamEvent]:
        kind = event.type.removeprefix("dev.foremargin.")
        try:
            if kind == "resync.v1":
                return self._begin(event)
            self._must_follow(event)
            if kind == "snapshot.v1":
                return self._stage(msgspec.json.decode(event.data, type=Quote))
            if kind == "quote.v1":
                return self._change(event, msgspec.json.decode(event.data, type=Quote))
            if kind == "error.v1":
                problem = msgspec.json.decode(event.data, type=_ErrorData)
                raise ProblemError(**msgspec.structs.asdict(problem), retry_after_s=None)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise AnswerError(f"{event.type} must have its data, has not: {error}") from error
        if self._place is not None:
            self._place = _place(event.sequence)
        return [Alive()]

    def _must_follow(self, event: _Event) -> None:
        if self._place is None:
            # Before the first snapshot only words about the stream itself have a place here.
            if event.type.endswith((".quote.v1", ".snapshot.v1")):
                raise GapError("a stream must begin with a snapshot, did not")
            return
        if _place(event.previous) != self._place or _place(event.sequence) < self._place:
            raise GapError(
                f"the event after {self._place} must follow it, found {event.previous} before "
                f"{event.sequence}"
            )

    def _begin(self, event: _Event) -> list[StreamEvent]:
        self._resync = msgspec.json.decode(event.data, type=_Resync)
        self._staged, self._place = {}, _place(event.sequence)
        return [] if self._resync.quotes else self._finish(self._resync)

    def _stage(self, quote: Quote) -> list[StreamEvent]:
        if self._resync is None or quote.instrument in self._staged:
            raise GapError("a snapshot must be announced and hold each instrument once, was not")
        self._staged[quote.instrument] = quote
        return self._finish(self._resync) if len(self._staged) == self._resync.quotes else []

    def _finish(self, resync: _Resync) -> list[StreamEvent]:
        self._quotes.clear()
        self._quotes.update(self._staged)
        self.resume_from, self._safe_place = resync.resume_from, self._place
        self._resync, self._staged = None, {}
        quotes = MappingProxyType(dict(self._quotes))
        return [Snapshot(quotes=quotes, reason=resync.reason, unknown=resync.unknown)]

    def _change(self, event: _Event, quote: Quote) -> list[StreamEvent]:
        if self._resync is not None:
            missing = self._resync.quotes - len(self._staged)
            raise GapError(f"a snapshot must be whole before a change, {missing} were missing")
        place = _place(event.sequence)
        if place == self._place:
            raise GapError(f"a quote must have a place of its own, {place} was used")
        last = self._quotes.get(quote.instrument)
        self._quotes[quote.instrument] = quote
        self._place = self._safe_place = place
        self.resume_from = event.id
        missed = 0 if last is None else max(0, quote.sequence - last.sequence - 1)
        return [Changed(quote=quote, missed=missed)]


def _place(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 20:
        raise AnswerError(f"a place must be decimal digits, was {text[:40]!r}")
    return int(text)
