"""Limits of streams, what is sent, and what is counted."""

from collections.abc import Iterable
from functools import cached_property

from msgspec import Struct


class StreamLimits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of everything.

    Attributes
    ----------
    subscribers : int
        Open streams at once.
    instruments : int
        Names in one subscription; "all" is not limited by it.
    chunk_bytes : int
        A chunk of deliveries ends with the event that brings it to this size.
    rounds_per_s : int
        Rounds of all streams together. With n of them each waits n divided by this, seconds,
        between two of its own, and what comes meanwhile travels in one piece; what comes after
        silence is sent at once.
    heartbeat_s : float
        A stream that was silent for so long gets a heartbeat.
    slowest_s : float
        A reader that needs longer than this for one round is disconnected.
    first_message_s : float
        A WebSocket that has not subscribed after so long is closed.
    longest_s : float
        A stream ends after so long; the reader resumes, and is asked again who it is.
    request_bytes, requests_per_minute : int
        Size and number of what a reader may send.
    """

    subscribers: int = 1_000
    instruments: int = 10_000
    chunk_bytes: int = 262_144
    rounds_per_s: int = 2_000
    heartbeat_s: float = 15.0
    slowest_s: float = 60.0
    first_message_s: float = 10.0
    longest_s: float = 3_600.0
    request_bytes: int = 1_048_576
    requests_per_minute: int = 60


class Delivery(Struct, frozen=True, kw_only=True):
    """One event, ready to be sent.

    Attributes
    ----------
    type : str
        Type of the event.
    body : bytes
        Its JSON.
    resume_from : str
        Place to resume from once it has arrived; empty while a snapshot is not whole.
    """

    type: str
    body: bytes
    resume_from: str = ""


class Chunk(list[Delivery]):
    """Deliveries that are sent in one piece.

    Readers that stand at the same place share one, so that each form is made once for all of them.
    """

    @cached_property
    def batch(self) -> str:
        """A JSON array of the events."""
        return "[" + b",".join(delivery.body for delivery in self).decode() + "]"

    @cached_property
    def server_sent(self) -> bytes:
        """The events as server-sent events; JSON without line breaks needs one data line."""
        return b"".join(
            b"%bevent: %b\ndata: %b\n\n"
            % (
                f"id: {one.resume_from}\n".encode() if one.resume_from else b"",
                one.type.encode(),
                one.body,
            )
            for one in self
        )


def chunks_of(deliveries: Iterable[Delivery], *, size: int) -> Iterable[Chunk]:
    """Cut deliveries into chunks of about `size` bytes."""
    length, chunk = 0, Chunk()
    for delivery in deliveries:
        chunk.append(delivery)
        length += len(delivery.body)
        if length >= size:
            yield chunk
            length, chunk = 0, Chunk()
    if chunk:
        yield chunk


class HubCounts(Struct, frozen=True, kw_only=True):
    """Figures for the monitor; all but `subscribers` only rise.

    Attributes
    ----------
    subscribers : int
        Open now.
    published, delivered : int
        Quotes taken in; quote and snapshot events handed out, over all subscribers.
    skipped : int
        Quotes that a subscriber to all was not sent because a newer one of the same instrument was
        there; 0 as long as nobody is slow.
    snapshots : int
        Snapshots begun.
    """

    subscribers: int
    published: int
    delivered: int
    skipped: int
    snapshots: int
