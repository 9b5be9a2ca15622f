"""Inspection says what is there, and goes on where loading would stop."""

import pandas as pd
import pytest

from foremargin.errors import InputError
from foremargin.markets import Severity, inspect_source


def test_a_report_says_what_there_is_per_instrument(make_bars, write):
    write(make_bars("2024-01-01 08:00"), "all/A.parquet")
    folder = write(make_bars(n=30, step="1D"), "all/B.parquet").parent
    report = inspect_source(folder, period="1D")
    a, b = report.instruments
    assert (a.instrument, a.n_bars, a.n_periods, a.bar_length_text) == ("A", 240, 9, "1h")
    assert a.first == pd.Timestamp("2024-01-01 08:00", tz="UTC")
    assert a.last == pd.Timestamp("2024-01-11 08:00", tz="UTC")
    assert (b.bar_length, b.n_periods) == (pd.Timedelta("1D"), 30)
    assert "close" in b.columns
    assert not report.has_errors
    assert report.frame()["n_bars"].tolist() == [240, 30]


def test_one_broken_file_hides_no_other(make_bars, write):
    write(make_bars(), "all/GOOD.parquet")
    broken = write(make_bars(), "all/WORSE.parquet")
    broken.write_bytes(b"not parquet")
    folder = write(make_bars().drop(columns="close"), "all/BAD.parquet").parent
    report = inspect_source(folder)
    assert [one.instrument for one in report.instruments] == ["BAD", "GOOD", "WORSE"]
    assert [f.check for f in report.findings] == ["missing-column", "unreadable-file"]
    assert report.count(Severity.ERROR) == 2


def test_the_most_severe_finding_comes_first(make_bars, write):
    write(make_bars().assign(extra=1), "all/A.parquet")
    write(make_bars().drop(index=5), "all/B.parquet")
    folder = write(make_bars().drop(columns="close"), "all/C.parquet").parent
    report = inspect_source(folder)
    assert [f.severity for f in report.findings] == ["error", "warning", "info"]
    assert report.findings_frame()["severity"].tolist() == ["error", "warning", "info"]


def test_a_period_that_does_not_fit_the_bars_is_an_error_of_that_instrument(make_bars, write):
    report = inspect_source(write(make_bars(step="1D")), period="1h")
    (finding,) = report.findings
    assert finding.severity is Severity.ERROR
    assert "must be a whole multiple of the bar length, which is 1D, was 1h" in finding.detail


def test_a_period_that_is_no_length_of_time_is_refused(make_bars, write):
    with pytest.raises(InputError, match="period must divide a day"):
        inspect_source(write(make_bars()), period="often")
