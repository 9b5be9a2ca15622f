"""What a request causes is followed over the journal, the calculator and the publisher."""

import asyncio
from contextlib import contextmanager

import httpx
import msgspec
import pytest

from foremargin.serving.assembly.alerting import TracedSender
from foremargin.serving.assembly.tracing import TracedCore, TracedPublisher, Trail
from foremargin.serving.journal import Entry, Snapshots
from foremargin.serving.monitor import NoTracer, Step
from foremargin.serving.observations import Tick
from foremargin.serving.publish import Domain, Ledger, LocalSigner, Market
from foremargin.serving.quote import Basis, Calculation, SideMargin
from foremargin.serving.security import Destinations, new_webhook_secret
from foremargin.serving.service import CalculatorProcess
from foremargin.serving.service.records import Append

HOUR = 3_600_000_000_000
START = 480_000 * HOUR
EWMA = "foremargin.tests.serving.service.ewma:EwmaCalculator"


class FakeTracer(NoTracer):
    """Notes what it is told; the open span is set by hand."""

    def __init__(self):
        self.open, self.spans = "", []

    def traceparent(self):
        return self.open

    def record(self, step, causes, *, span, failed=False, **attributes):
        self.spans.append((step, tuple(causes), span, failed, attributes))

    def steps(self):
        """Return the names of what was recorded since, and for whom."""
        out = [(step.value, causes) for step, causes, *_ in self.spans]
        self.spans.clear()
        return out


class Followed:
    """A core, a publisher and their trail; the machine's clock goes on by one with every look."""

    def __init__(self, tmp_path):
        key = tmp_path / "signer.key"
        key.touch(mode=0o600)
        key.write_text("11" * 32)
        self.tracer, self.time, self.sequence, self.ticket = FakeTracer(), 0, 0, 0
        self.worked = (0, 0)
        self.trail = Trail(self.tracer, worked=lambda: self.worked, now=self._now)
        self.core = TracedCore(["A", "B"], trail=self.trail)
        domain = Domain(name="f", version="1", chain_id=1, contract="0x" + "00" * 19 + "01")
        self.publisher = TracedPublisher(
            Ledger(domain, epoch=1),
            [Market(instrument="A"), Market(instrument="B")],
            LocalSigner.from_file(key),
            trail=self.trail,
        )
        self.land(self.core.ticked(START))

    def _now(self):
        self.time += 1
        return self.time

    @contextmanager
    def asking(self, cause):
        self.tracer.open = cause
        yield
        self.tracer.open = ""

    def tick(self, cause, name="A", price=100.0):
        self.ticket += 1
        with self.asking(cause):
            tick = Tick(instrument=name, time=START + self.ticket, price=price)
            return self.core.observed([tick], by="", ticket=self.ticket, now=START + HOUR)

    def land(self, effects):
        """Let the append among the effects reach the disk; return what follows."""
        (append,) = [one for one in effects if isinstance(one, Append)]
        first, self.sequence = self.sequence + 1, self.sequence + len(append.entries)
        return self.core.appended(first, now=START + HOUR)

    def calculated(self, bps, name="A"):
        return self.core.calculated(
            [calculation(name, bps)], applied=self.sequence, now=START + HOUR
        )


def calculation(name, bps):
    side = SideMargin(
        initial_margin_bps=bps, maintenance_margin_bps=bps // 2, components={"target": float(bps)}
    )
    return Calculation(
        instrument=name,
        basis=Basis.NETWORK,
        observed_at=START + HOUR,
        long=side,
        short=side,
        horizon_periods=1,
        horizon_s=3_600,
        tail_probability=0.01,
        sigma=0.01,
        sigma_lower=None,
        sigma_upper=None,
        regime="calm",
    )


@pytest.fixture
def followed(tmp_path):
    return Followed(tmp_path)


def publish(followed):
    plan = followed.publisher.plan(followed.core.quotes(), now=START + HOUR)
    assert plan.record
    followed.ticket += 1
    noted = followed.core.noted(
        Entry("published", "", plan.record), ticket=followed.ticket, now=START + HOUR
    )
    followed.land(noted)
    assert followed.publisher.commit(plan) is not None


def test_steps_of_a_request_are_recorded_in_their_order_for_it(followed):
    followed.land(followed.tick("t1"))
    assert followed.tracer.steps() == [("journal", ("t1",))]
    followed.land(followed.calculated(700))
    assert followed.tracer.steps() == [(s, ("t1",)) for s in ("calculate", "quote", "journal")]
    publish(followed)
    assert followed.tracer.steps() == [(s, ("t1",)) for s in ("journal", "sign", "publish")]
    publish_nothing = followed.publisher.plan(followed.core.quotes(), now=START + HOUR)
    assert (publish_nothing.record, followed.tracer.steps()) == (b"", [])


def test_requests_that_share_an_append_share_its_span_and_what_follows(followed):
    first = followed.tick("t1")
    followed.tick("t2", "B")
    followed.tick("", "B", 101.0)
    shared = followed.land(first)
    followed.tracer.steps()
    followed.land(shared)
    assert followed.tracer.steps() == [("journal", ("t2",))]
    followed.land(followed.calculated(700))
    assert followed.tracer.steps() == [(s, ("t1", "t2")) for s in ("calculate", "quote", "journal")]


