"""The hub: newest quotes in order of publication, and how far every subscriber has read.

No input or output and no clock of its own. It belongs to one thread, that of the event loop.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from secrets import token_hex

from msgspec import Struct

from ...errors import InputError
from ..ports import Clock
from ..quote import Quote
from .events import (
    ERROR,
    HEARTBEAT,
    PONG,
    QUOTE,
    RESYNC,
    SNAPSHOT,
    Heartbeat,
    Pong,
    Problem,
    Reason,
    Resync,
    control_tail_of,
    head_of,
    tail_of,
)
from .records import Delivery, HubCounts, StreamLimits


class _Row(Struct, gc=False):
    sequence: int
    instrument: str
    quote: Quote
    encoded: bytes = b""

    @property
    def tail(self) -> bytes:
        """Encoded when the first subscriber reads it: many quotes are replaced before."""
        if not self.encoded:
            self.encoded = tail_of(self.quote)
        return self.encoded


class Hub:
    """Where quotes go in and subscribers read.

    Parameters
    ----------
    clock : Clock
        Dates events about the stream itself; quotes bring their own time.
    limits : StreamLimits
        See there.
    epoch : str
        Word of letters and digits that no earlier run of the service used; random if empty. Places
        of another epoch are not resumed from.
    """

    def __init__(
        self, clock: Clock, *, limits: StreamLimits | None = None, epoch: str = ""
    ) -> None:
        self.limits = limits or StreamLimits()
        self._clock = clock
        self._epoch = epoch or token_hex(6)
        if not self._epoch.isascii() or not self._epoch.isalnum():
            raise InputError(f"epoch must be ASCII letters and digits, was {epoch!r}")
        self._rows: dict[str, _Row] = {}  # oldest first, since a new quote moves to the end
        self._readers_of_all: set[Subscription] = set()
        self._readers_of: dict[str, set[Subscription]] = {}
        self._sequence = self._events = 0
        self._delivered = self._skipped = self._snapshots = self._subscribers = 0
        self.closed = False

    @property
    def sequence(self) -> int:
        """Place of the newest quote; 0 before the first."""
        return self._sequence

    @property
    def counts(self) -> HubCounts:
        """Figures up to now."""
        return HubCounts(
            subscribers=self._subscribers,
            published=self._sequence,
            delivered=self._delivered,
            skipped=self._skipped,
            snapshots=self._snapshots,
        )

    @property
    def spacing_s(self) -> float:
        """Shortest time between two rounds of one stream, seconds."""
        return self._subscribers / self.limits.rounds_per_s

    def publish(self, quotes: Iterable[Quote]) -> None:
        """Take in quotes, in their order, and wake whoever is subscribed to one of them."""
        before, woken = self._sequence, set[Subscription]()
        for quote in quotes:
            self._sequence += 1
            name = quote.instrument
            self._rows.pop(name, None)
            self._rows[name] = _Row(self._sequence, name, quote)
            if readers := self._readers_of.get(name):
                woken |= readers
        if self._sequence > before:
            woken |= self._readers_of_all
        for reader in woken:
            reader.wake()

    def subscribe(
        self,
        instruments: Collection[str] | None,
        *,
        wake: Callable[[], object],
        resume_from: str = "",
    ) -> "Subscription":
        """Add a subscriber.

        Parameters
        ----------
        instruments : collection of str or None
            Names; None is all, those to come as well.
        wake : callable
            Called when there is something to read, and when the hub closes; must not block.
        resume_from : str
            `resume_from` of the last delivery that arrived on a subscription to the same
            instruments; empty for a snapshot.

        Raises
        ------
        InputError
            If there are too many subscribers or names, or the hub is closed.
        """
        if self.closed:
            raise InputError("the hub must be open, it was closed; connect again later")
        if self._subscribers >= self.limits.subscribers:
            raise InputError(
                f"at most {self.limits.subscribers} streams may be open; connect again later"
            )
        reader = Subscription(self, wake)
        reader.change(instruments)
        reader._begin(resume_from)
        self._subscribers += 1
        return reader

    def close(self) -> None:
        """End every subscription; call it before the server waits for its connections to end."""
        self.closed = True
        for reader in self._readers_of_all.union(*self._readers_of.values()):
            reader.wake()

    # ------------------------------------------------------------ what subscriptions ask

    def _place(self, sequence: int) -> str:
        return f"{self._epoch}-{sequence}"

    def _read_place(self, place: str) -> int | None:
        epoch, _, digits = place.partition("-")
        if epoch != self._epoch or not digits.isascii() or not digits.isdecimal():
            return None
        # A quote with a place above the last was never sent by this hub.
        return found if len(digits) <= 16 and (found := int(digits)) <= self._sequence else None

    def _newer(self, place: int, wanted: frozenset[str] | None) -> list[_Row]:
        """Return the rows above a place, oldest first."""
        if wanted is not None and len(wanted) < self._sequence - place:
            rows = (self._rows.get(name) for name in wanted)
            found = [row for row in rows if row is not None and row.sequence > place]
            return sorted(found, key=lambda row: row.sequence)
        found = []
        for row in reversed(self._rows.values()):
            if row.sequence <= place:
                break
            if wanted is None or row.instrument in wanted:
                found.append(row)
        return found[::-1]

    def _index(self, reader: "Subscription", wanted: frozenset[str] | None) -> None:
        if wanted is None:
            self._readers_of_all.add(reader)
        for name in wanted or ():
            self._readers_of.setdefault(name, set()).add(reader)

    def _forget(self, reader: "Subscription", wanted: frozenset[str] | None) -> None:
        self._readers_of_all.discard(reader)
        for name in wanted or ():
            readers = self._readers_of.get(name, set())
            readers.discard(reader)
            if not readers:
                self._readers_of.pop(name, None)


class Subscription:
    """What one subscriber has read; made by :meth:`Hub.subscribe`."""

    def __init__(self, hub: Hub, wake: Callable[[], object]) -> None:
        self.wake = wake
        self._hub = hub
        self._wanted: frozenset[str] | None = frozenset()
        self._reason: Reason | None = None  # of the snapshot that is due
        self._read = 0  # every row up to this place was handed out, or is not wanted
        self._sent = 0  # place that the last event spoke of
        self._replies: list[tuple[str, Pong | Problem]] = []
        self._open = True

    @property
    def instruments(self) -> frozenset[str] | None:
        """Names; None is all."""
        return self._wanted

    def change(self, instruments: Collection[str] | None) -> None:
        """Subscribe to these instead; a snapshot follows.

        Raises
        ------
        InputError
            If there are too many names; nothing changed.
        """
        wanted = None if instruments is None else frozenset(instruments)
        most = self._hub.limits.instruments
        if wanted is not None and len(wanted) > most:
            raise InputError(
                f"a subscription must name at most {most} instruments, named {len(wanted)}; "
                f"subscribe to all instead"
            )
        self._hub._forget(self, self._wanted)
        self._hub._index(self, wanted)
        self._wanted, self._reason = wanted, Reason.CHANGED
        self.wake()

    def round(self) -> Iterator[list[Delivery]]:
        """Hand out everything that is new, in chunks; nothing if nothing is.

        What is published meanwhile waits for the next round: a fast instrument can neither push
        others out of this one nor be pushed out of it.
        """
        size, chunk = 0, list[Delivery]()
        for delivery in self._deliveries():
            chunk.append(delivery)
            size += len(delivery.body)
            if size >= self._hub.limits.chunk_bytes:
                yield chunk
                size, chunk = 0, []
        if chunk:
            yield chunk

    def heartbeat(self) -> Delivery:
        """Return an event by which a reader sees that it lost nothing; between rounds only."""
        return self._control(HEARTBEAT, Heartbeat())

    def reply(self, data: Pong | Problem) -> None:
        """Have this sent at the start of the next round."""
        self._replies.append((PONG if isinstance(data, Pong) else ERROR, data))
        self.wake()

    def _begin(self, resume_from: str) -> None:
        self._reason = Reason.NEW
        if resume_from:
            place = self._hub._read_place(resume_from)
            self._reason = Reason.UNKNOWN_PLACE if place is None else None
            self._read = self._sent = place or 0

    def _control(self, kind: str, data: Resync | Heartbeat | Pong | Problem) -> Delivery:
        hub = self._hub
        hub._events += 1
        head = head_of(
            kind, f"{hub._epoch}-c{hub._events}", sequence=self._sent, previous=self._sent
        )
        return Delivery(type=kind, body=head + control_tail_of(data, now=hub._clock.now()))

    def close(self) -> None:
        """Leave the hub; may be called twice."""
        self._hub._forget(self, self._wanted)
        self._hub._subscribers -= self._open
        self._open = False

    def _deliveries(self) -> Iterator[Delivery]:
        replies, self._replies = self._replies, []
        for kind, data in replies:
            yield self._control(kind, data)
        if self._reason is not None:
            reason, self._reason = self._reason, None
            yield from self._snapshot(reason)
            return
        rows = self._hub._newer(self._read, self._wanted)
        if self._wanted is None:
            self._hub._skipped += self._hub.sequence - self._read - len(rows)
        self._hub._delivered += len(rows)
        self._read = self._hub.sequence
        for row in rows:
            place = self._hub._place(row.sequence)
            head = head_of(QUOTE, place, sequence=row.sequence, previous=self._sent)
            self._sent = row.sequence
            yield Delivery(type=QUOTE, body=head + row.tail, resume_from=place)

    def _snapshot(self, reason: Reason) -> Iterator[Delivery]:
        hub = self._hub
        rows = hub._newer(0, self._wanted)
        # One place for all of it: quotes may be published between two chunks.
        now = self._read = self._sent = hub.sequence
        place = hub._place(now)
        unknown = sorted(name for name in self._wanted or () if name not in hub._rows)
        resync = Resync(reason=reason, quotes=len(rows), unknown=unknown, resume_from=place)
        start = self._control(RESYNC, resync)
        hub._snapshots += 1
        hub._delivered += len(rows)
        yield Delivery(type=RESYNC, body=start.body, resume_from="" if rows else place)
        head = head_of(SNAPSHOT, f"{place}-snapshot", sequence=now, previous=now)
        for left, row in zip(range(len(rows) - 1, -1, -1), rows, strict=True):
            yield Delivery(type=SNAPSHOT, body=head + row.tail, resume_from="" if left else place)
