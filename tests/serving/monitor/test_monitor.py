"""Faults are put into a running service; each must be alerted by the first look after it."""

import asyncio
import json

import numpy as np
import pytest

from foremargin.serving.monitor import EVALUATE_EVERY_S, Metrics, Monitor, MonitorSettings, watch
from foremargin.serving.observations import Bar, Tick
from foremargin.serving.quote import Basis, Status

HOUR_S = 3_600
SECOND = 1_000_000_000


class Running:
    """A service with an hourly market, looked at every 15 seconds."""

    def __init__(self, clock, make_quote, seed=0, **settings):
        self.clock, self.make_quote = clock, make_quote
        self.rng = np.random.default_rng(seed)
        self.metrics = Metrics(clock, version="test")
        self.monitor = Monitor(self.metrics, clock=clock, settings=MonitorSettings(**settings))
        self.price = 100.0
        self.scale = 1.0
        self.told = []

    def bar(self, *, move=None, name="A", **more):
        moved = 0.01 * self.scale * self.rng.normal() if move is None else move
        self.price *= float(np.exp(moved))
        now, p = self.clock.now(), self.price
        self.monitor.observed(
            [Bar(instrument=name, time=now, open=p, high=p, low=p, close=p), TICK]
        )
        quote = self.make_quote(instrument=name, origin=now, margins=(165, 166), **more)
        self.monitor.quoted([quote])

    def hours(self, n, **more):
        """Bars without looks in between: what a replay does."""
        for _ in range(n):
            self.clock.ahead(HOUR_S)
            self.bar(**more)

    def look(self):
        out = self.monitor.evaluate()
        for notification in out:
            self.monitor.delivered(notification.id)
        self.told += out
        return {(n.alert.rule, n.alert.subject, str(n.alert.state)) for n in out}


TICK = Tick(instrument="A", time=1, price=1.0)


@pytest.fixture
def running(clock, make_quote):
    return lambda **more: Running(clock, make_quote, **more)


def test_good_year_gives_no_alert(running):
    service = running()
    for _ in range(1_500):
        service.hours(1)
        service.metrics.request("/v1/margins", 200, 0.0004)
        assert service.look() == set()
    long, short = service.monitor.describe("A")["coverage"]
    assert long["judged"] == short["judged"] == 1_499
    assert 0.03 < long["recent_rate"] < 0.07


def test_stale_feed_is_alerted_by_the_first_look_after_it_is_stale(running):
    for seed in range(6):
        service = running(seed=seed)
        service.hours(3)
        service.clock.ahead(float(service.rng.uniform(0, 15)))
        born = service.clock.now()
        while not service.look():
            service.clock.ahead(EVALUATE_EVERY_S)
        late = (service.clock.now() - born) / SECOND - (HOUR_S + 900)
        assert -15.0 <= late <= EVALUATE_EVERY_S
        assert service.told[0].alert.rule == "stale-feed"
        service.bar()
        service.look()
        service.clock.ahead(60)
        assert service.look() == {("stale-feed", "A", "resolved")}


@pytest.mark.parametrize("status", [Status.STALE, Status.FALLBACK])
def test_what_the_ladder_calls_old_is_alerted_at_once(running, status):
    service = running()
    service.hours(2)
    assert service.look() == set()
    service.bar(status=status, basis=Basis.LAST_GOOD)
    assert service.look() == {("stale-feed", "A", "firing")}


@pytest.mark.parametrize("state", ["open", "half-open", "something new"])
def test_breaker_that_is_not_closed_is_alerted_at_once(running, state):
    service = running()
    service.monitor.breakers({"network A": "closed", "linear A": "closed"})
    assert service.look() == set()
    service.monitor.breakers({"network A": state})
    assert service.look() == {("breaker-open", "network A", "firing")}


def test_a_record_that_was_left_out_is_alerted_for_an_hour(running):
    service = running()
    assert service.look() == set()
    service.monitor.left_out(1, "record 7: it ended the calculator", at=service.clock.now())
    assert service.look() == {("record-left-out", "calculator", "firing")}
    assert "record 7" in service.told[-1].alert.summary
    assert "foremargin_records_left_out 1.0" in service.metrics.render().decode()
    service.clock.ahead(3_500)
    assert ("record-left-out", "calculator", "resolved") not in service.look()
    service.clock.ahead(200)
    assert ("record-left-out", "calculator", "resolved") in service.look()


@pytest.mark.parametrize("side", ["long", "short"])
def test_margins_that_do_not_hold_are_alerted_with_their_side(running, side):
    sign = -1.0 if side == "long" else 1.0
    for seed in range(10):
        service = running(seed=seed)
        service.hours(200)
        assert service.look() == set()
        looks = 0
        while not any(r == "coverage" for r, _, _ in service.look()):
            service.hours(1, move=sign * (0.03 if service.rng.random() < 0.4 else 0.001))
            looks += 1
            alarmed = [s["side"] for s in service.monitor.describe("A")["coverage"] if s["alarmed"]]
            assert looks < 120
        assert alarmed == [side], "alerted by the very look after the test said so"
        assert any(n.alert.subject == f"A {side}" for n in service.told)


