"""Quality checks of bar tables: pandera schemas whose failure cases become findings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..calendars import trades_every_day
from ..columns import TIME_COLUMNS, UNKNOWN_COLUMNS
from ..findings import Finding, Severity
from ..parsing import DAY_NS, bar_starts, distinct, nanoseconds, time_column_of, to_numbers, to_utc
from ..rules import finding_of, plural, some_of, stamp
from .prices import bad_ticks, carried_prices, final_collapse, scale_jumps, stale_prices
from .schemas import MISSING_COLUMN, bar_schema, failures, is_unknown_volume, raw_schema
from .series import Series, series_of
from .times import mixed_lengths, shifted_clock, times_to_come
from .values import constant_columns, crossed_quotes, volume_jumps

SERIES_CHECKS: tuple[Callable[[Series], Iterator[Finding]], ...] = (
    bad_ticks,
    scale_jumps,
    stale_prices,
    carried_prices,
    final_collapse,
    shifted_clock,
    mixed_lengths,
    times_to_come,
    volume_jumps,
    constant_columns,
    crossed_quotes,
)
"""Checks of what no single bar can show; a new one is a function and a line here."""

# Between bars of a market that closes, only a hole longer than this is called a gap: shorter ones
# are nights, weekends and holidays.
_LONGEST_HOLIDAY_NS = 7 * DAY_NS


@dataclass(frozen=True, kw_only=True, eq=False)
class Examination:
    """A bar table that was read as numbers, and everything that is wrong with it.

    Attributes
    ----------
    frame : pandas.DataFrame or None
        `time` (start of the bar, datetime64[ns, UTC]) and the numeric columns as float64, rows in
        the order of the file; None where an error leaves nothing to work with.
    bar_length : pandas.Timedelta or None
        Most common step between bars.
    findings : tuple of Finding
        Failed checks, errors among them.
    """

    frame: pd.DataFrame | None
    bar_length: pd.Timedelta | None
    findings: tuple[Finding, ...]


def check_bars(frame: pd.DataFrame, *, instrument: str) -> list[Finding]:
    """Check a bar table against the canonical form; nothing is raised and nothing is changed.

    Parameters
    ----------
    frame : pandas.DataFrame, one row per bar
        Columns of a canonical bar file: ``open_time`` or ``close_time`` (zoned), ``close``, and
        optionally open, high, low, volume and the others of
        :data:`foremargin.markets.columns.COLUMNS`.
    instrument : str
        Whose bars; findings carry the name.

    Returns
    -------
    list of Finding
        Empty for a healthy table. Findings of severity ERROR stop :func:`load_panel`.

    Examples
    --------
    >>> time = pd.date_range("2024-01-01", periods=3, freq="1h", tz="UTC")
    >>> bars = pd.DataFrame({"open_time": time, "close": [1.0, -2.0, 3.0]})
    >>> [finding.check for finding in check_bars(bars, instrument="X")]
    ['non-positive-price']
    """
    return list(examine(frame, instrument=instrument, origin=instrument).findings)


def examine(frame: pd.DataFrame, *, instrument: str, origin: str) -> Examination:
    """Read a bar table as numbers and list everything that is wrong with it."""
    if not (pd.api.types.is_integer_dtype(frame.index) and frame.index.is_unique):
        frame = frame.reset_index(drop=True)
    raw = _raw_findings(frame, instrument=instrument, origin=origin)
    if frame.empty and not raw:
        detail = f"{origin}: a bar file must have rows, found none; write it again"
        raw = [
            _finding(
                check="empty-file", severity=Severity.ERROR, instrument=instrument, detail=detail
            )
        ]
    if any(finding.check in _FATAL for finding in raw):
        return Examination(frame=None, bar_length=None, findings=tuple(raw))
    bars, length = _parse(frame)
    found = [
        *_value_findings(bars, instrument=instrument, origin=origin),
        *_table_findings(bars, instrument=instrument, origin=origin),
    ]
    if length:
        found += _gap_findings(bars, length, instrument=instrument, origin=origin)
        found += _series_findings(bars, length, instrument=instrument, origin=origin)
    if raw:  # a text cell reads as NaN, which would be listed a second time as a warning
        found = [finding for finding in found if finding.severity is Severity.ERROR]
    bar_length = pd.Timedelta(length, unit="ns") if length else None
    _blank_crossed(bars)
    return Examination(frame=bars, bar_length=bar_length, findings=(*raw, *_without_repeats(found)))


_FATAL = frozenset({"empty-file", "missing-column", "naive-time", "unparsable-time"})


def _parse(frame: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    name = time_column_of(frame)
    times = nanoseconds(to_utc(frame[name]))
    starts, length = bar_starts(times, ends=name == "close_time")
    bars = to_numbers(frame)
    bars.insert(0, "time", pd.DatetimeIndex(starts, tz="UTC"))
    return bars, length


def _raw_findings(frame: pd.DataFrame, *, instrument: str, origin: str) -> list[Finding]:
    findings = []
    for failure in failures(raw_schema(frame), frame):
        if failure.check == MISSING_COLUMN:
            names = [*map(str, frame.columns), *frame.attrs.get(UNKNOWN_COLUMNS, ())]
            detail = (
                f"{origin}: a bar file must have the column {_needed(failure.column)}, "
                f"found {some_of(names)}; add or rename it"
            )
            findings.append(
                _finding(
                    check=MISSING_COLUMN,
                    severity=Severity.ERROR,
                    instrument=instrument,
                    detail=detail,
                )
            )
            continue
        finding = finding_of(
            failure,
            instrument=instrument,
            origin=origin,
            times=None,
            values=frame[failure.column],
        )
        findings.append(finding)
    return findings


def _needed(column: str) -> str:
    return " or ".join(map(repr, TIME_COLUMNS)) if column in TIME_COLUMNS else repr(column)


def _value_findings(bars: pd.DataFrame, *, instrument: str, origin: str) -> list[Finding]:
    return [
        finding_of(
            failure,
            instrument=instrument,
            origin=origin,
            times=bars["time"],
            values=bars[failure.column],
        )
        for failure in failures(bar_schema(bars), bars)
    ]


def _table_findings(bars: pd.DataFrame, *, instrument: str, origin: str) -> list[Finding]:
    """List what no single bar can fail."""
    findings = []
    if bars["time"].min() == bars["time"].max():
        detail = f"{origin}: a bar file must have two bars to show the bar length, found one"
        findings.append(
            _finding(
                check="single-bar",
                severity=Severity.ERROR,
                instrument=instrument,
                detail=f"{detail}; add more history",
            )
        )
    if bars["close"].isna().all():
        detail = f"{origin}: column 'close' must have values, found none; write the file again"
        findings.append(
            _finding(
                check="no-price", severity=Severity.ERROR, instrument=instrument, detail=detail
            )
        )
    if "volume" in bars and is_unknown_volume(bars["volume"]):
        detail = f"{origin}: column 'volume' is zero in every bar; volume counts as unknown"
        findings.append(
            _finding(
                check="volume-unknown",
                severity=Severity.WARNING,
                instrument=instrument,
                detail=detail,
                count=len(bars),
            )
        )
    return findings


def _series_findings(
    bars: pd.DataFrame, length: int, *, instrument: str, origin: str
) -> list[Finding]:
    series = series_of(bars, length, instrument=instrument, origin=origin)
    if not len(series.close):
        return []
    return [finding for check in SERIES_CHECKS for finding in check(series)]


def _without_repeats(findings: list[Finding]) -> list[Finding]:
    """Leave out bars without volume where every one of them is listed as a flat bar."""
    flat = {finding.count for finding in findings if finding.check == "flat-bars"}
    return [f for f in findings if not (f.check == "zero-volume" and f.count in flat)]


def _blank_crossed(bars: pd.DataFrame) -> None:
    """Set quotes that the findings call unknown to NaN, in place."""
    if {"bid", "ask"} <= set(bars.columns):
        crossed = bars["bid"] > bars["ask"]
        quotes = [name for name in ("bid", "ask", "spread_bps") if name in bars]
        bars.loc[crossed, quotes] = np.nan


def _gap_findings(
    bars: pd.DataFrame, length: int, *, instrument: str, origin: str
) -> list[Finding]:
    """List holes between bars: every missing bar of a market that never closes, else long holes.

    Bars without a close are listed by a check of their own and are no gap here, but they do not
    make a market one that trades every day: tables are often padded with empty weekends.
    """
    times = nanoseconds(bars["time"])
    every_day = trades_every_day(times[bars["close"].notna().to_numpy()])
    starts = distinct(times)
    steps = np.diff(starts)
    longest = max(length, _LONGEST_HOLIDAY_NS)
    holes = np.flatnonzero(steps >= 2 * length if every_day else steps > longest)
    if not len(holes):
        return []
    n_missing = int((steps[holes] // length - 1).sum()) if every_day else len(holes)
    first = pd.Timestamp(int(starts[holes[0]]) + length, tz="UTC")
    last = pd.Timestamp(int(starts[holes[-1] + 1]) - length, tz="UTC")
    found = plural(n_missing, "bar") + " missing in " if every_day else ""
    detail = (
        f"{origin}: bars should follow each other, found {found}{plural(len(holes), 'gap')} "
        f"(first: {stamp(first)}); returns and realised variance span the gap"
    )
    return [
        Finding(
            check="gap",
            severity=Severity.WARNING,
            instrument=instrument,
            count=n_missing,
            first=first,
            last=last,
            detail=detail,
        )
    ]


def _finding(
    *, check: str, severity: Severity, instrument: str, detail: str, count: int = 1
) -> Finding:
    return Finding(
        check=check, severity=severity, instrument=instrument, count=count, detail=detail
    )
