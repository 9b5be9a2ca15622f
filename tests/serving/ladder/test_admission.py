import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foremargin.calibrate.addons import venue_consensus
from foremargin.errors import InputError
from foremargin.serving.ladder import Admission, AdmissionLimits, is_dislocated
from foremargin.serving.observations import Bar, OraclePrice, Tick
from foremargin.serving.ports import Outcome

SECOND, HOUR = 10**9, 3_600 * 10**9


def bar(time, close=100.0, **other):
    prices = {"open": close, "high": close, "low": close, **other}
    return Bar(instrument="BTC", time=time, close=close, **prices)


def tick(time, price=100.0, venue=""):
    return Tick(instrument="BTC", time=time, price=price, venue=venue)


def oracle(time, price=100.0, source="pyth", confidence=0.1):
    return OraclePrice(
        instrument="BTC", time=time, price=price, confidence=confidence, source=source
    )


class Desk:
    """Judges one after the other, and keeps what was let in."""

    def __init__(self, **limits):
        self.admission = Admission(["BTC"], limits=AdmissionLimits(**limits))
        self.admitted = []

    def judge(self, observation, *, now=10**18):
        trial = self.admission.trial()
        verdict = trial.judge(observation, now=now)
        self.admission.commit(trial)
        self.admitted += verdict.admitted
        return verdict

    def outcomes(self, *observations):
        return [self.judge(o).outcome for o in observations]

    @property
    def held(self):
        return self.admission.known["BTC"].held


def test_moments_late_duplicate_conflict_and_out_of_order():
    desk = Desk()
    assert desk.outcomes(bar(HOUR), bar(HOUR), bar(HOUR, 101.0)) == [
        Outcome.ACCEPTED,
        Outcome.DUPLICATE,
        Outcome.CONFLICT,
    ]
    assert desk.outcomes(tick(HOUR), tick(HOUR - 5), bar(HOUR - 1)) == [Outcome.LATE] * 3
    assert desk.outcomes(tick(HOUR + 9), tick(HOUR + 9), tick(HOUR + 9, 100.1)) == [
        Outcome.ACCEPTED,
        Outcome.DUPLICATE,
        Outcome.CONFLICT,
    ]
    verdict = desk.judge(tick(HOUR + 8))
    assert verdict.outcome is Outcome.INVALID
    assert "must not be before the last one of its source" in verdict.reason
    assert desk.judge(tick(HOUR + 8, venue="other")).outcome is Outcome.ACCEPTED
    assert desk.admitted == [bar(HOUR), tick(HOUR + 9), tick(HOUR + 8, venue="other")]


def test_a_stranger_is_not_let_in():
    verdict = Desk().judge(Tick(instrument="ETH", time=1, price=1.0))
    assert verdict.outcome is Outcome.UNKNOWN_INSTRUMENT
    assert "was ETH" in verdict.reason


@pytest.mark.parametrize(
    ("observation", "reason"),
    [
        (tick(1, math.nan), "price must be positive and finite, was nan"),
        (tick(1, 0.0), "price must be positive and finite, was 0.0"),
        (oracle(1, -1.0), "price must be positive and finite, was -1.0"),
        (oracle(1, confidence=math.inf), "confidence must be finite and at least 0, was inf"),
        (bar(1, high=math.inf), "high must be positive and finite, was inf"),
        (bar(1, open=-2.0), "open must be positive"),
        (bar(1, high=99.0), "open and close must lie between low and high"),
        (bar(1, low=100.5), "open and close must lie between low and high"),
        (bar(1, more={"volume": math.nan}), "volume must be finite, was nan; leave out"),
        (tick(10**18 + 61 * SECOND), "time must be at most 60 s ahead of the service's clock"),
    ],
)
def test_numbers_that_cannot_be(observation, reason):
    desk = Desk()
    verdict = desk.judge(observation)
    assert verdict.outcome is Outcome.INVALID
    assert reason in verdict.reason
    assert desk.admission.known == Admission(["BTC"]).known


def test_an_outlier_waits_until_another_source_confirms_it():
    desk = Desk()
    assert desk.outcomes(tick(1), tick(2, 70.0)) == [Outcome.ACCEPTED, Outcome.OUTLIER]
    assert desk.admitted == [tick(1)]
    assert desk.judge(oracle(3, 72.0)).outcome is Outcome.ACCEPTED
    assert desk.admitted == [tick(1), tick(2, 70.0), oracle(3, 72.0)]
    assert desk.held == []
    assert desk.judge(tick(4, 71.0)).outcome is Outcome.ACCEPTED


def test_an_outlier_waits_until_further_ticks_confirm_it():
    desk = Desk()
    assert desk.outcomes(tick(1), *(tick(i, 70.0 - i) for i in (2, 3, 4, 5))) == [
        Outcome.ACCEPTED,
        *[Outcome.OUTLIER] * 3,
        Outcome.ACCEPTED,
    ]
    assert [o.time for o in desk.admitted] == [1, 2, 3, 4, 5]


def test_one_more_bar_confirms_a_bar_and_a_wilder_one_does_not():
    for second, outcome in ((65.0, Outcome.ACCEPTED), (20.0, Outcome.OUTLIER)):
        desk = Desk()
        assert desk.outcomes(bar(1), bar(2, 70.0)) == [Outcome.ACCEPTED, Outcome.OUTLIER]
        assert desk.judge(bar(3, second)).outcome is outcome


