"""Reads of one instrument, as bytes: the same for the fast path and for the documented routes."""

from msgspec import Struct
from msgspec.json import Encoder

from ..ports import Clock
from ..table import EncodedQuote, QuoteTable
from .answers import JSON, Answer, Header
from .problems import NO_FORECAST, UNKNOWN_INSTRUMENT, ProblemError

_NO_CACHE: Header = (b"cache-control", b"no-cache")
_encode = Encoder().encode


class Ready(Struct, frozen=True, kw_only=True):
    """What can be said of a quote before anybody asks.

    Attributes
    ----------
    row : EncodedQuote
        It.
    body : bytes
        What is sent of it.
    headers : tuple of headers
        Those that do not change while it is the last one.
    start, start_unchanged : bytes
        Status line and headers of the answer as they are sent, and of the one that says that
        nothing has changed.
    """

    row: EncodedQuote
    body: bytes
    headers: tuple[Header, ...]
    start: bytes
    start_unchanged: bytes


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
        self._margins: dict[str, Ready] = {}
        self._forecasts: dict[str, Ready] = {}

    def margin(self, instrument: str, if_none_match: bytes | None) -> Answer | None:
        """Return the last quote, or 304; None if there is no such instrument."""
        ready = self.ready_margin(instrument)
        return None if ready is None else self._answer(ready, if_none_match)

    def forecast(self, instrument: str, if_none_match: bytes | None) -> Answer | None:
        """Return the calculation of the last quote, or 304; None if there is none."""
        ready = self.ready_forecast(instrument)
        return None if ready is None else self._answer(ready, if_none_match)

    def ready_margin(self, instrument: str) -> Ready | None:
        """Return the last quote as it is sent; None if there is no such instrument."""
        row = self._table.rows.get(instrument)
        if row is None:
            return None
        known = self._margins.get(instrument)
        if known is None or known.row is not row:
            known = self._margins[instrument] = _ready(row, row.body)
        return known

    def ready_forecast(self, instrument: str) -> Ready | None:
        """Return the calculation of the last quote as it is sent; None if there is none."""
        row = self._table.rows.get(instrument)
        if row is None or row.quote.calculation is None:
            return None
        known = self._forecasts.get(instrument)
        if known is None or known.row is not row:
            known = self._forecasts[instrument] = _ready(row, _encode(row.quote.calculation))
        return known

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

    def _answer(self, ready: Ready, if_none_match: bytes | None) -> Answer:
        headers, observed_at = ready.headers, ready.row.quote.observed_at
        if observed_at:
            age = (self._now() - observed_at) // 1_000_000_000
            headers = (*headers, (b"age", b"%d" % (age if age > 0 else 0)))
        if if_none_match is not None and matches(if_none_match, etag=ready.row.etag):
            return Answer(status=304, headers=headers[1:])
        return Answer(body=ready.body, headers=headers)


def _ready(row: EncodedQuote, body: bytes) -> Ready:
    status = row.quote.status.value.encode()
    headers = (JSON, (b"etag", row.etag), _NO_CACHE, (b"foremargin-status", status))
    lines = [b"%b: %b\r\n" % header for header in headers]
    length = b"content-length: %d\r\n" % len(body)
    return Ready(
        row=row,
        body=body,
        headers=headers,
        start=b"".join((b"HTTP/1.1 200 OK\r\n", *lines, length)),
        start_unchanged=b"".join((b"HTTP/1.1 304 Not Modified\r\n", *lines[1:])),
    )


def matches(if_none_match: bytes, *, etag: bytes) -> bool:
    """Return whether one of the tags of a list is this one; weak ones compare as strong ones do."""
    if if_none_match == etag or if_none_match.strip() == b"*":
        return True
    tags = (tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b","))
    return etag in tags
