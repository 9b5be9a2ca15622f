"""The whole service in one seeded, simulated world, with its laws checked after every event.

A feed drops, repeats, reorders and delays; the disk fills up, fails, tears writes and loses power;
the clock is wrong; the calculator dies; operators pause. :func:`simulate` runs one seed and raises
with the seed and the event if a law is broken.
"""

import errno
import random
from collections import Counter
from pathlib import Path

from foremargin.serving.journal import JournalError, Snapshot, Snapshots
from foremargin.serving.observations import (
    Bar,
    Observation,
    OraclePrice,
    Tick,
    encode_observations,
)
from foremargin.serving.ports import Outcome, Receipt
from foremargin.serving.quote import Calculation, Quote, Status
from foremargin.serving.service import Log, ServiceCore
from foremargin.serving.service.records import (
    HELD,
    OBSERVATIONS,
    QUOTES,
    Append,
    Effect,
    Refuse,
    Reply,
    Show,
    Submit,
    decode_observed,
    decode_quoted,
)
from foremargin.serving.service.state import decode_state, encode_state
from foremargin.tests.serving.journal.simulated_disk import PowerCut, SimulatedDisk
from foremargin.tests.serving.service.ewma import EwmaCalculator

SECOND, HOUR = 10**9, 3_600 * 10**9
NAMES = ("BTC", "ETH", "SOL")
FOLDER = Path("/state")
_STALE = 900 * SECOND


def simulate(seed: int, *, n_events: int = 100) -> Counter[str]:
    """Run one world; return how often each thing happened."""
    world = World(seed)
    for event in range(n_events):
        try:
            world.step()
            world.check()
        except Exception as error:
            raise AssertionError(f"seed {seed}, event {event} ({world.action}): {error}") from error
    world.finish()
    return world.happened


