"""Getting the archive's files from a server that does well, or badly."""

import hashlib
import io
import re
import zipfile
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from foremargin.errors import InputError, SourceError
from foremargin.markets import Kind, Listing, Severity
from foremargin.markets.download.client import Client
from foremargin.markets.download.fetching import FetchRequest
from foremargin.markets.sources.binance_archive import (
    BINANCE_ARCHIVES,
    BinanceArchive,
    BinanceZips,
)
from foremargin.markets.sources.binance_archive.archive_files import ArchiveFile, Market, days
from foremargin.markets.sources.binance_archive.datasets import DATASET_NAMES


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def asked_for(server, suffix: str = ".zip") -> list[str]:
    return [one.path.rpartition("/")[2] for one in server.asked if one.path.endswith(suffix)]


def test_whole_months_come_from_monthly_files_and_the_rest_from_daily_ones(
    server, publish, fetch, tmp_path, klines
):
    for symbol in ("BTCUSDT", "ETHUSDT"):
        for span in ["2024-01-30", "2024-01-31", "2024-02", "2024-03", "2024-04-01"]:
            publish(klines(span, symbol))
        for span in ["2024-01", "2024-04"]:  # there, and too much
            publish(klines(span, symbol))
    report = fetch("BTCUSDT", "ETHUSDT", start="2024-01-30 12:00", end="2024-04-01 06:00")
    assert [file.path.relative_to(tmp_path / "data").as_posix() for file in report.files] == [
        "BTCUSDT-PERP_klines_1h.parquet",
        "ETHUSDT-PERP_klines_1h.parquet",
    ]
    hours = pd.date_range("2024-01-30 12:00", "2024-04-01 05:00", freq="h", tz="UTC")
    for file in report.files:
        times = pd.read_parquet(file.path)["open_time"]
        assert times.tolist() == hours.tolist()
        assert (file.rows, file.first, file.last) == (len(hours), hours[0], hours[-1])
    assert (report.rows, report.first, report.last) == (2 * len(hours), hours[0], hours[-1])
    assert report.findings == ()
    assert len(asked_for(server)) == 10
    assert report.transferred_bytes == server.sent_bytes(".zip")
    assert report.files[0].listing == Listing(
        instrument="BTCUSDT-PERP",
        kind=Kind.PERPETUAL,
        underlying="BTC",
        quote="USDT",
        venue="binance",
        calendar="24/7",
    )


def test_a_month_that_is_not_there_is_put_together_from_its_days(publish, fetch, klines):
    publish(klines("2024-01"))
    for day in days(utc("2024-02-01"), utc("2024-03-01")):
        publish(klines(day))
    report = fetch("BTCUSDT", start="2024-01-01", end="2024-03-01")
    assert report.rows == 60 * 24
    assert report.findings == ()


def test_days_that_are_not_there_are_a_warning_that_names_them(publish, fetch, klines):
    for day in ("2024-02-01", "2024-02-03", "2024-02-05"):
        publish(klines(day))
    report = fetch("BTCUSDT", start="2024-02-01", end="2024-02-06")
    assert report.rows == 3 * 24
    (finding,) = report.findings
    assert (finding.check, finding.severity) == ("missing-file", Severity.WARNING)
    assert (finding.instrument, finding.count) == ("BTCUSDT-PERP", 2)
    assert (finding.first, finding.last) == (utc("2024-02-02"), utc("2024-02-05"))
    assert "2 files missing (2024-02-02, 2024-02-04); these days have no data" in finding.detail


def test_a_data_set_without_daily_files_comes_from_the_month_and_is_cut(publish, fetch, other):
    lines = ["calc_time,funding_interval_hours,last_funding_rate"]
    times = pd.date_range("2024-01-01", "2024-01-31 16:00", freq="8h", tz="UTC")
    lines += [f"{time.value // 10**6 + 3},8,0.0001" for time in times]
    publish(other("fundingRate", "2024-01"), lines)
    report = fetch("BTCUSDT", dataset="fundingRate", start="2024-01-10", end="2024-02-10")
    assert [finding.detail.partition("found ")[2][:23] for finding in report.findings] == [
        "1 file missing (2024-02"
    ]
    assert report.first == utc("2024-01-10")
    assert report.rows == 22 * 3
    assert report.files[0].path.name == "BTCUSDT-PERP_fundingRate.parquet"


def test_the_index_of_a_coin_margined_contract_is_kept_under_its_pair(
    server, publish, fetch, other, kline_rows
):
    file = other("indexPriceKlines", "2024-01-15", Market.COIN_FUTURES)
    publish(replace(file, symbol="BTCUSD"), kline_rows(file))
    report = fetch(
        "BTCUSD_PERP",
        dataset="indexPriceKlines",
        market=Market.COIN_FUTURES,
        start="2024-01-15",
        end="2024-01-16",
    )
    assert set(pd.read_parquet(report.files[0].path)["instrument"]) == {"BTCUSD_PERP"}
    (zipped,) = (report.files[0].path.parent / ".archive").rglob("*.zip")
    (local,) = BinanceZips().read(zipped)
    assert local.instrument == "BTCUSD_PERP"


