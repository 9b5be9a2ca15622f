"""Many margins at once move as each moves alone."""

import numpy as np
import pytest

from foremargin.calibrate.path import (
    Buffer,
    Headroom,
    Lift,
    Maintenance,
    MarginLimits,
    MarginStepper,
    Notice,
    SpeedLimit,
    StackedStepper,
)
from foremargin.errors import InputError, ShapeError

LIMITS = (
    MarginLimits(maintenance=Maintenance(wait=0)),
    MarginLimits(
        floor=0.01,
        cap=0.5,
        speed=(SpeedLimit(rise=0.3, fall=0.1), SpeedLimit(rise=0.5, fall=0.2, periods=4)),
        notice=Notice(periods=1),
        threshold=0.02,
        lift=Lift(buffer=Buffer(window=30, needed=10), headroom=Headroom(size=0.1)),
        maintenance=Maintenance(ratio=0.6, wait=2),
    ),
)
by_limits = pytest.mark.parametrize("limits", LIMITS, ids=["none", "all"])


def _same(step, margin, maintenance, bound):
    assert (margin, maintenance, bound) == (
        step.initial_margin,
        step.maintenance_margin,
        int(step.bound),
    )


def _drive(stack, singles, rng, n_steps):
    bounds = 0
    for _ in range(n_steps):
        turn = np.flatnonzero(rng.random(len(singles)) < 0.7)
        target = np.exp(rng.normal(-3.0, 0.5, size=len(turn)))
        peeked = [stack.peek(int(k), float(x)) for k, x in zip(turn, target, strict=True)]
        steps = stack.step(turn, target)
        for j, k in enumerate(turn):
            step = singles[k].step(float(target[j]))
            _same(step, *peeked[j])
            _same(step, steps.initial_margin[j], steps.maintenance_margin[j], int(steps.bound[j]))
            bounds |= int(steps.bound[j])
    return bounds


@by_limits
def test_every_margin_moves_as_its_own_stepper_does_and_peeking_changes_nothing(limits):
    rng = np.random.default_rng(4)
    stack = StackedStepper.fresh(limits, n_series=3)
    singles = [MarginStepper(limits) for _ in range(3)]
    bounds = _drive(stack, singles, rng, 120)
    assert (bounds > 0) == (limits != LIMITS[0])
    other = StackedStepper.fresh(limits, n_series=3)
    other.restore(stack.state())
    _drive(other, singles, rng, 40)


def test_a_state_of_other_limits_or_a_damaged_one_is_refused():
    stack = StackedStepper.fresh(LIMITS[1], n_series=2)
    stack.step(np.array([0, 1]), np.array([0.1, 0.2]))
    saved = stack.state()
    with pytest.raises(InputError, match="must be of the limits"):
        StackedStepper.fresh(LIMITS[0], n_series=2).restore(saved)
    for name, damaged, message in (
        ("announced", -saved["announced"], "announced of a saved state must be positive"),
        ("held", saved["held"] * np.nan, "held of a saved state"),
        ("place", saved["place"] + 10**6, "places of a saved state"),
        ("delivered", saved["delivered"][:1], "delivered of a saved state must be float64"),
    ):
        with pytest.raises(InputError, match=message):
            stack.restore({**saved, name: damaged})


def test_refused_targets_change_nothing():
    stack = StackedStepper.fresh(LIMITS[1], n_series=2)
    before = stack.state()
    with pytest.raises(InputError, match="target must be finite"):
        stack.step(np.array([0, 1]), np.array([0.1, np.nan]))
    with pytest.raises(ShapeError, match="places of 2 series"):
        stack.step(np.array([5]), np.array([0.1]))
    with pytest.raises(ShapeError, match="one for each of 2"):
        stack.step(np.array([0, 1]), np.array([0.1]))
    with pytest.raises(InputError, match="stress_weight must be 0"):
        StackedStepper.fresh(MarginLimits(lift=Lift(stress_weight=0.25)), n_series=1)
    np.testing.assert_array_equal(before["announced"], stack.state()["announced"])
