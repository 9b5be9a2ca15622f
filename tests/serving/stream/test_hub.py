"""Laws of the hub."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from foremargin.client import Changed, Follower, GapError, Snapshot
from foremargin.errors import InputError
from foremargin.serving.quote import Basis, Quote, SideMargin, Status
from foremargin.serving.stream import Delivery, Hub, StreamLimits, Subscription
from foremargin.serving.table import QuoteTable

NAMES = ("A", "B", "C/USDT", "D:1")


class _Clock:
    def now(self) -> int:
        return 1


def quote(name: str, number: int) -> Quote:
    side = SideMargin(initial_margin_bps=number, maintenance_margin_bps=0, components={})
    return Quote(
        instrument=name,
        sequence=number,
        status=Status.FALLBACK,
        basis=Basis.FIXED,
        reason="nothing else is known",
        observed_at=0,
        quoted_at=number,
        valid_until=number + 1,
        long=side,
        short=side,
    )


def all_of(subscription: Subscription) -> list[Delivery]:
    return [delivery for chunk in subscription.round() for delivery in chunk]


class _Reader:
    """A subscriber with the client's own follower, which may lag and be cut off mid-round."""

    def __init__(self, hub: Hub, wanted: frozenset[str] | None) -> None:
        self.hub = hub
        self.wanted = wanted
        self.follower = Follower()
        self.woken = True
        self.places: list[int] = []
        self.connect()

    def connect(self) -> None:
        self.subscription = self.hub.subscribe(
            self.wanted, wake=self.wake, resume_from=self.follower.resume_from
        )
        self.woken = True
        self.round: Iterator[list[Delivery]] = iter(())

    def wake(self) -> None:
        self.woken = True

    def reconnect(self) -> None:
        self.subscription.close()
        self.follower.lost()
        self.places = []
        self.connect()

    def step(self) -> bool:
        """Take one chunk; False if there is nothing."""
        chunk = next(self.round, None)
        if chunk is None:
            self.round = self.subscription.round()
            chunk = next(self.round, None)
        if chunk is None:
            self.woken = False
            return False
        for delivery in chunk:
            self.places.append(int(json.loads(delivery.body)["sequence"]))
            self.follower.receive(delivery.body)
            if delivery.resume_from:
                assert self.follower.resume_from == delivery.resume_from
        return True

    def drain(self) -> None:
        while self.step():
            pass


