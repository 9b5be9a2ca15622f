"""Zip files of the archive on this machine, read without the network."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError
from foremargin.markets import Severity, load_panel
from foremargin.markets.sources.binance_archive import BinanceZips
from foremargin.markets.sources.binance_archive.archive_files import Market


def read(target: Path) -> list[Any]:
    return list(BinanceZips().read(target))


def equal_panels(one, other) -> None:
    """Bit for bit, apart from the order of the instruments."""
    order = [other.instruments.index(name) for name in one.instruments]
    assert sorted(order) == list(range(len(other.instruments)))
    np.testing.assert_array_equal(one.time, other.time)
    np.testing.assert_array_equal(one.close, other.close[:, order])
    np.testing.assert_array_equal(one.missing, other.missing[:, order])
    np.testing.assert_array_equal(one.periods_per_year, other.periods_per_year[order])
    assert set(one.fields) == set(other.fields)
    for name, values in one.fields.items():
        np.testing.assert_array_equal(values, other.fields[name][:, order], err_msg=name)


def test_zip_files_and_the_files_fetched_from_them_are_one_panel(
    publish, fetch, klines, other, kline_rows, metrics_header
):
    for symbol in ("BTCUSDT", "ETHUSDT"):
        for span in ("2024-01", "2024-02"):
            publish(klines(span, symbol))
            publish(klines(span, symbol, Market.SPOT), kline_rows(klines(span, symbol), seed=9))
    publish(other("markPriceKlines", "2024-01"), kline_rows(klines("2024-01")))
    lines = ["calc_time,funding_interval_hours,last_funding_rate"]
    times = pd.date_range("2024-01-01", "2024-01-31 16:00", freq="8h", tz="UTC")
    lines += [f"{time.value // 10**6},8,{i * 1e-6:.6f}" for i, time in enumerate(times)]
    publish(other("fundingRate", "2024-01"), lines)
    publish(
        other("metrics", "2024-01-15"),
        [metrics_header, "2024-01-15 00:05:00,BTCUSDT,80,3200000,1.1,1.2,1.3,0.9"],
    )
    both = ("BTCUSDT", "ETHUSDT")
    over = {"start": "2024-01-01", "end": "2024-03-01"}
    fetch(*both, **over)
    report = fetch(*both, market=Market.SPOT, **over)
    for dataset in ("markPriceKlines", "fundingRate", "metrics"):
        fetch("BTCUSDT", dataset=dataset, **over)
    folder = report.files[0].path.parent
    fetched = load_panel(folder, period="1D")
    zipped = load_panel(folder / ".archive", period="1D")
    assert set(fetched.instruments) == {"BTCUSDT", "BTCUSDT-PERP", "ETHUSDT", "ETHUSDT-PERP"}
    assert {"mark_price", "funding_rate", "open_interest"} <= set(fetched.fields)
    equal_panels(fetched, zipped)


def test_zip_files_in_one_flat_folder_are_bars(tmp_path, klines, kline_rows, zip_of):
    for span in ("2024-01-31", "2024-02", "2024-02-01"):  # the last is part of the month
        file = klines(span)
        lines = kline_rows(replace(file, span=span if span != "2024-02-01" else "2024-02"))
        lines = lines if span != "2024-02-01" else lines[:24]
        (tmp_path / file.path.rpartition("/")[2]).write_bytes(zip_of(*lines))
    (table,) = read(tmp_path)
    assert table.instrument == "BTCUSDT"
    assert len(table.frame) == 30 * 24
    assert table.frame["open_time"].is_monotonic_increasing


def test_a_folder_of_other_files_is_left_to_others(tmp_path, make_bars, klines, kline_rows, zip_of):
    (tmp_path / "BTCUSDT-1h-2024-01.zip").write_bytes(zip_of(*kline_rows(klines("2024-01"))))
    assert BinanceZips().claims(tmp_path)
    assert BinanceZips().claims(str(tmp_path / "BTCUSDT-1h-2024-01.zip"))
    assert not BinanceZips().claims(tmp_path / "BTCUSDT-1h-2024-02.zip")  # not there
    make_bars().to_parquet(tmp_path / "ETHUSDT.parquet")
    assert not BinanceZips().claims(tmp_path)
    assert not BinanceZips().claims("arch")


def test_zip_files_that_a_fetch_keeps_are_left_alone(tmp_path, klines, kline_rows, zip_of):
    path = tmp_path / ".archive" / klines("2024-01").path
    path.parent.mkdir(parents=True)
    path.write_bytes(zip_of(*kline_rows(klines("2024-01"))))
    assert not BinanceZips().claims(tmp_path)
    assert BinanceZips().claims(tmp_path / ".archive")


def test_damaged_zip_files_are_findings_of_their_instrument(tmp_path, klines, kline_rows, zip_of):
    good = zip_of(*kline_rows(klines("2024-01")))
    for name, body in {"BTCUSDT": good[:-50], "ETHUSDT": good, "SOLUSDT": good}.items():
        (tmp_path / f"{name}-1h-2024-01.zip").write_bytes(body)
    (tmp_path / "SOLUSDT-1h-2024-01.zip.CHECKSUM").write_text("0" * 64 + "  SOLUSDT")
    tables = {table.instrument: table for table in read(tmp_path)}
    assert tables["ETHUSDT"].findings == ()
    assert len(tables["ETHUSDT"].frame) == 31 * 24
    for name, reason in {"BTCUSDT": "whole zip file", "SOLUSDT": "SHA-256 checksum 000"}.items():
        (finding,) = tables[name].findings
        assert tables[name].frame is None
        assert finding.severity is Severity.ERROR
        assert reason in finding.detail
        assert finding.detail.count("\n") == 0
    with pytest.raises(InputError, match=r"(?s)SOLUSDT.*SHA-256"):
        load_panel(tmp_path)


def test_no_byte_of_a_zip_file_can_be_changed_without_notice(tmp_path, klines, kline_rows, zip_of):
    """Damage is found by zip's own checks or by the numbers, or it does not change the rows."""
    body = zip_of(*kline_rows(klines("2024-01-15")))
    path = tmp_path / "BTCUSDT-1h-2024-01-15.zip"
    path.write_bytes(body)
    (good,) = read(path)
    rng = np.random.default_rng(11)
    refused = 0
    for place in rng.integers(len(body), size=200):
        path.write_bytes(body[:place] + bytes([body[place] ^ 0x55]) + body[place + 1 :])
        (table,) = read(path)
        refused += table.frame is None
        assert table.frame is None or table.frame.equals(good.frame)
    assert refused > 100


def test_an_unknown_path_is_refused(tmp_path):
    with pytest.raises(InputError, match="there must be a file or folder"):
        read(tmp_path / "nowhere")
