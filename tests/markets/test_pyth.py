"""Pyth-like feeds: what a file or a server says, and a finding for every broken promise."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError, SourceError
from foremargin.markets.download.client import Client
from foremargin.markets.download.fetching import FetchRequest
from foremargin.markets.sources.oracle import (
    Promise,
    PythFeed,
    PythFetcher,
    fetch_pyth,
    pyth_feeds,
    read_pyth,
)

SECOND_NS = 1_000_000_000
START_S = 1_704_067_200  # 2024-01-01
BTC_ID = "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43"
ETH_ID = "ff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace"
BTC = PythFeed(instrument="BTC", feed_id=BTC_ID, promise=Promise(max_age=pd.Timedelta("1min")))


def update(publish_time=START_S, *, price="6140993501000", conf="3287868567", feed_id=BTC_ID):
    """One entry of `parsed`, as a Hermes server writes it."""
    value = {"price": price, "conf": conf, "expo": -8, "publish_time": publish_time}
    ema = {"price": "6094004700000", "conf": "3664839000", "expo": -8, "publish_time": publish_time}
    metadata = {"slot": 139_990_000, "proof_available_time": publish_time + 1}
    return {"id": feed_id, "price": value, "ema_price": ema, "metadata": metadata}


def hermes(*updates):
    return {"binary": {"encoding": "hex", "data": ["504e4155"]}, "parsed": list(updates)}


def checks(feed):
    return {finding.check: finding for finding in feed.findings}


def nanoseconds(*seconds):
    return np.array([(START_S + one) * SECOND_NS for one in seconds], dtype=np.int64)


def test_a_hermes_answer_becomes_price_confidence_and_time():
    (feed,) = pyth_feeds([hermes(update())], [BTC], origin="here")
    assert feed.price.tolist() == [61409.93501]
    assert feed.confidence.tolist() == [32.87868567]
    assert feed.publish_time.tolist() == nanoseconds(0).tolist()
    assert feed.findings == ()


def test_feeds_are_told_apart_by_id_with_or_without_its_prefix():
    eth = replace(BTC, instrument="ETH", feed_id="0x" + ETH_ID.upper())
    answer = hermes(update(), update(price="250000000000", feed_id=ETH_ID))
    found = pyth_feeds([answer], [eth, BTC], origin="here")
    assert [one.instrument for one in found] == ["ETH", "BTC"]
    assert [one.price[0] for one in found] == [2500.0, 61409.93501]


@pytest.mark.parametrize("form", ["one answer", "list", "lines"])
def test_a_file_of_hermes_answers_is_read_in_every_form(tmp_path, form):
    answers = [hermes(update(START_S)), hermes(update(START_S + 10))]
    path = tmp_path / "pyth.json"
    if form == "one answer":
        answers = [hermes(update(START_S), update(START_S + 10))]
        path.write_text(json.dumps(answers[0], indent=1))
    elif form == "list":
        path.write_text(json.dumps(answers))
    else:
        path.write_text("\n".join(json.dumps(one) for one in answers) + "\n")
    (feed,) = read_pyth(path, [BTC])
    assert feed.publish_time.tolist() == nanoseconds(0, 10).tolist()


def test_a_file_that_is_no_json_is_named(tmp_path):
    path = tmp_path / "pyth.json"
    path.write_text('{"parsed": [')
    with pytest.raises(InputError, match=r"pyth\.json: a file of Hermes answers must be JSON"):
        read_pyth(path, [BTC])
    with pytest.raises(InputError, match="must be readable text"):
        read_pyth(tmp_path / "absent.json", [BTC])


def test_a_feed_that_is_not_there_is_named():
    with pytest.raises(InputError, match=f"must hold the feed {ETH_ID} of BTC, found none of it"):
        pyth_feeds([hermes(update())], [replace(BTC, feed_id=ETH_ID)], origin="here")


@pytest.mark.parametrize("key", ["price", "conf", "expo", "publish_time"])
def test_a_changed_form_names_the_key(key):
    changed = update()
    del changed["price"][key]
    with pytest.raises(SourceError, match=f"here: the answer must hold the key '{key}'"):
        pyth_feeds([hermes(changed)], [BTC], origin="here")
    with pytest.raises(SourceError, match="must hold the key 'parsed', found 'updates'"):
        pyth_feeds([{"updates": []}], [BTC], origin="here")


def test_a_number_with_decimals_is_no_whole_number():
    with pytest.raises(SourceError, match=r"must hold a whole number in 'price', found '61409\.9'"):
        pyth_feeds([hermes(update(price="61409.9"))], [BTC], origin="here")


def test_a_confidence_wider_than_promised_is_a_finding_and_kept():
    wide = update(START_S + 5, price="10000000000", conf="100000001")
    edge = update(START_S + 9, price="10000000000", conf="100000000")
    (feed,) = pyth_feeds([hermes(update(), wide, edge)], [BTC], origin="here")
    assert checks(feed)["oracle-wide-confidence"].count == 1
    assert checks(feed)["oracle-wide-confidence"].first == pd.Timestamp(
        START_S + 5, unit="s", tz="UTC"
    )
    assert np.isfinite(feed.price).all()


def test_a_negative_confidence_counts_as_unknown():
    (feed,) = pyth_feeds([hermes(update(conf="-1"), update(START_S + 1))], [BTC], origin="here")
    assert np.isnan(feed.confidence[0])
    assert checks(feed)["oracle-negative-confidence"].count == 1


# Pyth over the network


def test_hermes_is_asked_for_every_feed_at_every_time(server, client):
    for second in (START_S, START_S + 60):
        server.give(f"/v2/updates/price/{second}", hermes(update(second + 2)), failures=[429, 500])
    times = pd.to_datetime([START_S, START_S + 60], unit="s", utc=True)
    (feed,) = fetch_pyth(client, [BTC], times=times, url=server.url)
    assert feed.publish_time.tolist() == nanoseconds(2, 62).tolist()
    assert server.asked[0].query == {"ids[]": BTC_ID, "parsed": "true"}


def test_the_latest_price_needs_no_time(server, client):
    server.give("/v2/updates/price/latest", hermes(update()))
    (feed,) = fetch_pyth(client, [BTC], url=server.url)
    assert feed.price.tolist() == [61409.93501]


def test_an_answer_that_ends_early_is_asked_for_again(server, client):
    server.give("/v2/updates/price/latest", hermes(update()), cuts=[40])
    (feed,) = fetch_pyth(client, [BTC], url=server.url)
    assert feed.price.tolist() == [61409.93501]
    assert len(server.asked) == 2


def test_a_server_that_fails_or_is_slow_is_named(server, pauses):
    client = Client(tries=2, timeout_s=0.1, sleep=pauses.append)
    server.give("/v2/updates/price/latest", hermes(update()), failures=[503] * 2)
    with pytest.raises(SourceError, match="after 2 tries it answered 503"):
        fetch_pyth(client, [BTC], url=server.url)
    server.give("/v2/updates/price/latest", hermes(update()), delay_s=0.4)
    with pytest.raises(SourceError, match="it was silent for"):
        fetch_pyth(client, [BTC], url=server.url)
    with pytest.raises(SourceError, match="404"):
        fetch_pyth(client, [BTC], url=server.url + "/elsewhere")


def test_fetching_pyth_writes_an_observation_file(server, client, tmp_path):
    for minute in range(3):
        second = START_S + 60 * minute
        server.give(f"/v2/updates/price/{second}", hermes(update(second + 1)))
    request = FetchRequest(
        symbols=(f"BTCUSDT={BTC_ID}",),
        dataset="prices",
        start=pd.Timestamp(START_S, unit="s", tz="UTC"),
        end=pd.Timestamp(START_S + 180, unit="s", tz="UTC"),
        interval="1min",
    )
    report = PythFetcher(url=server.url).fetch(request, folder=tmp_path, client=client)
    frame = pd.read_parquet(report.files[0].path)
    assert report.files[0].path == tmp_path / "BTCUSDT_prices_1min.parquet"
    expected = ["time", "known_at", "instrument", "oracle_price", "oracle_confidence"]
    assert list(frame) == expected
    assert len(frame) == 3
    with pytest.raises(InputError, match="must name an instrument and a feed id, was 'BTC'"):
        PythFetcher().fetch(replace(request, symbols=("BTC",)), folder=tmp_path, client=client)


def test_max_age_decides_where_there_is_no_heartbeat():
    (feed,) = pyth_feeds([hermes(update())], [BTC], origin="here")
    state = feed.state_at(nanoseconds(60, 61))
    assert state.stale.tolist() == [False, True]
    assert np.isnan(state.missed_heartbeats).all()
    assert state.confidence_ratio.tolist() == [32.87868567 / 61409.93501] * 2


def test_observations_are_known_after_the_delay():
    (feed,) = pyth_feeds([hermes(update(), update(START_S + 5))], [BTC], origin="here")
    seen = feed.observations(delay=pd.Timedelta("2s"))
    assert (seen.known_at - seen.time).tolist() == [2 * SECOND_NS] * 2
    assert set(seen.values) == {"oracle_price", "oracle_confidence"}
    assert seen.max_age is None
    with pytest.raises(InputError, match="must not be known before"):
        feed.observations(delay=pd.Timedelta("-1s"))
