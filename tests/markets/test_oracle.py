"""Oracle feeds: exact prices, ages at any moment, and a finding for every broken promise."""

import csv
import json
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError, ShapeError, SourceError
from foremargin.markets.sources.oracle import (
    ChainlinkFeed,
    OracleFeed,
    Promise,
    PythFeed,
    Round,
    chainlink_feed,
    contract_call,
    fetch_rounds,
    read_chainlink,
)
from foremargin.markets.sources.oracle.scaling import scaled

SECOND_NS = 1_000_000_000
HOUR_S = 3600
START_S = 1_704_067_200  # 2024-01-01
BTC_ID = "e62df6c8b4a85fe1a67db44dc12de5db330f7ac66b72dc658afedf0f4a415b43"
HOURLY = Promise(heartbeat=pd.Timedelta("1h"), deviation_threshold=0.005)
BTC = PythFeed(instrument="BTC", feed_id=BTC_ID, promise=Promise(max_age=pd.Timedelta("1min")))
ETH_USD = ChainlinkFeed(instrument="ETH", decimals=8, promise=HOURLY)


def rounds(minutes, *, prices=None, first_id=1):
    """Rounds at these minutes after the start; ETH at 2,500 unless `prices` say otherwise."""
    prices = [2500.0] * len(minutes) if prices is None else prices
    return [
        Round(
            round_id=first_id + i,
            answer=round(price * 10**8),
            started_at=START_S + 60 * minute - 5,
            updated_at=START_S + 60 * minute,
            answered_in_round=first_id + i,
        )
        for i, (minute, price) in enumerate(zip(minutes, prices, strict=True))
    ]


def feed_of(found, feed=ETH_USD):
    return chainlink_feed(found, feed, origin="here")


def checks(feed):
    return {finding.check: finding for finding in feed.findings}


def nanoseconds(*seconds):
    return np.array([(START_S + one) * SECOND_NS for one in seconds], dtype=np.int64)


# Whole numbers become prices


def test_scaling_gives_the_float_nearest_to_the_exact_decimal():
    rng = np.random.default_rng(3)
    for _ in range(500):
        mantissa = int(rng.integers(1, 10**15)) * int(rng.integers(1, 10**12))
        exponent = int(rng.integers(-18, 3))
        assert scaled(mantissa, exponent) == float(Decimal(f"{mantissa}e{exponent}"))
        assert scaled(-mantissa, exponent) == -scaled(mantissa, exponent)


@pytest.mark.parametrize(("mantissa", "exponent"), [(1, -1_000_000_000), (1 << 256, 0), (5, 78)])
def test_numbers_beyond_256_bits_are_refused(mantissa, exponent):
    with pytest.raises(SourceError, match="must fit into 256 bits"):
        scaled(mantissa, exponent)


# Chainlink


@pytest.mark.parametrize("suffix", [".csv", ".json"])
def test_a_file_of_rounds_is_read_in_the_order_of_rounds(tmp_path, suffix):
    phase = 6 << 64  # ids of a proxy are longer than 64 bits
    raw = [
        {
            "roundId": one.round_id,
            "answer": one.answer,
            "startedAt": one.started_at,
            "updatedAt": one.updated_at,
            "answeredInRound": one.answered_in_round,
        }
        for one in reversed(
            rounds([0, 30, 60], prices=[2500.0, 2501.0, 2502.0], first_id=phase + 1)
        )
    ]
    path = tmp_path / f"rounds{suffix}"
    if suffix == ".json":
        path.write_text(json.dumps(raw))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, raw[0])
            writer.writeheader()
            writer.writerows(raw)
    feed = read_chainlink(path, ETH_USD)
    assert feed.price.tolist() == [2500.0, 2501.0, 2502.0]
    assert feed.publish_time.tolist() == nanoseconds(0, 1800, 3600).tolist()
    assert feed.findings == ()


def test_a_file_of_rounds_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "rounds.json"
    path.write_text("[{")
    with pytest.raises(InputError, match="a file of rounds must be CSV or JSON"):
        read_chainlink(path, ETH_USD)
    path.write_text('[{"roundId": 1}]')
    with pytest.raises(SourceError, match="must hold the key 'answer', found 'roundId'"):
        read_chainlink(path, ETH_USD)
    path.write_text("{}")
    with pytest.raises(SourceError, match="must be a list, found dict"):
        read_chainlink(path, ETH_USD)


def test_a_heartbeat_is_missed_once_it_is_exceeded():
    assert feed_of(rounds([0, 60, 120])).findings == ()
    late = rounds([0, 60, 61])
    late[1] = replace(late[1], updated_at=late[1].updated_at + 1)
    found = checks(feed_of(late))["oracle-missed-heartbeat"]
    assert found.count == 1
    assert found.first == pd.Timestamp(START_S + HOUR_S + 1, unit="s", tz="UTC")


