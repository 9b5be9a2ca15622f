"""Period by period is the same as the whole path, also across a restart."""

import json

import numpy as np
import pytest

from foremargin.calibrate.path import (
    Bound,
    Buffer,
    Headroom,
    Lift,
    MarginLimits,
    MarginStepper,
    Notice,
    SpeedLimit,
    margin_path,
)
from foremargin.errors import InputError

LIMITS = MarginLimits(
    speed=(SpeedLimit(rise=0.1, periods=3),),
    notice=Notice(periods=1),
    lift=Lift(buffer=Buffer(window=5, needed=2), headroom=Headroom()),
)


def steps(problem, restart_at: int | None):
    stepper = MarginStepper(problem.limits, start=problem.start)
    for t, target in enumerate(problem.target):
        if t == restart_at:
            stored = json.dumps(stepper.state(), allow_nan=False)
            stepper = MarginStepper.from_state(problem.limits, json.loads(stored))
        yield stepper.step(
            target,
            expected=() if problem.expected is None else problem.expected[t],
            stressed=None if problem.stressed is None else problem.stressed[t],
            required=0.0 if problem.required is None else problem.required[t],
        )


@pytest.mark.slow
def test_the_stepper_gives_the_numbers_of_the_path_and_survives_json(problems) -> None:
    for k, problem in enumerate(problems(11, 150)):
        path = margin_path(
            problem.target,
            limits=problem.limits,
            expected=problem.expected,
            stressed=problem.stressed,
            required=problem.required,
            start=problem.start,
        )
        found = list(steps(problem, k % (len(problem.target) + 1)))
        for name in vars(path):
            single = [getattr(each, name) for each in found]
            np.testing.assert_array_equal(single, getattr(path, name), err_msg=name)
        np.testing.assert_array_equal([each.shortfall for each in found], path.shortfall)
        assert isinstance(found[0].bound, Bound)


def test_a_state_before_the_first_period_is_a_state() -> None:
    # JSON has no infinity, and before the first period there is no level.
    stepper = MarginStepper.from_state(
        LIMITS, json.loads(json.dumps(MarginStepper(LIMITS).state(), allow_nan=False))
    )
    assert stepper.step(1.0) == MarginStepper(LIMITS).step(1.0)


def test_refused_input_changes_nothing() -> None:
    stepper = MarginStepper(LIMITS)
    stepper.step(1.0)
    before = stepper.state()
    for bad in (np.nan, 0.0, np.inf):
        with pytest.raises(InputError, match="target must be finite"):
            stepper.step(bad)
        with pytest.raises(InputError, match="expected must be finite"):
            stepper.step(1.0, expected=[1.0, bad])
    with pytest.raises(InputError, match="required must be finite"):
        stepper.step(1.0, required=-1.0)
    with pytest.raises(InputError, match="stressed must be given if and only if"):
        stepper.step(1.0, stressed=1.0)
    assert stepper.state() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, r"must be of version 1 .* was of version 2"),
        ({"announced": [1.0]}, r"announced of the state must have 3 numbers .* had 1"),
        ({"delivered": [1.0, np.nan]}, r"delivered of the state must be finite and positive"),
        ({"delivered": []}, r"announced and delivered .* both be empty or neither"),
        ({"held": []}, r"held of the state must have 2 numbers .* had 0"),
        ({"held": [0.1, -0.1]}, r"held of the state must be finite and not negative"),
        ({"seen": [1.0] * 6}, r"seen of the state must have at most 5 numbers .* had 6"),
        ({"seen": [0.0]}, r"seen of the state must be finite and positive"),
        ({"announced": [1.0, 1.0, 9.0]}, r"within floor 0.0 and cap 5.0, were 1.0 to 9.0"),
    ],
)
def test_a_damaged_state_is_refused(change, message) -> None:
    limits = MarginLimits(cap=5.0, speed=LIMITS.speed, lift=LIMITS.lift)
    stepper = MarginStepper(limits)
    stepper.step(1.0)
    with pytest.raises(InputError, match=message):
        MarginStepper.from_state(limits, stepper.state() | change)


def test_a_state_without_a_part_is_refused() -> None:
    state = MarginStepper(LIMITS).state()
    del state["seen"]
    with pytest.raises(InputError, match=r"lacked \['seen'\]"):
        MarginStepper.from_state(LIMITS, state)
