"""Thousands of instruments fit: numbers are kept flat, and say what they said."""

import random
import tracemalloc
from itertools import pairwise

import pytest
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.exposition import generate_latest

from foremargin.serving.monitor import CoverageTest
from foremargin.serving.monitor.gauges import Gauges
from foremargin.serving.monitor.outcomes import InstrumentOutcomes
from foremargin.serving.monitor.watched import MonitorSettings, Watched
from foremargin.serving.observations import Bar

HOUR = 3_600_000_000_000


def closes(n):
    rng = random.Random(5)
    price = 100.0
    for k in range(1, n + 1):
        price *= 1.0 + rng.gauss(0.0, 0.01)
        yield k * HOUR, price


def test_gauges_read_as_those_of_the_library_do():
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    made = Gauges("f_margin", "Initial margin.", ["instrument", "side"])
    ours.register(made)
    library = Gauge("f_margin", "Initial margin.", ["instrument", "side"], registry=theirs)
    assert generate_latest(ours) == generate_latest(theirs)
    shown = [(("B", "long"), 7), (("A", "short"), float("nan")), (("B", "long"), True)]
    for labels, value in [*shown, (('quo"te\n', "long"), 0.1)]:
        made.set(labels, value)
        library.labels(*labels).set(value)
    assert generate_latest(ours) == generate_latest(theirs)
    made.forget("B")
    library.remove_by_labels({"instrument": "B"})
    assert generate_latest(ours) == generate_latest(theirs)


@pytest.mark.parametrize("lag", [1, 3])
def test_last_outcomes_are_counted_around_the_end_of_the_window(lag):
    rng = random.Random(1)
    test = CoverageTest(tail_probability=0.2, lag=lag, window=7)
    seen: list[bool] = []
    for n in range(60):
        seen.append(rng.random() < 0.3)
        test.update(seen[-1])
        standing = test.standing("A", "long")
        assert standing.recent_judged == min(n + 1, 7)
        assert standing.recent_breaches == sum(seen[-7:])
        assert test.state().recent == bytes(seen[-7:])
        if n % 11 == 5:  # one that goes on from a state is the same
            again = CoverageTest(tail_probability=0.2, lag=lag, window=7)
            again.restore(test.state())
            assert again.state() == test.state()
            test = again


@pytest.mark.parametrize("points", [1, 50, 64, 150])
def test_last_origins_are_kept_as_they_were_however_many(make_quote, points):
    outcomes, margins = InstrumentOutcomes(points=points), []
    for n, (time, close) in enumerate(closes(200)):
        outcomes.closed(time, close)
        outcomes.quoted(make_quote(origin=time, margins=(100 + n, 300 + n)))
        margins.append((time, 100 + n, 300 + n, close))
        series = outcomes.series()
        last = margins[-points:]
        assert series["time"] == [one[0] for one in last]
        assert series["long_margin_bps"] == [one[1] for one in last]
        assert series["short_margin_bps"] == [one[2] for one in last]
        if n % 60 == 30:
            state = outcomes.state()
            outcomes = InstrumentOutcomes(points=points)
            outcomes.restore(state)
            assert outcomes.state() == state
    pairs = [b[3] / a[3] - 1.0 for a, b in pairwise(margins[-points:])]
    if points > 1:
        assert series["long_loss_bps"] == [-change * 1e4 for change in pairs] + [None]
        assert series["short_loss_bps"] == [change * 1e4 for change in pairs] + [None]


@pytest.mark.parametrize(("periods", "most_kb"), [(25, 32), (1_500, 64)])
def test_instrument_takes_little(make_quote, periods, most_kb):
    def run(watched):
        for time, close in closes(periods):
            bar = Bar(instrument="A", time=time, open=close, high=close, low=close, close=close)
            watched.closed(bar)
            watched.quoted(make_quote(origin=time))

    run(Watched("A", settings=MonitorSettings()))  # what is loaded at first use counts for none
    tracemalloc.start()
    try:
        many = [Watched("A", settings=MonitorSettings()) for _ in range(3)]
        for one in many:
            run(one)
        taken = tracemalloc.get_traced_memory()[0] / len(many) / 1024
    finally:
        tracemalloc.stop()
    assert taken < most_kb
