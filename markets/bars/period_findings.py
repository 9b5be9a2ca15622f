"""What there is to say about the periods that bars were put into."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..findings import Finding, Severity
from ..parsing import DAY_NS
from ..rules import plural, span, stamp
from .cleaning import Bars


def off_grid_bars(bars: Bars, *, period: int) -> Iterator[Finding]:
    """List bars that end after the period in which they start."""
    late = bars.start % period + bars.length > period
    yield from _listed(
        bars,
        bars.start[late],
        check="off-grid",
        found=f"{plural(int(late.sum()), 'bar')} should end inside the {span(period)} period of "
        "their start and do not; the close of that period is known later than its time says",
    )


def partial_periods(bars: Bars, start: NDArray[np.int64], *, period: int) -> Iterator[Finding]:
    """List the first and last period that were left out."""
    yield from _listed(
        bars,
        start,
        check="partial-period",
        severity=Severity.INFO,
        found=f"bars cover only a part of {plural(len(start), 'period')} at the start or end of "
        "the data, left out",
    )


def short_periods(
    bars: Bars,
    start: NDArray[np.int64],
    *,
    counts: NDArray[np.int64],
    keep: NDArray[np.bool_],
    period: int,
) -> Iterator[Finding]:
    """List periods with fewer bars than usual.

    A market that never closes has ``period / bar length`` bars; the days of an exchange have the
    median count of its days. Other periods of an exchange have no usual count.
    """
    if bars.length == period or not (bars.every_day or period == DAY_NS):
        return
    usual = period // bars.length if bars.every_day else int(np.median(counts))
    short = keep & (counts < usual)
    n_short = int(short.sum())
    yield from _listed(
        bars,
        start[short],
        check="short-period",
        found=f"fewer than the usual {usual} bars in {plural(n_short, 'period')}, kept; the "
        "realised variance includes the return across the gap",
    )


def halted_periods(bars: Bars, start: NDArray[np.int64], *, period: int) -> Iterator[Finding]:
    """List periods in which nothing traded."""
    yield from _listed(
        bars,
        start,
        check="halted-period",
        found=f"bars but no volume in {plural(len(start), 'period')} of {span(period)}, halted; no "
        "values there",
    )


def no_whole_period(bars: Bars, *, n_kept: int, period: int) -> Iterator[Finding]:
    """Say that an instrument has no row in the panel."""
    if n_kept == 0:
        yield from _listed(
            bars,
            bars.start[:1],
            check="no-whole-period",
            found=f"the bars cover no whole period of {span(period)}; the instrument has no values",
        )


def _listed(
    bars: Bars,
    times: NDArray[np.int64],
    *,
    check: str,
    found: str,
    severity: Severity = Severity.WARNING,
) -> Iterator[Finding]:
    if not len(times):
        return
    first, last = (pd.Timestamp(int(times[i]), tz="UTC") for i in (0, -1))
    yield Finding(
        check=check,
        severity=severity,
        instrument=bars.instrument,
        count=len(times),
        first=first,
        last=last,
        detail=f"{bars.origin}: {found} (first: {stamp(first)})",
    )
