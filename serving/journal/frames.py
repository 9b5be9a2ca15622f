"""Bytes of the journal: frames of records, each a link of the chain that can be checked alone.

A frame is what one append wrote::

    magic "FMJ1" | length of body u32 | first sequence u64 | time u64 | records u32
    | chain before 32 bytes | chain after 32 bytes | body

and its body is records, each ``length of payload u32 | length of kind u8 | length of by u8 | kind
| by | payload``. Numbers are little-endian. The chain of a record is the SHA-256 of the chain
before it, its sequence and time (u64 each), and its bytes in the body. Since a frame holds the
chain before it, whether it is whole can be told without the frames before.
"""

import struct
from collections.abc import Iterator, Sequence
from hashlib import sha256

from msgspec import Struct

from ...errors import InputError

MAGIC = b"FMJ1"
HEADER = struct.Struct("<4sIQQI32s32s")
ENTRY = struct.Struct("<IBB")
_PLACE = struct.Struct("<QQ")
START = bytes(32)
"""Chain before the first record."""

LARGEST_PAYLOAD = 64 * 2**20
"""Bytes of one record; a larger one is refused."""


class Entry(Struct, frozen=True):
    """What is to be appended.

    Attributes
    ----------
    kind : str
        What it is, such as ``observations``; 1 to 255 bytes of UTF-8.
    by : str
        Identifier of who asked for it; empty for the service itself, at most 255 bytes.
    payload : bytes
        Its content.
    """

    kind: str
    by: str
    payload: bytes


class Record(Struct, frozen=True, gc=False):
    """What is in the journal.

    Attributes
    ----------
    sequence : int
        Its place, from 1, without gaps.
    time : int
        When it was appended, ns UTC, as the caller said.
    kind, by, payload
        As appended.
    digest : bytes
        Hash of the chain up to and including it, 32 bytes.
    """

    sequence: int
    time: int
    kind: str
    by: str
    payload: bytes
    digest: bytes


class BadFrame(Exception):
    """No whole frame stands here; says why. It never leaves the room."""


def encode_frame(
    entries: Sequence[Entry], *, sequence: int, time: int, before: bytes
) -> tuple[bytes, bytes]:
    """Return a frame of records from `sequence` on, and the chain after it."""
    parts, chain = [], before
    for place, entry in enumerate(entries, sequence):
        part = _encode_entry(entry)
        chain = sha256(chain + _PLACE.pack(place, time) + part).digest()
        parts.append(part)
    body = b"".join(parts)
    header = HEADER.pack(MAGIC, len(body), sequence, time, len(entries), before, chain)
    return header + body, chain


def _encode_entry(entry: Entry) -> bytes:
    kind, by = entry.kind.encode(), entry.by.encode()
    if not 0 < len(kind) < 256 or len(by) > 255:
        raise InputError(
            "kind must have 1 to 255 bytes and by at most 255, had "
            f"{len(kind)} and {len(by)}; shorten them"
        )
    if len(entry.payload) > LARGEST_PAYLOAD:
        raise InputError(
            f"a payload must be at most {LARGEST_PAYLOAD:,} bytes, had {len(entry.payload):,}; "
            "append it in parts"
        )
    return b"".join((ENTRY.pack(len(entry.payload), len(kind), len(by)), kind, by, entry.payload))


def frame_at(content: bytes, offset: int) -> tuple[int, int, bytes]:
    """Return (first sequence, offset of the next frame, chain before) from a header alone."""
    if len(content) < offset + HEADER.size:
        raise BadFrame(f"a header of {HEADER.size} bytes is cut off")
    magic, length, sequence, _, _, before, _ = HEADER.unpack_from(content, offset)
    if magic != MAGIC:
        raise BadFrame("no frame starts here")
    return sequence, offset + HEADER.size + length, before


def decode_frame(
    content: bytes, offset: int, *, sequence: int, before: bytes
) -> tuple[list[Record], int]:
    """Return the records of a frame that must go on from `sequence` and `before`, and its end."""
    found, end, chain = frame_at(content, offset)
    if (found, chain) != (sequence, before):
        raise BadFrame(f"record {sequence} must follow here, found {found}, or another chain")
    return _records(content, offset, end), end


def _records(content: bytes, offset: int, end: int) -> list[Record]:
    """Return the records of the frame, checked against its own chain."""
    _, _, sequence, time, count, chain, after = HEADER.unpack_from(content, offset)
    if len(content) < end:
        raise BadFrame(f"its body is cut off after {len(content) - offset - HEADER.size} bytes")
    body = content[offset + HEADER.size : end]
    records: list[Record] = []
    add, unpack, place, size, at = records.append, ENTRY.unpack_from, _PLACE.pack, ENTRY.size, 0
    names: dict[bytes, tuple[str, str]] = {}  # most records of a frame say the same
    try:
        while at < len(body):
            n_payload, n_kind, n_by = unpack(body, at)
            payload = at + size + n_kind + n_by
            stop = payload + n_payload
            chain = sha256(chain + place(sequence, time) + body[at:stop]).digest()
            name = body[at + 4 : payload]
            if name not in names:
                names[name] = (name[2 : 2 + n_kind].decode(), name[2 + n_kind :].decode())
            add(Record(sequence, time, *names[name], body[payload:stop], chain))
            at, sequence = stop, sequence + 1
    except (struct.error, UnicodeDecodeError) as error:
        raise BadFrame(f"its records cannot be read ({error})") from error
    if at != len(body) or not 0 < len(records) == count or chain != after:
        raise BadFrame("its content does not hash to its digest")
    return records


def whole_frame_after(content: bytes, offset: int, *, sequence: int) -> int | None:
    """Return the first sequence of a whole frame beyond `offset` that comes after `sequence`.

    Such a frame was written when those before it had been acknowledged.
    """
    for at in _occurrences(content, MAGIC, offset + 1):
        try:
            found, end, _ = frame_at(content, at)
            if found > sequence and _records(content, at, end):
                return found
        except BadFrame:
            continue
    return None


def _occurrences(content: bytes, what: bytes, start: int) -> Iterator[int]:
    at = content.find(what, start)
    while at >= 0:
        yield at
        at = content.find(what, at + 1)
