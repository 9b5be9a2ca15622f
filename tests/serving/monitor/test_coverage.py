import itertools
import math

import numpy as np
import pytest

from foremargin.errors import InputError
from foremargin.serving.monitor import CoverageTest


def statistic(test, threshold):
    return test.standing("A", "long").evidence * threshold


def test_mean_of_the_statistic_after_n_outcomes_is_n():
    # Over all sequences of ten outcomes, each with its probability: the law behind the guarantee.
    p, n, mean = 0.2, 10, 0.0
    for outcomes in itertools.product((False, True), repeat=n):
        test = CoverageTest(tail_probability=p, false_alarm_every=1e12)
        for breach in outcomes:
            test.update(breach)
        mean += p ** sum(outcomes) * (1 - p) ** (n - sum(outcomes)) * statistic(test, 1e12)
    assert mean == pytest.approx(n, rel=1e-9)


def test_statistic_of_two_outcomes_by_hand():
    test = CoverageTest(tail_probability=0.01, false_alarm_every=1e6)
    rates = (0.02, 0.04, 0.08, 0.16, 0.32)
    test.update(True)
    assert statistic(test, 1e6) == pytest.approx(sum(q / 0.01 for q in rates) / 5)
    test.update(False)
    want = sum((q / 0.01 + 1) * (1 - q) / 0.99 for q in rates) / 5
    assert statistic(test, 1e6) == pytest.approx(want)


@pytest.mark.parametrize("lag", [1, 4])
def test_false_alarms_are_as_seldom_as_promised(lag):
    """Outcomes overlap over `lag` periods: a breach is a sum of moves above its own quantile."""
    n, every, p, runs = 600, 3_000.0, 0.05, 400
    rng = np.random.default_rng(lag)
    move = np.cumsum(rng.normal(size=(runs, n + lag)), axis=1)
    breaches = (move[:, lag:] - move[:, :-lag]) / math.sqrt(lag) > 1.6448536269514722
    assert abs(breaches.mean() - p) < 0.01
    alarmed = 0
    for stream in breaches.tolist():
        test = CoverageTest(tail_probability=p, lag=lag, false_alarm_every=every)
        alarmed += any([test.update(breach) for breach in stream])
    promised = n / every
    assert 0 < alarmed / runs <= promised


def test_breaches_four_times_too_many_are_always_found_soon():
    rng = np.random.default_rng(3)
    delays = []
    for _ in range(60):
        test = CoverageTest(tail_probability=0.01)
        for breach in rng.random(2_000) < 0.01:
            test.update(bool(breach))
        n = 1
        while not test.update(bool(rng.random() < 0.04)):
            n += 1
        delays.append(n)
    assert np.median(delays) < 500
    assert max(delays) < 2_500


def test_margins_that_are_always_broken_are_found_at_once():
    test = CoverageTest(tail_probability=0.01)
    n = 1
    while not test.update(True):
        n += 1
    assert n <= 5


def test_outcomes_are_dealt_round():
    rng = np.random.default_rng(4)
    stream = (rng.random(300) < 0.1).tolist()
    dealt = CoverageTest(tail_probability=0.05, lag=3, false_alarm_every=1e9)
    own = [CoverageTest(tail_probability=0.05, false_alarm_every=1e9) for _ in range(3)]
    for i, breach in enumerate(stream):
        dealt.update(breach)
        own[i % 3].update(breach)
    assert statistic(dealt, 1.0) == pytest.approx(max(statistic(test, 1.0) for test in own))


def test_alarm_ends_only_after_enough_good_outcomes():
    test = CoverageTest(tail_probability=0.05)
    while not test.update(True):
        pass
    for _ in range(39):
        test.update(False)
        assert test.standing("A", "long").alarmed
    test.update(False)  # two breaches were to be expected by now, and none came
    assert not test.standing("A", "long").alarmed
    assert test.standing("A", "long").alarms == 1


def test_alarm_goes_on_while_breaches_do():
    test = CoverageTest(tail_probability=0.05)
    while not test.update(True):
        pass
    for i in range(400):
        test.update(i % 7 == 0)
        assert test.standing("A", "long").alarmed


def test_counts_and_the_recent_rate():
    test = CoverageTest(tail_probability=0.05, window=10)
    assert test.standing("A", "long").recent_rate is None
    for i in range(25):
        test.update(i in (0, 1, 20))
    standing = test.standing("A", "long")
    assert (standing.judged, standing.breaches) == (25, 3)
    assert (standing.recent_judged, standing.recent_breaches) == (10, 1)
    assert standing.recent_rate == 0.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tail_probability": 0.99}, "tail_probability must be in .0, 0.5., was 0.99"),
        ({"tail_probability": 0.01, "lag": 0}, "lag must be from 1 to 10000 periods, was 0"),
        ({"tail_probability": 0.01, "false_alarm_every": 1.0}, "must be above 1 outcome, was 1.0"),
        ({"tail_probability": 0.01, "window": 0}, "window must be at least 1 outcome, was 0"),
    ],
)
def test_settings_are_checked(arguments, message):
    with pytest.raises(InputError, match=message):
        CoverageTest(**arguments)
