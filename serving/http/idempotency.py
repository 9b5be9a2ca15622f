"""Idempotency-Key: a write is carried out once, however often it is sent.

After the IETF draft (draft-ietf-httpapi-idempotency-key-header-07). This is the state machine: it
takes requests, results and the time, and decides; :mod:`.once` carries out and writes down.
"""

import hashlib
from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace


class StoredAnswer(Struct, frozen=True):
    """An answer that is given again.

    Attributes
    ----------
    status : int
        HTTP status.
    body : bytes
        Complete.
    media_type : str
        Of the body.
    """

    status: int
    body: bytes
    media_type: str = "application/json"


class Entry(Struct, frozen=True, kw_only=True):
    """What is known of one key.

    Attributes
    ----------
    key : str
        With who sent it and to which path.
    fingerprint : str
        Of the request, hex.
    expires : int
        ns UTC.
    answer : StoredAnswer or None
        None while the request is carried out, and when its outcome was lost.
    lost : bool
        Whether it was begun and nobody knows how it ended.
    """

    key: str
    fingerprint: str
    expires: int
    answer: StoredAnswer | None = None
    lost: bool = False


class Decision(StrEnum):
    """What is to be done with a request."""

    RUN = "run"
    """It is new: carry it out, and say how it ended."""
    REPLAY = "replay"
    """It was carried out: give the same answer."""
    IN_FLIGHT = "in-flight"
    """It is being carried out."""
    MISMATCH = "mismatch"
    """The key belongs to another request."""
    LOST = "lost"
    """It was begun, and its end is not known."""
    FULL = "full"
    """Too many are being carried out."""


class Ledger:
    """Keys, what they belong to, and the answers.

    Parameters
    ----------
    keep_s : float
        For how long a key is remembered, from its first use.
    repeatable : bool
        Whether a request whose outcome was lost may simply be carried out again.
    most : int
        Entries; beyond, the oldest finished ones are forgotten.
    most_bytes : int
        Bytes of answers; likewise.
    """

    def __init__(
        self,
        *,
        keep_s: float = 86_400.0,
        repeatable: bool = False,
        most: int = 20_000,
        most_bytes: int = 16 * 2**20,
    ) -> None:
        self._keep_ns, self._repeatable = int(keep_s * 1e9), repeatable
        self._most, self._most_bytes = most, most_bytes
        self._entries: dict[str, Entry] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> list[Entry]:
        """All that is known, oldest first."""
        return list(self._entries.values())

    def entry(self, key: str) -> Entry:
        """Return what is known of a key that was begun."""
        return self._entries[key]

    @property
    def answer_bytes(self) -> int:
        """Bytes of the answers that are kept."""
        return self._bytes

    def restore(self, entries: Iterable[Entry], *, now: int) -> None:
        """Take what a file kept; the last entry of a key counts.

        What was being carried out when the service stopped is lost, or forgotten if repeatable.
        """
        last = {entry.key: entry for entry in entries}
        for entry in sorted(last.values(), key=lambda entry: entry.expires):
            if entry.expires <= now or (entry.answer is None and self._repeatable):
                continue
            lost = entry.answer is None
            self._put(replace(entry, lost=lost))
        self._make_room()

    def begin(
        self, key: str, fingerprint: str, *, now: int
    ) -> tuple[Decision, StoredAnswer | None]:
        """Decide about a request; after RUN comes `finish`, `abandon` or `lose`.

        Returns
        -------
        decision : Decision
            What to do.
        answer : StoredAnswer or None
            With REPLAY.
        """
        self._expire(now)
        known = self._entries.get(key)
        if known is not None and known.expires <= now and not _is_running(known):
            self._remove(key)
            known = None
        if known is None:
            if not self._make_room(needed=1):
                return Decision.FULL, None
            expires = now + self._keep_ns
            self._put(Entry(key=key, fingerprint=fingerprint, expires=expires))
            return Decision.RUN, None
        if known.fingerprint != fingerprint:
            return Decision.MISMATCH, None
        if known.answer is not None:
            return Decision.REPLAY, known.answer
        return (Decision.LOST if known.lost else Decision.IN_FLIGHT), None

    def finish(self, key: str, answer: StoredAnswer) -> Entry:
        """Keep the answer of a request that was carried out; return what to write down."""
        entry = replace(self._entries[key], answer=answer)
        self._put(entry)
        self._make_room(spare=key)
        return entry

    def abandon(self, key: str) -> None:
        """Forget a request that did nothing: it may be sent again."""
        self._remove(key)

    def lose(self, key: str) -> None:
        """Note that a request broke off; repeatable ones are forgotten."""
        if self._repeatable:
            self._remove(key)
        else:
            self._put(replace(self._entries[key], lost=True))

    def _put(self, entry: Entry) -> None:
        before = self._entries.get(entry.key)
        self._bytes += _size(entry) - (_size(before) if before else 0)
        self._entries[entry.key] = entry

    def _remove(self, key: str) -> None:
        self._bytes -= _size(self._entries.pop(key))

    def _expire(self, now: int) -> None:
        # Entries stand in the order of their expiry, save for a clock that was set back. One that
        # is being carried out never expires under it.
        while self._entries:
            oldest = next(iter(self._entries.values()))
            if oldest.expires > now or _is_running(oldest):
                return
            self._remove(oldest.key)

    def _make_room(self, *, needed: int = 0, spare: str = "") -> bool:
        while self._is_over(needed):
            finished = (e.key for e in self._entries.values() if e.answer and e.key != spare)
            oldest = next(finished, None)
            if oldest is None:
                return False
            self._remove(oldest)
        return True

    def _is_over(self, needed: int) -> bool:
        return len(self._entries) + needed > self._most or self._bytes > self._most_bytes


def fingerprint(*parts: bytes) -> str:
    """Return a digest of a request; parts cannot run into one another."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()


def _size(entry: Entry) -> int:
    return 0 if entry.answer is None else len(entry.answer.body)


def _is_running(entry: Entry) -> bool:
    return entry.answer is None and not entry.lost
