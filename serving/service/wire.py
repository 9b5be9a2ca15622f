"""Messages between the front and the process of the calculator, and their frames.

A frame is the length of a message (u32, little-endian) and the message in MessagePack.
"""

import struct
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from ..observations import Observation
from ..quote import Calculation

LENGTH = struct.Struct("<I")


class Calculates(Protocol):
    """What the factory of a calculator must return."""

    def apply(self, observations: list[Observation]) -> list[Calculation]:
        """Take observations in the order of the journal; a ForemarginError changes nothing."""
        ...

    def current(self) -> list[Calculation]:
        """Return the last calculation of every instrument that has one."""
        ...

    def snapshot(self) -> bytes:
        """Return its state."""
        ...

    def restore(self, content: bytes) -> None:
        """Go on from a state; a ForemarginError if it is of another model."""
        ...


class Start(Struct, tag=True):
    """To the calculator: how to make one, and the state to go on from."""

    factory: str
    arguments: dict[str, Any]
    snapshot: bytes | None


class Apply(Struct, tag=True):
    """To the calculator: observations of a record."""

    sequence: int
    observations: list[Observation]


class TakeSnapshot(Struct, tag=True):
    """To the calculator: send your state."""


class Ready(Struct, tag=True):
    """From the calculator: it is made; whether it took the state, and why not."""

    restored: bool
    reason: str = ""
    calculations: list[Calculation] = []


class Done(Struct, tag=True):
    """From the calculator: a record was applied, or refused as a whole with a reason.

    `began` and `ended` are by the clock of the machine, ns UTC.
    """

    sequence: int
    calculations: list[Calculation]
    refused: str = ""
    began: int = 0
    ended: int = 0


class Snapped(Struct, tag=True):
    """From the calculator: its state after a record."""

    sequence: int
    content: bytes


class Beat(Struct, tag=True):
    """From the calculator: the process lives."""


class Failed(Struct, tag=True):
    """From the calculator: why it ends."""

    reason: str


ToCalculator = Start | Apply | TakeSnapshot
FromCalculator = Ready | Done | Snapped | Beat | Failed

_encode = msgspec.msgpack.Encoder().encode
decode_command = msgspec.msgpack.Decoder(ToCalculator).decode
decode_answer = msgspec.msgpack.Decoder(FromCalculator).decode


def encode_message(message: Struct) -> bytes:
    """Return the frame of a message."""
    content = _encode(message)
    return LENGTH.pack(len(content)) + content