def test_fetching_twice_transfers_nothing_but_checksums(server, publish, fetch, klines):
    for span in ("2024-01", "2024-02"):
        publish(klines(span))
    first = fetch("BTCUSDT", start="2024-01-01", end="2024-03-01")
    before = first.files[0].path.read_bytes()
    server.asked.clear()
    again = fetch("BTCUSDT", start="2024-01-01", end="2024-03-01")
    assert again.transferred_bytes == 0
    assert len(server.asked) == len(asked_for(server, ".CHECKSUM")) == 2
    assert again.files[0].path.read_bytes() == before


def test_an_interrupted_fetch_goes_on_where_it_stopped(server, publish, fetch, klines):
    """Bytes arrive in chunks of 16 KiB; the zip file is larger than that."""
    publish(klines("2024-01"))
    chunk = 1 << 14
    body = publish(klines("2024-02"), cuts=[chunk])
    assert len(body) > chunk
    hasty = Client(tries=1)
    with pytest.raises(SourceError, match=r"2024-02\.zip: .* after one try the connection failed"):
        fetch("BTCUSDT", start="2024-01-01", end="2024-03-01", client=hasty)
    server.asked.clear()
    report = fetch("BTCUSDT", start="2024-01-01", end="2024-03-01", client=hasty)
    assert server.sent_bytes(".zip") == report.transferred_bytes == len(body) - chunk
    assert report.rows == 60 * 24


def test_a_busy_server_is_ridden_out(server, publish, fetch, pauses, klines):
    publish(klines("2024-01"), failures=[500, 429], retry_after="7", cuts=[100])
    report = fetch("BTCUSDT", start="2024-01-01", end="2024-02-01")
    assert report.rows == 31 * 24
    assert report.findings == ()
    assert pauses[:2] == [7.0, 7.0]


def test_a_server_that_stays_down_ends_the_fetch(server, publish, fetch, klines):
    publish(klines("2024-01"))
    server.give(f"/{klines('2024-01').path}.CHECKSUM", b"", failures=[503] * 9)
    with pytest.raises(SourceError, match="after 4 tries it answered 503"):
        fetch("BTCUSDT", start="2024-01-01", end="2024-02-01")


def break_checksum(server, file: ArchiveFile) -> None:
    server.give(f"/{file.path}.CHECKSUM", b"0" * 64 + b"  x.zip")


def break_checksum_file(server, file: ArchiveFile) -> None:
    server.give(f"/{file.path}.CHECKSUM", b"<html>")


def _republish(server, file: ArchiveFile, body: bytes) -> None:
    server.give(f"/{file.path}", body)
    server.give(f"/{file.path}.CHECKSUM", hashlib.sha256(body).hexdigest().encode())


def break_zip(server, file: ArchiveFile) -> None:
    body = server.replies[f"/{file.path}"].body
    _republish(server, file, body[:40] + bytes(200) + body[240:])


def cut_zip(server, file: ArchiveFile) -> None:
    _republish(server, file, server.replies[f"/{file.path}"].body[:-30])


def change_columns(server, file: ArchiveFile) -> None:
    _republish(server, file, _zipped({"a.csv": "start,price\n1,2\n"}))


def fill_with_two_tables(server, file: ArchiveFile) -> None:
    _republish(server, file, _zipped({"a.csv": "1", "b.csv": "1"}))


def _zipped(members: dict[str, str]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("break_", "reason"),
    [
        (break_checksum, "checksum 0{64}, was [0-9a-f]{64}"),
        (break_checksum_file, "must begin with a SHA-256 checksum, was '<html>'"),
        (break_zip, "must be a whole zip file"),
        (cut_zip, "must be a whole zip file"),
        (change_columns, "found start,price; the archive has changed its form"),
        (fill_with_two_tables, "it holds 2 files"),
    ],
)
def test_a_damaged_file_is_an_error_of_its_symbol_alone(
    server, publish, fetch, break_, reason, klines
):
    for symbol in ("BTCUSDT", "ETHUSDT"):
        for span in ("2024-01", "2024-02"):
            publish(klines(span, symbol))
    fetch("BTCUSDT", start="2024-01-01", end="2024-02-01")
    before = pd.read_parquet(fetch("BTCUSDT", start="2024-01-01", end="2024-02-01").files[0].path)
    break_(server, klines("2024-02"))
    report = fetch("BTCUSDT", "ETHUSDT", start="2024-01-01", end="2024-03-01")
    (finding,) = report.findings
    assert (finding.severity, finding.instrument) == (Severity.ERROR, "BTCUSDT-PERP")
    assert re.search(reason, finding.detail)
    (file,) = report.files
    assert (file.instrument, file.rows) == ("ETHUSDT-PERP", 60 * 24)
    # What an earlier fetch wrote is as it was, and there is nothing beside it.
    folder = file.path.parent
    assert pd.read_parquet(folder / "BTCUSDT-PERP_klines_1h.parquet").equals(before)
    assert sorted(path.name for path in folder.iterdir()) == [
        ".archive",
        "BTCUSDT-PERP_klines_1h.parquet",
        "ETHUSDT-PERP_klines_1h.parquet",
    ]


