import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from foremargin.errors import InputError
from foremargin.serving.monitor import Cusum, PageHinkley, breach_evidence, excess_log_score

STREAM = st.lists(st.floats(-3, 3), min_size=1, max_size=40)


def test_cusum_of_a_small_example_by_hand():
    cusum = Cusum(allowance=0.5, threshold=3.0)
    sums = []
    for value in (1.0, 0.0, -2.0, 2.0, 2.0, 1.0):
        alarm = cusum.update(value)
        sums.append((alarm, cusum.standing().statistic))
    assert sums == [(False, 0.5), (False, 0.0), (False, 0.0), (False, 1.5), (False, 3.0), (True, 0)]


@given(STREAM)
@settings(max_examples=100, deadline=None)
def test_cusum_is_the_largest_sum_that_ends_now(stream):
    cusum = Cusum(allowance=0.2, threshold=1e9)
    for t, value in enumerate(stream):
        cusum.update(value)
        tails = [sum(x - 0.2 for x in stream[s : t + 1]) for s in range(t + 1)]
        assert cusum.standing().statistic == pytest.approx(max(0.0, *tails), abs=1e-9)


@given(STREAM)
@settings(max_examples=100, deadline=None)
def test_page_hinkley_is_its_definition(stream):
    detector = PageHinkley(tolerance=0.1, threshold=1e9)
    sums = [0.0]
    for t, value in enumerate(stream):
        detector.update(value)
        sums.append(sums[-1] + value - sum(stream[: t + 1]) / (t + 1) - 0.1)
        assert detector.standing().statistic == pytest.approx(sums[-1] - min(sums), abs=1e-9)


def test_cusum_of_evidence_runs_as_long_as_promised_and_as_the_chain_says():
    # The rate at which a breach weighs five outcomes without one: the sums are a Markov chain.
    p, h, weight = 0.1, math.log(50.0), 5
    rate = brentq(
        lambda q: (
            breach_evidence(True, tail_probability=p, rate=q)
            + weight * breach_evidence(False, tail_probability=p, rate=q)
        ),
        0.11,
        0.9,
    )
    up = breach_evidence(True, tail_probability=p, rate=rate)
    down = breach_evidence(False, tail_probability=p, rate=rate)
    rng = np.random.default_rng(0)
    lengths = []
    for _ in range(250):
        cusum = Cusum(threshold=h)
        n = 1
        while not cusum.update(up if rng.random() < p else down):
            n += 1
        lengths.append(n)
    assert np.mean(lengths) > 50.0
    assert np.mean(lengths) == pytest.approx(_chain(p, weight, int(h / -down)), rel=0.15)


def _chain(p, weight, top):
    """Mean run length by the linear equations of the sums 0 to `top`, in units of one step down."""
    matrix = np.eye(top + 1)
    for at in range(top + 1):
        matrix[at, max(0, at - 1)] -= 1 - p
        if at + weight <= top:
            matrix[at, at + weight] -= p
    return np.linalg.solve(matrix, np.ones(top + 1))[0]


def test_evidence_adds_up_to_less_than_nothing_under_the_promise():
    p, rate = 0.01, 0.04
    mean = p * breach_evidence(True, tail_probability=p, rate=rate) + (1 - p) * breach_evidence(
        False, tail_probability=p, rate=rate
    )
    assert mean < 0.0
    ratio = p * math.exp(breach_evidence(True, tail_probability=p, rate=rate))
    ratio += (1 - p) * math.exp(breach_evidence(False, tail_probability=p, rate=rate))
    assert ratio == pytest.approx(1.0, rel=1e-12)


def test_excess_log_score_is_zero_on_average_at_every_volatility():
    rng = np.random.default_rng(5)
    for sigma in (1e-4, 0.02, 3.0):
        scores = [excess_log_score(r, sigma) for r in rng.normal(scale=sigma, size=20_000)]
        assert abs(np.mean(scores)) < 4 * np.std(scores) / math.sqrt(20_000)
    assert excess_log_score(0.02, 0.01) == pytest.approx(1.5)
    assert excess_log_score(9.0, 0.01) == 7.5  # as far as the cap


def test_page_hinkley_finds_a_forecast_that_is_too_low_and_seldom_one_that_is_right():
    rng = np.random.default_rng(6)
    false, delays = 0, []
    for _ in range(40):
        detector = PageHinkley(tolerance=0.15, threshold=40.0)
        false += sum(detector.update(excess_log_score(r, 1.0)) for r in rng.normal(size=2_000))
        n = 0
        while not detector.update(excess_log_score(1.6 * rng.normal(), 1.0)):
            n += 1
        delays.append(n)
    assert false == 0
    assert np.median(delays) < 120


@pytest.mark.parametrize(
    "detector", [Cusum(threshold=5.0), PageHinkley(tolerance=0.0, threshold=5.0)]
)
def test_what_is_not_finite_is_counted_and_changes_nothing(detector):
    detector.update(1.0)
    before = detector.standing()
    for value in (math.nan, math.inf, -math.inf):
        assert not detector.update(value)
    after = detector.standing()
    assert after.skipped == 3
    assert (after.statistic, after.n) == (before.statistic, before.n)
    assert math.isnan(excess_log_score(math.nan, 1.0))
    assert math.isnan(excess_log_score(0.1, 0.0))


def test_threshold_must_be_positive():
    with pytest.raises(InputError, match="threshold must be positive and finite, was 0"):
        Cusum(threshold=0.0)
    with pytest.raises(InputError, match="threshold must be positive and finite, was nan"):
        PageHinkley(tolerance=0.0, threshold=math.nan)