@pytest.mark.parametrize(("minutes", "missed"), [(61, 1), (120, 1), (121, 2), (600, 9)])
def test_every_heartbeat_in_a_gap_is_counted(minutes, missed):
    found = checks(feed_of(rounds([0, 60, 60 + minutes])))["oracle-missed-heartbeat"]
    assert found.count == 1
    assert f"{missed} heartbeats missed in all" in found.detail


def test_grace_forgives_the_time_of_a_block():
    late = rounds([0, 61, 122])
    assert "oracle-missed-heartbeat" in checks(feed_of(late))
    promise = replace(HOURLY, grace=pd.Timedelta("1min"))
    assert feed_of(late, replace(ETH_USD, promise=promise)).findings == ()


def test_a_step_of_two_thresholds_means_that_a_round_did_not_come():
    usual = feed_of(rounds([0, 10, 20], prices=[2500.0, 2513.0, 2500.0]))  # 0.52 %
    assert usual.findings == ()
    late = feed_of(rounds([0, 10, 20], prices=[2500.0, 2526.0, 2526.0]))  # 1.04 %
    found = checks(late)["oracle-late-deviation"]
    assert found.count == 1
    assert "at most 1.04%" in found.detail


def test_a_step_is_measured_from_the_last_good_price():
    feed = feed_of(rounds([0, 10, 20], prices=[2500.0, 0.0, 2526.0]))
    assert checks(feed)["oracle-late-deviation"].count == 1


def test_the_answer_of_an_older_round_is_named_and_kept():
    found = rounds([0, 30, 60])
    found[2] = replace(found[2], answered_in_round=2)
    feed = feed_of(found)
    assert checks(feed)["oracle-carried-answer"].count == 1
    assert len(feed.price) == 3


def test_a_round_without_answer_is_left_out():
    found = rounds([0, 30, 60])
    found[1] = replace(found[1], updated_at=0, answer=0)
    feed = feed_of(found)
    assert checks(feed)["oracle-unanswered-round"].count == 1
    assert feed.publish_time.tolist() == nanoseconds(0, 3600).tolist()
    with pytest.raises(InputError, match="must have a publication, found none"):
        feed_of([found[1]])


@pytest.mark.parametrize("answer", [0, -1, -(1 << 255)])
def test_a_price_that_is_not_above_zero_counts_as_unknown(answer):
    found = rounds([0, 30, 60])
    found[1] = replace(found[1], answer=answer)
    feed = feed_of(found)
    assert np.isnan(feed.price[1])
    assert checks(feed)["oracle-non-positive-price"].count == 1


def test_a_time_that_goes_backwards_is_left_out():
    feed = feed_of(rounds([0, 30, 20, 40], prices=[2500.0, 2501.0, 2502.0, 2503.0]))
    assert checks(feed)["oracle-time-backwards"].count == 1
    assert feed.price.tolist() == [2500.0, 2501.0, 2503.0]
    assert (np.diff(feed.publish_time) > 0).all()


def test_what_is_said_twice_counts_once_and_a_contradiction_is_named():
    same = rounds([0, 30])
    assert feed_of([*same, *same]).findings == ()
    feed = feed_of(rounds([0, 30, 30], prices=[2500.0, 2501.0, 2502.0]))
    assert checks(feed)["oracle-conflicting-prices"].count == 1
    assert feed.price.tolist() == [2500.0, 2502.0]


# The contract


def word(value):
    return f"{value % (1 << 256):064x}"


class Contract:
    """A proxy that answers calls as the real one does."""

    def __init__(self, found):
        self.rounds = {one.round_id: one for one in found}
        self.latest = found[-1]
        self.calls = []

    def __call__(self, call):
        self.calls.append(call)
        selector, argument = call[:10], call[10:]
        assert selector in ("0xfeaf968c", "0x9a6fc8f5")
        one = self.latest if selector == "0xfeaf968c" else self.rounds[int(argument, 16)]
        words = (one.round_id, one.answer, one.started_at, one.updated_at, one.answered_in_round)
        return "0x" + "".join(map(word, words))


def test_rounds_are_read_back_from_the_words_of_the_contract():
    found = rounds([0, 30, 60, 90], first_id=(6 << 64) + 4)
    found[2] = replace(found[2], answer=-5)
    contract = Contract(found)
    since = pd.Timestamp(START_S + 40 * 60, unit="s", tz="UTC")
    assert fetch_rounds(contract, since=since) == [found[3], found[2], found[1]]
    assert contract.calls[1] == "0x9a6fc8f5" + "0" * 47 + "60000000000000006"


def test_reading_back_stops_at_the_first_round_and_at_the_limit():
    found = rounds([0, 30, 60], first_id=(2 << 64) + 1)
    past = pd.Timestamp(0, tz="UTC")
    assert fetch_rounds(Contract(found), since=past) == found[::-1]
    assert fetch_rounds(Contract(found), since=past, most=2) == found[:0:-1]


