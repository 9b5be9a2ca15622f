"""One instrument from several files: as if it had been one, or refused."""

import weakref
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foremargin.errors import InputError
from foremargin.markets import Missing, RawTable, Severity, load_panel
from foremargin.markets.sources import registry


def finding(panel, check):
    (found,) = [one for one in panel.findings if one.check == check]
    return found


def assert_same(panel, expected):
    """Bit by bit, missing codes and calendars included."""
    np.testing.assert_array_equal(panel.time, expected.time)
    np.testing.assert_array_equal(panel.missing, expected.missing)
    np.testing.assert_array_equal(panel.periods_per_year, expected.periods_per_year)
    np.testing.assert_array_equal(panel.close, expected.close)
    np.testing.assert_array_equal(panel.log_return, expected.log_return)
    assert set(panel.fields) == set(expected.fields)
    for name, values in expected.fields.items():
        np.testing.assert_array_equal(panel.fields[name], values, err_msg=name)


@pytest.mark.slow
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cuts=st.lists(st.integers(1, 239).map(lambda k: 3 * k), min_size=1, max_size=4, unique=True),
    overlap=st.integers(0, 60),
    period=st.sampled_from(["1D", "8h", "1h"]),
    exchange=st.booleans(),
    order=st.randoms(use_true_random=False),
)
def test_a_history_cut_into_files_is_the_history(
    make_bars, make_sessions, write, cuts, overlap, period, exchange, order
):
    bars = (make_sessions if exchange else make_bars)("2024-01-03 05:00", n=24 * 30)
    bars.loc[100:130, "volume"] = 0.0
    edges = [0, *sorted(cut for cut in cuts if cut < len(bars) - 2), len(bars)]
    pieces = [bars.iloc[max(0, first - overlap) : last] for first, last in pairwise(edges)]
    paths = [write(piece, f"{k}/X.parquet") for k, piece in enumerate(pieces)]
    order.shuffle(paths)
    whole = load_panel(write(bars, "all/X.parquet"), period=period)
    assert_same(load_panel(paths, period=period), whole)


def test_days_in_files_of_their_own_make_a_history_with_weekends(make_bars, write):
    bars = make_bars(n=24 * 10)
    paths = [
        write(day, f"{start:%d}/X.parquet")
        for start, day in bars.groupby(bars["open_time"].dt.floor("D"))
    ]
    panel = load_panel(paths, period="8h")
    assert_same(panel, load_panel(write(bars), period="8h"))
    assert panel.periods_per_year.tolist() == [365 * 3]
    assert finding(panel, "stitched").count == 10


@pytest.fixture
def hourly_and_fine(make_bars):
    """Quarter-hour bars from the tenth day on, and hourly bars of the same path for all days."""
    fine = make_bars(n=4 * 24 * 20, step="15min")
    hours = fine.groupby(fine["open_time"].dt.floor("h"))
    rules = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    return hours.agg(rules).reset_index(), fine.iloc[4 * 24 * 9 + 20 :]


def test_finer_bars_are_used_where_there_are_any(hourly_and_fine, write):
    hourly, fine = hourly_and_fine
    paths = [write(hourly, "1h/X.parquet"), write(fine, "15min/X.parquet")]
    coarse, short = (load_panel(path) for path in paths)
    for given_order in (paths, paths[::-1]):
        panel = load_panel(given_order)
        assert panel.fields["bar_count"][:, 0].tolist() == [24.0] * 10 + [96.0] * 10
        np.testing.assert_array_equal(panel.close, coarse.close)
        np.testing.assert_array_equal(panel.log_return, coarse.log_return)
        for name in ("realized_variance", "volume"):
            np.testing.assert_array_equal(panel.fields[name][:10], coarse.fields[name][:10])
            np.testing.assert_array_equal(panel.fields[name][10:], short.fields[name])
        told = finding(panel, "stitched")
        assert told.severity is Severity.INFO
        assert "0 of 259 common closes differ" in told.detail


def test_some_wrong_closes_in_an_overlap_are_told(hourly_and_fine, write):
    hourly, fine = hourly_and_fine
    hourly.loc[24 * 12 + 23, ["high", "close"]] *= 1.05
    panel = load_panel([write(hourly, "1h/X.parquet"), write(fine, "15min/X.parquet")])
    told = finding(panel, "stitched")
    assert told.severity is Severity.WARNING
    assert "1 of 259 common closes differ, by up to 5 %" in told.detail


