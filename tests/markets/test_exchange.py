"""Exchanges by ccxt: real exchange classes against a local server, and nothing beyond it."""

import importlib
import json
import re
import socket
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import ForemarginError, InputError, ShapeError, SourceError
from foremargin.markets import FIELDS, Kind, field_named
from foremargin.markets.download.fetching import FetchRequest, offered
from foremargin.markets.sources.exchange import (
    Exchange,
    ExchangeFetcher,
    OrderBook,
    Side,
    bars,
    exchange_capabilities,
    funding_history,
    open_exchange,
    open_interest_history,
    order_book,
    ticker,
)
from foremargin.markets.sources.exchange.calls import translated
from foremargin.markets.sources.exchange.capabilities import DEPTHS_BPS, SIZES
from foremargin.markets.sources.exchange.histories import counts_in_base

ccxt = pytest.importorskip("ccxt", reason="the extra [exchange] is not installed")

HOUR_MS = 3_600_000
START = pd.Timestamp("2024-01-01", tz="UTC")
START_MS = START.value // 10**6
NOW_MS = START_MS + 2_000 * HOUR_MS + 1
BTC = "BTC/USDT:USDT"
INVERSE = "BTC/USD:BTC"
FILTERS = [
    {"filterType": "PRICE_FILTER", "minPrice": "0.1", "maxPrice": "1000000", "tickSize": "0.1"},
    {"filterType": "LOT_SIZE", "stepSize": "0.001", "maxQty": "1000", "minQty": "0.001"},
    {"filterType": "MIN_NOTIONAL", "notional": "5"},
]
CONTRACT = {
    "contractType": "PERPETUAL",
    "deliveryDate": 4133404800000,
    "onboardDate": START_MS,
    "status": "TRADING",
    "contractStatus": "TRADING",
    "baseAsset": "BTC",
    "pricePrecision": 2,
    "quantityPrecision": 3,
    "baseAssetPrecision": 8,
    "quotePrecision": 8,
    "filters": FILTERS,
    "orderTypes": ["LIMIT"],
    "timeInForce": ["GTC"],
}
LINEAR_INFO = CONTRACT | {
    "symbol": "BTCUSDT",
    "pair": "BTCUSDT",
    "quoteAsset": "USDT",
    "marginAsset": "USDT",
}
INVERSE_INFO = CONTRACT | {
    "symbol": "BTCUSD_PERP",
    "pair": "BTCUSD",
    "quoteAsset": "USD",
    "marginAsset": "BTC",
    "contractSize": 100,
}


@pytest.fixture(autouse=True)
def no_call_leaves_the_machine(monkeypatch):
    connect = socket.socket.connect

    def guarded(self, address):
        assert address[0] == "127.0.0.1", f"a call left the machine: {address}"
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture
def open_local(server):
    """Open an exchange of ccxt whose every address is the local server."""

    def open_(exchange_id, client):
        exchange = open_exchange(exchange_id, client)
        urls = exchange.api.urls["api"]
        exchange.api.urls["api"] = {
            name: re.sub(r"^https://[^/]+", server.url, url) for name, url in urls.items()
        }
        exchange.api.rateLimit = 0
        exchange.api.milliseconds = lambda: NOW_MS
        return exchange

    server.give("/fapi/v1/exchangeInfo", {"timezone": "UTC", "symbols": [LINEAR_INFO]})
    server.give("/dapi/v1/exchangeInfo", {"timezone": "UTC", "symbols": [INVERSE_INFO]})
    return open_


@pytest.fixture
def exchange(open_local, client):
    return open_local("binanceusdm", client)


def kline(time):
    values = ["100.5", "101.0", "99.5", "100.0", "2.5"]
    return [time, *values, time + HOUR_MS - 1, "250.0", 10, "1.2", "120.0", "0"]


def klines(query, *, listed=START_MS):
    """Hourly klines from the listing on, as Binance pages them."""
    first = max(int(query.get("startTime", 0)), listed)
    first += -(first - START_MS) % HOUR_MS
    times = range(first, NOW_MS, HOUR_MS)[: int(query["limit"])]
    return json.dumps([kline(time) for time in times]).encode()


