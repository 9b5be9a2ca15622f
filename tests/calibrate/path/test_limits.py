"""Specifications that cannot be meant are refused, with a word on what to do."""

import numpy as np
import pytest

from foremargin.calibrate.path import (
    Buffer,
    Headroom,
    Lift,
    Maintenance,
    MarginLimits,
    Notice,
    Precedence,
    SpeedLimit,
)
from foremargin.errors import InputError

nan = float("nan")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpeedLimit(rise=0.0), "rise must be positive, was 0.0; write 0.1 for 10 %"),
        (lambda: SpeedLimit(rise=nan), "rise must be positive, was nan"),
        (lambda: SpeedLimit(fall=0.0), r"fall must be in \(0, 1\], was 0.0"),
        (lambda: SpeedLimit(fall=1.1), r"fall must be in \(0, 1\], was 1.1"),
        (lambda: SpeedLimit(periods=0), "periods must be at least 1, was 0"),
        (lambda: Notice(periods=-1), "notice periods must not be negative, were -1"),
        (lambda: Buffer(size=0.0), r"buffer size must be in \(0, 100\], was 0.0"),
        (lambda: Buffer(size=nan), r"buffer size must be in \(0, 100\], was nan"),
        (lambda: Buffer(release_quantile=1.0), r"release_quantile must be in \(0, 1\), was 1.0"),
        (lambda: Buffer(refill=0.0), "refill must be positive, was 0.0"),
        (lambda: Buffer(window=10, needed=11), "1 <= needed <= window, were 11 and 10"),
        (lambda: Headroom(budget=1.0), r"budget must be in \(0, 1\), was 1.0; write 0.01"),
        (lambda: Headroom(size=-0.1), r"headroom size must be in \[0, 100\], was -0.1"),
        (lambda: Headroom(rate=nan), r"headroom rate must be in \[0, 100\], was nan"),
        (lambda: Lift(stress_weight=1.0), r"stress_weight must be in \[0, 1\), was 1.0"),
        (lambda: Maintenance(ratio=1.1), r"maintenance ratio must be in \(0, 1\], was 1.1"),
        (lambda: Maintenance(wait=-1), "maintenance wait must not be negative, was -1"),
        (lambda: MarginLimits(floor=-0.1), "floor must be finite and not negative, was -0.1"),
        (lambda: MarginLimits(floor=nan), "floor must be finite and not negative, was nan"),
        (
            lambda: MarginLimits(floor=0.2, cap=0.1),
            "not below floor, were cap 0.1 and floor 0.2; raise the cap or lower the floor",
        ),
        (lambda: MarginLimits(cap=nan), "cap must be positive and not below floor, were cap nan"),
        (
            lambda: MarginLimits(threshold=0.2, speed=(SpeedLimit(rise=0.1),)),
            "was 0.2 with a tightest limit of 0.1",
        ),
        (lambda: MarginLimits(threshold=nan), "threshold must be in .* was nan"),
    ],
)
def test_what_cannot_be_meant_is_refused(make, message) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_a_specification_is_a_value() -> None:
    made = MarginLimits(speed=[SpeedLimit(rise=0.1)], precedence="limits-first")  # type: ignore[arg-type]
    assert made == MarginLimits(speed=(SpeedLimit(rise=0.1),), precedence=Precedence.LIMITS_FIRST)
    assert hash(made) == hash(MarginLimits(speed=made.speed, precedence=made.precedence))


def test_coverage_goes_first_unless_somebody_says_otherwise() -> None:
    assert MarginLimits().precedence is Precedence.COVERAGE_FIRST


def test_the_memory_reaches_back_as_far_as_any_limit() -> None:
    assert MarginLimits().memory == 1
    limits = MarginLimits(speed=(SpeedLimit(rise=0.1), SpeedLimit(rise=1.0, periods=7)))
    assert limits.memory == 7
    assert MarginLimits(speed=limits.speed, notice=Notice(periods=9)).memory == 10
    assert np.isfinite(limits.threshold)
