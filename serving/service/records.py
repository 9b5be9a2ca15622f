"""What the service writes into the journal, and what it does about it: plain data."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from ..journal import Entry, Record
from ..observations import Observation
from ..ports import AuditEntry, Receipt
from ..quote import Quote
from ..table import EncodedQuote
from .culprits import LeftOut

OBSERVATIONS, HELD, QUOTES, COMMAND = "observations", "held", "quotes", "command"
SHADOW, LEFT_OUT = "shadow", "left-out"
"""Kinds of records: let in, held back, quotes that were shown, what somebody asked for; what a
challenger says, and which record the calculator was not given or refused."""


class Observed(Struct, frozen=True):
    """Payload of observations that were let in or held back."""

    observations: list[Observation]


class Made(Struct, frozen=True, kw_only=True, gc=False):
    """A quote, and what the ladder was told beside the calculation.

    Attributes
    ----------
    quote : Quote
        As shown.
    doubt : str
        Why its calculation must not lower a margin.
    waiting_since : int or None
        When the first observation came that the calculator had not applied, ns UTC.
    """

    quote: Quote
    doubt: str = ""
    waiting_since: int | None = None


class Quoted(Struct, frozen=True, kw_only=True):
    """Payload of quotes.

    Attributes
    ----------
    applied : int
        Sequence of the journal that the calculator had applied.
    quotes : list of Made
        One per instrument.
    """

    applied: int
    quotes: list[Made]


class _MadeOf(Struct, frozen=True, kw_only=True, gc=False):
    quote: msgspec.Raw
    doubt: str
    waiting_since: int | None


class _QuotedOf(Struct, frozen=True, kw_only=True):
    applied: int
    quotes: list[_MadeOf]


class Commanded(Struct, frozen=True, kw_only=True):
    """Payload of a command: once before it is carried out, once after.

    Attributes
    ----------
    name : str
        Command.
    arguments : dict
        As given.
    stage : str
        ``asked``, ``done`` or ``refused``.
    result : dict
        What came of it.
    """

    name: str
    arguments: dict[str, Any]
    stage: str
    result: dict[str, Any] = {}


class Append(Struct, frozen=True):
    """Effect: append these; one at a time, answered by ``appended`` or ``append_failed``."""

    entries: list[Entry]
    time: int


class Submit(Struct, frozen=True):
    """Effect: hand these to the calculator."""

    observations: list[Observation]
    sequence: int


class Show(Struct, frozen=True):
    """Effect: write these rows into the table and tell whoever listens."""

    rows: list[EncodedQuote]

    @property
    def quotes(self) -> list[Quote]:
        """What they say."""
        return [row.quote for row in self.rows]


class Reply(Struct, frozen=True):
    """Effect: answer whoever holds the ticket; a note has one receipt, its place."""

    ticket: int
    receipts: list[Receipt]


class Refuse(Struct, frozen=True):
    """Effect: tell whoever holds the ticket that nothing was kept."""

    ticket: int
    reason: str


class Accompanied(Struct, frozen=True):
    """Effect: tell the companion whether its record is on the disk."""

    on_disk: bool


Effect = Append | Submit | Show | Reply | Refuse | Accompanied
"""What the shell must do, in order."""

encode = msgspec.json.Encoder().encode
decode_observed = msgspec.json.Decoder(Observed).decode
decode_quoted = msgspec.json.Decoder(Quoted).decode
decode_left_out = msgspec.json.Decoder(LeftOut).decode
decode_commanded = msgspec.json.Decoder(Commanded).decode


def encode_quoted(applied: int, made: Sequence[Made], rows: Sequence[EncodedQuote]) -> bytes:
    """Return :class:`Quoted` as JSON, from the bytes of the quotes; in order, one row each."""
    quotes = [
        _MadeOf(quote=msgspec.Raw(row.body), doubt=one.doubt, waiting_since=one.waiting_since)
        for one, row in zip(made, rows, strict=True)
    ]
    return encode(_QuotedOf(applied=applied, quotes=quotes))


def audit_entry(record: Record) -> AuditEntry:
    """Return a record as the audit trail shows it."""
    return AuditEntry(
        sequence=record.sequence,
        time=record.time,
        kind=record.kind,
        by=record.by,
        what=msgspec.json.decode(record.payload),
        digest=record.digest.hex(),
    )


def observations_of(records: Sequence[Record]) -> list[tuple[int, list[Observation]]]:
    """Return (sequence, observations) of the records that the calculator must apply."""
    return [
        (record.sequence, decode_observed(record.payload).observations)
        for record in records
        if record.kind == OBSERVATIONS
    ]
