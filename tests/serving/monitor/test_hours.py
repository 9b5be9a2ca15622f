"""Data that are not due are not late; data that are due are."""

import pytest

from foremargin.errors import InputError
from foremargin.serving.monitor import ALWAYS, Metrics, Monitor, TradingHours
from foremargin.serving.observations import Bar
from foremargin.serving.quote import Status

HOUR = 3_600_000_000_000
DAY = 24 * HOUR
HOURS = TradingHours(
    days=[0, DAY, 4 * DAY],
    opens=[14 * HOUR + HOUR // 2, DAY + 14 * HOUR],
    closes=[21 * HOUR, DAY + 21 * HOUR],
)


@pytest.mark.parametrize(
    ("observed_at", "period", "due"),
    [
        (DAY, DAY, 2 * DAY),
        (2 * DAY, DAY, 5 * DAY),  # two days without a session
        (5 * DAY, DAY, 6 * DAY),  # beyond what is known
        (15 * HOUR, HOUR, 16 * HOUR),
        (21 * HOUR, HOUR, DAY + 15 * HOUR),
        (10 * HOUR, HOUR, 15 * HOUR),  # the first bar is of 14 to 15 o'clock
        (DAY + 21 * HOUR, HOUR, DAY + 22 * HOUR),  # beyond what is known
    ],
)
def test_next_period_is_due_when_the_market_trades(observed_at, period, due):
    assert HOURS.due(observed_at, period=period) == due
    assert ALWAYS.due(observed_at, period=period) == observed_at + period


def test_hours_out_of_order_are_refused():
    with pytest.raises(InputError, match="trading hours must be spans"):
        TradingHours(opens=[5], closes=[3])
    with pytest.raises(InputError, match="trading hours must be spans"):
        TradingHours(opens=[5])


@pytest.mark.parametrize(("closed", "late"), [(True, False), (False, True)])
def test_closed_market_raises_no_alarm_and_an_open_one_does(clock, make_quote, closed, late):
    t = clock.now() // HOUR * HOUR
    monitor = Monitor(Metrics(clock, version="t"), clock=clock)
    opens = t + 40 * HOUR if closed else t
    monitor.trading_hours({"A": TradingHours(opens=[opens], closes=[opens + 7 * HOUR])})
    monitor.observed([Bar(instrument="A", time=t, open=1.0, high=1.0, low=1.0, close=1.0)])
    monitor.quoted([make_quote(origin=t, status=Status.STALE)])
    clock.time = t + 30 * HOUR
    assert bool(monitor.evaluate()) is late
    clock.time = t + 42 * HOUR
    assert any(one.alert.rule == "stale-feed" for one in monitor.evaluate())


def test_bar_that_was_not_calculated_is_alerted_on_a_holiday_too(clock, make_quote):
    t = clock.now() // HOUR * HOUR
    monitor = Monitor(Metrics(clock, version="t"), clock=clock)
    monitor.trading_hours({"A": TradingHours(opens=[t + 40 * HOUR], closes=[t + 47 * HOUR])})
    for time in (t, t + HOUR):
        monitor.observed([Bar(instrument="A", time=time, open=1.0, high=1.0, low=1.0, close=1.0)])
    monitor.quoted([make_quote(origin=t, status=Status.STALE)])
    clock.time = t + 3 * HOUR
    assert monitor.evaluate()[0].alert.rule == "stale-feed"
