"""The table of quotes as the bytes that are sent: written by one thread, read by any."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from msgspec import Struct
from msgspec.json import Encoder

from .quote import Quote

_encode = Encoder().encode


class EncodedQuote(Struct, frozen=True, kw_only=True, gc=False):
    """A quote, and its JSON.

    Attributes
    ----------
    quote : Quote
        What it says.
    body : bytes
        Its JSON; age is not in it, since the bytes stay the same while it grows.
    etag : bytes
        Sequence and moment (hexadecimal) of the quote in double quotes, for
        ``If-None-Match``.
    """

    quote: Quote
    body: bytes
    etag: bytes


class QuoteTable:
    """Last quote of every instrument.

    A write replaces the whole mapping in one assignment, so that a reader sees either all of a
    batch or nothing of it and needs no lock.
    """

    def __init__(self) -> None:
        self._rows: Mapping[str, EncodedQuote] = MappingProxyType({})

    @property
    def rows(self) -> Mapping[str, EncodedQuote]:
        """By instrument, at one moment; it will not change."""
        return self._rows

    def write(self, quotes: Iterable[Quote]) -> None:
        """Replace the quotes of some instruments."""
        self.take(map(encoded, quotes))

    def take(self, rows: Iterable[EncodedQuote]) -> None:
        """Replace the quotes of some instruments by ones that were encoded before."""
        changed = {row.quote.instrument: row for row in rows}
        self._rows = MappingProxyType({**self._rows, **changed})


def encoded(quote: Quote) -> EncodedQuote:
    """Return a quote with its bytes, which journal and table share."""
    etag = f'"{quote.sequence}-{quote.quoted_at:x}"'
    return EncodedQuote(quote=quote, body=_encode(quote), etag=etag.encode())
