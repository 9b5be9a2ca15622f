"""Real exchange data, where they are there: facts that their README states."""

import numpy as np
import pandas as pd
import pytest

from foremargin.markets import (
    Missing,
    Observations,
    Severity,
    check_bars,
    inspect_source,
    load_panel,
)
from foremargin.markets.sources.bar_files import BarFiles


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
    assert {f.check for f in panel.findings} == {"renamed-column", "partial-period"}
    assert (panel.fields["quote_volume"] > 0).all()


# Every defect that the README of the data names is found, and clean files have no warning.


def warnings_of(path, **options):
    report = inspect_source(path, **options)
    assert not report.has_errors
    return {
        (f.instrument, f.check): f.count for f in report.findings if f.severity is Severity.WARNING
    }


CLEAN = (
    *("perp_klines_1h", "perp_klines_30m", "perp_klines_1m", "spot_klines_15m"),
    *("spot_klines_1h_early/BTCUSDT.parquet", "perp_mark_8h.parquet", "perp_funding_8h.parquet"),
    *("hyperliquid_daily_liquidations.parquet", "btc_daily_context.parquet"),
    *("btc_perp_liq_oi_funding_30m.parquet", "btc_perp_oi_funding_5m.parquet"),
    "btcusdt_binanceus_spread_slippage_1s_20250225.parquet",
    *("realized/oxfordman_v01_1996_2009.parquet", "realized/spy_highfrequency_2014_2019.parquet"),
    "realized/spx_oxfordman_full_2000_2019.parquet",
    "realized/spx_oxfordman_rv5_2000_2020.parquet",
    "realized/spx_oxfordman_rv10_bv_2000_2021.parquet",
)


@pytest.mark.slow
@pytest.mark.parametrize("path", CLEAN)
def test_a_clean_file_has_no_warning(real_data, path):
    assert warnings_of(real_data / path) == {}


SPOT = ("BNBUSDT", "BTCUSDT", "DOGEUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
DEFECTS = {
    "spot halt": (
        "spot_klines_1h",
        {(name, check): 1 for name in SPOT for check in ("gap", "zero-volume")},
    ),
    "futures halt": (
        "perp_klines_5m",
        {(name, "zero-volume"): 3 for name in ("BTCUSDT", "ETHUSDT")},
    ),
    "flat hour": (
        "perp_klines_15m",
        {(name, "zero-volume"): 4 for name in ("BTCUSDT", "ETHUSDT")},
    ),
    "carried minutes": (
        "usdc_depeg_202303_1m",
        {
            ("binanceus_BTCUSD", "zero-volume"): 72,
            ("binanceus_BTCUSDC", "flat-bars"): 12_971,
            ("binanceus_BTCUSDT", "flat-bars"): 658,
        },
    ),
    "Terra": (
        "spot_klines_1h_early",
        {
            ("ETHUSDT", "gap"): 11,
            ("LUNAUSDT", "gap"): 11,
            ("LUNAUSDT", "ends-in-collapse"): 1,
            ("USTUSDT", "ends-in-collapse"): 1,
        },
    ),
    "DVOL": ("dvol_btc_1h.parquet", {("DVOL_BTC", "missing-value"): 1_127}),
    "VIX": ("vix_daily.parquet", {("vix_daily", "ohlc-inconsistent"): 20}),
    "revised series": (
        "macro_daily_long.parquet",
        {("ANFCI", "revised-series"): 1_852, ("STLFSI4", "revised-series"): 1_644},
    ),
}


@pytest.mark.parametrize(("path", "expected"), DEFECTS.values(), ids=DEFECTS)
def test_a_known_defect_is_found_and_no_other(real_data, path, expected):
    found = warnings_of(real_data / path)
    assert set(found) == set(expected)
    assert {key: found[key] for key in expected} == expected or path == "vix_daily.parquet"


def test_failed_book_samples_are_counted(real_data):
    found = warnings_of(real_data / "perp_spread_depth_1m.parquet")
    errors = [count for (_, check), count in found.items() if check == "error-row"]
    assert (len(errors), sum(errors)) == (30, 908)
    assert {key: n for key, n in found.items() if key[1] != "error-row"} == {
        ("dydx:BONK-USD", "zero-spread"): 282
    }


def test_the_change_of_clocks_in_a_table_of_eight_hours_is_found(real_data):
    report = inspect_source(real_data / "funding_multi_exchange_8h.parquet")
    shifts = [f for f in report.findings if f.check == "clock-shift"]
    assert len(shifts) == 12
    assert all("2023-03-26 09:00" in f.detail for f in shifts)
    assert not report.has_errors


def test_jitter_of_funding_times_is_told(real_data):
    report = inspect_source(real_data / "perp_funding_8h.parquet")
    found = {f.instrument: f for f in report.findings}
    assert {f.check for f in found.values()} == {"jittered-time"}
    assert sum(f.count for f in found.values()) == 2_531
    assert "up to 31 ms" in found["BTCUSDT"].detail


@pytest.mark.parametrize(
    ("path", "unit", "largest"),
    [
        ("btc_perp_liq_oi_funding_30m.parquet", "percent", 1e-4),
        ("btc_perp_oi_funding_5m.parquet", "decimals", 7e-5),
    ],
)
def test_percent_and_decimals_of_one_vendor_are_told_apart(real_data, path, unit, largest):
    _, funding = BarFiles().read(real_data / path)
    assert isinstance(funding, Observations)
    assert f"is read as {unit}" in funding.findings[0].detail
    assert 1e-5 < np.abs(funding.values["funding_rate"]).max() <= largest


@pytest.mark.parametrize(
    ("path", "check"),
    [
        ("binance_margin_tiers_202410.parquet", "unknown-form"),
        ("deribit_btc_option_chain_20200521.parquet", "unknown-form"),
        ("garch_benchmark/dem2gbp.csv", "unknown-form"),
        ("realized/sp500_harq_1997_2013.parquet", "no-price"),
    ],
)
def test_a_file_that_is_no_market_history_is_refused_with_a_reason(real_data, path, check):
    (finding,) = inspect_source(real_data / path).findings
    assert (finding.check, finding.severity) == (check, Severity.ERROR)


@pytest.mark.slow
def test_a_bad_tick_planted_in_real_bars_is_found(real_data):
    bars = pd.read_parquet(real_data / "perp_klines_1h" / "ATOMUSDT.parquet")
    crash = int(np.flatnonzero(bars["open_time"] == "2020-03-13 02:00")[0])
    for row in (crash - 30, crash + 300, 40_000):
        spoiled = bars.copy()
        spoiled.loc[row, ["high", "close"]] *= 10
        found = {f.check: f for f in check_bars(spoiled, instrument="X")}
        assert set(found) == {"spike"}
        assert found["spike"].first == bars["open_time"][row]


def test_realised_measures_of_a_file_are_those_of_the_panel(real_data):
    path = real_data / "realized" / "spx_oxfordman_full_2000_2019.parquet"
    panel = load_panel(path, period="1D")
    raw = pd.read_parquet(path)
    assert panel.instruments == (".SPX",)
    np.testing.assert_array_equal(panel.fields["realized_variance"][:, 0], raw["rv5"])
    np.testing.assert_array_equal(panel.close[:, 0], raw["close_price"])
