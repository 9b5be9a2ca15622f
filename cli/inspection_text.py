"""What a source holds, in the terminal."""

import pandas as pd
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from ..markets import InstrumentReport, Severity, SourceReport

_STYLE = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "dim"}


def print_report(report: SourceReport, console: Console) -> None:
    """Print what is there per instrument, then every finding, most severe first."""
    console.print(_contents(report))
    for line in _columns(report):
        console.print(line)
    if report.findings:
        _show_findings(report, console)
    else:
        console.print("No findings.")


def _contents(report: SourceReport) -> Table:
    table = Table(
        title=f"Data in {report.source}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
    )
    for name in ("instrument", "from (UTC)", "to (UTC)", "bars", "length", "periods"):
        right = name in ("bars", "periods")
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for one in report.instruments:
        table.add_row(*_row(one))
    return table


def _row(one: InstrumentReport) -> tuple[str, ...]:
    return (
        one.instrument,
        _minute(one.first),
        _minute(one.last),
        f"{one.n_bars:,}",
        one.bar_length_text or "-",
        "-" if one.n_periods is None else f"{one.n_periods:,}",
    )


def _columns(report: SourceReport) -> list[str]:
    """Say which columns there are, once for all instruments that have the same."""
    by_columns: dict[tuple[str, ...], list[str]] = {}
    for one in report.instruments:
        by_columns.setdefault(tuple(one.columns), []).append(one.instrument)
    return [
        f"columns of {'all' if len(by_columns) == 1 else ', '.join(instruments)}: "
        f"{', '.join(columns) or 'none that is known'}"
        for columns, instruments in by_columns.items()
    ]


def _show_findings(report: SourceReport, console: Console) -> None:
    counts = [f"{report.count(severity)} {severity.value}" for severity in Severity]
    console.print(f"\nFindings: {', '.join(counts)}")
    for finding in report.findings:
        heading = f"{finding.severity.value}: {finding.instrument}, {finding.check}"
        if finding.first is not None:
            heading += f", {_minute(finding.first)} to {_minute(finding.last)}"
        console.print(heading, style=_STYLE[finding.severity])
        console.print(Padding(finding.detail, (0, 0, 0, 2)))


def _minute(time: pd.Timestamp | None) -> str:
    return "-" if time is None else f"{time:%Y-%m-%d %H:%M}"
