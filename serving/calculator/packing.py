"""Snapshots as bytes: a document and arrays, one behind the other; no pickle."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...models import from_state, read_state, to_state, write_state

_LENGTH = 8


def pack(value: object) -> bytes:
    """Return mappings, tuples, numbers, strings, None and arrays as bytes."""
    document, arrays = write_state(to_state(value))
    return len(document).to_bytes(_LENGTH, "big") + document + arrays


def unpack(packed: bytes) -> Any:
    """Return what was packed.

    Raises
    ------
    InputError
        If the bytes are cut, or never were a snapshot.
    """
    length = int.from_bytes(packed[:_LENGTH], "big")
    if not 0 < length <= len(packed) - _LENGTH:
        raise InputError(f"a snapshot must be whole, was {len(packed)} bytes; take another one")
    body = packed[_LENGTH:]
    return from_state(read_state(body[:length], body[length:]), loaded_only=True)


def as_array(content: bytes) -> NDArray[np.uint8]:
    """Return bytes as an array, which a snapshot can hold."""
    return np.frombuffer(content, dtype=np.uint8).copy()


def as_bytes(array: object) -> bytes:
    """Return the bytes of :func:`as_array`."""
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8:
        raise InputError("a snapshot must hold bytes here, found something else; it is damaged")
    return array.tobytes()
