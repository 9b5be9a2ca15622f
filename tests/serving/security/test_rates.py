"""Token buckets: what may pass in any window, bounded memory, and what a caller is told."""

from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.serving.security import (
    ANONYMOUS,
    LOOPBACK,
    Principal,
    Rate,
    RateLimiter,
    RateLimits,
    limit_of,
)

SECOND = 10**9


class Ticks:
    def __init__(self) -> None:
        self.time = 5 * SECOND

    def __call__(self) -> int:
        return self.time


def test_a_burst_passes_then_one_per_interval():
    now = Ticks()
    limiter = RateLimiter(now=now)
    rate = Rate(10.0, 3)
    assert [limiter.take("a", rate).allowed for _ in range(5)] == [True] * 3 + [False] * 2
    now.time += SECOND // 10
    assert [limiter.take("a", rate).allowed for _ in range(2)] == [True, False]


def test_a_refusal_costs_nothing_and_says_how_long_to_wait():
    now = Ticks()
    limiter = RateLimiter(now=now)
    rate = Rate(2.0, 1)
    assert limiter.take("a", rate).allowed
    for _ in range(10):
        refused = limiter.take("a", rate)
        assert (refused.allowed, refused.remaining, refused.wait_s) == (False, 0, 0.5)
    now.time += int(refused.wait_s * SECOND) - 1
    assert not limiter.take("a", rate).allowed
    now.time += 1
    assert limiter.take("a", rate).allowed


def test_remaining_counts_down_and_comes_back():
    now = Ticks()
    limiter = RateLimiter(now=now)
    rate = Rate(1.0, 3)
    assert [limiter.take("a", rate).remaining for _ in range(3)] == [2, 1, 0]
    now.time += 3 * SECOND
    assert limiter.take("a", rate).remaining == 2


def test_buckets_are_apart():
    limiter = RateLimiter(now=Ticks())
    assert limiter.take("a", Rate(1.0, 1)).allowed
    assert limiter.take("b", Rate(1.0, 1)).allowed
    assert not limiter.take("a", Rate(1.0, 1)).allowed


@settings(max_examples=80, deadline=None)
@given(
    steps=st.lists(st.integers(0, 3 * SECOND), max_size=60),
    per_s=st.floats(0.1, 100.0),
    burst=st.integers(1, 20),
)
def test_no_window_lets_more_through_than_burst_and_rate(steps, per_s, burst):
    now = Ticks()
    limiter = RateLimiter(now=now)
    passed = []
    for step in steps:
        now.time += step
        if limiter.take("a", Rate(per_s, burst)).allowed:
            passed.append(now.time)
    for first, start in enumerate(passed):
        for last in range(first, len(passed)):
            window = (passed[last] - start) / SECOND
            # One more for where the interval, an integer, was rounded down.
            assert last - first + 1 <= burst + window * per_s * (1 + 1e-6) + 1e-6


def test_memory_is_bounded_and_full_buckets_go_first():
    now = Ticks()
    limiter = RateLimiter(now=now, capacity=10)
    for number in range(8):
        limiter.take(f"full {number}", Rate(1.0, 1))
    now.time += 2 * SECOND
    limiter.take("busy", Rate(0.0001, 1))
    for number in range(1_000):
        limiter.take(f"new {number}", Rate(1e6, 1))
        now.time += SECOND
    assert len(limiter) <= 10
    assert not limiter.take("busy", Rate(0.0001, 1)).allowed


def test_a_flood_of_addresses_cannot_grow_it():
    limiter = RateLimiter(now=Ticks(), capacity=10)
    for number in range(1_000):
        limiter.take(f"a{number}", Rate(0.001, 1))
    assert len(limiter) <= 10


def test_every_kind_of_caller_has_a_bucket_of_its_own():
    limits = RateLimits()
    key = Principal(id="k", scopes=frozenset(), rate=Rate(3.0, 4))
    assert limit_of(key, address="x", limits=limits) == ("key k", Rate(3.0, 4))
    assert limit_of(LOOPBACK, address="x", limits=limits) == ("loopback x", limits.loopback)
    assert limit_of(ANONYMOUS, address="x", limits=limits) == ("stranger x", limits.stranger)