def hourly(exchange, *, start=START, hours=5):
    end = start + pd.Timedelta(hours=hours)
    return bars(exchange, BTC, start=start, end=end, interval="1h")


# Bars


def test_bars_come_as_canonical_columns(server, exchange):
    server.give("/fapi/v1/klines", klines)
    frame = hourly(exchange)
    assert list(frame) == ["open_time", "open", "high", "low", "close", "volume"]
    assert frame["open_time"].tolist() == list(pd.date_range(START, periods=5, freq="1h"))
    assert frame.iloc[0, 1:].tolist() == [100.5, 101.0, 99.5, 100.0, 2.5]


def test_pages_are_joined_without_gap_or_repetition(server, exchange):
    server.give("/fapi/v1/klines", klines)
    frame = hourly(exchange, hours=1_999)
    assert frame["open_time"].tolist() == list(pd.date_range(START, periods=1_999, freq="1h"))
    asked = [one.query for one in server.asked if one.path.endswith("klines")]
    assert len(asked) == 4
    since = [int(one["startTime"]) for one in asked]
    assert all(earlier < later for earlier, later in pairwise(since))


def test_a_bar_that_still_forms_is_left_out(server, exchange):
    server.give("/fapi/v1/klines", klines)
    start = START + pd.Timedelta(hours=1_997)
    frame = hourly(exchange, start=start, hours=100)
    assert frame["open_time"].tolist() == list(pd.date_range(start, periods=3, freq="1h"))


def test_a_range_that_begins_before_the_listing_begins_there(server, exchange):
    listed = START_MS + 500 * HOUR_MS
    server.give("/fapi/v1/klines", lambda query: klines(query, listed=listed))
    frame = hourly(exchange, hours=600)
    assert len(frame) == 100
    assert frame["open_time"].iloc[0] == START + pd.Timedelta(hours=500)


def test_values_that_the_exchange_leaves_empty_stay_unknown(server, exchange):
    empty = [*kline(START_MS)[:5], None, *kline(START_MS)[6:]]
    server.give("/fapi/v1/klines", lambda query: json.dumps([empty]).encode())
    assert np.isnan(hourly(exchange, hours=1)["volume"].iloc[0])


class Pages:
    """An exchange as ccxt shows it, whose pages are a function of `since`."""

    id = "pages"

    def __init__(self, page):
        self.page, self.asked = page, []

    def load_markets(self):
        return {}

    def market(self, symbol):
        return {"spot": True}

    def milliseconds(self):
        return NOW_MS

    def parse_timeframe(self, interval):
        return HOUR_MS // 1000

    def feature_value(self, *args):
        return None

    def fetch_ohlcv(self, symbol, interval, since, limit):
        self.asked.append(since)
        times = self.page(since)
        return [[time, 1.0, 2.0, 0.5, 1.5, 3.0] for time in times]


def through(page):
    return Exchange(api=Pages(page), sleep=lambda seconds: None)


def test_pages_that_are_empty_before_the_listing_are_walked_over():
    def window(since):  # 100 hours from `since`, as exchanges answer that ask for both ends
        listed = START_MS + 950 * HOUR_MS
        first = since + -(since - START_MS) % HOUR_MS
        return [t for t in range(first, since + 100 * HOUR_MS, HOUR_MS) if t >= listed]

    exchange = through(window)
    frame = hourly(exchange, hours=1_200)
    assert len(frame) == 250
    assert frame["open_time"].is_unique
    assert len(exchange.api.asked) < 15


