"""Inspection: what a source holds and what is wrong with it, without stopping at errors."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from ...errors import InputError
from ..bars.aggregation import aggregate, parse_period
from ..bars.cleaning import CheckedTable, check_table
from ..bars.pieces import Piece, piece_of
from ..bars.stitching import clashes
from ..columns import REALIZED_COLUMNS
from ..findings import Finding, Severity, findings_frame, most_severe_first
from ..listings import Kind, Listing
from ..observations import Observations
from ..parsing import DAY_NS
from ..rules import span
from ..sources import RawTable, Targets, read_tables, targets_of
from .timelines import Timeline, coverage_of, timeline_of_bars, timeline_of_values


@dataclass(frozen=True, kw_only=True, eq=False)
class InstrumentReport:
    """What one table of a source holds: bars of an instrument, or observations.

    Attributes
    ----------
    instrument, origin : str
        Whose values, and where they come from; the names of the series for the market as a whole.
    form : str
        ``bars``, ``realised measures``, ``observations``, ``market series`` or ``unreadable``.
    listing : Listing
        What the instrument is, as far as the source says.
    n_bars : int
        Rows; 0 if the file cannot be read.
    first, last : pandas.Timestamp or None
        Start of the first and end of the last bar, or time of the first and the last value, UTC;
        None where times cannot be read.
    bar_length : pandas.Timedelta or None
        Most common step between bars, median step between values.
    coverage : float
        Rows as a share of those that would leave no hole, in [0, 1]; NaN if unknown. Weekends of
        a market that has them are no holes, holidays are.
    n_periods : int or None
        Periods with bars; None if no period was asked for or an error stands in the way.
    columns : tuple of str
        Columns that were read.
    findings : tuple of Finding
        Everything the checks found, errors included.
    timeline : Timeline or None
        Every row with its state, for drawing; None where nothing could be read.
    """

    instrument: str
    origin: str
    form: str
    listing: Listing
    n_bars: int
    first: pd.Timestamp | None
    last: pd.Timestamp | None
    bar_length: pd.Timedelta | None
    coverage: float
    n_periods: int | None
    columns: tuple[str, ...]
    findings: tuple[Finding, ...]
    timeline: Timeline | None

    @property
    def bar_length_text(self) -> str:
        """Bar length as a period is written, for example ``1h``; empty if unknown."""
        return "" if self.bar_length is None else span(self.bar_length.value)

    @property
    def kind(self) -> Kind:
        """What kind of instrument it is, as far as the source says."""
        return self.listing.kind


@dataclass(frozen=True, kw_only=True, eq=False)
class SourceReport:
    """What a source holds, one report per instrument.

    Attributes
    ----------
    source : str
        What was inspected, for people.
    instruments : tuple of InstrumentReport
        In the order of the source.
    """

    source: str
    instruments: tuple[InstrumentReport, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings, each once, most severe first."""
        once = dict.fromkeys(f for one in self.instruments for f in one.findings)
        return tuple(most_severe_first(once))

    @property
    def has_errors(self) -> bool:
        """Whether :func:`load_panel` would refuse these data."""
        return self.count(Severity.ERROR) > 0

    def count(self, severity: Severity) -> int:
        """Return how many findings are of this severity."""
        return sum(finding.severity is severity for finding in self.findings)

    def frame(self) -> pd.DataFrame:
        """Return a table: one row per instrument, times in UTC, lengths as timedeltas."""
        names = ["instrument", "form", "kind", "first", "last", "n_bars", "bar_length"]
        names += ["coverage", "n_periods", "columns"]
        rows = [[getattr(one, name) for name in names] for one in self.instruments]
        return pd.DataFrame(rows, columns=names)

    def findings_frame(self) -> pd.DataFrame:
        """Return the findings as a table, most severe first."""
        return findings_frame(self.findings)


