"""The upper end of a window against the whole window in order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from foremargin.calibrate.upper_end import (
    COUNT,
    KEPT,
    keep_score,
    new_window,
    order_upper,
    read_tail,
    remember_score,
)

Array = NDArray[np.float64]


def windows(score: Array, window: int) -> list[Array]:
    return [score[max(0, t - window + 1) : t + 1] for t in range(len(score))]


def falling(n: int) -> Array:
    """Every new score is smaller than all before: the large ones leave and none comes."""
    return np.linspace(5.0, -5.0, n)


def drawn(n: int) -> Array:
    return np.random.default_rng(1).standard_t(3, size=n)


def tied(n: int) -> Array:
    return np.random.default_rng(2).integers(0, 4, size=n).astype(float)


@pytest.mark.parametrize("make", [drawn, falling, tied])
@pytest.mark.parametrize(("window", "depth"), [(400, 7), (400, 60), (50, 40), (3, 1), (1, 1)])
def test_the_largest_scores_of_the_window_are_there_in_order(make, window, depth) -> None:
    score = make(1_500)
    upper, queue, state = new_window(window, depth)
    for new, past in zip(score, windows(score, window), strict=True):
        keep_score(upper, queue, state, depth, new)
        kept = state[KEPT]
        assert kept >= min(depth, len(past))
        np.testing.assert_array_equal(upper[:kept], np.sort(past)[len(past) - kept :])
        np.testing.assert_array_equal(np.sort(queue[: state[COUNT]]), np.sort(past))


@given(
    score=st.lists(st.integers(-3, 3), min_size=1, max_size=120),
    window=st.integers(1, 60),
    depth=st.integers(1, 30),
)
def test_any_ties_leave_in_any_order(score: list[int], window: int, depth: int) -> None:
    values = np.array(score, dtype=float)
    upper, queue, state = new_window(window, depth)
    for new, past in zip(values, windows(values, window), strict=True):
        keep_score(upper, queue, state, depth, new)
        kept = state[KEPT]
        np.testing.assert_array_equal(upper[:kept], np.sort(past)[len(past) - kept :])


@pytest.mark.parametrize("make", [drawn, tied])
def test_a_tail_read_from_the_upper_end_is_that_of_the_whole_to_the_last_bit(make) -> None:
    score = make(2_000)
    window, tail = 600, 0.05
    depth = int(np.ceil((window + 1) * tail)) + 2
    upper, queue, state = new_window(window, depth)
    fewer = 0
    for new, past in zip(score, windows(score, window), strict=True):
        keep_score(upper, queue, state, depth, new)
        kept, whole = upper[: state[KEPT]], np.sort(past)
        assert read_tail(kept, queue[: state[COUNT]], tail) == read_tail(whole, past, tail)
        fewer += len(kept) < len(past)
    assert fewer > 1_500


def test_scores_that_were_only_remembered_can_be_ordered_later() -> None:
    score = drawn(300)
    upper, queue, state = new_window(100, 10)
    for new in score:
        remember_score(queue, state, new)
    order_upper(upper, queue, state, 10)
    np.testing.assert_array_equal(upper[: state[KEPT]], np.sort(score[-100:])[-state[KEPT] :])
    assert state[KEPT] >= 10


def test_an_empty_window_has_nothing_to_order() -> None:
    upper, queue, state = new_window(10, 2)
    order_upper(upper, queue, state, 2)
    assert state[KEPT] == 0
