"""Real exchange data, where they are there: facts that their README states."""

import numpy as np
import pandas as pd
import pytest

from foremargin.markets import Missing, Severity, load_panel


def test_hourly_perpetuals_make_a_daily_panel_without_gaps(real_data):
    panel = load_panel(real_data / "perp_klines_1h", period="1D")
    assert panel.n_instruments == 8
    inside = panel.missing[panel.missing != Missing.NOT_LISTED]
    assert (inside == Missing.PRESENT).all()
    assert {f.check for f in panel.findings} == {"partial-period"}
    assert (panel.fields["bar_count"][panel.present] == 24).all()
    crash = list(panel.time.astype("datetime64[D]").astype(str)).index("2020-03-13")
    variance = panel.fields["realized_variance"]
    assert (variance[crash, panel.present[crash]] > 0.05).all()
    # Realised and squared daily returns estimate the same variance.
    ratio = np.nanmean(panel.log_return**2, axis=0) / np.nanmean(variance, axis=0)
    assert ((ratio > 0.7) & (ratio < 1.3)).all()


def test_the_binance_halt_is_one_halted_and_one_missing_hour(real_data):
    panel = load_panel(real_data / "spot_klines_1h", period="1h")
    starts = pd.DatetimeIndex(panel.time) - panel.period
    missing = pd.DataFrame(panel.missing, index=starts, columns=panel.instruments)
    gone = missing[(missing != Missing.PRESENT).any(axis=1)]
    assert gone.index.astype(str).tolist() == ["2023-03-24 12:00:00", "2023-03-24 13:00:00"]
    assert (gone.iloc[0] == Missing.HALTED).all()
    assert (gone.iloc[1] == Missing.NO_DATA).all()
    after = np.flatnonzero(starts == "2023-03-24 14:00")
    assert np.isfinite(panel.log_return[after]).all()


@pytest.mark.parametrize("name", ["BTCUSDT", "ETHUSDT"])
def test_the_futures_halt_is_listed(real_data, name):
    panel = load_panel(real_data / "perp_klines_5m" / f"{name}.parquet", period="1D")
    (finding,) = [f for f in panel.findings if f.severity is Severity.WARNING]
    assert (finding.check, finding.count) == ("zero-volume", 3)
    assert finding.first == pd.Timestamp("2023-09-12 08:35", tz="UTC")
    assert finding.last == pd.Timestamp("2023-09-12 08:45", tz="UTC")


def test_bars_of_one_symbol_in_two_lengths_agree(real_data):
    fine = load_panel(real_data / "perp_klines_15m" / "BTCUSDT.parquet", period="1h")
    coarse = load_panel(real_data / "perp_klines_1h" / "BTCUSDT.parquet", period="1h")
    # On 2024-10-28 the finer file carries 80 minutes flat, in which the coarser one has trades.
    before = fine.time[fine.time < np.datetime64("2024-10-28")]
    _, i, j = np.intersect1d(before, coarse.time, return_indices=True)
    assert len(i) > 15_000
    for name in ("high", "low"):
        np.testing.assert_array_equal(fine.fields[name][i, 0], coarse.fields[name][j, 0])
    np.testing.assert_array_equal(fine.close[i, 0], coarse.close[j, 0])


def test_bars_dated_by_their_end_and_without_volume_are_read(real_data):
    path = real_data / "perp_klines_1m" / "BTC-PERP_ftx_202201.parquet"
    panel = load_panel(path, period="1D")
    assert "volume" not in panel.fields
    assert panel.present.all()
    assert {f.check for f in panel.findings} == {"unknown-column", "partial-period"}
