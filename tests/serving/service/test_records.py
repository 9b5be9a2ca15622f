"""Quotes are encoded once: journal and table share the bytes."""

from foremargin.serving.quote import Basis, Quote, SideMargin, Status
from foremargin.serving.service.records import Made, Quoted, decode_quoted, encode, encode_quoted
from foremargin.serving.table import QuoteTable, encoded

SIDE = SideMargin(initial_margin_bps=7, maintenance_margin_bps=5, components={"target": 7.0})


def made(name: str, since: int | None) -> Made:
    """Return a quote with what the ladder was told."""
    quote = Quote(
        instrument=name,
        sequence=2,
        status=Status.STALE,
        basis=Basis.LAST_GOOD,
        reason='"why"',
        observed_at=1,
        quoted_at=2,
        valid_until=3,
        long=SIDE,
        short=SIDE,
    )
    return Made(quote=quote, doubt="a doubt", waiting_since=since)


def test_a_record_from_the_bytes_of_quotes_is_the_record_of_the_quotes() -> None:
    quotes = [made("A", None), made("B", 9)]
    content = encode_quoted(4, quotes, [encoded(one.quote) for one in quotes])
    assert content == encode(Quoted(applied=4, quotes=quotes))
    assert decode_quoted(content).quotes == quotes


def test_rows_that_were_encoded_before_are_taken_as_they_are() -> None:
    row, table = encoded(made("A", None).quote), QuoteTable()
    table.write([made("B", None).quote])
    table.take([row])
    assert table.rows["A"] is row
    assert set(table.rows) == {"A", "B"}