def inspect_source(
    paths_or_source: Targets, *, period: str | pd.Timedelta | None = None
) -> SourceReport:
    """Report what a source holds; errors in the data are findings, not exceptions.

    Parameters
    ----------
    paths_or_source : str, path, or sequence of them
        As for :func:`load_panel`.
    period : str, pandas.Timedelta or None
        Also put the bars into periods of this length and report what is found then; None reports
        the bars alone.

    Raises
    ------
    InputError
        If there is nothing to inspect: a path does not exist, or the period is no length of time.

    Examples
    --------
    >>> [one.n_bars for one in inspect_source("arch").instruments]
    [5031, 5031, 8611]
    """
    length = None if period is None else parse_period(period)
    reports: list[InstrumentReport] = []
    pieces: dict[str, list[Piece]] = {}
    for table in read_tables(paths_or_source):
        if isinstance(table, Observations):
            reports.append(_report_of_values(table))
            continue
        checked = check_table(table)
        reports.append(_report_of_bars(checked, length))
        listing = table.listing or Listing.unknown(table.instrument)
        pieces.setdefault(listing.qualified, []).extend(_pieces(checked, length or DAY_NS))
    return SourceReport(
        source=", ".join(str(target) for target in targets_of(paths_or_source)),
        instruments=tuple(_with_clashes(report, pieces) for report in reports),
    )


def _pieces(checked: CheckedTable, period: int) -> Iterator[Piece]:
    if checked.bars is not None and period % checked.bars.length == 0:
        yield piece_of(checked.bars, period=period)


def _with_clashes(
    report: InstrumentReport, pieces: Mapping[str, Sequence[Piece]]
) -> InstrumentReport:
    """Add that files of one name cannot be one instrument."""
    found = tuple(clashes(pieces.get(report.listing.qualified, ())))
    return replace(report, findings=(*report.findings, *found))


def _report_of_bars(checked: CheckedTable, period: int | None) -> InstrumentReport:
    n_periods, more = _in_periods(checked, period)
    table, bars = checked.table, checked.bars
    columns = () if table.frame is None else tuple(map(str, table.frame.columns))
    findings = (*checked.findings, *more)
    timeline = None if bars is None else timeline_of_bars(bars, findings)
    return InstrumentReport(
        instrument=table.instrument,
        origin=table.origin,
        form=_form_of(table, columns),
        listing=table.listing or Listing.unknown(table.instrument),
        n_bars=0 if table.frame is None else len(table.frame),
        first=checked.first,
        last=checked.last,
        bar_length=checked.bar_length,
        coverage=coverage_of(timeline),
        n_periods=n_periods,
        columns=columns,
        findings=findings,
        timeline=timeline,
    )


def _form_of(table: RawTable, columns: tuple[str, ...]) -> str:
    if table.frame is None:
        return "unreadable"
    return "realised measures" if {*columns} & {*REALIZED_COLUMNS} else "bars"


def _report_of_values(table: Observations) -> InstrumentReport:
    names = tuple(table.values)
    label = ", ".join(names) if table.instrument is None else table.instrument
    timeline = timeline_of_values(table)
    return InstrumentReport(
        instrument=label,
        origin=table.origin,
        form="market series" if table.instrument is None else "observations",
        listing=Listing.unknown(label),
        n_bars=len(table.time),
        first=_stamp(table.time[0]) if len(table.time) else None,
        last=_stamp(table.time[-1]) if len(table.time) else None,
        bar_length=pd.Timedelta(timeline.length, unit="ns") if timeline else None,
        coverage=coverage_of(timeline),
        n_periods=None,
        columns=names,
        findings=table.findings,
        timeline=timeline,
    )


def _stamp(time: int) -> pd.Timestamp:
    return pd.Timestamp(int(time), tz="UTC")


def _in_periods(
    checked: CheckedTable, period: int | None
) -> tuple[int | None, tuple[Finding, ...]]:
    if checked.bars is None or period is None:
        return None, ()
    try:
        periods = aggregate(checked.bars, period=period)
    except InputError as error:
        finding = Finding(
            check="period",
            severity=Severity.ERROR,
            instrument=checked.table.instrument,
            count=1,
            detail=str(error),
        )
        return None, (finding,)
    return len(periods.start), periods.findings
