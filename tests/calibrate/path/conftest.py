"""Random problems: targets of every roughness, and limits drawn so that they conflict."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

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

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What the rule is given."""

    target: Array
    limits: MarginLimits
    expected: Array | None
    stressed: Array | None
    required: Array | None
    start: float | None


@pytest.fixture(scope="session")
def problems() -> Callable[[int, int], Iterator[Problem]]:
    """Return a function of a seed and a count."""
    return lambda seed, count: (_draw(np.random.default_rng([seed, k])) for k in range(count))


@pytest.fixture(scope="session")
def rough_path() -> Callable[..., Array]:
    """Return a function that draws a positive target with calm stretches and jumps."""
    return _rough


def _rough(rng: np.random.Generator, n: int, *, size: float = 0.05) -> Array:
    step = rng.normal(0.0, size, n) + (rng.random(n) < 0.03) * rng.normal(0.3, 0.4, n)
    level = np.zeros(n)
    for t in range(1, n):
        level[t] = 0.97 * level[t - 1] + step[t]
    return 0.05 * np.exp(level)


def _draw(rng: np.random.Generator) -> Problem:
    n = int(rng.integers(1, 120))
    target = _rough(rng, n, size=float(rng.choice([0.01, 0.05, 0.2])))
    limits = _limits(rng)
    stressed = target.max() * rng.uniform(0.5, 1.5, n)
    return Problem(
        target=target,
        limits=limits,
        expected=_expected(rng, target) if rng.random() < 0.5 else None,
        stressed=stressed if limits.lift.stress_weight > 0.0 else None,
        required=target * rng.uniform(0.3, 1.1, n) if rng.random() < 0.5 else None,
        start=float(rng.uniform(max(limits.floor, 0.01), min(limits.cap, 0.1)))
        if rng.random() < 0.5
        else None,
    )


def _expected(rng: np.random.Generator, target: Array) -> Array:
    k = int(rng.integers(1, 15))
    ahead = np.concatenate([target, np.full(k, target[-1])])
    exact = np.lib.stride_tricks.sliding_window_view(ahead[1:], k)[: len(target)]
    return exact * np.exp(rng.normal(0.0, rng.choice([0.0, 0.3]), exact.shape))


def _limits(rng: np.random.Generator) -> MarginLimits:
    speed = tuple(
        SpeedLimit(
            rise=float(rng.choice([0.05, 0.2, 0.5, np.inf])),
            fall=float(rng.choice([0.05, 0.2, 1.0])),
            periods=int(rng.choice([1, 3, 5, 20])),
        )
        for _ in range(rng.integers(0, 4))
    )
    buffer = Buffer(refill=0.02, window=60, needed=int(rng.integers(1, 30)))
    return MarginLimits(
        floor=float(rng.choice([0.0, 0.03])),
        cap=float(rng.choice([0.12, np.inf])),
        speed=speed,
        notice=Notice(periods=int(rng.choice([0, 1, 4])), falls=bool(rng.random() < 0.5)),
        threshold=float(rng.choice([0.0, 0.02, 0.05])),
        lift=Lift(
            stress_weight=float(rng.choice([0.0, 0.25])),
            buffer=buffer if rng.random() < 0.5 else None,
            headroom=Headroom(size=0.1, rate=0.05) if rng.random() < 0.5 else None,
        ),
        maintenance=Maintenance(ratio=0.6, wait=int(rng.integers(0, 4))),
        precedence=Precedence.COVERAGE_FIRST if rng.random() < 0.5 else Precedence.LIMITS_FIRST,
    )
