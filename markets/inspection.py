"""Inspection: what a source holds and what is wrong with it, without stopping at errors."""

from dataclasses import dataclass

import pandas as pd

from ..errors import InputError
from .aggregation import aggregate, parse_period
from .bars import CheckedTable, check_table
from .findings import Finding, Severity, findings_frame, most_severe_first
from .rules import span
from .sources import Targets, read_tables, targets_of


@dataclass(frozen=True, kw_only=True, eq=False)
class InstrumentReport:
    """What a source holds of one instrument.

    Attributes
    ----------
    instrument, origin : str
        Whose bars, and where they come from.
    n_bars : int
        Rows; 0 if the file cannot be read.
    first, last : pandas.Timestamp or None
        Start of the first and end of the last bar, UTC; None where times cannot be read.
    bar_length : pandas.Timedelta or None
        Most common step between bars.
    n_periods : int or None
        Periods with bars; None if no period was asked for or an error stands in the way.
    columns : tuple of str
        Columns of the file that a bar file may have.
    findings : tuple of Finding
        Everything the checks found, errors included.
    """

    instrument: str
    origin: str
    n_bars: int
    first: pd.Timestamp | None
    last: pd.Timestamp | None
    bar_length: pd.Timedelta | None
    n_periods: int | None
    columns: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def bar_length_text(self) -> str:
        """Bar length as a period is written, for example ``1h``; empty if unknown."""
        return "" if self.bar_length is None else span(self.bar_length.value)


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
        names = ["instrument", "first", "last", "n_bars", "bar_length", "n_periods", "columns"]
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
    tables = [check_table(table) for table in read_tables(paths_or_source)]
    return SourceReport(
        source=", ".join(str(target) for target in targets_of(paths_or_source)),
        instruments=tuple(_report(table, length) for table in tables),
    )


def _report(checked: CheckedTable, period: int | None) -> InstrumentReport:
    n_periods, more = _in_periods(checked, period)
    frame = checked.table.frame
    return InstrumentReport(
        instrument=checked.table.instrument,
        origin=checked.table.origin,
        n_bars=0 if frame is None else len(frame),
        first=checked.first,
        last=checked.last,
        bar_length=checked.bar_length,
        n_periods=n_periods,
        columns=() if frame is None else tuple(map(str, frame.columns)),
        findings=(*checked.findings, *more),
    )


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