def test_what_no_sampled_request_caused_is_in_no_trace(followed):
    followed.land(followed.tick(""))
    followed.land(followed.calculated(700))
    publish(followed)
    assert followed.tracer.steps() == []


def test_calculation_has_the_times_of_the_calculator_where_they_are_known(followed):
    followed.land(followed.tick("t1"))
    submitted = followed.time
    followed.land(followed.calculated(700))
    calculate, quote, journal = (span for *_, span, _, _ in followed.tracer.spans[1:])
    assert calculate == (submitted, submitted + 1)
    assert quote[0] == calculate[1]
    assert quote[1] == journal[0]
    assert followed.tracer.spans[1][4] == {"sequence": followed.sequence - 1}
    followed.worked = (20_000, 30_000)
    followed.land(followed.tick("t2"))
    followed.tracer.spans.clear()
    followed.calculated(800)
    assert followed.tracer.spans[0][2] == (20_000, 30_000)


def test_results_that_come_during_an_append_are_quoted_after_it(followed):
    followed.land(followed.tick("t1"))
    waits = followed.tick("t2", "B")
    followed.tracer.steps()
    assert followed.core.calculated([calculation("A", 700)], applied=2, now=START + HOUR) == []
    assert followed.tracer.steps() == [("calculate", ("t1",))]
    quotes = followed.land(waits)
    assert followed.tracer.steps() == [("journal", ("t2",))]
    followed.land(quotes)
    assert followed.tracer.steps() == [("quote", ("t1",)), ("journal", ("t1",))]


def test_results_that_change_no_quote_are_said_to(followed):
    followed.land(followed.tick("t1"))
    followed.land(followed.calculated(700))
    followed.land(followed.tick("t2"))
    followed.tracer.spans.clear()
    assert followed.calculated(700) == []
    assert [(s.value, a.get("quotes")) for s, *_, a in followed.tracer.spans] == [
        ("calculate", None),
        ("quote", 0),
    ]


def test_append_that_fails_is_marked_for_all_that_it_refuses(followed):
    followed.tick("t1")
    followed.tick("t2", "B")
    followed.core.append_failed("the disk is full", now=START + HOUR)
    ((step, causes, _, failed, _),) = followed.tracer.spans
    assert (step, set(causes), failed) == (Step.JOURNAL, {"t1", "t2"}, True)
    followed.tracer.spans.clear()
    followed.land(followed.tick("t3"))
    assert followed.tracer.steps() == [("journal", ("t3",))]


def test_calculator_that_is_down_lets_nothing_grow(followed):
    for _ in range(1_200):
        followed.land(followed.tick("t"))
    assert len(followed.trail._submitted) == 1_000
    assert not followed.trail._asking


def test_every_attempt_of_a_webhook_is_recorded_without_its_url(clock):
    tracer, answers = FakeTracer(), iter([500, 204])

    async def scenario():
        sender = TracedSender(
            Destinations(hosts=["hooks.example.org"]),
            tracer=tracer,
            keys=[new_webhook_secret()],
            clock=clock,
            resolver=_resolved,
            transport=httpx.MockTransport(lambda request: httpx.Response(next(answers))),
        )
        sender.post("one", b"{}", urls=["https://hooks.example.org/secret-path"])
        for _ in range(2):
            await sender.send_due()
            clock.time += 24 * HOUR // 4

    asyncio.run(scenario())
    assert [(s, c, failed, a["delivery"]) for s, c, _, failed, a in tracer.spans] == [
        (Step.WEBHOOK, (), True, "waits"),
        (Step.WEBHOOK, (), False, "delivered"),
    ]
    assert "secret-path" not in repr(tracer.spans)


async def _resolved(host, port):
    del host, port
    return ["93.184.216.34"]


def test_tick_is_followed_from_its_acceptance_to_its_signature(make_application, clock, tmp_path):
    file, state = tmp_path / "spans.jsonl", tmp_path / "state"
    calculator = CalculatorProcess(EWMA, arguments=dict, snapshots=Snapshots(state / "calculator"))

    async def scenario():
        application = make_application(calculator=calculator, trace_file=str(file))
        async with application.app.lifespan():
            while calculator.fault:
                await asyncio.sleep(0.01)
            clock.time += HOUR
            tick = Tick(instrument="BTC", time=clock.time, price=100.0)
            (receipt,) = await application._from_feed([tick])
            while application.publishing.latest("BTC") is None or application.publishing.busy:
                await asyncio.sleep(0.01)
            return receipt

    receipt = asyncio.run(asyncio.wait_for(scenario(), 60.0))
    spans = [msgspec.json.decode(line) for line in file.read_text().splitlines()]
    (accept,) = (one for one in spans if one["name"] == "accept")
    own = [one for one in spans if one["context"]["trace_id"] == accept["context"]["trace_id"]]
    assert {one["parent_id"] for one in own} == {None, accept["context"]["span_id"]}
    names = [one["name"] for one in sorted(own, key=lambda one: one["start_time"])]
    assert names[:4] == ["accept", "journal", "calculate", "quote"]
    assert names[4:] == ["publish", "journal", "sign"]  # on the disk with its quote
    (calculate,) = (one for one in own if one["name"] == "calculate")
    assert calculate["attributes"]["foremargin.sequence"] == receipt.sequence
    (sign,) = (one for one in own if one["name"] == "sign")
    assert sign["end_time"] == max(one["end_time"] for one in own)
