"""Margins that lock capital without need are found, and good ones are left alone."""

import itertools

import numpy as np
import pytest

from foremargin.serving.monitor import CoverageTest, Metrics, Monitor
from foremargin.serving.observations import Bar

HOUR = 3_600_000_000_000


def delay(rng, p, rate, most):
    test = CoverageTest(tail_probability=p, rare=True)
    for n, breach in enumerate((rng.random(most) < rate).tolist()):
        if test.update(breach):
            return n + 1
    return most + 1


def test_mean_of_the_statistic_after_n_good_outcomes_is_n():
    p, n, mean = 0.2, 10, 0.0
    for outcomes in itertools.product((False, True), repeat=n):
        test = CoverageTest(tail_probability=p, false_alarm_every=1e12, rare=True)
        for breach in outcomes:
            test.update(breach)
        weight = p ** sum(outcomes) * (1 - p) ** (n - sum(outcomes))
        mean += weight * test.standing("A", "long").evidence * 1e12
    assert mean == pytest.approx(n, rel=1e-9)


@pytest.mark.parametrize("rate", [0.05, 0.08])
def test_false_alarms_are_as_seldom_as_promised(rate):
    n, every, runs = 600, 3_000.0, 400
    rng, alarmed = np.random.default_rng(0), 0
    for stream in (rng.random((runs, n)) < rate).tolist():
        test = CoverageTest(tail_probability=0.05, false_alarm_every=every, rare=True)
        alarmed += any([test.update(breach) for breach in stream])
    assert alarmed / runs <= n / every
    assert alarmed > 0 or rate > 0.05


def test_a_quarter_of_the_promised_breaches_is_found():
    rng = np.random.default_rng(1)
    delays = [delay(rng, 0.05, 0.0125, 4_000) for _ in range(40)]
    assert np.median(delays) < 600
    assert max(delays) < 1_200


@pytest.mark.parametrize(("p", "lag"), [(0.05, 1), (0.05, 3), (0.01, 1)])
def test_fewer_outcomes_than_can_tell_raise_nothing(p, lag):
    test = CoverageTest(tail_probability=p, lag=lag, rare=True)
    raised = [test.update(False) for _ in range(test.fewest)]
    assert raised.index(True) == test.fewest - 1


def test_alarm_ends_when_margins_are_broken_as_promised_again():
    test = CoverageTest(tail_probability=0.05, rare=True)
    for _ in range(400):
        test.update(False)
    assert test.standing("A", "long").alarmed
    for n in range(200):
        test.update(n % 20 == 0)
    assert not test.standing("A", "long").alarmed


@pytest.mark.parametrize(("margins", "high"), [((330, 332), False), ((1_500, 1_500), True)])
def test_high_margins_are_a_ticket_that_says_so(clock, make_quote, margins, high):
    rng, price = np.random.default_rng(2), 100.0
    monitor = Monitor(Metrics(clock, version="test"), clock=clock)
    told = []
    for hour in range(900):
        price *= float(np.exp(0.02 * rng.normal()))
        clock.time += HOUR
        monitor.observed(
            [Bar(instrument="A", time=clock.time, open=price, high=price, low=price, close=price)]
        )
        monitor.quoted([make_quote(origin=clock.time, margins=margins, sigma=0.02)])
        told += [one for one in monitor.evaluate() if one.alert.rule == "margins-high"]
        for one in told:
            monitor.delivered(one.id)
        assert not told or hour >= CoverageTest(tail_probability=0.05, rare=True).fewest
    firing = {one.alert.subject for one in told if one.alert.state == "firing"}
    assert firing == (
        {"A long", "A short", "A long reactive", "A short reactive"} if high else set()
    )
    assert all(one.alert.severity == "ticket" for one in told)
    shown = b'foremargin_margins_high{instrument="A",side="long"} 1.0'
    assert (shown in monitor.metrics.render()) is high