def test_its_own_source_coming_back_dismisses_an_outlier():
    desk = Desk()
    desk.outcomes(tick(1), tick(2, 70.0), tick(3, 100.0))
    assert desk.held == []
    assert desk.judge(oracle(4, 70.0)).outcome is Outcome.OUTLIER
    assert desk.admitted == [tick(1), tick(3, 100.0)]


def test_the_other_side_confirms_nothing():
    desk = Desk()
    assert desk.outcomes(tick(1), tick(2, 70.0), oracle(3, 140.0))[1:] == [Outcome.OUTLIER] * 2


def test_an_old_outlier_confirms_nothing():
    desk = Desk()
    desk.outcomes(tick(1), tick(2, 70.0))
    assert desk.judge(oracle(902 * SECOND, 70.0)).outcome is Outcome.OUTLIER


def test_a_close_dismisses_the_ticks_before_it():
    desk = Desk()
    desk.outcomes(tick(1), tick(2, 70.0), bar(HOUR, 101.0))
    assert desk.held == []


def test_the_usual_move_decides_what_an_outlier_is():
    calm, wild = Desk(), Desk()
    for i in range(1, 200):
        calm.judge(bar(i, 100.0 + 0.1 * (i % 2)))
        wild.judge(bar(i, 100.0 + 4.0 * (i % 2)))
    assert calm.judge(bar(300, 108.0)).outcome is Outcome.OUTLIER
    assert wild.judge(bar(300, 112.0)).outcome is Outcome.ACCEPTED


def test_one_venue_off_while_others_agree_changes_nothing_however_often():
    """10 October 2025 in small: one venue at 0.65, the others at 1."""
    desk = Desk()
    desk.outcomes(*(tick(1, 1.0, venue) for venue in ("a", "b", "c", "d")))
    before = desk.admission.known["BTC"].price
    for i in range(2, 60):
        verdict = desk.judge(tick(i, 0.65, "d"))
        assert verdict.outcome is Outcome.OUTLIER
        assert "3 other venues agree, and it is off" in verdict.reason
        desk.judge(tick(i, 1.0 + 0.0001 * (i % 3), "a"))
    assert {o.venue for o in desk.admitted[4:]} == {"a"}
    assert desk.admission.known["BTC"].price == pytest.approx(before, rel=1e-3)
    assert len(desk.held) == 17
    # A second venue at that price makes two camps, and no longer one venue off.
    desk.outcomes(tick(60, 0.65, "c"))
    assert desk.admission.known["BTC"].price == 0.65


def test_venues_that_are_silent_agree_on_nothing():
    desk = Desk()
    desk.outcomes(*(tick(1, 100.0, venue) for venue in ("a", "b", "c")))
    assert desk.judge(tick(120 * SECOND, 99.0, "d")).outcome is Outcome.ACCEPTED


@given(
    price=st.floats(0.5, 2.0),
    others=st.lists(st.floats(0.9, 1.1), min_size=2, max_size=6),
)
def test_dislocation_is_the_rule_of_the_venue_consensus(price, others):
    prices = np.array([[price], *([other] for other in others)])
    kept = venue_consensus(prices, spread=5.0, tolerance=0.002).kept[0, 0]
    assert is_dislocated(price, others, spread=5.0, tolerance=0.002) == (not kept)


feeds = st.lists(
    st.one_of(
        st.builds(
            tick,
            st.integers(1, 60),
            st.sampled_from([100.0, 100.1, 70.0, 71.0, 140.0]),
            st.sampled_from(["", "a", "b", "c"]),
        ),
        st.builds(oracle, st.integers(1, 60), st.sampled_from([100.0, 70.0, 140.0])),
        st.builds(bar, st.integers(1, 60), st.sampled_from([100.0, 70.0, 72.0, 140.0])),
    ),
    max_size=40,
)


@given(feed=feeds)
def test_replaying_what_was_let_in_and_held_back_gives_the_same_state(feed):
    desk, replayed = Desk(), Admission(["BTC"])
    for observation in feed:
        verdict = desk.judge(observation)
        if verdict.outcome is Outcome.OUTLIER:
            replayed.replay([observation], held=True)
        replayed.replay(verdict.admitted, held=False)
    assert replayed.known == desk.admission.known


@given(feed=feeds)
def test_nothing_is_let_in_twice_or_out_of_order_within_its_feed(feed):
    desk = Desk()
    for observation in [*feed, *feed]:
        desk.judge(observation)
    seen: dict[object, int] = {}
    for o in desk.admitted:
        feed_of = (type(o), getattr(o, "venue", ""))
        assert o.time > seen.get(feed_of, 0)
        seen[feed_of] = o.time


def test_a_trial_that_is_not_committed_changes_nothing():
    admission = Admission(["BTC"])
    trial = admission.trial()
    assert trial.judge(tick(1), now=1).outcome is Outcome.ACCEPTED
    assert trial.judge(tick(1), now=1).outcome is Outcome.DUPLICATE
    assert admission.trial().judge(tick(1), now=1).outcome is Outcome.ACCEPTED


def test_limits_that_cannot_be():
    with pytest.raises(InputError, match="confirmations must be in 1 to 16, was 0"):
        AdmissionLimits(confirmations=0)
    with pytest.raises(InputError, match="outlier_move must be finite, at least 0, was nan"):
        AdmissionLimits(outlier_move=math.nan)
