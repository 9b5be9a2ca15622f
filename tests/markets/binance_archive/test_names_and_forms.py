"""Every form of the archive's files, and what their names say."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import SourceError
from foremargin.markets import Kind, field_named
from foremargin.markets.sources.binance_archive.archive_files import (
    Market,
    archive_file,
    days,
    listing_of,
    months,
)
from foremargin.markets.sources.binance_archive.datasets import DATASET_NAMES, DATASETS


def utc(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


def ms(text: str) -> int:
    return utc(text).value // 1_000_000


@pytest.mark.parametrize("market", list(Market))
@pytest.mark.parametrize("name", DATASET_NAMES)
@pytest.mark.parametrize("span", ["2024-02", "2024-02-29"])
def test_a_path_says_all_about_a_file(market, name, span, other):
    file = other(name, span, market)
    assert archive_file(Path("/anywhere") / file.path, datasets=DATASET_NAMES) == file


def test_a_name_alone_is_read_as_bars_of_an_unknown_market():
    file = archive_file(Path("BTCUSDT-15m-2024-02.zip"), datasets=DATASET_NAMES)
    assert file is not None
    assert (file.market, file.dataset, file.interval) == (None, "klines", "15m")
    assert file.instrument == "BTCUSDT"


@pytest.mark.parametrize(
    "name",
    ["BTCUSDT.zip", "BTCUSDT-trades-2024-02.zip", "BTCUSDT-1h-2024-02.csv", "a-1h-24-02.zip"],
)
def test_other_names_are_left_alone(name):
    assert archive_file(Path(name), datasets=DATASET_NAMES) is None


def test_a_span_touches_the_months_and_days_that_hold_its_instants():
    start, end = utc("2024-01-31 23:00"), utc("2024-03-01")
    assert list(months(start, end)) == ["2024-01", "2024-02"]
    assert list(days(start, end))[:2] == ["2024-01-31", "2024-02-01"]
    assert len(list(days(start, end))) == 1 + 29


def test_spot_and_perpetual_of_one_symbol_have_two_names_in_a_panel(klines):
    names = {
        klines("2024-01").instrument,
        klines("2024-01", market=Market.SPOT).instrument,
        klines("2024-01", "BTCUSDT_240329").instrument,
        klines("2024-01", "BTCUSD_PERP", Market.COIN_FUTURES).instrument,
    }
    assert names == {"BTCUSDT-PERP", "BTCUSDT", "BTCUSDT_240329", "BTCUSD_PERP"}


def test_a_listing_says_what_the_names_say():
    perpetual = listing_of(Market.USD_FUTURES, "1000SHIBUSDT")
    assert (perpetual.kind, perpetual.underlying, perpetual.quote) == (
        Kind.PERPETUAL,
        "1000SHIB",
        "USDT",
    )
    future = listing_of(Market.COIN_FUTURES, "ETHUSD_240329")
    assert (future.kind, future.underlying, future.quote) == (Kind.FUTURE, "ETH", "USD")
    assert future.expiry == utc("2024-03-29 08:00")
    spot = listing_of(Market.SPOT, "ETHBTC")
    assert (spot.kind, spot.underlying, spot.quote) == (Kind.SPOT, "ETH", "BTC")
    assert spot.instrument == "ETHBTC"


def test_old_and_new_files_of_bars_give_the_same_rows(rows_of, klines, kline_rows, klines_header):
    file = klines("2025-01", market=Market.SPOT)
    plain = rows_of(file, *kline_rows(file))
    pd.testing.assert_frame_equal(plain, rows_of(file, klines_header, *kline_rows(file)))
    fine = rows_of(file, *kline_rows(file, microseconds=True))
    pd.testing.assert_frame_equal(plain, fine)
    assert plain["open_time"].iloc[[0, -1]].tolist() == [utc("2025-01-01"), utc("2025-01-31 23:00")]
    assert plain["open_time"].dtype == "datetime64[ns, UTC]"


def test_bars_keep_every_quantity(rows_of, klines):
    line = f"{ms('2024-01-15')},100,104,99,103,8,{ms('2024-01-15 01:00') - 1},812,37,3,305,0"
    row = rows_of(klines("2024-01-15"), line).iloc[0]
    assert row.to_dict() == {
        "open_time": utc("2024-01-15"),
        "open": 100.0,
        "high": 104.0,
        "low": 99.0,
        "close": 103.0,
        "volume": 8.0,
        "quote_asset_volume": 812.0,
        "number_of_trades": 37.0,
        "taker_buy_base_asset_volume": 3.0,
        "taker_buy_quote_asset_volume": 305.0,
    }


@pytest.mark.parametrize(("symbol", "usd"), [("BTCUSD_PERP", 100.0), ("ETHUSD_240329", 10.0)])
def test_contracts_of_coin_margined_futures_are_valued_in_dollars(rows_of, symbol, usd, klines):
    """Their files give the value in coin: 8 contracts of BTC at 40,000 are 0.02 BTC, 800 USD."""
    line = f"{ms('2024-01-15')},40000,40000,40000,40000,8,0,0.02,1,6,0.015,0"
    row = rows_of(klines("2024-01-15", symbol, Market.COIN_FUTURES), line).iloc[0]
    assert row["volume"] == 8.0
    assert row["quote_asset_volume"] == 8 * usd
    assert row["taker_buy_quote_asset_volume"] == 6 * usd


@pytest.mark.parametrize(
    ("dataset", "field"),
    [
        ("markPriceKlines", "mark_price"),
        ("indexPriceKlines", "index_price"),
        ("premiumIndexKlines", "premium_index"),
    ],
)
def test_the_close_of_a_price_bar_is_known_at_its_end_and_not_before(
    rows_of, dataset, field, other
):
    line = f"{ms('2024-01-15 07:00')},1,3,-1,2.5,0,{ms('2024-01-15 08:00') - 1},0,60,0,0,0"
    row = rows_of(other(dataset), line).iloc[0]
    assert row.to_dict() == {
        "time": utc("2024-01-15 08:00"),
        "known_at": utc("2024-01-15 08:00"),
        field: 2.5,
    }


def test_funding_is_dated_to_the_second_at_which_it_is_paid(rows_of, other):
    lines = [
        "calc_time,funding_interval_hours,last_funding_rate",
        f"{ms('2024-01-15 08:00') + 11},8,-0.00012",
        f"{ms('2024-01-15 16:00')},8,0.00010000",
    ]
    rows = rows_of(other("fundingRate", "2024-01"), *lines)
    assert rows["time"].tolist() == [utc("2024-01-15 08:00"), utc("2024-01-15 16:00")]
    assert rows["known_at"].equals(rows["time"])
    assert rows["funding_rate"].tolist() == [-0.00012, 0.0001]


def test_metrics_are_known_when_their_five_minutes_are_over_either_way(
    rows_of, other, metrics_header
):
    lines = [metrics_header, "2024-01-15 00:05:00,BTCUSDT,80,3200000,1.1,1.2,1.3,"]
    row = rows_of(other("metrics"), *lines).iloc[0].to_dict()
    assert np.isnan(row.pop("taker_long_short_ratio"))
    assert row == {
        "time": utc("2024-01-15 00:05"),
        "known_at": utc("2024-01-15 00:10"),
        "open_interest": 80.0,
        "open_interest_value": 3.2e6,
        "long_short_ratio_top_accounts": 1.1,
        "long_short_ratio_top_positions": 1.2,
        "long_short_ratio": 1.3,
    }


def test_depth_becomes_a_column_per_side_and_distance(rows_of, other):
    lines = ["timestamp,percentage,depth,notional"]
    lines += [f"2024-01-15 00:00:08,{p},1,{1000 + 10 * p}" for p in (-5, -1, 1, 5)]
    lines += [f"2024-01-15 00:00:38,{p},1,7" for p in (-5.00, -1.00, -0.20, 0.20, 1.00, 5.00)]
    rows = rows_of(other("bookDepth"), *lines)
    assert rows["time"].tolist() == [utc("2024-01-15 00:00:08"), utc("2024-01-15 00:00:38")]
    assert rows["known_at"].equals(rows["time"])
    first = rows.iloc[0].drop(["time", "known_at"]).dropna().to_dict()
    assert first == {
        "depth_bid_500bps": 950.0,
        "depth_bid_100bps": 990.0,
        "depth_ask_100bps": 1010.0,
        "depth_ask_500bps": 1050.0,
    }
    assert (rows.iloc[1].drop(["time", "known_at"]) == 7).all()
    assert {"depth_bid_20bps", "depth_ask_20bps"} <= set(rows)


def quote_lines() -> list[str]:
    """Quotes by transaction time; each was sent 5 ms later."""
    quotes: list[tuple[str, float, float]] = []
    quotes += [("00:00:10", 99, 101), ("00:00:59.990", 98, 102), ("00:00:59.997", 95, 105)]
    quotes += [("00:01:30", 99.5, 100.5), ("00:01:31", 99.9, 100.1), ("00:03:00", 90, 110)]
    lines = ["update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,"]
    lines[0] += "transaction_time,event_time"
    for number, (clock, bid, ask) in enumerate(quotes):
        sent = ms(f"2024-01-15 {clock}")
        lines.append(f"{number},{bid},1,{ask},1,{sent},{sent + 5}")
    return lines


def test_quotes_are_reduced_to_the_last_that_was_sent_in_each_minute(rows_of, other):
    rows = rows_of(other("bookTicker"), *quote_lines())
    # The third quote came about before 00:01 and was sent after it: it belongs to the next minute.
    assert rows["time"].dt.strftime("%H:%M:%S").tolist() == ["00:01:00", "00:02:00", "00:04:00"]
    assert rows["known_at"].equals(rows["time"])
    assert rows["bid"].tolist() == [98.0, 99.9, 90.0]
    np.testing.assert_allclose(rows["spread_bps"], [400.0, 20.0, 2000.0])


@pytest.mark.parametrize("rows_at_once", [1, 2, 3])
def test_quotes_come_out_the_same_however_the_file_is_cut(tmp_path, rows_of, rows_at_once, other):
    whole = rows_of(other("bookTicker"), *quote_lines())
    cut = rows_of(other("bookTicker"), *quote_lines(), rows_at_once=rows_at_once)
    cut = cut.drop_duplicates("time", keep="last").reset_index(drop=True)
    pd.testing.assert_frame_equal(whole, cut)


LIQUIDATION_HEADER = (
    "time,side,order_type,time_in_force,original_quantity,price,average_price,order_status,"
    "last_fill_quantity,accumulated_fill_quantity"
)


def order(clock: str, side: str, *, price: float, filled: float, status: str = "FILLED") -> str:
    time = ms(f"2024-01-15 {clock}")
    return f"{time},{side},LIMIT,IOC,9,1,{price},{status},{filled / 2},{filled}"


def test_a_liquidation_that_sells_closes_a_long(rows_of, other):
    lines = [
        LIQUIDATION_HEADER,
        order("00:00:00", "SELL", price=100, filled=3),
        order("00:00:59.999", "SELL", price=90, filled=2),
        order("00:00:30", "BUY", price=200, filled=1),
        order("23:59:59.999", "BUY", price=50, filled=4, status="PARTIALLY_FILLED"),
        order("23:59:59.999", "BUY", price=50, filled=6),
    ]
    rows = rows_of(other("liquidationSnapshot"), *lines)
    assert rows["time"].iloc[[0, -1]].tolist() == [utc("2024-01-15 00:01"), utc("2024-01-16")]
    assert rows["known_at"].equals(rows["time"])
    assert rows.iloc[0]["liquidation_long"] == 3 * 100 + 2 * 90
    assert rows.iloc[0]["liquidation_short"] == 200
    # The order that was first filled in part counts once.
    assert rows.iloc[-1]["liquidation_short"] == 300
    assert rows["liquidation_long"].sum() == 480
    # Every other minute of the day is known to have had none.
    assert len(rows) == 24 * 60
    assert (rows.iloc[1:-1][["liquidation_long", "liquidation_short"]] == 0).all(axis=None)


def test_liquidations_of_old_files_and_of_contracts_are_read(rows_of, other):
    old = LIQUIDATION_HEADER.replace("time,side", "time,symbol,side", 1)
    line = order("00:00:10", "SELL", price=40_000, filled=3).replace(",SELL", ",BTCUSDT,SELL")
    rows = rows_of(other("liquidationSnapshot"), old, line)
    assert rows["liquidation_long"].iloc[0] == 120_000
    file = replace(other("liquidationSnapshot", market=Market.COIN_FUTURES), symbol="BTCUSD_PERP")
    assert rows_of(file, old, line)["liquidation_long"].iloc[0] == 300


def test_a_liquidation_of_unknown_value_is_refused_and_not_counted_as_none(rows_of, other):
    lines = [LIQUIDATION_HEADER, order("00:00:10", "SELL", price=np.nan, filled=1)]
    with pytest.raises(SourceError, match="price and quantity of every order must be known"):
        rows_of(other("liquidationSnapshot"), *lines)


def test_a_day_of_orders_that_were_never_filled_has_no_liquidations(rows_of, other):
    lines = [LIQUIDATION_HEADER, order("00:00:10", "SELL", price=7, filled=1, status="NEW")]
    rows = rows_of(other("liquidationSnapshot"), *lines)
    assert (rows[["liquidation_long", "liquidation_short"]] == 0).all(axis=None)
    assert len(rows) == 24 * 60


def test_an_unknown_side_of_a_liquidation_is_refused(rows_of, other):
    lines = [LIQUIDATION_HEADER, order("00:00:10", "HOLD", price=1, filled=1)]
    with pytest.raises(SourceError, match="side must be SELL or BUY, found HOLD"):
        rows_of(other("liquidationSnapshot"), *lines)


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
def test_a_changed_header_names_what_was_found_and_what_was_expected(rows_of, dataset, other):
    changed = ["moment", *dataset.headers[0][1:]]
    found = rf"columns {dataset.headers[0][0]},.*, found moment,{dataset.headers[0][1]}"
    with pytest.raises(SourceError, match=f"a {dataset.name} table must have the {found}"):
        rows_of(other(dataset.name), ",".join(changed))


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["1,2,3"], "found 3 columns without a header"),
        ([], "found 1 columns without a header"),
        (["1704067200000,1,1,1,much,1,1,1,1,1,1,0"], "reading it failed .*much"),
    ],
)
def test_bars_that_are_no_bars_are_refused(rows_of, lines, reason, klines):
    with pytest.raises(SourceError, match=reason) as caught:
        rows_of(klines("2024-01"), *lines)
    assert caught.value.damaged


@pytest.mark.parametrize("dataset", DATASETS, ids=lambda dataset: dataset.name)
def test_every_field_that_is_promised_is_a_panel_field(dataset):
    promised = [field_named(name) for name in dataset.gives if name != "close"]
    assert None not in promised
