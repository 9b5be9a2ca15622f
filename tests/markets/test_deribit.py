"""Deribit: histories come whole and in time, chains give sound volatilities, failures speak."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError, SourceError
from foremargin.markets import Kind
from foremargin.markets.download.client import Client
from foremargin.markets.download.fetching import FetchRequest
from foremargin.markets.sources.deribit import (
    DeribitApi,
    DeribitFetcher,
    OptionChain,
    funding_history,
    index_price,
    listings,
    option_chain,
    price_bars,
    ticker,
    volatility_index,
)

HOUR_MS = 3_600_000
START = pd.Timestamp("2024-01-01", tz="UTC")
START_MS = START.value // 10**6
NOW_MS = START_MS + 10 * HOUR_MS + 1
EXPIRY_MS = {"26JAN24": START_MS + 25 * 24 * HOUR_MS, "29MAR24": START_MS + 88 * 24 * HOUR_MS}
FORWARD = {"26JAN24": 42_000.0, "29MAR24": 43_000.0}
VOL = {"26JAN24": 0.50, "29MAR24": 0.60}
PATH = "/api/v2/public/"


def rpc(result, *, now_ms=NOW_MS):
    """An answer as Deribit writes it."""
    answer = {"jsonrpc": "2.0", "result": result, "testnet": False}
    return answer | {"usIn": now_ms * 1000 - 90, "usOut": now_ms * 1000, "usDiff": 90}


def refusal(code, message, **data):
    error = {"message": message, "code": code} | ({"data": data} if data else {})
    return {"jsonrpc": "2.0", "error": error, "testnet": False, "usIn": 1, "usOut": 2, "usDiff": 1}


@pytest.fixture
def api(server, client):
    return DeribitApi(client=client, url=server.url)


def give(server, method, result, **behaviour):
    body = (lambda query: json.dumps(rpc(result(query))).encode()) if callable(result) else None
    return server.give(PATH + method, body or rpc(result), **behaviour)


# DVOL


def candle(hour):
    level = 50.0 + hour
    return [START_MS + hour * HOUR_MS, level, level + 2, level - 2, level + 1]


def dvol_pages(query):
    """Four candles a page, the latest first, as the server pages."""
    last = int(query["end_timestamp"])
    wanted = [c for c in map(candle, range(12)) if int(query["start_timestamp"]) <= c[0] <= last]
    page = wanted[-4:]
    return {"data": page, "continuation": page[0][0] - 1 if len(wanted) > 4 else None}


def dvol(api, hours=12, *, start=START):
    end = START + pd.Timedelta(hours=hours)
    return volatility_index(api, "BTC", start=start, end=end, interval="1h")


def test_dvol_is_known_at_the_end_of_its_candle_as_a_decimal(server, api):
    give(server, "get_volatility_index_data", dvol_pages)
    frame = dvol(api, 3)
    ends = pd.date_range("2024-01-01T01:00Z", periods=3, freq="1h").tolist()
    assert frame["time"].tolist() == ends
    assert frame["known_at"].tolist() == ends
    assert frame["implied_vol"].tolist() == [0.51, 0.52, 0.53]
    assert server.asked[0].query["resolution"] == "3600"


def test_dvol_follows_its_pages_back_and_drops_the_candle_that_still_forms(server, api):
    give(server, "get_volatility_index_data", dvol_pages)
    frame = dvol(api)
    assert len(server.asked) == 3
    assert len(frame) == 10  # the eleventh ends after the server's clock, the twelfth begins so
    assert frame["time"].is_monotonic_increasing
    assert frame["time"].is_unique


def test_dvol_keeps_to_the_range_that_was_asked_for(server, api):
    whole = {"data": [candle(hour) for hour in range(9)], "continuation": None}
    give(server, "get_volatility_index_data", whole)
    frame = dvol(api, 5, start=START + pd.Timedelta(hours=2))
    assert frame["implied_vol"].tolist() == [0.53, 0.54, 0.55]


def test_pages_that_do_not_lead_back_are_refused(server, api):
    stuck = {"data": [candle(1)], "continuation": START_MS + 12 * HOUR_MS}
    give(server, "get_volatility_index_data", stuck)
    with pytest.raises(SourceError, match="pages must lead back in time"):
        dvol(api)


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"candles": [], "continuation": None}, "data"),
        ({"data": []}, "continuation"),
        ({"data": [[START_MS, 1.0, 2.0]], "continuation": None}, "close"),
        ({"data": [["noon", 1.0, 2.0, 0.5, 1.0]], "continuation": None}, "start"),
        ({"data": [[START_MS, 1.0, 2.0, 0.5, "high"]], "continuation": None}, "close"),
    ],
)
def test_a_changed_form_names_key_and_method(server, api, changed, key):
    give(server, "get_volatility_index_data", changed)
    with pytest.raises(SourceError, match=f"Deribit get_volatility_index_data: .*'{key}'"):
        dvol(api)


def test_an_answer_that_is_no_json_rpc_is_refused(server, api):
    server.give(PATH + "get_volatility_index_data", [1, 2])
    with pytest.raises(SourceError, match="must hold the key 'result', found list"):
        dvol(api)
    server.give(PATH + "get_volatility_index_data", {"result": {}})
    with pytest.raises(SourceError, match="must hold the key 'usOut', found 'result'"):
        dvol(api)


# Failures


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_passing_failure_is_asked_again(server, api, status):
    give(server, "get_volatility_index_data", dvol_pages, failures=[status] * 3)
    assert len(dvol(api, 3)) == 3


def test_an_answer_that_ends_early_is_asked_again(server, api):
    give(server, "get_volatility_index_data", dvol_pages, cuts=[50, 80])
    assert len(dvol(api, 3)) == 3
    assert len(server.asked) == 3


def test_an_answer_whose_end_cannot_be_told_is_no_json(server, api):
    give(server, "get_volatility_index_data", dvol_pages, cuts=[50], hides_length=True)
    with pytest.raises(SourceError, match="the answer must be JSON"):
        dvol(api)


def test_a_silent_server_is_named(server, pauses):
    give(server, "get_volatility_index_data", dvol_pages, delay_s=0.3)
    client = Client(tries=2, timeout_s=0.05, sleep=pauses.append)
    with pytest.raises(SourceError, match="after 2 tries it was silent"):
        dvol(DeribitApi(client=client, url=server.url))


def test_too_many_requests_are_followed_by_growing_pauses(server, api, pauses):
    busy = [json.dumps(refusal(10028, "too_many_requests")).encode()] * 2
    good = json.dumps(rpc(dvol_pages({"start_timestamp": 0, "end_timestamp": START_MS}))).encode()
    answers = iter([*busy, good])
    server.give(PATH + "get_volatility_index_data", lambda query: next(answers))
    assert len(dvol(api, 1)) == 1
    assert pauses == [1.0, 2.0]


def test_a_server_that_stays_busy_is_named(server, api, pauses):
    server.give(PATH + "get_volatility_index_data", refusal(10028, "too_many_requests"))
    with pytest.raises(SourceError, match=r"asked too much in each of 4 tries \(error 10028\)"):
        dvol(api)
    assert pauses == [1.0, 2.0, 4.0]


@pytest.mark.parametrize(("code", "n_asked"), [(10028, 4), (13009, 1)])
def test_an_error_with_status_400_is_told_apart_by_its_code(monkeypatch, client, code, n_asked):
    asked = []

    def get_json(self, url, *, params=None):
        asked.append(url)
        body = json.dumps(refusal(code, "no"))
        raise SourceError(f"{url}: it answered 400 Bad Request: '{body}'", status=400)

    monkeypatch.setattr(Client, "get_json", get_json)
    with pytest.raises(SourceError, match=str(code)):
        dvol(DeribitApi(client=client, url="http://127.0.0.1"))
    assert len(asked) == n_asked


def test_an_error_of_the_interface_is_quoted(server, api):
    wrong = refusal(-32602, "Invalid params", reason="wrong format", param="currency")
    server.give(PATH + "get_volatility_index_data", wrong)
    with pytest.raises(SourceError, match=r"error -32602 \(Invalid params: .*'currency'"):
        dvol(api)
    assert len(server.asked) == 1


# Bars and funding


def chart(query, *, last_hour=11):
    first, last = int(query["start_timestamp"]), int(query["end_timestamp"])
    ticks = [START_MS + h * HOUR_MS for h in range(last_hour)]
    ticks = [tick for tick in ticks if first <= tick <= last]
    columns = {name: [100.0 + i for i in range(len(ticks))] for name in ("open", "close")}
    columns |= {"high": [200.0] * len(ticks), "low": [50.0] * len(ticks)}
    columns |= {"volume": [1.5] * len(ticks), "cost": [150.0] * len(ticks)}
    return {"status": "ok" if ticks else "no_data", "ticks": ticks} | columns


def test_bars_carry_both_volumes_and_no_bar_that_still_forms(server, api):
    give(server, "get_tradingview_chart_data", chart)
    end = START + pd.Timedelta(hours=12)
    frame = price_bars(api, "BTC-PERPETUAL", start=START, end=end, interval="1h")
    assert frame["open_time"].tolist() == list(pd.date_range(START, periods=10, freq="1h"))
    expected = ["open_time", "open", "high", "low", "close", "volume", "quote_asset_volume"]
    assert list(frame) == expected
    assert server.asked[0].query["resolution"] == "60"


def test_bars_of_a_long_range_come_in_pages_without_overlap(server, api):
    give(server, "get_tradingview_chart_data", chart)
    begin = START - pd.Timedelta(hours=12_000)
    end = START + pd.Timedelta(hours=5)
    frame = price_bars(api, "BTC-PERPETUAL", start=begin, end=end, interval="1h")
    assert len(frame) == 5
    spans = [(int(a.query["start_timestamp"]), int(a.query["end_timestamp"])) for a in server.asked]
    assert len(spans) == 3
    assert [first for first, _ in spans[1:]] == [last + 1 for _, last in spans[:-1]]


def test_a_range_without_bars_is_an_empty_table(server, api):
    give(server, "get_tradingview_chart_data", {"status": "no_data"})
    end = START + pd.Timedelta(hours=2)
    assert price_bars(api, "BTC-PERPETUAL", start=START, end=end, interval="1h").empty


def test_columns_of_unequal_length_are_refused(server, api):
    give(server, "get_tradingview_chart_data", lambda query: chart(query) | {"low": [1.0]})
    end = START + pd.Timedelta(hours=5)
    with pytest.raises(SourceError, match=r"as many values in 'low' as in 'ticks' \(5\), found 1"):
        price_bars(api, "BTC-PERPETUAL", start=START, end=end, interval="1h")


def test_funding_is_that_of_one_hour_and_pages_do_not_repeat(server, api):
    def history(query):
        first, last = int(query["start_timestamp"]), int(query["end_timestamp"])
        times = range(START_MS, START_MS + 800 * HOUR_MS, HOUR_MS)
        row = {"index_price": 42e3, "prev_index_price": 42e3, "interest_8h": 8e-5}
        return [
            row | {"timestamp": t, "interest_1h": 1e-5 * i}
            for i, t in enumerate(times)
            if first <= t <= last
        ]

    give(server, "get_funding_rate_history", history)
    end = START + pd.Timedelta(hours=800)
    frame = funding_history(api, "BTC-PERPETUAL", start=START, end=end)
    assert len(server.asked) == 2
    np.testing.assert_allclose(frame["funding_rate"], 1e-5 * np.arange(800))
    assert (frame["time"] == frame["known_at"]).all()
    assert list(frame) == ["time", "known_at", "funding_rate", "index_price"]


# Snapshots


def contract(name):
    _, expiry, strike, side = name.split("-")
    return {
        "instrument_name": name,
        "kind": "option",
        "base_currency": "BTC",
        "quote_currency": "BTC",
        "settlement_period": "month",
        "strike": float(strike),
        "option_type": {"C": "call", "P": "put"}[side],
        "expiration_timestamp": EXPIRY_MS[expiry],
    }


NAMES = [
    f"BTC-{expiry}-{strike}-{side}"
    for expiry in EXPIRY_MS
    for strike in range(20_000, 90_000, 2_000)
    for side in "CP"
]


def smile(name):
    """Volatility, percent: a smile that leans to the puts and is VOL at the forward."""
    _, expiry, strike, _ = name.split("-")
    away = np.log(float(strike) / FORWARD[expiry])
    return 100 * (VOL[expiry] - 0.1 * away)


def summary(name):
    return {
        "instrument_name": name,
        "creation_timestamp": NOW_MS - 5,
        "mark_price": 0.05,
        "mark_iv": smile(name),
        "underlying_price": FORWARD[name.split("-")[1]],
        "open_interest": 12.5,
        "bid_price": 0.049,
        "ask_price": None,
    }


def quote(name):
    greeks = {"delta": 0.4, "gamma": 1e-5, "vega": 50.0, "theta": -30.0, "rho": 9.0}
    return {
        "instrument_name": name,
        "timestamp": NOW_MS - 3,
        "mark_price": 0.05,
        "index_price": 41_990.0,
        "best_bid_price": 0.049,
        "best_ask_price": 0.0,
        "mark_iv": smile(name),
        "bid_iv": 0.0,
        "ask_iv": smile(name) + 2,
        "underlying_price": FORWARD[name.split("-")[1]],
        "open_interest": 12.5,
        "greeks": greeks,
    }


@pytest.fixture
def chain(server, api):
    give(server, "get_instruments", [contract(name) for name in NAMES])
    give(server, "get_book_summary_by_currency", [summary(name) for name in NAMES])
    return option_chain(api, "BTC")


def test_a_chain_is_made_of_instruments_and_their_summary(chain, server):
    assert len(server.asked) == 2
    assert chain.instrument.tolist() == NAMES
    assert chain.as_of == (NOW_MS - 5) * 10**6
    frame = chain.frame()
    first = frame.iloc[0]
    assert first["is_call"]
    assert not frame["is_call"].iloc[1]
    assert first["strike"] == 20_000
    assert first["expiry"] == pd.Timestamp(EXPIRY_MS["26JAN24"], unit="ms", tz="UTC")
    assert frame[["bid_iv", "ask_iv", "delta", "vega"]].isna().all(axis=None)


def test_quotes_bring_the_greeks_and_both_volatilities(server, api):
    give(server, "get_instruments", [contract(name) for name in NAMES[:4]])
    give(server, "ticker", lambda query: quote(query["instrument_name"]))
    chain = option_chain(api, "BTC", quotes=True)
    assert len(server.asked) == 5
    assert chain.delta.tolist() == [0.4] * 4
    assert np.isnan(chain.bid_iv).all()  # zero is how Deribit writes that there is none
    np.testing.assert_allclose(chain.ask_iv - chain.mark_iv, 0.02)


def test_volatility_at_the_money_is_that_of_the_forward(chain):
    terms = chain.term_structure()
    np.testing.assert_allclose(terms["atm_vol"], [0.50, 0.60], atol=5e-4)
    assert terms["underlying_price"].tolist() == [42_000.0, 43_000.0]
    assert terms["strikes"].tolist() == [35, 35]


def test_total_variance_is_interpolated_between_expiries(chain):
    near, far = chain.term_structure().itertuples()
    days = 40.0
    weight = (days - near.days) / (far.days - near.days)
    total = (1 - weight) * near.atm_vol**2 * near.days + weight * far.atm_vol**2 * far.days
    assert chain.atm_implied_vol(days) == pytest.approx(np.sqrt(total / days))
    assert chain.atm_implied_vol(near.days) == pytest.approx(near.atm_vol)


@pytest.mark.parametrize("days", [1.0, 200.0, 0.0])
def test_a_maturity_outside_the_expiries_is_refused(chain, days):
    with pytest.raises(NotEnoughHistoryError, match=r"\(24\.58 to 87\.58 days\), was"):
        chain.atm_implied_vol(days)


def test_the_risk_reversal_is_the_lean_of_the_smile(chain):
    # The strikes with a delta of +-0.25 lie about 0.6745 deviations either side of the forward.
    days = chain.term_structure()["days"][0]
    deviation = 0.5 * np.sqrt(days / 365)
    lean = chain.risk_reversal(0.25, days=days)
    assert lean == pytest.approx(-0.1 * 2 * 0.6745 * deviation, rel=0.02)
    assert chain.risk_reversal(0.10, days=days) < lean < 0


def test_a_flat_smile_has_no_risk_reversal(chain):
    flat = replace(chain, mark_iv=np.full(len(NAMES), 0.5))
    assert flat.risk_reversal(days=50.0) == pytest.approx(0.0, abs=1e-12)
    assert flat.atm_implied_vol(50.0) == pytest.approx(0.5)


def test_chain_measures_scale_with_volatility_and_not_with_the_currency(chain):
    dollars = replace(chain, strike=7 * chain.strike, underlying_price=7 * chain.underlying_price)
    assert dollars.atm_implied_vol(40.0) == pytest.approx(chain.atm_implied_vol(40.0))
    assert dollars.risk_reversal(days=40.0) == pytest.approx(chain.risk_reversal(days=40.0))


def test_options_without_volatility_do_not_count(chain):
    holes = chain.mark_iv.copy()
    holes[chain.expiry == EXPIRY_MS["29MAR24"] * 10**6] = np.nan
    half = replace(chain, mark_iv=holes)
    assert half.term_structure()["atm_vol"].isna().tolist() == [False, True]
    with pytest.raises(NotEnoughHistoryError, match="must lie between two expiries"):
        half.atm_implied_vol(40.0)


@pytest.mark.parametrize("delta", [0.0, 25, -0.25])
def test_a_delta_outside_its_range_is_refused(chain, delta):
    with pytest.raises(InputError, match=r"delta must be in \(0, 0\.5\]"):
        chain.risk_reversal(delta, days=40.0)


def test_a_chain_needs_options_of_equal_length(chain, server, api):
    with pytest.raises(ShapeError, match=r"strike must have shape \(140,\)"):
        replace(chain, strike=np.ones(3))
    give(server, "get_instruments", [contract(NAMES[0]) | {"base_currency": "SOL"}])
    with pytest.raises(InputError, match="must be options priced in BTC, found none"):
        option_chain(api, "BTC")


@pytest.mark.parametrize(
    ("method", "key"),
    [
        ("get_book_summary_by_currency", "mark_iv"),
        ("get_book_summary_by_currency", "creation_timestamp"),
        ("get_instruments", "strike"),
        ("get_instruments", "option_type"),
    ],
)
def test_a_chain_in_another_form_names_the_key(server, api, method, key):
    records = {
        "get_instruments": [contract(name) for name in NAMES],
        "get_book_summary_by_currency": [summary(name) for name in NAMES],
    }
    for name, found in records.items():
        give(server, name, found)
    give(server, method, [{k: v for k, v in one.items() if k != key} for one in records[method]])
    with pytest.raises(SourceError, match=f"must hold the key '{key}'"):
        option_chain(api, "BTC")


def test_a_file_of_a_chain_takes_greeks_as_text_of_either_language(tmp_path):
    raw = pd.DataFrame([contract(name) | quote(name) for name in NAMES[:3]])
    raw["timestamp"] = pd.to_datetime(raw["timestamp"], unit="ms", utc=True)
    raw["expiration_timestamp"] = pd.to_datetime(
        raw["expiration_timestamp"], unit="ms", utc=True
    ).dt.as_unit("us")
    for name, text in (("python", repr), ("json", json.dumps)):
        path = tmp_path / f"{name}.parquet"
        raw.assign(greeks=[text(one) for one in raw["greeks"]]).to_parquet(path)
        chain = OptionChain.from_file(path)
        assert chain.vega.tolist() == [50.0] * 3
        assert chain.time[0] == (NOW_MS - 3) * 10**6
    raw.assign(greeks="{'delta': ").to_parquet(tmp_path / "cut.parquet")
    with pytest.raises(SourceError, match="greeks must be an object or the text of one"):
        OptionChain.from_file(tmp_path / "cut.parquet")
    with pytest.raises(InputError, match=r"absent\.parquet: an option chain must be a Parquet"):
        OptionChain.from_file(tmp_path / "absent.parquet")


def test_a_ticker_tells_units_from_the_kind_of_contract(server, api):
    perpetual = quote(NAMES[0])
    perpetual = {k: v for k, v in perpetual.items() if k not in ("mark_iv", "bid_iv", "ask_iv")}
    give(
        server, "ticker", lambda q: perpetual if "PERP" in q["instrument_name"] else quote(NAMES[0])
    )
    inverse = ticker(api, "BTC-PERPETUAL").iloc[0]
    assert inverse["open_interest_value"] == 12.5
    assert ticker(api, "BTC_USDC-PERPETUAL").iloc[0]["open_interest"] == 12.5
    option = ticker(api, NAMES[0]).iloc[0]
    assert option["open_interest"] == 12.5
    assert option["implied_vol"] == pytest.approx(smile(NAMES[0]) / 100)
    assert option["bid"] == 0.049
    assert np.isnan(option["ask"])
    assert option["known_at"] - option["time"] == pd.Timedelta("3ms")


def test_an_index_price_is_dated_by_the_server(server, api):
    give(server, "get_index_price", {"index_price": 42_000.5, "estimated_delivery_price": 42e3})
    row = index_price(api, "btc_usd").iloc[0]
    assert row["index_price"] == 42_000.5
    assert row["time"] == pd.Timestamp(NOW_MS, unit="ms", tz="UTC")


def test_listings_say_what_an_instrument_is(server, api):
    future = contract(NAMES[0]) | {"kind": "future", "quote_currency": "USD"}
    found = [
        contract(NAMES[0]),
        future | {"instrument_name": "BTC-26JAN24"},
        future | {"instrument_name": "BTC-PERPETUAL", "settlement_period": "perpetual"},
        future | {"instrument_name": "BTC_USDC", "kind": "spot"},
        future | {"instrument_name": "BTC-FS-1", "kind": "future_combo"},
    ]
    give(server, "get_instruments", found)
    kinds = {one.instrument: one.kind for one in listings(api, "BTC")}
    assert list(kinds.values()) == [
        *(Kind.OPTION, Kind.FUTURE, Kind.PERPETUAL, Kind.SPOT, Kind.UNKNOWN)
    ]
    by_name = {one.instrument: one for one in listings(api, "BTC")}
    assert by_name["BTC-PERPETUAL"].expiry is None
    assert by_name["BTC-26JAN24"].expiry == pd.Timestamp(EXPIRY_MS["26JAN24"], unit="ms", tz="UTC")


# The fetcher


def request(dataset, symbol, interval=None):
    end = START + pd.Timedelta(hours=5)
    return FetchRequest(symbols=(symbol,), dataset=dataset, start=START, end=end, interval=interval)


def test_every_history_becomes_a_canonical_file(server, client, tmp_path):
    fetcher = DeribitFetcher(url=server.url)
    give(server, "get_volatility_index_data", dvol_pages)
    wanted = request("volatility-index", "BTCUSDT=BTC", "1h")
    report = fetcher.fetch(wanted, folder=tmp_path, client=client)
    frame = pd.read_parquet(tmp_path / "BTCUSDT_volatility-index_1h.parquet")
    assert list(frame) == ["time", "known_at", "implied_vol", "instrument"]
    assert report.rows == len(frame) == 5
    give(server, "get_tradingview_chart_data", chart)
    report = fetcher.fetch(request("bars", "BTC-PERPETUAL", "1h"), folder=tmp_path, client=client)
    assert report.files[0].path == tmp_path / "BTC-PERPETUAL_bars_1h.parquet"


def test_a_chain_is_kept_beside_the_volatility_that_is_read_off_it(chain, server, client, tmp_path):
    fetcher = DeribitFetcher(url=server.url)
    report = fetcher.fetch(request("option-chain", "BTC"), folder=tmp_path, client=client)
    frame = pd.read_parquet(report.files[0].path)
    assert frame["implied_vol"].tolist() == [chain.atm_implied_vol(30.0)]
    kept = tmp_path / ".chains" / "BTC" / "20240101T095959Z.parquet"
    pd.testing.assert_frame_equal(OptionChain.from_file(kept).frame(), chain.frame())


def test_a_range_without_values_is_a_finding_and_leaves_no_file(server, client, tmp_path):
    give(server, "get_tradingview_chart_data", {"status": "no_data"})
    wanted = request("bars", "BTC-PERPETUAL", "1h")
    report = DeribitFetcher(url=server.url).fetch(wanted, folder=tmp_path, client=client)
    assert report.files == ()
    assert report.findings[0].check == "nothing-there"
    assert list(tmp_path.iterdir()) == []


def test_what_deribit_does_not_offer_is_refused(client, tmp_path):
    with pytest.raises(InputError, match="dataset must be one of those that deribit offers"):
        DeribitFetcher().fetch(request("trades", "BTC"), folder=tmp_path, client=client)


# The real chain of 2020-05-21


@pytest.fixture(scope="module")
def real_chain(market_data):
    return OptionChain.from_file(market_data / "deribit_btc_option_chain_20200521.parquet")


def test_the_real_chain_is_read_whole_and_in_decimals(real_chain):
    assert len(real_chain.instrument) == 326
    assert len(np.unique(real_chain.expiry)) == 7
    assert real_chain.is_call.sum() == 163
    assert 0.3 < np.nanmin(real_chain.mark_iv) < np.nanmax(real_chain.mark_iv) < 3
    assert np.nanmax(real_chain.ask_iv) <= 5
    assert np.isnan(real_chain.bid_iv).sum() == 147
    assert not (real_chain.bid_iv > real_chain.ask_iv).any()


def test_the_real_marks_obey_put_call_parity(real_chain):
    frame = real_chain.frame()
    call, put = (frame[frame["is_call"] == side] for side in (True, False))
    both = call.merge(put, on=["expiry", "strike"], suffixes=("", "_put"))
    assert len(both) == 163
    forward = (both["underlying_price"] + both["underlying_price_put"]) / 2
    left = both["mark_price"] - both["mark_price_put"]
    gap = (left - (1 - both["strike"] / forward)).abs()
    # Call and put were sent seconds apart: the forward moved by up to 0.2 % meanwhile.
    assert gap.max() < 2e-3
    assert gap.median() < 1e-4


def test_the_real_volatilities_at_the_money_lie_between_bid_and_ask(real_chain):
    terms = real_chain.term_structure()
    assert len(terms) == 7
    for term in terms.itertuples():
        here = real_chain.expiry == term.expiry.value
        away = np.abs(real_chain.strike / term.underlying_price - 1)
        nearest = here & (away == away[here].min())
        assert np.nanmin(real_chain.bid_iv[nearest]) < term.atm_vol
        assert term.atm_vol < np.nanmax(real_chain.ask_iv[nearest])
    assert 0.7 < real_chain.atm_implied_vol(30.0) < 0.9
    assert real_chain.risk_reversal(days=30.0) < 0  # after a crash puts are dearer


def test_the_delta_of_the_exchange_is_that_of_black(real_chain):
    np.testing.assert_allclose(real_chain.black_delta(), real_chain.delta, atol=2e-4)
