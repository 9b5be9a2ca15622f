"""Bodies that are made for answers: schedules, lists, and what a health check says."""

from msgspec import Struct

from ..ports import AuditEntry, Receipt
from ..quote import Quote, SideMargin


class Schedule(Struct, frozen=True, kw_only=True):
    """Margin parameters of one instrument with the time in which they hold.

    Attributes
    ----------
    instrument : str
        Name.
    sequence : int
        Of the quote.
    status, basis : str
        How far it can be trusted, and what it rests on.
    effective, expires : int
        From when and until when, ns UTC.
    horizon_s : int or None
        Margin period of risk, seconds; None for a fixed margin, like ``tail_probability``.
    tail_probability : float or None
        Breach rate that the margin aims at.
    long, short : SideMargin
        Margins in basis points, with their components.
    """

    instrument: str
    sequence: int
    status: str
    basis: str
    effective: int
    expires: int
    horizon_s: int | None
    tail_probability: float | None
    long: SideMargin
    short: SideMargin


def schedule_of(quote: Quote) -> Schedule:
    """Return the schedule that a quote amounts to."""
    calculation = quote.calculation
    return Schedule(
        instrument=quote.instrument,
        sequence=quote.sequence,
        status=quote.status.value,
        basis=quote.basis.value,
        effective=quote.quoted_at,
        expires=quote.valid_until,
        horizon_s=None if calculation is None else calculation.horizon_s,
        tail_probability=None if calculation is None else calculation.tail_probability,
        long=quote.long,
        short=quote.short,
    )


class Instruments(Struct, frozen=True):
    """Names of all instruments, in order."""

    instruments: list[str]


class QuotePage(Struct, frozen=True):
    """Quotes, and where the list goes on; ``next`` is null at its end."""

    quotes: list[Quote]
    next: str | None


class History(Struct, frozen=True):
    """Last quotes of one instrument, oldest first."""

    quotes: list[Quote]


class Receipts(Struct, frozen=True):
    """What became of each observation, in the order in which they were sent."""

    receipts: list[Receipt]


class AuditPage(Struct, frozen=True):
    """Entries, oldest first; ``next`` is null when there are no more yet."""

    entries: list[AuditEntry]
    next: str | None


class Alive(Struct, frozen=True):
    """The process answers."""

    alive: bool = True
