"""What travels: CloudEvents 1.0 in their JSON form, and the messages that a reader may send.

The service writes events with :func:`tail_of` and :func:`head_of` and never builds these structs;
they are what the AsyncAPI document is made from, and tests read real messages with them.

References
----------
CloudEvents 1.0.2, its JSON format, and its extensions "sequence" (a string that sorts) and
"partitioning".
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal, TypeAlias
from urllib.parse import quote as percent_encoded

from msgspec import Meta, Struct
from msgspec.json import Encoder

from ..observations import Name
from ..quote import Quote

QUOTE = "dev.foremargin.quote.v1"
SNAPSHOT = "dev.foremargin.snapshot.v1"
RESYNC = "dev.foremargin.resync.v1"
HEARTBEAT = "dev.foremargin.heartbeat.v1"
PONG = "dev.foremargin.pong.v1"
ERROR = "dev.foremargin.error.v1"

Identifier = Annotated[str, Meta(min_length=1)]
Uri = Annotated[str, Meta(min_length=1, extra_json_schema={"format": "uri-reference"})]
Timestamp = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
Place = Annotated[str, Meta(pattern="^[0-9]{16}$")]
"""Sequence of the hub, sixteen digits: it sorts as text, and is exact as a JavaScript number."""

_encode = Encoder().encode


class Reason(StrEnum):
    """Why a snapshot follows."""

    NEW = "new"
    """The subscription is new."""
    CHANGED = "changed"
    """The reader changed what it is subscribed to."""
    UNKNOWN_PLACE = "unknown-place"
    """The place to resume from is none of this hub; most likely the service was started again."""


class Resync(Struct, frozen=True, kw_only=True):
    """Data of the event before a snapshot: forget what you know, so many quotes follow.

    Attributes
    ----------
    reason : Reason
        Why.
    quotes : int
        Number of snapshot events that follow; with the last of them the reader knows the whole.
    unknown : list of str
        Subscribed instruments that have no quote yet; deltas come once they have.
    resume_from : str
        Place of the snapshot, to resume from once all of it has arrived.
    """

    reason: Reason
    quotes: int
    unknown: list[str]
    resume_from: str


class Heartbeat(Struct, frozen=True, kw_only=True):
    """Data of an event that only says: nothing was lost, nothing is new."""


class Pong(Struct, frozen=True, kw_only=True):
    """Data of the answer to a ping: its own word."""

    nonce: str


class Problem(Struct, frozen=True, kw_only=True):
    """Data of an error event, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str


class Event(Struct, frozen=True, kw_only=True):
    """Attributes of every event.

    Attributes
    ----------
    sequence : str
        Place in the hub: of a quote its own, of everything else the place it speaks of.
    previous : str
        `sequence` of the event before it on this subscription. Where it is another one than the
        reader saw last, something was lost.
    """

    specversion: Literal["1.0"]
    id: Identifier
    source: Uri
    time: Timestamp
    sequence: Place
    previous: Place
    datacontenttype: Literal["application/json"]


class QuoteEvent(Event, frozen=True, kw_only=True):
    """A new quote; its `id` is a place to resume from."""

    type: Literal["dev.foremargin.quote.v1"]
    partitionkey: Name
    data: Quote


class SnapshotEvent(Event, frozen=True, kw_only=True):
    """One quote of a snapshot."""

    type: Literal["dev.foremargin.snapshot.v1"]
    partitionkey: Name
    data: Quote


class ResyncEvent(Event, frozen=True, kw_only=True):
    """A snapshot follows."""

    type: Literal["dev.foremargin.resync.v1"]
    data: Resync


class HeartbeatEvent(Event, frozen=True, kw_only=True):
    """Sent when nothing else was, WebSocket only; server-sent events have comments."""

    type: Literal["dev.foremargin.heartbeat.v1"]
    data: Heartbeat


class PongEvent(Event, frozen=True, kw_only=True):
    """Answer to a ping."""

    type: Literal["dev.foremargin.pong.v1"]
    data: Pong


class ErrorEvent(Event, frozen=True, kw_only=True):
    """Something that the reader asked for was not done."""

    type: Literal["dev.foremargin.error.v1"]
    data: Problem


class Subscribe(
    Struct, frozen=True, kw_only=True, tag="subscribe", tag_field="type", forbid_unknown_fields=True
):
    """Ask for instruments as well, or for all; a snapshot of the whole subscription follows.

    Attributes
    ----------
    instruments : list of str or "all"
        Names.
    resume_from : str
        `id` of the last quote of a subscription to the same instruments: only what is newer
        follows. Read in the first message of a connection only.
    """

    instruments: list[Name] | Literal["all"]
    resume_from: Annotated[str, Meta(max_length=64)] = ""


class Unsubscribe(
    Struct,
    frozen=True,
    kw_only=True,
    tag="unsubscribe",
    tag_field="type",
    forbid_unknown_fields=True,
):
    """Drop some instruments of a list; a snapshot of what is left follows."""

    instruments: list[Name]


class Ping(
    Struct, frozen=True, kw_only=True, tag="ping", tag_field="type", forbid_unknown_fields=True
):
    """Ask for a pong with the same word."""

    nonce: Annotated[str, Meta(max_length=64)] = ""


Request: TypeAlias = Subscribe | Unsubscribe | Ping
"""Anything that a reader may send."""


class _Tail(Struct, frozen=True, kw_only=True):
    source: str
    time: str
    partitionkey: str
    datacontenttype: str = "application/json"
    data: Quote


class _ControlTail(Struct, frozen=True, kw_only=True):
    source: str
    time: str
    datacontenttype: str = "application/json"
    data: Resync | Heartbeat | Pong | Problem


def tail_of(quote: Quote) -> bytes:
    """Return the part of a quote's event that is the same for all subscribers, with its brace."""
    tail = _Tail(
        source=f"/v1/margins/{percent_encoded(quote.instrument, safe=':')}",
        time=rfc3339(quote.quoted_at),
        partitionkey=quote.instrument,
        data=quote,
    )
    return _encode(tail)[1:]


def control_tail_of(data: Resync | Heartbeat | Pong | Problem, *, now: int) -> bytes:
    """Return the same of an event that is about the stream itself."""
    return _encode(_ControlTail(source="/v1/stream", time=rfc3339(now), data=data))[1:]


def head_of(kind: str, identifier: str, *, sequence: int, previous: int) -> bytes:
    """Return the part of an event that is the subscriber's own.

    Identifiers and types are the hub's and need no escapes.
    """
    return (
        f'{{"specversion":"1.0","id":"{identifier}","type":"{kind}",'
        f'"sequence":"{sequence:016d}","previous":"{previous:016d}",'
    ).encode()


def rfc3339(ns: int) -> str:
    """Return nanoseconds since 1970 UTC as text, exactly.

    Examples
    --------
    >>> rfc3339(1_700_000_000_000_000_001)
    '2023-11-14T22:13:20.000000001Z'
    """
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
