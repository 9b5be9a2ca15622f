"""Bars of several venues in one table, with the funding that each contract paid."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ...columns import COLUMNS
from ...findings import Severity
from ...listings import Kind, Listing
from ...rules import span
from ..tables import RawTable
from .form import FileTable, Form, Table, all_of, first_of
from .observing import Seen, observations, usual_step
from .units import FUNDING, PERCENT, is_percent
from .values import instants, numbers, origin_of, require_rows, rows_by

_TIMES = ("open_time", "time", "timestamp")
_VENUES = ("exchange", "venue")
_PAIRS = ("instrument", "pair", "symbol")
_KEY = "venue:pair"


def _claims(names: frozenset[str]) -> bool:
    has = [first_of(names, choices) for choices in (_TIMES, _VENUES, _PAIRS)]
    return None not in has and "close" in names


def _read(file: FileTable) -> Iterator[Table]:
    require_rows(file)
    frame = file.frame
    venue, pair = (first_of(file.names, one) or one[0] for one in (_VENUES, _PAIRS))
    named = frame.assign(**{_KEY: frame[venue].astype(str) + ":" + frame[pair].astype(str)})
    whole = FileTable(path=file.path, stem=file.stem, names=file.names, frame=named)
    for name, rows in rows_by(whole, _KEY):
        yield _bars(rows, name)
        yield from _funding(rows, name)


def _bars(file: FileTable, name: str) -> Table:
    column = first_of(file.names, _TIMES) or _TIMES[0]
    start = instants(file, column)
    frame = file.frame[[c for c in COLUMNS if c in file.frame and c != "funding_rate"]].copy()
    frame["open_time"] = pd.DatetimeIndex(start, tz="UTC")
    assumed = Seen(
        file=file, instrument=name, label=name, time=start, known_at=start, values={}
    ).finding(
        check="assumed-bar-start",
        severity=Severity.INFO,
        found=f"{column!r} is taken as the start of bars of {span(usual_step(start))}; if it is "
        "their end, rename it to 'close_time'",
    )
    return RawTable(
        instrument=name,
        origin=origin_of(file, name),
        frame=frame,
        findings=() if column == "open_time" else (assumed,),
        listing=_listing(file, name),
    )


def _listing(file: FileTable, name: str) -> Listing:
    """Say at which venue it trades, and what kind it is, as far as the table tells."""
    kind = Kind.UNKNOWN
    if "contract" in file.frame:
        word = str(file.frame["contract"].iloc[0]).lower()
        kind = Kind(word) if word in set(Kind) else Kind.UNKNOWN
    return Listing(instrument=name, kind=kind, venue=name.split(":")[0])


def _funding(file: FileTable, name: str) -> Iterator[Table]:
    if "funding_rate" not in file.frame:
        return
    rate = numbers(file, "funding_rate")
    known = np.isfinite(rate)
    if not known.any():
        return  # a spot pair pays none
    if is_percent(rate, FUNDING, column="funding_rate"):
        rate = rate / PERCENT
    time = instants(file, first_of(file.names, _TIMES) or _TIMES[0])
    seen = Seen(
        file=file,
        instrument=name,
        label=name,
        time=time[known],
        known_at=time[known],
        values={"funding_rate": rate[known]},
    )
    yield observations(seen)


VENUE_BARS = Form(
    name="bars of venues",
    columns="`time`, `exchange`, `pair`, `close`, perhaps `funding_rate`",
    claims=_claims,
    wanted=all_of,
    read=_read,
    holds_bars=True,
)
"""Instruments are named ``venue:pair``, so that no two venues are spliced."""
