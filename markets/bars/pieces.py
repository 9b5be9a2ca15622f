"""Pieces: what is kept of one table of bars once it was put into periods."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .aggregation import Periods, aggregate
from .cleaning import Bars


@dataclass(frozen=True, kw_only=True, eq=False)
class Piece:
    """What is kept of one table of bars once it was put into periods.

    Attributes
    ----------
    periods : Periods
        Its periods.
    edges : Bars
        The bars at both ends, up to the first and from the last period inside that traded: what a
        period needs that is cut in two by the end of a file, or follows one that is.
    inside_from : int
        Start of the first period whose values need no other piece, nanoseconds.
    closes : Bars
        All bars with no other column than the close; none if they are as long as the period.
    """

    periods: Periods
    edges: Bars
    inside_from: int
    closes: Bars

    @property
    def origin(self) -> str:
        """Where the bars came from."""
        return self.edges.origin

    @property
    def length(self) -> int:
        """Bar length, nanoseconds."""
        return self.edges.length

    def first(self, period: int) -> int:
        """Return the start of the first period, nanoseconds."""
        return int(self.edges.start[0]) // period * period

    def last(self, period: int) -> int:
        """Return the start of the last period, nanoseconds."""
        return int(self.edges.start[-1]) // period * period

    def has_inside(self, starts: NDArray[np.int64], period: int) -> NDArray[np.bool_]:
        """Whether the piece alone gives the values of periods, shape of `starts`."""
        return np.asarray((starts >= self.inside_from) & (starts < self.last(period)))

    def known_closes(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return when bars end and where they closed; of halted bars as long as a period, none."""
        if len(self.closes.start):
            return self.closes.start + self.length, self.closes.columns["close"]
        close = self.periods.values["close"]
        priced = np.isfinite(close)
        return self.periods.start[priced] + self.length, close[priced]


def piece_of(bars: Bars, *, period: int) -> Piece:
    """Put bars into periods and keep what stitching needs.

    Parameters
    ----------
    bars : Bars
        Clean bars of one instrument.
    period : int
        Length of a period, nanoseconds.

    Raises
    ------
    InputError
        If the period is no multiple of the bar length.
    """
    periods = aggregate(bars, period=period)
    first, last = (int(time) // period * period for time in bars.start[[0, -1]])
    traded = periods.start[periods.traded & (periods.start > first) & (periods.start < last)]
    edges = np.arange(len(bars.start))
    inside_from = last
    if len(traded):
        # Returns run from the last bar that traded. The first period may be cut so that the rest
        # of it looks halted: what follows, up to one that did trade, depends on the whole of it.
        inside_from = int(traded[0]) + period
        head, tail = np.searchsorted(bars.start, [inside_from, traded[-1]])
        edges = np.concatenate([edges[:head], edges[max(head, tail) :]])
    return Piece(
        periods=periods,
        edges=_rows(bars, edges),
        inside_from=inside_from,
        closes=_closes(bars, slice(None) if bars.length < period else slice(0)),
    )


def _closes(bars: Bars, rows: slice) -> Bars:
    # A copy: the close may be a view that would keep the whole table in memory.
    return replace(
        bars,
        start=bars.start[rows].copy(),
        columns={"close": bars.columns["close"][rows].copy()},
    )


def _rows(bars: Bars, rows: NDArray[np.intp]) -> Bars:
    columns = {name: column[rows] for name, column in bars.columns.items()}
    return replace(bars, start=bars.start[rows], columns=columns)
