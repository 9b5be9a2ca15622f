"""What a source holds, in the terminal."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

import pandas as pd
from rich import box
from rich.console import Console, JustifyMethod
from rich.padding import Padding
from rich.table import Table

from ..markets import Finding, InstrumentReport, Kind, Severity, SourceReport

_STYLE = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "dim"}
_MOST_APART = 3  # findings of one check that are told one by one; more are told together
_RIGHT = ("rows", "coverage", "periods")
_WIDE = 110  # characters; a narrower terminal has no room for every column


def print_report(report: SourceReport, console: Console) -> None:
    """Print what is there per instrument, then every finding, most severe first."""
    console.print(_contents(report, width=console.width))
    for line in _columns(report):
        console.print(line)
    if report.findings:
        _show_findings(report, console)
    else:
        console.print("No findings.")


def _contents(report: SourceReport, *, width: int) -> Table:
    table = Table(
        title=f"Data in {report.source}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
    )
    left_out = {"form", "kind", "length", "periods"} if width < _WIDE else set()
    if all(one.kind is Kind.UNKNOWN for one in report.instruments):
        left_out.add("kind")
    names = [name for name in _CELLS if name not in left_out]
    for name in names:
        folds = name == "instrument"  # in a narrow terminal names give way, not numbers
        justify: JustifyMethod = "right" if name in _RIGHT else "left"
        table.add_column(name, justify=justify, no_wrap=not folds, overflow="fold")
    for one in report.instruments:
        table.add_row(*(_CELLS[name](one) for name in names))
    return table


def coverage_text(coverage: float) -> str:
    """Write a share as a percentage that is 100 % only if nothing is missing."""
    if math.isnan(coverage):
        return "-"
    return f"{math.floor(1e4 * coverage) / 100:.2f} %" if coverage < 1.0 else "100 %"


def _length(one: InstrumentReport) -> str:
    if one.bar_length is None:
        return "-"
    text = one.bar_length_text
    return f"{one.bar_length.total_seconds():.3g}s" if text.endswith("ns") else text


_CELLS: Mapping[str, Callable[[InstrumentReport], str]] = {
    "instrument": lambda one: one.instrument,
    "form": lambda one: one.form,
    "kind": lambda one: one.kind.value.replace("unknown", "-"),
    "from (UTC)": lambda one: _minute(one.first),
    "to (UTC)": lambda one: _minute(one.last),
    "rows": lambda one: f"{one.n_bars:,}",
    "length": lambda one: _length(one),
    "coverage": lambda one: coverage_text(one.coverage),
    "periods": lambda one: "-" if one.n_periods is None else f"{one.n_periods:,}",
}


def _columns(report: SourceReport) -> list[str]:
    """Say which columns there are, once for all instruments that have the same."""
    by_columns: dict[tuple[str, ...], list[str]] = {}
    for one in report.instruments:
        if one.form != "market series":  # its column is its name
            by_columns.setdefault(tuple(one.columns), []).append(one.instrument)
    alone = len(by_columns) == 1
    return [
        f"columns of {'all' if alone else _some(instruments)}: "
        f"{', '.join(columns) or 'none that is known'}"
        for columns, instruments in by_columns.items()
    ]


def _some(names: Sequence[str]) -> str:
    rest = len(names) - 6
    return ", ".join(names[:6]) + (f" and {rest} more" if rest > 0 else "")


def _show_findings(report: SourceReport, console: Console) -> None:
    counts = [f"{report.count(severity)} {severity.value}" for severity in Severity]
    console.print(f"\nFindings: {', '.join(counts)}")
    order = list(Severity)
    ranked = sorted(report.findings, key=lambda f: (order.index(f.severity), f.check))
    for _, group in groupby(ranked, key=lambda f: (f.severity, f.check)):
        alike = list(group)
        if len(alike) <= _MOST_APART:
            for finding in alike:
                _show(finding, console)
        else:
            _show_together(alike, console)


def _show(finding: Finding, console: Console) -> None:
    heading = f"{finding.severity.value}: {finding.instrument}, {finding.check}"
    if finding.first is not None:
        heading += f", {_minute(finding.first)} to {_minute(finding.last)}"
    console.print(heading, style=_STYLE[finding.severity])
    console.print(Padding(finding.detail, (0, 0, 0, 2)))


def _show_together(findings: Sequence[Finding], console: Console) -> None:
    """Tell many findings of one check as one, with the count of each instrument."""
    one = findings[0]
    total = sum(finding.count for finding in findings)
    counts = ", ".join(f"{finding.instrument} {finding.count:,}" for finding in findings)
    console.print(
        f"{one.severity.value}: {one.check}, {len(findings)} times, {total:,} in all",
        style=_STYLE[one.severity],
    )
    console.print(Padding(f"{counts}; for example {one.detail}", (0, 0, 0, 2)))


def _minute(time: pd.Timestamp | None) -> str:
    return "-" if time is None else f"{time:%Y-%m-%d %H:%M}"
