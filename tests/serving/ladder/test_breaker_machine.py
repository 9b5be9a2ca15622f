"""The breaker against a model that remembers everything."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from foremargin.errors import InputError
from foremargin.serving.ladder import Breaker, BreakerSettings, BreakerState

SECOND = 10**9


class BreakerMachine(RuleBasedStateMachine):
    """Closed until `faults` within `within_s`; open for `open_s`; closed after `trials`."""

    @initialize(faults=st.integers(1, 4), trials=st.integers(1, 3))
    def make(self, faults, trials):
        self.settings = BreakerSettings(
            faults=faults, within_s=100.0, open_s=10.0, longest_open_s=35.0, trials=trials
        )
        self.breaker = Breaker(self.settings)
        self.now, self.log = 0, []

    def model(self):
        """Return the state by walking through all events."""
        state, good, until, wait = BreakerState.CLOSED, 0, 0, 10.0
        faults: list[int] = []
        for time, ok in [*self.log, (self.now, None)]:
            if state is BreakerState.OPEN and time >= until:
                state, good = BreakerState.HALF_OPEN, 0
            if ok is None:
                continue
            if state is BreakerState.CLOSED and not ok:
                faults = [f for f in faults if time - f <= 100 * SECOND] + [time]
                if len(faults) >= self.settings.faults:
                    state, wait, faults = BreakerState.OPEN, 10.0, []
                    until = time + 10 * SECOND
            elif state is BreakerState.HALF_OPEN and not ok:
                wait = min(2 * wait, 35.0)
                state, until = BreakerState.OPEN, time + int(wait * SECOND)
            elif state is BreakerState.HALF_OPEN:
                good += 1
                if good >= self.settings.trials:
                    state = BreakerState.CLOSED
        return state

    @rule()
    def fail(self):
        self.log.append((self.now, False))
        assert self.breaker.failed(self.now) is self.model()

    @rule()
    def succeed(self):
        self.log.append((self.now, True))
        assert self.breaker.succeeded(self.now) is self.model()

    @rule(seconds=st.sampled_from([0.5, 9.0, 10.0, 20.0, 35.0, 101.0]))
    def wait(self, seconds):
        self.now += int(seconds * SECOND)

    @invariant()
    def agrees_with_the_model(self):
        if hasattr(self, "breaker"):
            assert self.breaker.state(self.now) is self.model()


BreakerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
test_breaker_machine = BreakerMachine.TestCase


def test_a_clock_that_went_back_does_not_keep_it_open_forever():
    breaker = Breaker(BreakerSettings(faults=1, longest_open_s=100.0))
    breaker.failed(10**18)
    assert breaker.state(0) is BreakerState.OPEN
    assert breaker.state(100 * SECOND) is BreakerState.HALF_OPEN


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"faults": 0}, "faults and trials must be at least 1, were 0 and 2"),
        ({"open_s": 0.0}, "0 < open_s <= longest_open_s"),
        ({"longest_open_s": 1.0}, "0 < open_s <= longest_open_s"),
    ],
)
def test_settings_that_cannot_be(values, message):
    with pytest.raises(InputError, match=message):
        BreakerSettings(**values)
