"""The journal as bytes, read by what its page promises and by none of the service's code."""

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FRAME = struct.Struct("<4sIQQI32s32s")
_ENTRY = struct.Struct("<IBB")
_SEGMENT_HEADER = 8 + 8 + 32 + 32


@dataclass(frozen=True, kw_only=True)
class Line:
    """A record: its place, what it is, and its content as JSON."""

    sequence: int
    kind: str
    what: Any


class ChainError(Exception):
    """The chain of hashes does not hold; says where."""


def read_journal(folder: Path) -> list[Line]:
    """Return every record, oldest first; ChainError where one is missing or was changed."""
    lines: list[Line] = []
    chain = bytes(32)
    for path in sorted(folder.glob("*.segment")):
        content = path.read_bytes()
        at = _SEGMENT_HEADER
        # A segment may end in zeros or in a frame that a kill cut off and nobody was promised.
        while content[at : at + 4] == b"FMJ1":
            _, length, first, time, count, before, after = _FRAME.unpack_from(content, at)
            body = content[at + _FRAME.size : at + _FRAME.size + length]
            if len(body) < length:
                break
            if before != chain or first != len(lines) + 1:
                raise ChainError(f"{path.name}: record {len(lines) + 1} must follow, found {first}")
            found, chain = _records(body, first, time, chain)
            if chain != after or len(found) != count:
                raise ChainError(f"{path.name}: the records from {first} on were changed")
            lines += found
            at += _FRAME.size + length
    return lines


def _records(body: bytes, sequence: int, time: int, chain: bytes) -> tuple[list[Line], bytes]:
    lines, at = [], 0
    while at < len(body):
        n_payload, n_kind, n_by = _ENTRY.unpack_from(body, at)
        start = at + _ENTRY.size + n_kind + n_by
        part = body[at : start + n_payload]
        chain = hashlib.sha256(chain + struct.pack("<QQ", sequence, time) + part).digest()
        kind = body[at + _ENTRY.size : at + _ENTRY.size + n_kind].decode()
        what = json.loads(body[start : start + n_payload])
        lines.append(Line(sequence=sequence, kind=kind, what=what))
        at, sequence = start + n_payload, sequence + 1
    return lines, chain