def test_a_symbol_without_any_file_is_an_error(fetch, tmp_path):
    report = fetch("NOUSDT", start="2024-01-01", end="2024-01-03")
    (finding,) = report.findings
    assert finding.severity is Severity.ERROR
    assert re.search("klines of NOUSDT must be there .* found none; check", finding.detail)
    assert (report.files, report.first) == ((), None)


def test_a_later_fetch_adds_to_the_file(publish, fetch, klines):
    for span in ("2024-01", "2024-02", "2024-03"):
        publish(klines(span))
    fetch("BTCUSDT", start="2024-03-01", end="2024-04-01")
    fetch("BTCUSDT", start="2024-01-01", end="2024-02-01")
    report = fetch("BTCUSDT", start="2024-02-01", end="2024-03-01")
    times = pd.read_parquet(report.files[0].path)["open_time"]
    hours = pd.date_range("2024-01-01", "2024-03-31 23:00", freq="h", tz="UTC")
    assert times.tolist() == hours.tolist()


def test_a_file_that_the_archive_has_corrected_replaces_the_rows_of_the_old_one(
    publish, fetch, klines, kline_rows
):
    over = {"start": "2024-01-01", "end": "2024-02-01"}
    publish(klines("2024-01"))
    before = pd.read_parquet(fetch("BTCUSDT", **over).files[0].path)
    publish(klines("2024-01"), kline_rows(klines("2024-01"), seed=8))
    after = pd.read_parquet(fetch("BTCUSDT", **over).files[0].path)
    assert (before["open_time"] == after["open_time"]).all()
    assert (before["close"] != after["close"]).mean() > 0.99


@pytest.mark.parametrize(
    ("dataset", "interval", "message"),
    [
        ("trades", None, r"one of those that binance-um offers \(klines, .*\), was 'trades'"),
        ("klines", None, "interval of binance-um klines must be 1m, .*, was None"),
        ("klines", "1s", "must be 1m, .*, was '1s'"),
        ("metrics", "1h", "interval of binance-um metrics must be left out, was '1h'"),
    ],
)
def test_what_is_not_offered_is_refused_before_anything_is_asked(
    server, client, tmp_path, dataset, interval, message
):
    archive = BinanceArchive(market=Market.USD_FUTURES, base_url=server.url)
    request = FetchRequest(
        symbols=("BTCUSDT",),
        dataset=dataset,
        start=utc("2024-01-01"),
        end=utc("2024-02-01"),
        interval=interval,
    )
    with pytest.raises(InputError, match=message):
        archive.fetch(request, folder=tmp_path, client=client)
    assert not server.asked


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"symbols": ()}, "at least one symbol"),
        ({"start": pd.Timestamp("2024-01-01")}, "start must carry a time zone"),
        ({"end": pd.Timestamp("2023-01-01", tz="UTC")}, "end must be after start"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(changes, message):
    good: dict[str, Any] = {"symbols": ("BTCUSDT",), "dataset": "klines"}
    good |= {"start": utc("2024-01-01"), "end": utc("2024-02-01")}
    with pytest.raises(InputError, match=message):
        FetchRequest(**(good | changes))


def test_a_request_is_kept_in_universal_time():
    start = pd.Timestamp("2024-01-01", tz="Asia/Tokyo")
    request = FetchRequest(
        symbols=("BTCUSDT",), dataset="klines", start=start, end=utc("2024-02-01")
    )
    assert str(request.start) == "2023-12-31 15:00:00+00:00"


def test_every_market_says_what_it_offers_and_what_it_lacks():
    names = [archive.name for archive in BINANCE_ARCHIVES]
    assert names == ["binance-spot", "binance-um", "binance-cm"]
    offers = {archive.name: [one.dataset for one in archive.offers] for archive in BINANCE_ARCHIVES}
    assert offers["binance-spot"] == ["klines"]
    assert set(offers["binance-um"]) == set(DATASET_NAMES)
    assert set(DATASET_NAMES) - set(offers["binance-cm"]) == {"bookDepth"}
    assert all(archive.lacks for archive in BINANCE_ARCHIVES)
