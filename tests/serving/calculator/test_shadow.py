"""A challenger is heard and never believed."""

import msgspec
import pytest

from foremargin.errors import InputError
from foremargin.serving.calculator.shadow import Shadowed
from foremargin.serving.observations import Tick

TICK = Tick(instrument="A", time=1, price=1.0)


class Counting:
    """A calculator that says how much it has seen."""

    def __init__(self, make, *, fails_at=99):
        self.make, self.n, self.fails_at = make, 0, fails_at

    def apply(self, observations):
        self.n += len(observations)
        if self.n >= self.fails_at:
            raise RuntimeError("broken")
        return [self.make(self.n)]

    def current(self):
        return [self.make(self.n)]

    def snapshot(self):
        return bytes([self.n])

    def restore(self, content):
        self.n = content[0]


@pytest.fixture
def make():
    from foremargin.serving.quote import Basis, Calculation, SideMargin

    def calculation(bps):
        side = SideMargin(initial_margin_bps=bps, maintenance_margin_bps=bps, components={})
        return Calculation(
            instrument="A",
            basis=Basis.GARCH,
            observed_at=1,
            long=side,
            short=side,
            horizon_periods=1,
            horizon_s=1,
            tail_probability=0.01,
            sigma=0.1,
            sigma_lower=None,
            sigma_upper=None,
            regime="calm",
        )

    return calculation


def test_challenger_is_marked_and_comes_after_the_champion(make):
    both = Shadowed(Counting(make), Counting(make))
    said = both.apply([TICK])
    assert [one.shadow for one in said] == [False, True]
    assert [one.shadow for one in both.current()] == [False]


def test_challenger_that_fails_is_silent_and_costs_nothing(make):
    both = Shadowed(Counting(make), Counting(make, fails_at=2))
    assert len(both.apply([TICK])) == 2
    assert [one.shadow for one in both.apply([TICK])] == [False]
    assert [one.long.initial_margin_bps for one in both.apply([TICK])] == [3]


def test_snapshot_holds_both_and_that_of_a_single_one_is_refused(make):
    both = Shadowed(Counting(make), Counting(make))
    both.apply([TICK])
    again = Shadowed(Counting(make), Counting(make))
    again.restore(both.snapshot())
    assert [one.long.initial_margin_bps for one in again.apply([TICK])] == [2, 2]
    apart = Shadowed(Counting(make), Counting(make))
    apart.restore(msgspec.msgpack.encode({"champion": b"\x04", "challenger": b"\x06"}))
    assert [one.long.initial_margin_bps for one in apart.apply([TICK])] == [5, 7]
    with pytest.raises(InputError, match="a champion with a shadow"):
        again.restore(b"\x01")
    silent = Shadowed(Counting(make), Counting(make, fails_at=1))
    silent.apply([TICK])
    with pytest.raises(InputError, match="a challenger that speaks"):
        again.restore(silent.snapshot())
