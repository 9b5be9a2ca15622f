"""What the quality checks found: a record per defect, never a silent repair."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import pandas as pd


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """The data cannot be used as they are; loading stops."""
    WARNING = "warning"
    """The data are used, and the finding says how the defect is handled."""
    INFO = "info"
    """Worth knowing; nothing had to be done."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One defect of one instrument's data.

    Attributes
    ----------
    check : str
        Name of the check, for example ``gap`` or ``duplicate-time``.
    severity : Severity
        Whether loading stops.
    instrument : str
        Whose data.
    count : int
        How many bars are affected.
    first, last : pandas.Timestamp or None
        The first and the last affected bar, UTC; None where time does not apply.
    detail : str
        One sentence: what was found, and what was done or has to be done.
    """

    check: str
    severity: Severity
    instrument: str
    count: int
    first: pd.Timestamp | None = None
    last: pd.Timestamp | None = None
    detail: str


def most_severe_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings sorted by severity, then instrument, then check."""
    order = list(Severity)
    return sorted(findings, key=lambda f: (order.index(f.severity), f.instrument, f.check))


def findings_frame(findings: Iterable[Finding]) -> pd.DataFrame:
    """Return findings as a table, one row each, most severe first."""
    columns = ["severity", "instrument", "check", "count", "first", "last", "detail"]
    rows = [
        [f.severity.value, f.instrument, f.check, f.count, f.first, f.last, f.detail]
        for f in most_severe_first(findings)
    ]
    return pd.DataFrame(rows, columns=columns)
