"""The state of the service as bytes, for its snapshots."""

import msgspec
from msgspec import Struct

from ...errors import InputError
from ..ladder import Known, Standing
from .culprits import Omissions
from .records import Made

_FORM = 1


class Row(Struct, frozen=True):
    """What is known of one instrument."""

    name: str
    standing: Standing
    known: Known


class State(Struct, frozen=True, kw_only=True):
    """Everything that a restart needs beside the records that follow.

    Attributes
    ----------
    last : int
        Last record of the journal that is in it.
    paused : bool
        Whether margins may not fall.
    applied, times
        What the calculator has applied, and (sequence, time) of what waits for it.
    owed : list of Made
        Quotes that were shown and are not in the journal.
    rows : list of Row
        By instrument.
    left_out : Omissions
        Records that the calculator was not given or has refused.
    """

    last: int
    paused: bool
    applied: int
    times: list[tuple[int, int]]
    owed: list[Made]
    rows: list[Row]
    left_out: Omissions = Omissions()


class _Stored(Struct):
    form: int
    head: State
    rows: list[msgspec.Raw]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode
_decode_row = msgspec.msgpack.Decoder(Row).decode


def encode_state(state: State) -> bytes:
    """Return the bytes of a state; row by row, so that other threads get their turn."""
    rows = [msgspec.Raw(_encode(row)) for row in state.rows]
    return _encode(_Stored(_FORM, msgspec.structs.replace(state, rows=[]), rows))


def decode_state(content: bytes) -> State:
    """Return the state that the bytes are of.

    Raises
    ------
    InputError
        If they are of none, or of another version of the service.
    """
    try:
        stored = _decode(content)
        rows = [_decode_row(row) for row in stored.rows]
    except msgspec.MsgspecError as error:
        raise InputError(f"a snapshot must be a state of this version: {error}") from error
    if stored.form != _FORM:
        raise InputError(f"a snapshot must have form {_FORM}, had {stored.form}")
    return msgspec.structs.replace(stored.head, rows=rows)