def test_of_equal_bars_in_an_overlap_those_that_start_first_are_used(make_bars, write):
    bars = make_bars(n=24 * 20)
    second = bars.iloc[24 * 8 :].copy()
    wrong = 24 * 10 + 23
    second.loc[wrong, ["high", "close"]] *= 1.05
    paths = [write(second, "b/X.parquet"), write(bars.iloc[: 24 * 14], "a/X.parquet")]
    panel = load_panel(paths)
    assert panel.close[10, 0] == bars["close"][wrong]
    assert "1 of 144 common closes differ, by up to 5 %" in finding(panel, "stitched").detail


def test_bars_longer_than_the_period_cannot_be_stitched_in(hourly_and_fine, write):
    hourly, fine = hourly_and_fine
    paths = [write(hourly, "1h/X.parquet"), write(fine, "15min/X.parquet")]
    with pytest.raises(InputError, match="whole multiple of the bar length, which is 1h, was 15"):
        load_panel(paths, period="15min")


def test_an_instrument_that_ends_is_not_listed_while_the_others_go_on(make_bars, write):
    write(make_bars(n=24 * 20), "all/BTC.parquet")
    crash = make_bars(n=24 * 12 + 1, seed=8)
    crash.loc[24 * 9 :, ["open", "high", "low", "close"]] *= 1e-4
    panel = load_panel(write(crash, "all/LUNA.parquet").parent)
    luna = panel.missing[:, panel.instruments.index("LUNA")]
    assert luna.tolist() == [Missing.PRESENT] * 12 + [Missing.NOT_LISTED] * 8
    assert panel.log_return[9, 1] < -5.0
    assert not [f for f in panel.findings if f.check == "possible-reuse"]


def test_a_name_that_comes_back_at_another_price_is_told(make_bars, write):
    dead, new = make_bars(n=24 * 10), make_bars("2024-02-01", n=24 * 10, seed=9)
    for name in ("open", "high", "low", "close"):
        dead[name] *= 1e-5
    paths = [write(dead, "old/LUNA.parquet"), write(new, "new/LUNA.parquet")]
    found = finding(load_panel(paths), "possible-reuse")
    assert found.severity is Severity.WARNING
    assert (str(found.first), str(found.last)) == (
        "2024-01-10 00:00:00+00:00",
        "2024-02-01 00:00:00+00:00",
    )
    assert "may have been given to another instrument" in found.detail


def test_one_table_is_forgotten_before_the_next_is_read(make_bars, monkeypatch):
    frames: list[weakref.ref[pd.DataFrame]] = []

    class Stream:
        name = "stream"

        def claims(self, target):
            return target == "stream"

        def read(self, target):
            for k in range(4):
                assert not [frame for frame in frames if frame() is not None]
                frame = make_bars(seed=k)
                frames.append(weakref.ref(frame))
                yield RawTable(instrument=f"X{k}", origin="stream", frame=frame)
                del frame

    monkeypatch.setattr(registry, "SOURCES", (Stream(),))
    panel = load_panel("stream")
    assert panel.instruments == ("X0", "X1", "X2", "X3")
    assert len(frames) == 4


def test_two_files_of_one_time_axis_keep_their_missing_columns(make_bars, write):
    bars = make_bars(n=24 * 20)
    late = bars.iloc[240:].assign(number_of_trades=7.0)
    paths = [write(bars.iloc[:240], "a/X.parquet"), write(late, "b/X.parquet")]
    trades = load_panel(paths).fields["number_of_trades"][:, 0]
    assert np.isnan(trades[:10]).all()
    assert (trades[10:] == 7.0 * 24).all()


def test_the_real_collapse_ends_in_a_delisting(real_data):
    folder = real_data / "spot_klines_1h_early"
    paths = [folder / "LUNAUSDT.parquet", real_data / "spot_klines_1h" / "BTCUSDT.parquet"]
    panel = load_panel(paths, period="1D")
    luna = pd.Series(panel.missing[:, 0], index=pd.DatetimeIndex(panel.time) - panel.period)
    assert luna["2022-05-12"] == Missing.PRESENT
    assert (luna["2022-05-13":] == Missing.NOT_LISTED).all()


def test_early_and_late_real_files_become_one_history(real_data):
    paths = [real_data / f"spot_klines_1h{part}" / "BTCUSDT.parquet" for part in ("_early", "")]
    panel = load_panel(paths, period="1D")
    starts = pd.DatetimeIndex(panel.time) - panel.period
    seam = int(starts.searchsorted(pd.Timestamp("2022-01-01")))
    assert panel.present[seam - 1 : seam + 1].all()
    early, late = (pd.read_parquet(path) for path in paths)
    bars = pd.concat([early, late])["close"].to_numpy()
    # The first return of 2022 runs from the last close of 2021, which lies in the other file.
    first = len(early)
    r = np.diff(np.log(bars[first - 1 : first + 24]))
    assert panel.fields["realized_variance"][seam, 0] == pytest.approx((r**2).sum(), rel=1e-12)