class HubMachine(RuleBasedStateMachine):
    """Publishers, slow readers, lost connections; in the end every reader knows the table."""

    readers = Bundle("readers")

    @initialize(chunk=st.sampled_from([1, 700, 10**6]))
    def start(self, chunk: int) -> None:
        self.hub = Hub(_Clock(), limits=StreamLimits(chunk_bytes=chunk), epoch="e1")
        self.table = QuoteTable()
        self.numbers = dict.fromkeys(NAMES, 0)
        self.all: list[_Reader] = []

    @rule(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=6))
    def publish(self, names: list[str]) -> None:
        quotes = []
        for name in names:
            self.numbers[name] += 1
            quotes.append(quote(name, self.numbers[name]))
        self.table.write(quotes)
        self.hub.publish(quotes)

    @rule(target=readers, wanted=st.none() | st.frozensets(st.sampled_from(NAMES), min_size=1))
    def subscribe(self, wanted):
        reader = _Reader(self.hub, wanted)
        self.all.append(reader)
        return reader

    @rule(reader=readers)
    def read_one_chunk(self, reader: _Reader) -> None:
        reader.step()

    @rule(reader=readers)
    def read_everything(self, reader: _Reader) -> None:
        reader.drain()
        self.must_know_the_table(reader)

    @rule(reader=readers)
    def lose_the_connection(self, reader: _Reader) -> None:
        reader.reconnect()

    @rule(reader=readers, wanted=st.none() | st.frozensets(st.sampled_from(NAMES), min_size=1))
    def change(self, reader: _Reader, wanted) -> None:
        reader.drain()
        reader.wanted = wanted
        reader.subscription.change(wanted)
        reader.drain()
        self.must_know_the_table(reader)

    @rule(reader=readers)
    def heartbeat(self, reader: _Reader) -> None:
        reader.drain()
        reader.follower.receive(reader.subscription.heartbeat().body)

    @rule(reader=readers, data=st.data())
    def a_lost_event_is_noticed_at_the_next_one(self, reader: _Reader, data) -> None:
        reader.drain()
        deliveries = all_of(reader.subscription)
        if not deliveries:
            self.publish(list(reader.wanted or NAMES))
            deliveries = all_of(reader.subscription)
        deliveries.append(reader.subscription.heartbeat())
        lost = data.draw(st.integers(0, len(deliveries) - 2))
        for delivery in deliveries[:lost]:
            reader.follower.receive(delivery.body)
        with pytest.raises(GapError, match="must"):
            reader.follower.receive(deliveries[lost + 1].body)
        reader.follower.forget()
        reader.reconnect()

    @rule(reader=readers)
    def start_the_service_again(self, reader: _Reader) -> None:
        """A new hub knows the quotes and not the places; every reader comes back by itself."""
        self.hub = Hub(_Clock(), limits=self.hub.limits, epoch=self.hub._epoch + "1")
        self.hub.publish([row.quote for row in self.table.rows.values()])
        for each in self.all:
            each.hub = self.hub
            each.reconnect()
        reader.drain()
        self.must_know_the_table(reader)

    @invariant()
    def places_never_go_back(self) -> None:
        for reader in getattr(self, "all", ()):
            assert reader.places == sorted(reader.places)

    @invariant()
    def whoever_is_behind_was_woken(self) -> None:
        for reader in getattr(self, "all", ()):
            if not reader.woken:
                self.must_know_the_table(reader)

    def must_know_the_table(self, reader: _Reader) -> None:
        rows = self.table.rows
        expected = {
            name: row.quote.long.initial_margin_bps
            for name, row in rows.items()
            if reader.wanted is None or name in reader.wanted
        }
        known = reader.follower.quotes
        assert {name: q.long.initial_margin_bps for name, q in known.items()} == expected

    def teardown(self) -> None:
        for reader in getattr(self, "all", ()):
            reader.drain()
            self.must_know_the_table(reader)
        assert getattr(self, "hub", None) is None or self.hub.counts.subscribers == len(self.all)


TestHub = HubMachine.TestCase
TestHub.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


@pytest.fixture
def hub() -> Hub:
    return Hub(_Clock(), epoch="e1")


def _nothing() -> None:
    pass


def test_a_slow_reader_gets_the_newest_only_and_is_told_what_it_missed(hub):
    reader, follower = hub.subscribe(None, wake=_nothing), Follower()
    hub.publish([quote("A", 1), quote("B", 1)])
    for delivery in all_of(reader):
        follower.receive(delivery.body)
    hub.publish([quote("A", n) for n in range(2, 10)] + [quote("B", 2)])
    events: list[Any] = [event for d in all_of(reader) for event in follower.receive(d.body)]
    assert [(e.quote.instrument, e.quote.sequence, e.missed) for e in events] == [
        ("A", 9, 7),
        ("B", 2, 0),
    ]
    assert hub.counts.skipped == 7
    assert hub.counts.delivered == 4
    assert hub.counts.published == 11


def test_a_fast_instrument_starves_none_and_is_not_starved():
    hub = Hub(_Clock(), limits=StreamLimits(chunk_bytes=1), epoch="e1")
    hub.publish([quote(name, 1) for name in NAMES])
    reader = hub.subscribe(None, wake=_nothing)
    all_of(reader)
    hub.publish([quote(name, 2) for name in NAMES])
    seen, rounds = [], reader.round()
    for n in range(3, 30):  # A moves before every single event that the reader takes
        hub.publish([quote("A", n)])
        chunk = next(rounds, None)
        if chunk is None:
            rounds = reader.round()
            chunk = next(rounds)
        seen.append(json.loads(chunk[0].body)["partitionkey"])
    assert set(seen[:4]) == set(NAMES)
    assert seen.count("A") >= 6


def test_all_subscribers_share_the_bytes_of_a_quote(hub):
    hub.publish([quote("A", 1)])
    first, second = (hub.subscribe({"A"}, wake=_nothing) for _ in range(2))
    tails = [all_of(reader)[1].body for reader in (first, second)]
    assert tails[0] == tails[1]
    row = hub._rows["A"]
    assert tails[0].endswith(row.tail)


