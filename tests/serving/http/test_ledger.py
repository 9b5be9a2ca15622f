"""Idempotency-Key as a state machine, against a model that forgets nothing."""

from dataclasses import dataclass

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from foremargin.serving.http.idempotency import (
    Decision,
    Entry,
    Ledger,
    StoredAnswer,
    fingerprint,
)

KEEP_S = 10
KEYS = st.sampled_from([f"k{n}" for n in range(5)])
PRINTS = st.sampled_from(["a", "b"])


@dataclass
class Known:
    """What the model knows of a key."""

    mark: str
    expires: int
    answer: StoredAnswer | None = None
    lost: bool = False


class Machine(RuleBasedStateMachine):
    """Each key runs at most once in its time, and what it answered is what it answers."""

    repeatable = False

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.model: dict[str, Known] = {}
        self.running: set[str] = set()
        self.written: list[Entry] = []
        self.ledger = self.new()

    def new(self) -> Ledger:
        return Ledger(keep_s=KEEP_S, repeatable=self.repeatable, most=100)

    def forget_old(self) -> None:
        self.model = {
            key: known
            for key, known in self.model.items()
            if known.expires > self.now or key in self.running
        }

    @rule(key=KEYS, mark=PRINTS)
    def begin(self, key: str, mark: str) -> None:
        self.forget_old()
        decision, answer = self.ledger.begin(key, mark, now=self.now)
        known = self.model.get(key)
        if known is None:
            assert decision is Decision.RUN
            self.model[key] = Known(mark, self.now + KEEP_S * 10**9)
            self.running.add(key)
            self.written.append(self.ledger.entry(key))
        elif known.mark != mark:
            assert decision is Decision.MISMATCH
        elif known.answer is not None:
            assert (decision, answer) == (Decision.REPLAY, known.answer)
        else:
            assert decision is (Decision.LOST if known.lost else Decision.IN_FLIGHT)
        assert (answer is not None) == (decision is Decision.REPLAY)

    @rule(data=st.data(), how=st.sampled_from(["finish", "abandon", "lose"]))
    def end(self, data: st.DataObject, how: str) -> None:
        if not self.running:
            return
        key = data.draw(st.sampled_from(sorted(self.running)))
        self.running.discard(key)
        if how == "finish":
            answer = StoredAnswer(200, b"%d" % len(self.written))
            self.written.append(self.ledger.finish(key, answer))
            self.model[key].answer = answer
        elif how == "abandon":
            self.written.append(msgspec.structs.replace(self.ledger.entry(key), expires=0))
            self.ledger.abandon(key)
            del self.model[key]
        else:
            self.ledger.lose(key)
            self.model[key].lost = True
            if self.repeatable:
                del self.model[key]

    @rule(seconds=st.integers(1, 6))
    def wait(self, seconds: int) -> None:
        self.now += seconds * 10**9

    @rule()
    def restart(self) -> None:
        self.forget_old()
        self.ledger = self.new()
        self.ledger.restore(self.written, now=self.now)
        self.running.clear()
        for key, known in list(self.model.items()):
            if known.expires <= self.now or (known.answer is None and self.repeatable):
                del self.model[key]
            elif known.answer is None:
                known.lost = True

    @invariant()
    def answers_are_counted(self) -> None:
        kept = sum(len(entry.answer.body) for entry in self.ledger.entries if entry.answer)
        assert self.ledger.answer_bytes == kept


class RepeatableMachine(Machine):
    """The same where a lost request may come again."""

    repeatable = True


STEPS = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestMachine = Machine.TestCase
TestMachine.settings = STEPS
TestRepeatableMachine = RepeatableMachine.TestCase
TestRepeatableMachine.settings = STEPS


def test_beyond_its_size_the_oldest_finished_are_forgotten_and_running_ones_never():
    ledger = Ledger(most=3)
    assert ledger.begin("running", "a", now=0)[0] is Decision.RUN
    for number in range(5):
        assert ledger.begin(f"k{number}", "a", now=0)[0] is Decision.RUN
        ledger.finish(f"k{number}", StoredAnswer(200, b"x"))
    assert [entry.key for entry in ledger.entries] == ["running", "k3", "k4"]
    full = Ledger(most=1)
    full.begin("a", "a", now=0)
    assert full.begin("b", "b", now=0) == (Decision.FULL, None)


def test_beyond_its_bytes_the_oldest_answers_are_forgotten():
    ledger = Ledger(most_bytes=10)
    for number in range(4):
        ledger.begin(f"k{number}", "a", now=0)
        ledger.finish(f"k{number}", StoredAnswer(200, b"1234"))
    assert [entry.key for entry in ledger.entries] == ["k2", "k3"]
    assert ledger.answer_bytes == 8


@pytest.mark.parametrize(
    ("one", "other"), [((b"a", b"bc"), (b"ab", b"c")), ((b"",), (b"", b"")), ((b"a",), (b"b",))]
)
def test_fingerprints_of_different_requests_differ(one, other):
    assert fingerprint(*one) != fingerprint(*other)
    assert fingerprint(*one) == fingerprint(*one)