def test_forecast_that_drifts_is_alerted(running):
    found = set()
    for seed in range(3):
        service = running(seed=seed)
        service.hours(800)
        assert service.look() == set()
        service.scale = 1.7
        for _ in range(100):
            service.hours(5)
            service.look()
        found |= {n.alert.subject for n in service.told if n.alert.rule == "drift"}
        assert any(n.alert.rule == "drift" for n in service.told)
    assert {"A ks", "A psi", "A page-hinkley"} <= found


def test_burning_budget_is_alerted_by_the_first_look(running):
    service = running()
    for _ in range(300):
        for _ in range(50):
            service.metrics.request("/v1/margins/{instrument}", 200, 0.0002)
        assert service.look() == set()
        service.clock.ahead(EVALUATE_EVERY_S)
    for _ in range(300):
        service.metrics.request("/v1/margins/{instrument}", 503, 0.0002)
    told = service.look()
    assert ("budget-burn-page", "availability 14.4x", "firing") in told
    assert not any("latency" in subject for _, subject, _ in told)


def test_slow_reads_burn_the_budget_of_latency_and_others_do_not(running):
    service = running()
    for _ in range(1_000):
        service.metrics.request("/v1/audit", 200, 0.3)
        service.metrics.request("/v1/margins/{instrument}", 200, 0.0002)
    assert service.look() == set()
    for _ in range(100):
        service.metrics.request("/v1/margins/{instrument}", 200, 0.006)
    assert ("budget-burn-page", "latency 14.4x", "firing") in service.look()


def test_replay_gives_back_the_same_knowledge(running, clock):
    one, start = running(seed=4), clock.now()
    one.hours(900)
    clock.time = start
    two = running(seed=4)
    two.hours(900)
    assert one.monitor.describe("A") == two.monitor.describe("A")
    json.dumps(one.monitor.describe("A"), allow_nan=False)


def test_changed_promise_is_judged_from_nothing(running):
    service = running()
    service.hours(100)
    service.hours(10, tail_probability=0.01)
    assert service.monitor.describe("A")["coverage"][0]["judged"] == 9


def test_forgotten_instrument_leaves_nothing(running):
    service = running()
    service.hours(3, name="GONE")
    service.clock.ahead(10_000)
    assert service.look() == {("stale-feed", "GONE", "firing")}
    service.monitor.forget("GONE")
    assert service.look() == set()
    assert service.monitor.alerts() == []
    assert service.monitor.describe("GONE") is None
    assert b"GONE" not in service.metrics.render()


def test_examined_in_pieces_is_said_as_at_once(running):
    whole, parts = running(), running()
    names = [f"I{k:02d}" for k in range(45)]
    for one in (whole, parts):
        for name in names:
            one.hours(12, name=name, move=0.05 if name in ("I05", "I41") else None)
    pieces = parts.monitor.examine()
    next(pieces)
    parts.monitor.forget("I20")  # before its turn
    parts.monitor.forget("I05")  # after it
    parts.hours(1, name="I03", move=0.05)  # and another comes again
    for name in ("I20", "I05"):
        whole.monitor.forget(name)
    whole.hours(1, name="I03", move=0.05)
    assert sum(1 for _ in pieces) == 2
    told = parts.look()
    assert told == whole.look()
    subjects = {subject for _, subject, _ in told}
    assert "I41 short" in subjects
    assert "I05 short" not in subjects
    metrics = [_values(one.metrics.render()) for one in (parts, whole)]
    assert metrics[0] == metrics[1]
    assert len(list(parts.monitor.examine())) == 1  # what alarms is looked at again


def _values(rendered):
    lines = rendered.decode().splitlines()
    own = (line for line in lines if line.startswith("foremargin_"))
    # They were fed one after the other, on one clock.
    return [line for line in own if "_created" not in line and "foremargin_data_" not in line]


def test_watch_sends_again_what_failed_and_goes_on(running):
    service = running()
    service.monitor.breakers({"x": "open"})
    sent: list[str] = []
    failures: list[Exception] = []
    pauses: list[float] = []

    class Sink:
        async def send(self, notification):
            if len(failures) < 2:
                raise ConnectionError("no way")
            sent.append(notification.id)

    async def sleep(seconds):
        pauses.append(seconds)
        service.clock.ahead(seconds)
        if len(pauses) == 6:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(watch(service.monitor, Sink(), sleep=sleep, failed=failures.append))
    assert len(failures) == 2
    assert len(sent) == 1
    assert pauses == [15.0] * 6