def test_only_subscribers_of_an_instrument_are_woken(hub):
    woken = []
    hub.subscribe({"A"}, wake=lambda: woken.append("A"))
    hub.subscribe({"B"}, wake=lambda: woken.append("B"))
    hub.subscribe(None, wake=lambda: woken.append("all"))
    woken.clear()
    hub.publish([quote("B", 1), quote("B", 2)])
    assert sorted(woken) == ["B", "all"]


def test_a_subscriber_that_left_is_forgotten(hub):
    reader = hub.subscribe({"A", "B"}, wake=_nothing)
    reader.close()
    reader.close()
    assert hub.counts.subscribers == 0
    assert not hub._readers_of
    assert not hub._readers_of_all


@pytest.mark.parametrize(
    "place",
    ["e2-1", "e1-3", "e1-", "e1-x", "e1--1", "e1-²", "e1-2-snapshot", "e1-" + "9" * 40, "1"],
)
def test_a_place_that_this_hub_never_gave_brings_a_snapshot(hub, place):
    hub.publish([quote("A", 1), quote("A", 2)])
    events = all_of(hub.subscribe(None, wake=_nothing, resume_from=place))
    follower = Follower()
    (snapshot,) = [event for d in events for event in follower.receive(d.body)]
    assert isinstance(snapshot, Snapshot)
    assert snapshot.reason == "unknown-place"


def test_a_known_place_brings_what_is_newer_however_long_it_is_ago(hub):
    hub.publish([quote("A", 1), quote("B", 1)])
    follower = Follower()
    reader = hub.subscribe(None, wake=_nothing)
    for delivery in all_of(reader):
        follower.receive(delivery.body)
    reader.close()
    follower.lost()
    hub.publish([quote("A", n) for n in range(2, 20_000)])
    back = hub.subscribe(None, wake=_nothing, resume_from=follower.resume_from)
    (event,) = [event for d in all_of(back) for event in follower.receive(d.body)]
    assert isinstance(event, Changed)
    assert (event.quote.instrument, event.quote.sequence) == ("A", 19_999)


def test_a_snapshot_that_was_cut_off_is_not_resumed_from(hub):
    hub.publish([quote("A", 1), quote("B", 1)])
    deliveries = all_of(hub.subscribe(None, wake=_nothing))
    assert [bool(d.resume_from) for d in deliveries] == [False, False, True]
    follower = Follower()
    for delivery in deliveries[:-1]:
        assert follower.receive(delivery.body) == []
    follower.lost()
    assert follower.resume_from == ""
    assert not follower.quotes


def test_names_without_a_quote_are_told_and_come_later(hub):
    reader, follower = hub.subscribe({"A", "NEW"}, wake=_nothing), Follower()
    (snapshot,) = [event for d in all_of(reader) for event in follower.receive(d.body)]
    assert isinstance(snapshot, Snapshot)
    assert snapshot.unknown == ["A", "NEW"]
    hub.publish([quote("NEW", 1)])
    (event,) = [event for d in all_of(reader) for event in follower.receive(d.body)]
    assert isinstance(event, Changed)
    assert event.quote.instrument == "NEW"


def test_limits_are_kept(hub):
    small = Hub(_Clock(), limits=StreamLimits(subscribers=1, instruments=2))
    with pytest.raises(InputError, match="at most 2 instruments, named 3"):
        small.subscribe({"A", "B", "C"}, wake=_nothing)
    assert small.counts.subscribers == 0
    first = small.subscribe({"A", "B"}, wake=_nothing)
    with pytest.raises(InputError, match="at most 2 instruments, named 3"):
        first.change({"A", "B", "C"})
    assert first.instruments == frozenset({"A", "B"})
    with pytest.raises(InputError, match="at most 1 streams"):
        small.subscribe(None, wake=_nothing)
    first.close()
    small.subscribe(None, wake=_nothing)
    small.close()
    with pytest.raises(InputError, match="must be open"):
        small.subscribe(None, wake=_nothing)
    with pytest.raises(InputError, match="ASCII letters"):
        Hub(_Clock(), epoch="a-b")
