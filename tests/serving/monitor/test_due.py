"""Data that are not due are not late; data that are due are, by the calendar of each instrument."""

import pytest

from foremargin.serving.monitor import Metrics, Monitor
from foremargin.serving.quote import Status

HOUR = 3_600_000_000_000
LIMIT_S = 900


@pytest.fixture
def monitor(clock):
    return Monitor(Metrics(clock, version="t"), clock=clock)


def stale(monitor):
    """Return the instruments whose feed is stale now."""
    monitor.evaluate()
    fires = [one for one in monitor.alerts() if one.rule == "stale-feed" and one.state == "firing"]
    return {one.subject for one in fires}


def test_each_instrument_is_late_after_its_own_data_were_due(monitor, clock, make_quote):
    start = clock.now()
    due = {"DAILY": 24 * HOUR, "CLOSED": 72 * HOUR, "UNKNOWN": 0}
    monitor.quoted(
        make_quote(instrument=name, origin=start, due_at=after and start + after)
        for name, after in due.items()
    )
    seen = []
    for after in (HOUR, 24 * HOUR, 72 * HOUR):  # without a calendar: a period after the last
        clock.time = start + after
        clock.ahead(LIMIT_S)
        before = stale(monitor)
        clock.ahead(1)
        seen.append((before, stale(monitor)))
    one, two, all_of_them = {"UNKNOWN"}, {"UNKNOWN", "DAILY"}, set(due)
    assert seen == [(set(), one), (one, two), (two, all_of_them)]


def test_new_data_are_late_only_after_the_next_were_due(monitor, clock, make_quote):
    start = clock.now()
    monitor.quoted([make_quote(origin=start, due_at=start + HOUR)])
    clock.time = start + 2 * HOUR
    assert stale(monitor) == {"A"}
    monitor.quoted([make_quote(origin=start + HOUR, due_at=start + 60 * HOUR)])
    for ahead in (0, 60, 60):  # an alert is over when nothing was found for a while
        clock.ahead(ahead)
        found = stale(monitor)
    assert found == set()
    clock.time = start + 60 * HOUR
    assert stale(monitor) == set()


@pytest.mark.parametrize("status", [Status.STALE, Status.FALLBACK])
def test_what_came_and_was_not_calculated_is_alerted_before_anything_is_due(
    monitor, clock, make_quote, status
):
    start = clock.now()
    monitor.quoted([make_quote(origin=start, due_at=start + 72 * HOUR, status=status)])
    clock.ahead(60)
    assert stale(monitor) == {"A"}


def test_overdue_is_shown_from_when_data_were_due(clock, make_quote):
    metrics = Metrics(clock, version="t")
    monitor = Monitor(metrics, clock=clock)
    monitor.quoted([make_quote(origin=clock.now(), due_at=clock.now() + 72 * HOUR)])
    clock.time += 70 * HOUR
    monitor.evaluate()
    assert 'overdue_seconds{instrument="A"} -7200.0' in metrics.render().decode()