def test_a_contract_is_asked_through_a_node(server, client):
    found = rounds([0, 30, 60], first_id=(2 << 64) + 1)
    contract = Contract(found)

    def node(_):
        call = server.posted[-1]["params"][0]
        assert (call["to"], server.posted[-1]["method"]) == ("0xfeed", "eth_call")
        return json.dumps({"jsonrpc": "2.0", "id": 1, "result": contract(call["data"])}).encode()

    server.give("/rpc", node, failures=[500, 429])
    call = contract_call(client, node=f"{server.url}/rpc", proxy="0xfeed")
    assert fetch_rounds(call, since=pd.Timestamp(0, tz="UTC")) == found[::-1]
    server.give("/rpc", {"jsonrpc": "2.0", "id": 1, "error": {"message": "reverted"}})
    with pytest.raises(SourceError, match=r"must have a text 'result', was .*reverted"):
        call("0xfeaf968c")
    server.give("/rpc", b"<html>")
    with pytest.raises(SourceError, match="the answer must be JSON"):
        call("0xfeaf968c")


@pytest.mark.parametrize("answer", ["0x", "0x" + "0" * 64, "0x" + "z" * 320, "no"])
def test_an_answer_that_is_no_round_is_refused(answer):
    with pytest.raises(SourceError, match="a round must be 5 words of 64 hexadecimal digits"):
        fetch_rounds(lambda call: answer, since=pd.Timestamp(0, tz="UTC"))


# What a reader of the feed holds


def test_age_staleness_and_missed_heartbeats_at_any_moment():
    feed = feed_of(rounds([0, 60]))
    second = SECOND_NS
    times = nanoseconds(-1, 0, 1800, 3600, 7200, 7200, 10_800, 14_401)
    times[5] += second
    state = feed.state_at(times)
    assert state.age_s.tolist()[1:] == [0, 1800, 0, 3600, 3601, 7200, 10_801]
    assert state.stale.tolist() == [True, False, False, False, False, True, True, True]
    assert state.missed_heartbeats.tolist()[1:] == [0, 0, 0, 0, 1, 1, 3]
    assert np.isnan([state.age_s[0], state.price[0], state.missed_heartbeats[0]]).all()
    assert state.price.tolist()[1:] == [2500.0] * 7
    assert list(state.frame()) == [
        *("time", "price", "age_s", "stale", "confidence_ratio", "missed_heartbeats")
    ]


def test_a_delay_hides_a_publication_but_does_not_make_it_younger():
    feed = feed_of(rounds([0, 60], prices=[2500.0, 2501.0]))
    times = nanoseconds(3600, 3629, 3630)
    state = feed.state_at(times, delay=pd.Timedelta("30s"))
    assert state.price.tolist() == [2500.0, 2500.0, 2501.0]
    assert state.age_s.tolist() == [3600, 3629, 30]


def test_later_publications_do_not_change_what_was_held():
    found = rounds([0, 20, 40, 100, 220])
    times = nanoseconds(*range(0, 2500, 100))
    short, long = (feed_of(found[:n]).state_at(times) for n in (3, 5))
    pd.testing.assert_frame_equal(short.frame(), long.frame())


@pytest.mark.parametrize(
    ("promise", "sentence"),
    [
        ({}, "must name a heartbeat or a max_age"),
        ({"heartbeat": pd.Timedelta(0)}, "heartbeat must be longer than zero"),
        ({"max_age": pd.Timedelta("-1s")}, "max_age must be longer than zero"),
        (
            {"heartbeat": pd.Timedelta("1h"), "grace": pd.Timedelta("-1s")},
            "grace must not be negative",
        ),
        (
            {"heartbeat": pd.Timedelta("1h"), "deviation_threshold": 0.0},
            r"deviation_threshold must be in \(0, 1\)",
        ),
        (
            {"heartbeat": pd.Timedelta("1h"), "max_confidence_ratio": 5.0},
            r"max_confidence_ratio must be in \(0, 1\), was 5\.0",
        ),
    ],
)
def test_a_promise_that_means_nothing_is_refused(promise, sentence):
    with pytest.raises(InputError, match=sentence):
        Promise(**promise)


def test_a_feed_of_unequal_lengths_is_refused():
    with pytest.raises(ShapeError, match=r"price must have shape \(1,\) like publish_time"):
        OracleFeed(
            instrument="ETH",
            origin="here",
            promise=HOURLY,
            publish_time=nanoseconds(0),
            price=np.ones(2),
            confidence=np.ones(1),
        )


def test_rounds_have_a_price_and_no_confidence():
    assert set(feed_of(rounds([0])).observations().values) == {"oracle_price"}
