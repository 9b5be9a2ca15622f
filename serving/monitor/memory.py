"""What the monitor knows, as bytes: kept beside the snapshots of the service, to go on from.

Some 50 kB an instrument at the usual settings, whatever it has seen: every part has a largest size.
"""

import hashlib
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from ...errors import InputError
from .alerts import AlertsState
from .watched import MonitorSettings, WatchedState

_FORM = 1


class Memory(Struct, frozen=True, kw_only=True):
    """Everything that a restart needs beside the records that follow.

    Attributes
    ----------
    key : bytes
        Of the settings that it was made with.
    since, anew : int, str
        As in :class:`.monitor.Monitor`.
    alerts : AlertsState
        Of the engine.
    rows : list of Raw
        One for each instrument, encoded.
    form : int
        Version.
    """

    key: bytes
    since: int
    anew: str
    alerts: AlertsState
    rows: list[msgspec.Raw]
    form: int = _FORM


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Memory).decode
_decode_row = msgspec.msgpack.Decoder(WatchedState).decode


def settings_key(settings: MonitorSettings, references: Mapping[str, Sequence[float]]) -> bytes:
    """Return what tells settings apart whose statistics differ, 32 bytes."""
    # It has no part in what is remembered.
    same = msgspec.structs.replace(settings, stale_after_s=0.0)
    listed = {name: list(map(float, values)) for name, values in sorted(references.items())}
    return hashlib.sha256(_encode([same, listed])).digest()


def encode_memory(memory: Memory) -> bytes:
    """Return the bytes of a memory."""
    return _encode(memory)


def decode_memory(content: bytes, *, key: bytes) -> tuple[Memory, list[WatchedState]]:
    """Return the memory that the bytes are of, and what it knows of instruments.

    Raises
    ------
    InputError
        If they are of none, or of other settings than those of `key`.
    """
    try:
        memory = _decode(content)
        states = [_decode_row(row) for row in memory.rows]
    except msgspec.MsgspecError as error:
        raise InputError(
            f"a memory must be one of this version, it is none: {error}; begin anew"
        ) from error
    if memory.form != _FORM or memory.key != key:
        raise InputError(
            f"a memory must be of form {_FORM} and of the settings of now, is of form "
            f"{memory.form} {'with the same' if memory.key == key else 'with other'} settings; "
            "begin anew"
        )
    return memory, states
