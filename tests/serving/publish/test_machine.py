"""The publisher against a disk and crashes: never two contents of one number, and the chain holds.

The machine writes records to a disk that may lose the last one before it was acknowledged, crashes
between any two steps, rotates keys, pauses, and gives everything that was ever signed to a consumer
that takes only some of it.
"""

import random
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from foremargin.serving.publish import (
    Ledger,
    Limits,
    LocalSigner,
    Market,
    Publisher,
    PublishRule,
    RegimeLimit,
    Signers,
    UpdateVerifier,
    keccak,
)

SECOND = 10**9
NAMES = ("BTC", "ETH")
STEP = RegimeLimit(rise_bps=200, fall_bps=100, period_s=30)
LIMITS = Limits(cap_bps=3_000, unknown=STEP, calm=STEP, elevated=STEP, stressed=STEP)
MARKETS = [
    Market(instrument=name, limits=LIMITS, rule=PublishRule(heartbeat_s=120, quiet_s=30))
    for name in NAMES
]
SIDES = st.tuples(st.integers(1, 3_500), st.integers(1, 3_500))


class Recording(LocalSigner):
    """Keeps what was ever signed, and refuses what would be a second history."""

    def __init__(self, secret, memory):
        super().__init__(secret)
        self.memory = memory

    def sign(self, digest):
        self.memory.signed.add(digest)
        return super().sign(digest)


class Publishing(RuleBasedStateMachine):
    quote: Any  # these three are set by the test
    domain: Any
    now: Any
    plan: Any
    next_key: Any

    @initialize()
    def start(self):
        self.time = self.now
        self.signed = set()
        self.n_keys = 0
        self.seen = {}
        self.released = []
        self.snapshot = Ledger(self.domain).snapshot()
        self.disk = []
        self.paused = set()
        self.plan = None
        self.key = self.new_key()
        self.consumer = UpdateVerifier(
            self.domain, Signers([self.key.address]), dict.fromkeys(NAMES, LIMITS)
        )
        self.restart()

    def new_key(self):
        self.n_keys += 1
        return Recording(keccak(bytes([self.n_keys])), self)

    def restart(self):
        """Come up again from what is on the disk."""
        self.plan = None
        ledger = Ledger.restored(self.domain, self.snapshot, self.disk)
        self.publisher = Publisher(ledger, MARKETS, self.key)

    @rule(
        long=SIDES,
        short=SIDES,
        name=st.sampled_from(NAMES),
        regime=st.sampled_from(["calm", "stressed"]),
    )
    @precondition(lambda self: self.plan is None)
    def plan_updates(self, long, short, name, regime):
        margins = (max(long), min(long), max(short), min(short))
        quote = self.quote(margins, at=self.time, name=name, regime=regime)
        plan = self.publisher.plan([quote], now=self.time * SECOND)
        self.plan = plan if plan.record else None
        assert name not in self.paused or not plan.updates

    @rule()
    @precondition(lambda self: self.plan is None)
    def plan_rotation(self):
        self.next_key = self.new_key()
        self.plan = self.publisher.rotate(self.next_key)

    @rule()
    @precondition(lambda self: self.plan is not None)
    def crash_before_the_record_is_written(self):
        self.restart()

    @rule()
    @precondition(lambda self: self.plan is not None)
    def crash_after_the_record_is_written(self):
        self.disk.append(self.plan.record)
        self.take_over_rotation()
        self.restart()
        self.release()

    @rule(again=st.booleans())
    @precondition(lambda self: self.plan is not None)
    def write_and_commit(self, again):
        plan, self.plan = self.plan, None
        self.disk += [plan.record] * (1 + again)  # a write that failed is repeated
        before = len(self.signed)
        assert not any(map(self.is_signed, plan.updates.values()))
        self.plan = plan
        self.take_over_rotation()
        self.publisher.commit(plan)
        self.plan = None
        assert len(self.signed) <= before + 1
        self.release()

    def take_over_rotation(self):
        if not self.plan.updates:
            self.key = self.next_key
            self.consumer.rotate(Signers([self.key.address]))
            self.released = []  # no longer of any use

    def is_signed(self, update):
        return self.domain.digest(update) in self.signed

    @rule(name=st.sampled_from(NAMES))
    def pause(self, name):
        self.disk_write_beside(self.publisher.pause(name))
        self.paused.add(name)

    @rule(name=st.sampled_from(NAMES))
    def resume(self, name):
        self.disk_write_beside(self.publisher.resume(name))
        self.paused.discard(name)

    def disk_write_beside(self, record):
        self.disk.append(record)

    @rule()
    @precondition(lambda self: self.plan is None)
    def snapshot_and_restart(self):
        self.snapshot, self.disk = self.publisher.snapshot(), []
        self.restart()
        self.release()

    @rule(seconds=st.integers(1, 90))
    def wait(self, seconds):
        self.time += seconds

    def release(self):
        """Ask for everything, and remember what may be out in the world."""
        batch = self.publisher.batch()
        for name in NAMES:
            one = self.publisher.signed(name)
            if one is None:
                continue
            assert name not in self.paused
            self.released.append(one)
            self.record(one.update)
        if batch is not None:
            number = "batch", batch.batch.epoch, batch.batch.batch_seq
            assert self.seen.setdefault(number, batch.batch) == batch.batch
            for update in batch.updates.values():
                self.record(update)

    def record(self, update):
        number = update.market_id, update.epoch, update.seq
        assert self.seen.setdefault(number, update) == update, "two contents of one number"
        if update.prev_seq:
            before = self.seen.get((update.market_id, update.epoch, update.prev_seq))
            if before is not None:  # written and never released where the market was paused
                assert update.prev_digest == self.domain.digest(before)
        assert update.prev_seq == update.seq - 1

    @rule(choice=st.randoms(use_true_random=False))
    @precondition(lambda self: self.released)
    def a_consumer_takes_one(self, choice: random.Random):
        one = choice.choice(self.released[-2:])
        held = self.consumer.held.get(one.update.market_id)
        known = (held.update.epoch, held.update.seq) if held else (0, 0)
        newer = (one.update.epoch, one.update.seq) > known
        if newer and self.time < one.update.valid_until and one.update.valid_from <= self.time:
            self.consumer.accept(one.update, one.signatures, now=self.time)

    @invariant()
    def json_of_the_ledger_is_whole(self):
        if getattr(self, "plan", 0) is None:
            again = Ledger.restored(self.domain, self.publisher.snapshot())
            assert again.snapshot() == self.publisher.snapshot()
            assert msgspec.json.decode(again.snapshot())["epoch"] == self.publisher.epoch


def test_it_never_signs_two_contents_of_one_number(quote, domain, now) -> None:
    machine = type(
        "Machine", (Publishing,), {"quote": staticmethod(quote), "domain": domain, "now": now}
    )
    run_state_machine_as_test(
        machine, settings=settings(max_examples=40, stateful_step_count=30, deadline=None)
    )
