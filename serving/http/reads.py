"""Reads of one instrument, as bytes: the same for the fast path and for the documented routes."""

from msgspec.json import Encoder

from ..ports import Clock
from ..quote import Quote
from ..table import EncodedQuote, QuoteTable
from .answers import JSON, Answer, Header
from .problems import NO_FORECAST, UNKNOWN_INSTRUMENT, ProblemError

_NO_CACHE: Header = (b"cache-control", b"no-cache")
_encode = Encoder().encode


class Reads:
    """Margin and forecast of one instrument out of the table.

    Parameters
    ----------
    table : QuoteTable
        Last quotes.
    clock : Clock
        For the age.
    """

    def __init__(self, table: QuoteTable, *, clock: Clock) -> None:
        self._table, self._now = table, clock.now
        self._forecasts: dict[str, tuple[EncodedQuote, bytes]] = {}

    def margin(self, instrument: str, if_none_match: bytes | None) -> Answer | None:
        """Return the last quote, or 304; None if there is no such instrument."""
        row = self._table.rows.get(instrument)
        if row is None:
            return None
        return self._answer(row, row.body, if_none_match)

    def forecast(self, instrument: str, if_none_match: bytes | None) -> Answer | None:
        """Return the calculation of the last quote, or 304; None if there is none."""
        row = self._table.rows.get(instrument)
        if row is None or row.quote.calculation is None:
            return None
        known = self._forecasts.get(instrument)
        if known is None or known[0] is not row:
            known = (row, _encode(row.quote.calculation))
            self._forecasts[instrument] = known
        return self._answer(row, known[1], if_none_match)

    def row(self, instrument: str) -> EncodedQuote:
        """Return the last quote.

        Raises
        ------
        ProblemError
            If there is no such instrument.
        """
        row = self._table.rows.get(instrument)
        if row is None:
            raise ProblemError(UNKNOWN_INSTRUMENT, f"There is no instrument {instrument!r}.")
        return row

    def missing(self, instrument: str) -> ProblemError:
        """Return why there is no forecast of an instrument."""
        quote = self.row(instrument).quote
        said = f"{instrument} has the fixed margin: {quote.reason or 'nothing was computed yet'}."
        return ProblemError(NO_FORECAST, said)

    def _answer(self, row: EncodedQuote, body: bytes, if_none_match: bytes | None) -> Answer:
        etag = row.etag
        headers = ((b"etag", etag), _NO_CACHE, *self._marks(row.quote))
        if if_none_match is not None and (
            if_none_match == etag or matches(if_none_match, etag=etag)
        ):
            return Answer(status=304, headers=headers)
        return Answer(body=body, headers=(JSON, *headers))

    def _marks(self, quote: Quote) -> tuple[Header, ...]:
        status: Header = (b"foremargin-status", quote.status.value.encode())
        if quote.observed_at == 0:
            return (status,)
        age = (self._now() - quote.observed_at) // 1_000_000_000
        return (status, (b"age", b"%d" % max(0, age)))


def matches(if_none_match: bytes, *, etag: bytes) -> bool:
    """Return whether one of the tags of a list is this one; weak ones compare as strong ones do."""
    if if_none_match.strip() == b"*":
        return True
    tags = (tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b","))
    return etag in tags