@pytest.mark.parametrize("n_latest", [0, 1, 720])
def test_an_exchange_that_ignores_since_ends_the_walk(n_latest):
    latest = [NOW_MS // HOUR_MS * HOUR_MS - i * HOUR_MS for i in range(n_latest)][::-1]
    frame = hourly(through(lambda since: latest), hours=3_000)
    assert len(frame) == max(n_latest - 1, 0)  # the last one still forms


def test_rows_in_any_order_are_sorted_and_said_twice_count_once():
    frame = hourly(through(lambda since: [START_MS + HOUR_MS, START_MS, START_MS]), hours=2)
    assert frame["open_time"].tolist() == [START, START + pd.Timedelta(hours=1)]


# Funding and open interest


def test_funding_comes_page_by_page(server, exchange):
    def funding(query):
        times = range(START_MS, NOW_MS, 8 * HOUR_MS)
        found = [t for t in times if t >= int(query["startTime"])][: int(query["limit"])]
        rows = [{"symbol": "BTCUSDT", "fundingTime": t, "fundingRate": "0.0001"} for t in found]
        return json.dumps(rows).encode()

    server.give("/fapi/v1/fundingRate", funding)
    end = START + pd.Timedelta(hours=8 * 240)
    frame = funding_history(exchange, BTC, start=START, end=end)
    assert len(frame) == 240
    assert (frame["funding_rate"] == 1e-4).all()
    assert (frame["known_at"] == frame["time"]).all()
    assert frame["time"].is_monotonic_increasing


def interest(query):
    first, last = int(query["startTime"]), int(query["endTime"])
    rows = [
        {
            "symbol": "BTCUSDT",
            "sumOpenInterest": "75000.5",
            "sumOpenInterestValue": "3200000000.0",
            "timestamp": time,
        }
        for time in range(START_MS, NOW_MS, HOUR_MS)
        if first <= time <= last
    ]
    return json.dumps(rows[: int(query["limit"])]).encode()


def test_open_interest_is_known_one_interval_later(server, exchange):
    server.give("/futures/data/openInterestHist", interest)
    end = START + pd.Timedelta(hours=250)
    frame = open_interest_history(exchange, BTC, start=START, end=end, interval="1h")
    assert frame["time"].tolist() == list(pd.date_range(START, periods=250, freq="1h"))
    assert (frame["known_at"] - frame["time"] == pd.Timedelta("1h")).all()
    assert frame["open_interest"].iloc[0] == 75_000.5
    assert frame["open_interest_value"].iloc[0] == 3.2e9


def test_open_interest_of_an_inverse_contract_is_refused(open_local, client):
    end = START + pd.Timedelta(hours=5)
    exchange = open_local("binancecoinm", client)
    with pytest.raises(InputError, match="open interest must be that of a linear contract"):
        open_interest_history(exchange, INVERSE, start=START, end=end, interval="1h")


@pytest.mark.parametrize(
    ("market", "sure"),
    [
        ({"spot": True}, True),
        ({"linear": True, "contractSize": 1.0}, True),
        ({"linear": True, "contractSize": 0.01}, False),
        ({"inverse": True, "contractSize": 1.0}, False),
        ({"linear": True, "contractSize": None}, False),
    ],
)
def test_units_are_only_taken_where_they_are_sure(market, sure):
    assert counts_in_base(market) is sure


# The order book


def side(*levels, complete=True):
    price, value = np.array(levels, dtype=np.float64).T
    return Side(price=price, value=value, complete=complete)


def test_spread_and_depth_are_summed_within_their_distance_of_mid():
    book = OrderBook(
        bids=side((99.95, 100.0), (99.80, 200.0), (99.0, 400.0)),
        asks=side((100.05, 50.0), (100.90, 60.0), (102.0, 70.0)),
    )
    values = book.liquidity(depths_bps=(10, 25, 100), sizes=())
    assert values["spread_bps"] == pytest.approx(10.0)
    assert [values[f"depth_bid_{n}bps"] for n in (10, 25, 100)] == [100.0, 300.0, 700.0]
    assert [values[f"depth_ask_{n}bps"] for n in (10, 25, 100)] == [50.0, 50.0, 110.0]


def test_a_depth_beyond_a_book_that_was_cut_is_unknown():
    cut = side((99.95, 100.0), (99.80, 200.0), complete=False)
    book = OrderBook(bids=cut, asks=side((100.05, 50.0)))
    values = book.liquidity(depths_bps=(10, 25, 100), sizes=(1_000,))
    assert values["depth_bid_10bps"] == 100.0
    assert np.isnan([values["depth_bid_25bps"], values["depth_bid_100bps"]]).all()
    assert values["depth_ask_100bps"] == 50.0
    assert np.isnan(values["slippage_sell_1000"])


def test_slippage_is_the_average_fill_against_mid():
    book = OrderBook(
        bids=side((99.0, 990.0), (98.0, 980.0)), asks=side((101.0, 1010.0), (102.0, 1020.0))
    )
    values = book.liquidity(depths_bps=(), sizes=(500, 2_030, 2_031))
    assert values["slippage_buy_500"] == pytest.approx(100.0)
    # 10 units at 101 and 10 at 102 cost 2,030: 101.5 each.
    assert values["slippage_buy_2030"] == pytest.approx(150.0)
    assert np.isnan(values["slippage_buy_2031"])
    assert values["slippage_sell_500"] == pytest.approx(100.0)


def test_liquidity_obeys_its_laws_in_any_book():
    rng = np.random.default_rng(11)
    steps = np.cumsum(rng.exponential(0.01, size=(2, 200)), axis=1)
    value = rng.exponential(2_000.0, size=(2, 200))
    sizes = (1_000, 10_000, 100_000)
    book = OrderBook(
        bids=Side(price=100 - steps[0], value=value[0], complete=True),
        asks=Side(price=100 + steps[1], value=value[1], complete=True),
    )
    found = book.liquidity(depths_bps=DEPTHS_BPS, sizes=sizes)
    for name in ("depth_bid_{}bps", "depth_ask_{}bps"):
        assert (np.diff([found[name.format(bps)] for bps in DEPTHS_BPS]) >= 0).all()
    for name in ("slippage_buy_{}", "slippage_sell_{}"):
        cost = [found[name.format(size)] for size in sizes]
        assert (np.diff(cost) > 0).all()
        assert cost[0] >= found["spread_bps"] / 2 * (1 - 1e-9)
    # Prices in another currency: distances stay, values scale.
    dollars = OrderBook(
        bids=Side(price=7 * (100 - steps[0]), value=7 * value[0], complete=True),
        asks=Side(price=7 * (100 + steps[1]), value=7 * value[1], complete=True),
    )
    scaled = dollars.liquidity(depths_bps=DEPTHS_BPS, sizes=[7 * size for size in sizes])
    for bps in DEPTHS_BPS:
        assert scaled[f"depth_bid_{bps}bps"] == pytest.approx(7 * found[f"depth_bid_{bps}bps"])
    for size in sizes:
        assert scaled[f"slippage_buy_{7 * size}"] == pytest.approx(found[f"slippage_buy_{size}"])


def test_a_book_without_two_sides_that_do_not_cross_is_refused():
    bid, ask = side((99.0, 1.0)), side((101.0, 1.0))
    none = Side(price=np.empty(0), value=np.empty(0), complete=True)
    with pytest.raises(InputError, match="must have both sides, found 1 bids and 0 asks"):
        OrderBook(bids=bid, asks=none)
    with pytest.raises(InputError, match="best bid must lie below the best ask"):
        OrderBook(bids=ask, asks=bid)
    with pytest.raises(ShapeError, match=r"value must have shape \(1,\)"):
        replace(bid, value=np.ones(2))


def depth(n_levels):
    return {
        "lastUpdateId": 1,
        "E": NOW_MS - 20,
        "T": NOW_MS - 25,
        "bids": [[str(41_999.5 - i), "2.0"] for i in range(n_levels)],
        "asks": [[str(42_000.5 + i), "1.0"] for i in range(n_levels)],
    }


def test_a_snapshot_of_the_book_becomes_panel_fields(server, exchange):
    server.give("/fapi/v1/depth", depth(500))
    row = order_book(exchange, BTC).iloc[0]
    values = row.drop(["time", "known_at"])
    assert all(field_named(name) is not None for name in values.index)
    assert set(values.index) >= {f"slippage_buy_{size}" for size in SIZES}
    assert row["time"] == pd.Timestamp(NOW_MS - 25, unit="ms", tz="UTC")
    assert row["known_at"] == pd.Timestamp(NOW_MS, unit="ms", tz="UTC")
    assert row["bid"] == 41_999.5
    assert row["depth_bid_10bps"] == pytest.approx(2 * sum(41_999.5 - i for i in range(42)))
    assert row["slippage_buy_1000"] == pytest.approx(1e4 * 0.5 / 42_000)


def test_a_full_page_of_levels_may_not_be_the_whole_book(server, exchange):
    found = {}
    for missing in (0, 1):
        server.give("/fapi/v1/depth", lambda q, n=missing: full_depth(int(q["limit"]) - n))
        found[missing] = order_book(exchange, BTC, depths_bps=(10, 500)).iloc[0]
    assert np.isnan(found[0]["depth_bid_500bps"])
    assert np.isfinite(found[0]["depth_bid_10bps"])
    assert np.isfinite(found[1]["depth_bid_500bps"])


def full_depth(n_levels):
    return json.dumps(depth(n_levels)).encode()


def test_an_inverse_book_is_counted_in_contracts_of_fixed_value(server, open_local, client):
    server.give("/dapi/v1/depth", depth(10))
    row = order_book(open_local("binancecoinm", client), INVERSE).iloc[0]
    assert row["depth_bid_10bps"] == 10 * 2.0 * 100


def test_a_ticker_is_a_row_of_what_the_exchange_sends(server, exchange):
    common = {"symbol": "BTCUSDT", "closeTime": NOW_MS - 7, "lastPrice": "42000.0"}
    server.give("/fapi/v1/ticker/24hr", common | {"openTime": START_MS, "volume": "10"})
    row = ticker(exchange, BTC).iloc[0]
    assert row["time"] == pd.Timestamp(NOW_MS - 7, unit="ms", tz="UTC")
    assert set(row.index) == {"time", "known_at", "bid", "ask", "mark_price", "index_price"}
    assert row[["bid", "ask"]].isna().all()
    assert set(row.index) - {"time", "known_at"} <= set(FIELDS)


# Failures


@pytest.mark.parametrize("status", [418, 429, 500, 502, 503])
def test_a_passing_failure_is_asked_again_with_growing_pauses(server, exchange, pauses, status):
    server.give("/fapi/v1/klines", klines, failures=[status] * 3)
    assert len(hourly(exchange)) == 5
    assert pauses == [1.0, 2.0, 4.0]


def test_an_exchange_that_keeps_failing_is_named_with_its_tries(server, exchange):
    server.give("/fapi/v1/klines", klines, failures=[503] * 9)
    with pytest.raises(SourceError, match=r"binanceusdm fetch_ohlcv.*after 4 tries it did not"):
        hourly(exchange)
    assert [one.status for one in server.asked].count(503) == 4


def test_an_answer_that_ends_early_is_asked_again(server, exchange):
    server.give("/fapi/v1/klines", klines, cuts=[30, 60])
    assert len(hourly(exchange)) == 5


def test_an_answer_whose_end_cannot_be_told_is_asked_again(server, exchange):
    server.give("/fapi/v1/klines", klines, cuts=[30, 60], hides_length=True)
    assert len(hourly(exchange)) == 5
    server.give("/fapi/v1/klines", klines, cuts=[30] * 9, hides_length=True)
    with pytest.raises(SourceError, match=r"after 4 tries it did not .BadResponse: .* is no JSON"):
        hourly(exchange)


def test_a_page_for_people_is_not_taken_for_an_empty_history(server, exchange):
    server.give("/fapi/v1/klines", b"<html>Maintenance</html>")
    with pytest.raises(SourceError, match="is no JSON: '<html>Maintenance"):
        hourly(exchange)


def test_a_slow_exchange_is_named(server, open_local, client):
    exchange = open_local("binanceusdm", replace_timeout(client, 0.1))
    server.give("/fapi/v1/klines", klines, delay_s=0.3)
    with pytest.raises(SourceError, match="RequestTimeout"):
        hourly(exchange)


def replace_timeout(client, timeout_s):
    return type(client)(tries=2, timeout_s=timeout_s, sleep=client.sleep)


@pytest.mark.parametrize(
    "answer", [{"rows": []}, ["a", "b"], [[]], [[START_MS]], [{"t": START_MS}], "none", [None], 7]
)
def test_a_changed_form_is_an_error_of_the_source(server, exchange, answer):
    server.give("/fapi/v1/klines", answer)
    try:
        frame = hourly(exchange)
    except SourceError as error:
        assert "fetch_ohlcv" in str(error)  # noqa: PT017
    else:
        # ccxt reads what is missing as None or drops it: no number is made of it.
        assert frame.drop(columns="open_time").isna().all(axis=None)


def test_markets_in_another_form_are_an_error_of_the_source(server, exchange):
    server.give("/fapi/v1/exchangeInfo", {"symbols": [{"symbol": 5}, None]})
    with pytest.raises(SourceError, match="binanceusdm"):
        hourly(exchange)


def test_a_symbol_that_is_not_listed_is_named(exchange):
    with pytest.raises(InputError, match="the symbol must be one that the exchange lists"):
        bars(exchange, "XYZ/USDT", start=START, end=START + pd.Timedelta("1h"), interval="1h")


def test_an_error_of_the_exchange_is_quoted(server, exchange):
    server.give("/fapi/v1/klines", {"code": -1121, "msg": "Invalid symbol."})
    with pytest.raises(InputError, match="Invalid symbol"):
        hourly(exchange)
    server.give("/fapi/v1/klines", {"code": -2015, "msg": "Invalid API-key, IP, or permissions."})
    with pytest.raises(SourceError, match="the answer must be public"):
        hourly(exchange)


def every_error(base):
    yield base
    for one in base.__subclasses__():
        yield from every_error(one)


@pytest.mark.parametrize(
    "error", sorted(set(every_error(ccxt.BaseError)), key=lambda one: str(one))
)
def test_no_error_of_ccxt_escapes(error):
    class Failing:
        id = "failing"

        def fetch_ticker(self, symbol):
            raise error("what it said")

    slept: list[float] = []
    exchange = Exchange(api=Failing(), tries=3, sleep=slept.append)
    with pytest.raises(ForemarginError, match="what it said") as caught:
        exchange.call("fetch_ticker", BTC)
    assert type(caught.value) in (InputError, SourceError)
    passing = issubclass(error, (ccxt.NetworkError, ccxt.BadResponse))
    assert slept == ([1.0, 2.0] if passing else [])
    assert ("after 3 tries" in str(caught.value)) is passing


@pytest.mark.parametrize("error", [TypeError, KeyError, IndexError, ValueError, ZeroDivisionError])
def test_what_breaks_the_readers_of_ccxt_is_a_changed_form(error):
    found = translated(error("broken"), asked="x fetch_ticker(y)")
    assert isinstance(found, SourceError)
    assert found.damaged
    assert "update ccxt" in str(found)


# What an exchange has


def test_capabilities_are_those_of_ccxt_and_every_field_is_known():
    for exchange_id in ("binanceusdm", "bybit", "okx", "kraken", "hyperliquid", "coinbase"):
        table = exchange_capabilities(exchange_id)
        api = getattr(ccxt, exchange_id)()
        offered = table.frame().set_index("dataset")["offered"]
        methods = {
            "bars": "fetchOHLCV",
            "funding": "fetchFundingRateHistory",
            "open-interest": "fetchOpenInterestHistory",
            "order-book": "fetchOrderBook",
            "ticker": "fetchTicker",
        }
        assert {name: bool(api.has[method]) for name, method in methods.items()} == dict(offered)
        assert len(table.offers) + len(table.lacks) == len(methods)
        for one in table.offers:
            assert all(field_named(name) is not None for name in one.gives if name != "close")


def test_every_exchange_of_ccxt_has_a_table():
    for exchange_id in ccxt.exchanges[::8]:
        assert exchange_capabilities(exchange_id).exchange == exchange_id


def test_an_exchange_that_ccxt_does_not_know_is_named():
    with pytest.raises(InputError, match="that ccxt knows, was 'binanse'"):
        exchange_capabilities("binanse")


def test_without_ccxt_the_extra_is_named(monkeypatch):
    def absent(name, *args):
        raise ImportError(name)

    monkeypatch.setattr(importlib.import_module(Exchange.__module__), "import_module", absent)
    with pytest.raises(InputError, match=r"needs ccxt.*install foremargin\[exchange\]"):
        exchange_capabilities("kraken")


# The fetcher


def request(dataset, *symbols, interval=None, hours=5):
    end = START + pd.Timedelta(hours=hours)
    return FetchRequest(symbols=symbols, dataset=dataset, start=START, end=end, interval=interval)


@pytest.mark.parametrize(("dataset", "interval"), [("bars", "1h"), ("order-book", None)])
def test_what_exchanges_offer_between_them_is_let_through_before_one_is_asked(dataset, interval):
    wanted = request(dataset, f"binanceusdm:{BTC}", interval=interval)
    assert offered(ExchangeFetcher(), wanted).dataset == dataset


def test_fetching_writes_canonical_files(server, open_local, client, tmp_path):
    server.give("/fapi/v1/klines", klines)
    server.give("/fapi/v1/depth", depth(20))
    fetcher = ExchangeFetcher(open=open_local)
    wanted = request("bars", f"BTCUSDT=binanceusdm:{BTC}", interval="1h")
    report = fetcher.fetch(wanted, folder=tmp_path, client=client)
    assert report.files[0].path == tmp_path / "BTCUSDT_bars_1h.parquet"
    listing = report.files[0].listing
    assert listing is not None
    assert (listing.kind, listing.underlying) == (Kind.PERPETUAL, "BTC")
    assert len(pd.read_parquet(report.files[0].path)) == 5
    assert report.findings == ()
    wanted = request("order-book", f"binanceusdm:{BTC}")
    report = fetcher.fetch(wanted, folder=tmp_path, client=client)
    assert report.files[0].path.name == "binanceusdm-BTC-USDT-USDT_order-book.parquet"
    frame = pd.read_parquet(report.files[0].path)
    assert frame["instrument"].tolist() == [f"binanceusdm:{BTC}"]


def test_a_late_start_and_an_empty_range_are_findings(server, open_local, client, tmp_path):
    fetcher = ExchangeFetcher(open=open_local)
    wanted = request("bars", f"BTCUSDT=binanceusdm:{BTC}", interval="1h", hours=60)
    server.give("/fapi/v1/klines", lambda q: klines(q, listed=START_MS + 30 * HOUR_MS))
    report = fetcher.fetch(wanted, folder=tmp_path, client=client)
    assert [one.check for one in report.findings] == ["late-start"]
    server.give("/fapi/v1/klines", [])
    report = fetcher.fetch(wanted, folder=tmp_path / "other", client=client)
    assert [one.check for one in report.findings] == ["nothing-there"]
    assert report.files == ()


def test_a_volume_of_unknown_unit_is_left_out_and_named(server, open_local, client, tmp_path):
    server.give("/dapi/v1/klines", klines)
    wanted = request("bars", f"BTCUSD=binancecoinm:{INVERSE}", interval="1h")
    report = ExchangeFetcher(open=open_local).fetch(wanted, folder=tmp_path, client=client)
    assert [one.check for one in report.findings] == ["volume-unit-unknown"]
    assert "volume" not in pd.read_parquet(report.files[0].path)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (("bars", "BTC/USDT", "1h"), "a symbol must name its exchange, was 'BTC/USDT'"),
        (("funding", "kraken:BTC/USD", None), r"one that kraken offers \(bars, .*'funding'"),
        (("bars", f"binanceusdm:{BTC}", "7m"), "interval of binanceusdm bars must be one of"),
        (("bars", f"binanceusdm:{BTC}", "1M"), "interval of binanceusdm bars must be one of"),
        (("ticker", f"binanceusdm:{BTC}", "1h"), "ticker must be left out, was '1h'"),
        (("trades", f"binanceusdm:{BTC}", None), "dataset must be one that binanceusdm offers"),
    ],
)
def test_what_an_exchange_does_not_offer_is_refused(client, tmp_path, wanted, sentence):
    dataset, symbol, interval = wanted
    with pytest.raises(InputError, match=sentence):
        ExchangeFetcher().fetch(
            request(dataset, symbol, interval=interval), folder=tmp_path, client=client
        )
