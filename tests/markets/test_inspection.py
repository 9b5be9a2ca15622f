"""Inspection says what is there, and goes on where loading would stop."""

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError
from foremargin.markets import Severity, inspect_source
from foremargin.markets.inspection.timelines import State


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


def test_a_report_tells_the_form_of_every_table(make_bars, write):
    days = pd.date_range("2024-01-01", periods=30, freq="1D", tz="UTC")
    write(make_bars(), "all/A.parquet")
    measures = {"date": days, "log_return": 0.01, "realized_variance": 1e-4}
    write(pd.DataFrame(measures), "all/B.parquet")
    seen = {"time": days, "known_at": days, "instrument": "C", "bid": 5.0}
    write(pd.DataFrame(seen), "all/C.parquet")
    folder = write(pd.DataFrame({"DATE": days, "DGS10": 4.0}), "all/D.parquet").parent
    forms = inspect_source(folder).frame().set_index("instrument")["form"].to_dict()
    assert forms == {
        "A": "bars",
        "B": "realised measures",
        "C": "observations",
        "DGS10": "market series",
    }


def test_coverage_is_the_share_of_rows_that_are_there(make_bars, make_sessions, write):
    hours = write(make_bars().drop(index=range(100, 124)), "A.parquet")
    assert inspect_source(hours).instruments[0].coverage == pytest.approx(216 / 240)
    sessions = make_sessions("2024-01-01", n=70, step="1D")
    whole = inspect_source(write(sessions, "B.parquet")).instruments[0]
    assert whole.coverage == 1.0
    holes = inspect_source(write(sessions.drop(index=[7, 8]), "C.parquet")).instruments[0]
    assert holes.coverage == pytest.approx(48 / 50)


def test_samples_in_bursts_cover_little_of_the_day(write):
    bursts = [pd.date_range(f"2024-01-01 {h}:00", periods=15, freq="1min") for h in (1, 5, 9)]
    times = pd.DatetimeIndex(np.concatenate(bursts), tz="UTC")
    frame = pd.DataFrame({"timestamp": times, "best_bid": 99.0, "best_ask": 101.0})
    (one,) = inspect_source(write(frame)).instruments
    assert one.coverage == pytest.approx(45 / (8 * 60 + 15))


def states_of(path):
    timeline = inspect_source(path).instruments[0].timeline
    assert timeline is not None
    return timeline.state


def test_a_timeline_tells_a_halt_from_a_market_that_is_flat(make_bars, write):
    bars = make_bars()
    bars.loc[100:101, ["open", "high", "low", "close"]] = bars["close"][99]
    bars.loc[100:101, "volume"] = 0.0
    states = states_of(write(bars))
    assert np.flatnonzero(states == State.HALTED).tolist() == [100, 101]
    for row in range(10, 240, 10):
        bars.loc[row, ["open", "high", "low", "close"]] = bars["close"][row - 1]
        bars.loc[row, "volume"] = 0.0
    states = states_of(write(bars))
    assert (states == State.FLAT).sum() == 24
    assert not (states == State.HALTED).any()
