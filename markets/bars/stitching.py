"""Stitching: one instrument from several files, cut anywhere, with bars of one or many lengths."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, groupby

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..calendars import trades_every_day
from ..findings import Finding, Severity
from ..parsing import DAY_NS, distinct
from ..rules import plural, span, stamp
from .aggregation import Periods, aggregate, log_return_of
from .cleaning import Bars
from .period_findings import partial_periods
from .pieces import Piece, piece_of

__all__ = ["Piece", "Stitched", "clashes", "piece_of", "stitch"]

# Closes of one instrument agree to rounding, whatever the bar length; those of a spot and its
# perpetual, or of two venues, differ by some basis points most of the time.
_SAME_CLOSE = 1e-5

_PARTIAL = "partial-period"


@dataclass(frozen=True, kw_only=True, eq=False)
class Stitched:
    """One instrument.

    Attributes
    ----------
    periods : Periods
        Its periods, from whichever piece knows each best.
    closes : Bars
        Those of the finest length with no other column than the close; none if they are as long as
        the period.
    errors : tuple of Finding
        Why the pieces cannot be one instrument.
    """

    periods: Periods
    closes: Bars
    errors: tuple[Finding, ...] = ()


def stitch(pieces: Sequence[Piece], *, period: int) -> Stitched:
    """Make one instrument of several pieces.

    Pieces of one bar length give what a single file would have given, wherever they were cut;
    where they overlap, the one that starts first is used. Where bars of several lengths overlap,
    the finer ones are used, period by period.

    Parameters
    ----------
    pieces : sequence of Piece
        All of one instrument, at least one.
    period : int
        Length of a period, nanoseconds.
    """
    if len(pieces) == 1:
        return Stitched(periods=pieces[0].periods, closes=pieces[0].closes)
    # Coarse before fine; what comes later covers what came before.
    order = sorted(pieces, key=lambda piece: (-piece.length, piece.edges.start[0]))
    clash = tuple(clashes(order))
    if clash:
        return Stitched(periods=order[-1].periods, closes=order[-1].closes, errors=clash)
    every_day = _trades_every_day(order, period)
    merged = _merged(
        [
            _of_one_length(list(same), period, every_day=every_day)
            for _, same in groupby(order, key=lambda piece: piece.length)
        ]
    )
    finest = [piece.closes for piece in order if piece.length == order[-1].length]
    found = [*_kept_findings(pieces), *_partial(order, merged, period), _told(order)]
    return Stitched(
        periods=replace(merged, every_day=every_day, findings=tuple(found)),
        closes=_joined(finest, every_day=every_day),
    )


def _trades_every_day(pieces: Sequence[Piece], period: int) -> bool:
    """Whether the whole history has weekends, where a short piece may have none."""
    if any(piece.periods.every_day for piece in pieces):
        return True
    starts = np.concatenate([piece.periods.start for piece in pieces])
    return period <= DAY_NS and trades_every_day(starts)


def _of_one_length(pieces: Sequence[Piece], period: int, *, every_day: bool) -> Periods:
    """Return the periods of pieces of one bar length, in order of their start.

    A period inside a piece is as the piece has it. One at an end of every piece that has it is
    made again from the bars of all of them, with the bars before it.
    """
    if len(pieces) == 1:
        return pieces[0].periods
    inside = [
        _periods_at(piece.periods, piece.has_inside(piece.periods.start, period))
        for piece in reversed(pieces)
    ]
    edges = aggregate(
        _joined([piece.edges for piece in pieces], every_day=every_day), period=period
    )
    again = np.ones(len(edges.start), dtype=np.bool_)
    for piece in pieces:
        again &= ~piece.has_inside(edges.start, period)
    return _merged([*inside, _periods_at(edges, again)])


def _merged(layers: Sequence[Periods]) -> Periods:
    """Return all periods, each from the last layer that has it."""
    start = distinct(np.concatenate([layer.start for layer in layers]))
    names = dict.fromkeys(name for layer in layers for name in layer.values)
    values = {name: np.full(len(start), np.nan) for name in names}
    traded = np.zeros(len(start), dtype=np.bool_)
    for layer in layers:
        rows = np.searchsorted(start, layer.start)
        traded[rows] = layer.traded
        for name in names:
            values[name][rows] = layer.values.get(name, np.nan)
    values["log_return"] = log_return_of(values["close"])
    return replace(layers[-1], start=start, traded=traded, values=values)


def _periods_at(periods: Periods, rows: NDArray[np.bool_]) -> Periods:
    values = {name: column[rows] for name, column in periods.values.items()}
    return replace(periods, start=periods.start[rows], traded=periods.traded[rows], values=values)


def _joined(bars: Sequence[Bars], *, every_day: bool) -> Bars:
    """Return the bars of all, in order; of bars that start together, the first that is given."""
    start, rows = np.unique(np.concatenate([one.start for one in bars]), return_index=True)
    names = dict.fromkeys(name for one in bars for name in one.columns)
    columns = {
        name: np.concatenate(
            [one.columns.get(name, np.full(len(one.start), np.nan)) for one in bars]
        )
        for name in names
    }
    return replace(
        bars[0],
        start=start,
        every_day=every_day,
        columns={name: column[rows] for name, column in columns.items()},
    )


def clashes(pieces: Sequence[Piece]) -> Iterator[Finding]:
    """List pairs of pieces of one name whose closes are not those of one instrument."""
    for one, other in combinations(pieces, 2):
        differences = _differences(one, other)
        if len(differences) and np.median(differences) > _SAME_CLOSE:
            name = one.periods.instrument
            yield Finding(
                check="duplicate-instrument",
                severity=Severity.ERROR,
                instrument=name,
                count=len(differences),
                detail=f"an instrument must come from one market, found {name!r} in {one.origin} "
                f"and {other.origin}, whose closes differ by a median of "
                f"{1e4 * np.median(differences):.2g} basis points; leave one out, name them apart, "
                "or give each its venue in a market file",
            )


def _differences(one: Piece, other: Piece) -> NDArray[np.float64]:
    """Return sizes of the log differences of the closes of bars that end together."""
    if one.edges.start[-1] < other.edges.start[0] or other.edges.start[-1] < one.edges.start[0]:
        return np.zeros(0)
    (left_end, left), (right_end, right) = one.known_closes(), other.known_closes()
    _, i, j = np.intersect1d(left_end, right_end, assume_unique=True, return_indices=True)
    return np.asarray(np.abs(np.log(left[i] / right[j])))


def _kept_findings(pieces: Sequence[Piece]) -> Iterator[Finding]:
    """Yield what was found in the pieces, but for the ends that are not ends any more."""
    for piece in pieces:
        yield from (f for f in piece.periods.findings if f.check != _PARTIAL)


def _partial(order: Sequence[Piece], merged: Periods, period: int) -> Iterator[Finding]:
    first = min(order, key=lambda piece: piece.edges.start[0])
    last = max(order, key=lambda piece: piece.edges.start[-1])
    for piece, start in ((first, first.first(period)), (last, last.last(period))):
        if start not in merged.start:
            yield from partial_periods(piece.edges, np.array([start]), period=period)


def _told(order: Sequence[Piece]) -> Finding:
    """Say what was stitched, and how well the pieces agree where they overlap."""
    in_time = sorted(order, key=lambda piece: piece.edges.start[0])
    parts = [
        f"{piece.origin} ({span(piece.length)} from {stamp(_time(piece.edges.start[0]))})"
        for piece in in_time
    ]
    differences = np.concatenate([_differences(*pair) for pair in combinations(order, 2)])
    off = differences[differences > _SAME_CLOSE]
    agreement = ""
    if len(differences):
        worst = f", by up to {100 * np.expm1(off.max()):.2g} %" if len(off) else ""
        agreement = f"; {len(off):,} of {plural(len(differences), 'common close')} differ{worst}"
    shown = ", ".join(parts[:4]) + (f" and {len(parts) - 4} more" if len(parts) > 4 else "")
    name = order[0].periods.instrument
    return Finding(
        check="stitched",
        severity=Severity.WARNING if len(off) else Severity.INFO,
        instrument=name,
        count=len(order),
        first=_time(in_time[0].edges.start[0]),
        last=_time(max(piece.edges.start[-1] for piece in order)),
        detail=f"{name} is stitched from {shown}; where they overlap the finer bars are used, and "
        f"of equal ones those that start first{agreement}",
    )


def _time(nanoseconds: np.int64) -> pd.Timestamp:
    return pd.Timestamp(int(nanoseconds), tz="UTC")