class World:
    """Everything around the core."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.disk = SimulatedDisk(self.rng)
        self.time = 1_000 * HOUR
        self.skew = 0
        self.action = "start"
        self.lifted: dict[str, int] = {}
        self.happened: Counter[str] = Counter()
        self.prices = dict.fromkeys(NAMES, 100.0)
        self.next_bar = dict.fromkeys(NAMES, 1_001 * HOUR)
        self.network: list[list[Observation]] = []
        self.acknowledged: dict[bytes, Outcome] = {}
        self.shown: dict[str, Quote] = {}
        self.best: dict[str, tuple[int, int]] = {}
        self.calculator_snapshots = Snapshots(FOLDER / "calculator", disk=self.disk)
        self.start()

    @property
    def now(self) -> int:
        """What the service takes for the time."""
        return self.time + self.skew

    # the service, started and crashed

    def start(self) -> None:
        self.log = Log(FOLDER / "journal", disk=self.disk, segment_bytes=4_000)
        self.core = ServiceCore(NAMES)
        self.snapshots = Snapshots(FOLDER / "snapshots", disk=self.disk)
        self.flight: Append | None = None
        self.tickets: dict[int, list[Observation]] = {}
        snapshot = self.snapshots.latest()
        after = 0
        if snapshot is not None:
            assert self.log.holds(snapshot.sequence, snapshot.digest), "a snapshot of a lost record"
            self.core.restore(decode_state(snapshot.content))
            after = snapshot.sequence
        for record in self.log.read(after=after):
            self.core.replay(record)
        self.check_journal()
        for quote in self.core.quotes():
            last = self.shown.get(quote.instrument)
            assert last is None or quote.sequence >= last.sequence, "a quote was forgotten"
            self.shown[quote.instrument] = quote
        self.start_calculator()
        self.run(self.core.ticked(self.now))
        self.finish_append()
        for name in NAMES:
            assert name in self.shown, f"{name} has no answer"

    def crash(self, *, power: bool) -> None:
        self.happened["power cut" if power else "kill"] += 1
        if power:
            self.disk.cut_power()
        else:
            self.disk.kill()
        self.network += list(self.tickets.values())  # who got no answer sends again
        self.lifted = dict.fromkeys(NAMES, 2)  # a pause is not journalled here
        # What was shown while the disk took nothing is the one thing that a crash forgets.
        for made in self.core.state().owed:
            self.shown.pop(made.quote.instrument, None)
            self.best.pop(made.quote.instrument, None)
        self.start()

    def start_calculator(self) -> None:
        self.calculator = EwmaCalculator()
        self.results: list[tuple[int, list[Calculation]]] = []
        snapshot = self.calculator_snapshots.latest()
        after = 0
        if snapshot is not None and self.log.holds(snapshot.sequence, snapshot.digest):
            self.calculator.restore(snapshot.content)
            after = snapshot.sequence
        self.calculator_at = after
        self.inbox = self.log.backlog(after, 10**9)[1]

    # what happens

    def step(self) -> None:
        actions = {
            self.trade: 6, self.deliver: 8, self.finish_append: 10, self.calculate: 6,
            self.hand_over: 6, self.wait: 5, self.sweep: 5, self.full_disk: 1, self.bad_disk: 1,
            self.crash_now: 1, self.crash_in_append: 1, self.calculator_dies: 1,
            self.take_snapshot: 1, self.calculator_snapshot: 1, self.set_clock: 1, self.pause: 1,
        }  # fmt: skip
        (action,) = self.rng.choices(list(actions), list(actions.values()))
        self.action = action.__name__
        self.happened[self.action] += 1
        action()

    def trade(self) -> None:
        """Something trades; the feed loses it, repeats it, or sends it later."""
        name, rng = self.rng.choice(NAMES), self.rng
        self.prices[name] *= 0.75 if rng.random() < 0.03 else 1.0 + rng.gauss(0.0, 0.01)
        price = self.prices[name] * (0.6 if rng.random() < 0.05 else 1.0)
        observation: Observation
        if self.time >= self.next_bar[name]:
            time = self.next_bar[name]
            self.next_bar[name] = self.time - self.time % HOUR + HOUR
            more = {} if rng.random() < 0.2 else {"volume": 1.0}
            observation = Bar(
                instrument=name,
                time=time,
                open=price,
                high=price,
                low=price,
                close=price,
                more=more,
            )
        elif rng.random() < 0.5:
            venue = rng.choice(("", "a", "b", "c"))
            observation = Tick(instrument=name, time=self.time, price=price, venue=venue)
        else:
            observation = OraclePrice(
                instrument=name, time=self.time, price=price, confidence=0.1, source="pyth"
            )
        for _ in range(rng.choices((0, 1, 2, 3), (1, 12, 3, 1))[0]):
            self.network.append([observation])
        if len(self.network) > 1 and rng.random() < 0.3:
            self.network.append(self.network.pop() + self.network.pop())

    def deliver(self) -> None:
        if self.network:
            sent = self.network.pop(self.rng.randrange(len(self.network)))
            ticket = self.happened["delivered"] = self.happened["delivered"] + 1
            self.tickets[ticket] = sent
            self.run(self.core.observed(sent, by="feed", ticket=ticket, now=self.now))

    def finish_append(self) -> None:
        if self.flight is None:
            return
        append, self.flight = self.flight, None
        try:
            first = self.log.append(append.entries, append.time)
        except JournalError as error:
            self.happened["append failed"] += 1
            self.disk.fault = lambda step: None
            self.run(self.core.append_failed(str(error), now=self.now))
            if self.log.fault:
                self.happened["reopened"] += 1
                for record in self.log.reopen(after=self.core.last):
                    self.run(self.core.replay(record))
        else:
            self.run(self.core.appended(first, now=self.now))

    def full_disk(self) -> None:
        self.failing(errno.ENOSPC, ("write", "sync", "create"))

    def bad_disk(self) -> None:
        self.failing(errno.EIO, ("write", "sync", "truncate"))

    def failing(self, code: int, steps: tuple[str, ...]) -> None:
        def fault(step: str) -> None:
            if step in steps and self.rng.random() < 0.7:
                raise OSError(code, "injected")

        self.disk.fault = fault
        self.finish_append()
        self.disk.fault = lambda step: None

    def crash_now(self) -> None:
        self.crash(power=self.rng.random() < 0.5)

    def crash_in_append(self) -> None:
        left = [self.rng.randrange(8)]

        def fault(step: str) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise PowerCut

        self.disk.fault = fault
        power = self.rng.random() < 0.5
        try:
            if self.rng.random() < 0.3:
                self.take_snapshot()
            else:
                self.finish_append()
            self.disk.fault = lambda step: None
        except PowerCut:
            self.crash(power=power)

    def calculate(self) -> None:
        if self.inbox:
            sequence, observations = self.inbox.pop(0)
            self.results.append((sequence, self.calculator.apply(observations)))
            self.calculator_at = sequence

    def hand_over(self) -> None:
        if self.results:
            sequence, calculations = self.results.pop(0)
            self.run(self.core.calculated(calculations, applied=sequence, now=self.now))

    def calculator_dies(self) -> None:
        self.run(self.core.calculator_is("it died", now=self.now))
        self.start_calculator()
        self.run(self.core.calculator_is("", now=self.now))

    def calculator_snapshot(self) -> None:
        if self.calculator_at:
            digest = self.log.digest_at(self.calculator_at)
            content = self.calculator.snapshot()
            at = Snapshot(sequence=self.calculator_at, digest=digest, content=content)
            self.calculator_snapshots.save(at)

    def take_snapshot(self) -> None:
        state = self.core.state()
        digest = self.log.digest_at(state.last)
        at = Snapshot(sequence=state.last, digest=digest, content=encode_state(state))
        self.snapshots.save(at)

    def wait(self) -> None:
        self.time += int(self.rng.choice((1, 20, 300, 1_800, 7_200)) * SECOND)

    def sweep(self) -> None:
        self.run(self.core.ticked(self.now))

    def set_clock(self) -> None:
        self.skew = int(self.rng.choice((0, 0, -2 * 3_600, -30, 30, 3_600)) * SECOND)

    def pause(self) -> None:
        paused = self.rng.random() < 0.5
        self.core.pause(paused)
        if not paused:  # the next quote may fall, and one may be under way
            self.lifted = dict.fromkeys(NAMES, 2)

    # what comes of it

    def run(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Append):
                assert self.flight is None, "two appends at a time"
                self.flight = effect
            elif isinstance(effect, Submit):
                self.inbox.append((effect.sequence, effect.observations))
            elif isinstance(effect, Show):
                for quote in effect.quotes:
                    self.show(quote)
            elif isinstance(effect, Reply):
                self.acknowledge(self.tickets.pop(effect.ticket), effect.receipts)
            elif isinstance(effect, Refuse):
                self.network.append(self.tickets.pop(effect.ticket))

    def acknowledge(self, sent: list[Observation], receipts: list[Receipt]) -> None:
        for observation, receipt in zip(sent, receipts, strict=True):
            self.happened[receipt.outcome.value] += 1
            kept = receipt.outcome in (Outcome.ACCEPTED, Outcome.OUTLIER)
            assert kept == (receipt.sequence > 0), "a place in the journal for what is not there"
            if kept:
                (key,) = _keys([observation])
                assert key not in self.acknowledged, f"{observation} was taken twice"
                self.acknowledged[key] = receipt.outcome
                assert receipt.sequence <= self.log.last, "acknowledged before it was journalled"

    def show(self, quote: Quote) -> None:
        name, last = quote.instrument, self.shown.get(quote.instrument)
        self.shown[name] = quote
        self.happened[quote.status.value] += 1
        now = (quote.long.initial_margin_bps, quote.short.initial_margin_bps)
        if last is not None:
            before = (last.long.initial_margin_bps, last.short.initial_margin_bps)
            assert quote.sequence == last.sequence + 1, f"{quote.sequence} after {last.sequence}"
            if now[0] < before[0] or now[1] < before[1]:
                self.happened["lower"] += 1
                assert quote.calculation is not None, "less margin for want of a calculation"
                new = quote.calculation != last.calculation
                lifted = last.status is Status.DEGRADED or self.lifted.get(name, 0) > 0
                assert new or lifted, "less margin from nothing new"
                older = last.calculation is not None and quote.observed_at < last.observed_at
                assert not older, "less margin from older data"
        self.lifted[name] = self.lifted.get(name, 0) - 1
        known = quote.calculation
        if known is not None and not known.reason and (last is None or known != last.calculation):
            self.best[name] = (known.long.initial_margin_bps, known.short.initial_margin_bps)
        best = self.best.get(name, (0, 0))
        assert now[0] >= best[0], f"{now} below {best}, the last good"
        assert now[1] >= best[1], f"{now} below {best}, the last good"

    # the laws

    def check(self) -> None:
        for name in NAMES:
            assert name in self.shown, f"{name} has no answer"
        if self.flight is None:
            self.check_honest()

    def check_honest(self) -> None:
        """After a sweep that changed nothing, every quote says how old it is."""
        effects = self.core.ticked(self.now)
        self.run(effects)
        if effects:
            return
        for name, quote in self.shown.items():
            assert quote.valid_until > self.now, f"{name} ran out"
            if quote.status in (Status.OK, Status.DEGRADED):
                assert self.now - quote.observed_at - HOUR <= _STALE, f"{name} is stale"
                since = self.core.waiting.since
                assert since is None or self.now - since <= _STALE, f"{name} waits"
            if quote.status is Status.OK:
                assert quote.calculation is not None
                assert not quote.calculation.reason, "a lower rung that says ok"

    def check_journal(self) -> None:
        """Everything acknowledged is in the journal, once; quotes rise by one."""
        let_in: Counter[bytes] = Counter()
        held: Counter[bytes] = Counter()
        quotes: dict[str, int] = {}
        for record in self.log.read(after=0):
            if record.kind in (OBSERVATIONS, HELD):
                counter = held if record.kind == HELD else let_in
                counter.update(_keys(decode_observed(record.payload).observations))
            elif record.kind == QUOTES:
                for made in decode_quoted(record.payload).quotes:
                    name, sequence = made.quote.instrument, made.quote.sequence
                    assert sequence >= quotes.get(name, 0), f"quote {sequence} of {name} went back"
                    quotes[name] = sequence
        assert max([*let_in.values(), *held.values()], default=1) == 1, "journalled twice"
        for observation, outcome in self.acknowledged.items():
            where = held if outcome is Outcome.OUTLIER else let_in
            assert where[observation] == 1, f"{observation!r} was acknowledged and is lost"

    def finish(self) -> None:
        """Let everything arrive, and compare the calculator with the journal."""
        self.disk.fault = lambda step: None
        while self.flight is not None or self.network:
            self.finish_append()
            self.deliver()
        self.check_journal()
        while self.inbox:
            self.calculate()
        journalled = [o for _, batch in self.log.backlog(0, 10**9)[1] for o in batch]
        assert self.calculator.log == journalled, "the calculator applied something else"


def _keys(observations: list[Observation]) -> list[bytes]:
    return [encode_observations(observation) for observation in observations]
