import math
from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from foremargin.errors import InputError
from foremargin.serving.monitor import AlertEngine, AlertRule, Signal, State

SECOND = 1_000_000_000
HELD = AlertRule(name="held", severity="ticket", hold_s=30.0, clear_s=60.0, repeat_s=300.0)
AT_ONCE = AlertRule(name="at-once", severity="page", clear_s=0.0, repeat_s=300.0)


def signal(rule_, active, *, subject="A", value=1.0):
    return Signal(
        rule=rule_.name, subject=subject, value=value, threshold=0.5, active=active, summary="it is"
    )


def told(notifications):
    return [(n.alert.rule, str(n.alert.state)) for n in notifications]


def test_alert_waits_fires_and_is_resolved():
    engine = AlertEngine([HELD])
    log = []
    for t in range(0, 200, 15):
        sent = engine.evaluate([signal(HELD, t < 90)], now=t * SECOND)
        log += [(t, state) for _, state in told(sent)]
        for notification in sent:
            engine.delivered(notification.id)
    # It fires after 30 s, and is resolved 60 s after the first look without a fault, at 90 s.
    assert log == [(30, "firing"), (150, "resolved")]
    assert engine.alerts()[0].state is State.RESOLVED


def test_what_flickers_is_one_alert():
    engine = AlertEngine([HELD])
    count = 0
    for t in range(0, 295, 15):
        for notification in engine.evaluate([signal(HELD, t < 60 or t % 45 == 0)], now=t * SECOND):
            engine.delivered(notification.id)
            count += 1
    assert count == 1


def test_what_cannot_be_measured_is_a_fault():
    engine = AlertEngine([AT_ONCE])
    (sent,) = engine.evaluate([signal(AT_ONCE, False, value=math.nan)], now=0)
    assert sent.alert.value is None


def test_subject_that_nobody_looked_at_is_not_resolved():
    engine = AlertEngine([AT_ONCE])
    engine.evaluate([signal(AT_ONCE, True)], now=0)
    engine.evaluate([], now=9_000 * SECOND)
    assert engine.alerts()[0].state is State.FIRING
    engine.forget("A")
    assert engine.alerts() == []


def test_clock_that_goes_back_stands_still():
    engine = AlertEngine([HELD])
    engine.evaluate([signal(HELD, True)], now=1_000 * SECOND)
    engine.evaluate([signal(HELD, True)], now=5 * SECOND)
    assert engine.alerts()[0].changed_at == 1_000 * SECOND
    assert engine.alerts()[0].state is State.PENDING


def test_alert_that_fired_and_ended_unsent_is_told_as_both():
    engine = AlertEngine([AT_ONCE])
    engine.evaluate([signal(AT_ONCE, True)], now=0)
    sent = engine.evaluate([signal(AT_ONCE, False)], now=15 * SECOND)
    assert told(sent) == [("at-once", "firing"), ("at-once", "resolved")]


def test_names_of_rules_must_differ_and_be_known():
    with pytest.raises(InputError, match="names of alert rules must differ"):
        AlertEngine([HELD, HELD])
    with pytest.raises(InputError, match=r"must name one of \['held'\], was at-once"):
        AlertEngine([HELD]).evaluate([signal(AT_ONCE, True)], now=0)


class Alerting(RuleBasedStateMachine):
    """Faults come and go, the sender fails, time passes; a receiver keeps what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = AlertEngine([HELD, AT_ONCE])
        self.now = 0
        self.active: dict[tuple[str, str], bool] = {}
        self.received: dict[str, str] = {}
        self.order: dict[tuple[str, str], list[str]] = {}

    @rule(
        which=st.sampled_from([HELD, AT_ONCE]), subject=st.sampled_from("AB"), active=st.booleans()
    )
    def fault(self, which, subject, active):
        self.active[which.name, subject] = active

    @rule(seconds=st.integers(0, 200), sent=st.integers(0, 4))
    def evaluate(self, seconds, sent):
        self.now += seconds * SECOND
        rules = {"held": HELD, "at-once": AT_ONCE}
        signals = [signal(rules[n], on, subject=s) for (n, s), on in self.active.items()]
        out = self.engine.evaluate(signals, now=self.now)
        assert len({n.id for n in out}) == len(out)
        for notification in out[:sent]:
            assert notification.id not in self.received, "sent twice"
            alert = notification.alert
            self.received[notification.id] = str(alert.state)
            self.order.setdefault((alert.rule, alert.subject), []).append(str(alert.state))
            self.engine.delivered(notification.id)
        for (name, subject), on in self.active.items():
            if name == "at-once" and on:
                firing = [
                    a
                    for a in self.engine.alerts()
                    if (a.rule, a.subject, a.state) == (name, subject, State.FIRING)
                ]
                assert len(firing) == 1, "a fault was looked at and no alert fires"

    @rule()
    def send_everything(self):
        self.evaluate(0, 100)
        shown = {(a.rule, a.subject) for a in self.engine.alerts() if a.state is State.FIRING}
        for key, states in self.order.items():
            assert (states[-1] == "firing") == (key in shown), "the receiver believes the wrong"

    @invariant()
    def no_end_without_a_beginning(self):
        for states in self.order.values():
            assert states[0] == "firing"
            assert ("resolved", "resolved") not in set(pairwise(states))


TestAlerting = Alerting.TestCase
TestAlerting.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
