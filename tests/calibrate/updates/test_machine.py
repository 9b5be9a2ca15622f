"""A state that lives: random updates against a model of the rules written out again."""

from fractions import Fraction

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from foremargin.calibrate.updates import (
    Excess,
    Kind,
    Limit,
    Parameter,
    ParameterState,
    ParameterUpdate,
    RateLimits,
    Reason,
    Step,
    clamped,
)
from foremargin.errors import InputError

INITIAL = Parameter("A", Kind.INITIAL_MARGIN, "long")
MAINTENANCE = Parameter("A", Kind.MAINTENANCE_MARGIN, "long")
CAP = Parameter("A", Kind.POSITION_CAP)
DELAY_S, WINDOW_S = 30, 20
LOWEST, HIGHEST = 100, 2_000
LIMITS = RateLimits(
    by_kind={
        Kind.INITIAL_MARGIN: Limit(
            bounds=(LOWEST, HIGHEST), rise=Step(units=300), fall=Step(basis_points=500)
        ),
        Kind.MAINTENANCE_MARGIN: Limit(rise=Step(units=200), delay_s=DELAY_S),
        Kind.POSITION_CAP: Limit(rise=Step(basis_points=5_000), on_excess=Excess.SKIP),
    }
)


class Life(RuleBasedStateMachine):
    """Sends updates in and out of order, in and out of time, small and large."""

    @initialize(initial=st.integers(500, 1_500), cap=st.integers(0, 50))
    def begin(self, initial: int, cap: int) -> None:
        values = {INITIAL: initial, MAINTENANCE: initial // 2, CAP: cap}
        self.state = ParameterState(values=values)
        self.now = 0
        self.sequence = 0
        self.values = dict(values)
        self.moved = dict.fromkeys(values, 0)

    @rule(seconds=st.integers(0, 50))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule(
        moves=st.dictionaries(
            st.sampled_from([INITIAL, MAINTENANCE, CAP]), st.integers(-350, 350), min_size=1
        ),
        ahead=st.sampled_from([1, 1, 1, 3, 0, -1]),
        behind=st.sampled_from([0, 0, 0, 1, -1]),
        late_s=st.sampled_from([0, 0, 5, WINDOW_S - 1, WINDOW_S, -1]),
    )
    def send(self, moves: dict[Parameter, int], ahead: int, behind: int, late_s: int) -> None:
        values = {p: max(self.values[p] + move, 0) for p, move in moves.items()}
        previous = max(self.sequence - behind, 0)
        effective = max(self.now - late_s, 0)
        update = ParameterUpdate(
            values=values,
            sequence=max(self.sequence + ahead, previous + 1),
            previous_sequence=previous,
            announced=0,
            effective=effective,
            expiry=effective + WINDOW_S,
            reason="step",
        )
        should = self.accepts(update)
        before = self.state
        found = update.refusals(self.state, time=self.now, limits=LIMITS)
        assert (not found) == should, found
        if not should:
            with pytest.raises(InputError, match="must be refused"):
                update.apply(self.state, time=self.now, limits=LIMITS)
            assert self.state == before
            return
        self.state = update.apply(self.state, time=self.now, limits=LIMITS)
        self.moved |= {p: self.now for p, v in values.items() if v != self.values[p]}
        self.values |= values
        self.sequence = update.sequence
        # What was executed once is never executed again.
        again = update.refusals(self.state, time=self.now, limits=LIMITS)
        assert Reason.REPLAY in {refusal.reason for refusal in again}

    def accepts(self, update: ParameterUpdate) -> bool:
        """Say whether the rules allow an update, from the model alone."""
        in_order = update.sequence > self.sequence == update.previous_sequence
        in_time = update.effective <= self.now < update.effective + WINDOW_S
        if not (in_order and in_time):
            return False
        after = {**self.values, **update.values}
        step = {p: after[p] - self.values[p] for p in after}
        rises = step[INITIAL] <= 300 and step[MAINTENANCE] <= 200
        rises = rises and 2 * step[CAP] <= self.values[CAP]
        falls = -20 * step[INITIAL] <= self.values[INITIAL]
        inside = not step[INITIAL] or LOWEST <= after[INITIAL] <= HIGHEST
        waited = not step[MAINTENANCE] or self.now >= self.moved[MAINTENANCE] + DELAY_S
        fits = 0 < after[MAINTENANCE] <= after[INITIAL]
        return rises and falls and inside and waited and fits

    @rule(initial=st.integers(1, 3_000), maintenance=st.integers(1, 3_000), cap=st.integers(0, 90))
    def ask_a_consumer(self, initial: int, maintenance: int, cap: int) -> None:
        """Whatever is asked of a consumer, what it holds then is what its own rules allow."""
        values = {INITIAL: initial, MAINTENANCE: maintenance, CAP: cap}
        update = ParameterUpdate(
            values=values,
            sequence=self.sequence + 1,
            previous_sequence=self.sequence,
            announced=0,
            effective=self.now,
            expiry=self.now + 1,
            reason="anything",
        )
        outcome = clamped(update, LIMITS, self.state)
        if outcome.state is None:
            assert outcome.result[MAINTENANCE] > outcome.result[INITIAL]
            return
        kept = {p: outcome.state.values[p] for p in values}
        settled = ParameterUpdate(
            values=kept,
            sequence=self.sequence + 1,
            previous_sequence=self.sequence,
            announced=0,
            effective=self.now,
            expiry=self.now + 1,
            reason="what is left",
        )
        assert self.accepts(settled)
        assert all(0 <= share <= Fraction(1) for share in outcome.shares().values())

    @invariant()
    def the_state_is_the_models(self) -> None:
        assert dict(self.state.values) == self.values
        assert dict(self.state.changed_at) == self.moved
        assert self.state.sequence == self.sequence
        assert 0 < self.values[MAINTENANCE] <= self.values[INITIAL] <= HIGHEST


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
