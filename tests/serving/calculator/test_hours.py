"""Who is waited for, and when the next price is due: weekends, holidays, half days and nights."""

from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError
from foremargin.markets.listings import Listing
from foremargin.serving.calculator import Calculator
from foremargin.serving.calculator.hours import TradingTimes
from foremargin.serving.ladder import Ladder, Standing
from foremargin.serving.quote import Status

HOUR = 3_600_000_000_000
DAY = 24 * HOUR
TRAINED, N = 640, 800
CALENDARS = {"COIN": "24/7", "STOCK": "XNYS", "PLAIN": "", "LONDON": "XLON"}
COIN, STOCK, PLAIN, LONDON = range(4)


@dataclass(frozen=True)
class State:
    """What trading times read of the state of a bundle."""

    period_ns: int
    row: dict[str, int]
    listings: tuple[Listing, ...]
    last_row: SimpleNamespace


def ns(text):
    return pd.Timestamp(text).value


def times_of(period, calendars=CALENDARS):
    listings = tuple(Listing(instrument=name, calendar=c) for name, c in calendars.items())
    every_day = np.array([name == "COIN" for name in calendars])
    last = SimpleNamespace(trades_every_day=every_day)
    state: Any = State(period, {"time_ns": ns("2019-11-01")}, listings, last)
    return TradingTimes(state)


def due(period, place, seen):
    times = times_of(period)
    return int(times.due(np.array([ns(seen)]), np.array([place]))[0])


@pytest.mark.parametrize(
    ("place", "seen", "wanted"),
    [
        (COIN, "2019-11-28", "2019-11-29"),
        (STOCK, "2019-11-27", "2019-11-28"),
        (STOCK, "2019-11-28", "2019-11-30"),  # Wednesday's close: Thursday is Thanksgiving
        (STOCK, "2019-11-30", "2019-12-03"),  # the half day's: a weekend follows
        (STOCK, "2020-04-10", "2020-04-14"),  # Thursday's before Good Friday and a weekend
        (PLAIN, "2020-04-10", "2020-04-11"),
        (PLAIN, "2020-04-11", "2020-04-14"),
        (LONDON, "2020-04-10", "2020-04-15"),  # Easter Monday too
        (LONDON, "2019-11-28", "2019-11-29"),
        (STOCK, "2019-12-25", "2019-12-27"),
        (STOCK, "2020-01-01", "2020-01-03"),  # over the end of a year
    ],
    ids=str,
)
def test_daily_bar_is_due_at_the_close_of_the_next_day_with_a_session(place, seen, wanted):
    assert due(DAY, place, seen) == ns(wanted)


@pytest.mark.parametrize(
    ("place", "seen", "wanted"),
    [
        (COIN, "2019-11-28 03:00", "2019-11-28 04:00"),
        (STOCK, "2019-11-26 15:00", "2019-11-26 16:00"),
        (STOCK, "2019-11-26 21:00", "2019-11-27 15:00"),  # a night; the session begins at 14:30
        (STOCK, "2019-11-27 21:00", "2019-11-29 15:00"),  # Thanksgiving
        (STOCK, "2019-11-29 17:00", "2019-11-29 18:00"),
        (STOCK, "2019-11-29 18:00", "2019-12-02 15:00"),  # a half day, and a weekend
        (STOCK, "2020-04-09 20:00", "2020-04-13 14:00"),  # Good Friday, in summer time
        (PLAIN, "2019-11-27 21:00", "2019-11-27 22:00"),
    ],
    ids=str,
)
def test_bar_inside_a_day_is_due_when_the_next_period_of_a_session_closes(place, seen, wanted):
    assert due(HOUR, place, seen) == ns(wanted)


def test_instruments_asked_for_in_any_order_have_their_own_times():
    places = np.array([LONDON, COIN, STOCK])
    seen = np.full(3, ns("2019-11-28"))
    found = times_of(DAY).due(seen, places)
    assert found.tolist() == [ns("2019-11-29"), ns("2019-11-29"), ns("2019-11-30")]
    assert seen.tolist() == [ns("2019-11-28")] * 3


def test_surprise_closure_is_late_rather_than_silent():
    assert due(DAY, STOCK, "2012-10-27") == ns("2012-10-30")  # Monday of hurricane Sandy
    times = times_of(DAY)
    assert not times.open(ns("2012-10-30"))[STOCK]  # nobody waits for what did not trade


def test_time_that_no_calendar_covers_is_late_rather_than_silent():
    calendars = {"CHINA": "XSHG"}  # recorded year by year
    times = times_of(DAY, calendars)
    late = ns("2200-01-02")
    assert times.due(np.array([late]), np.array([0])).tolist() == [late + DAY]
    assert times.open(late).tolist() == [True]


@pytest.mark.parametrize(
    ("period", "close", "wanted"),
    [
        (DAY, "2019-11-28", [True, True, True, True]),
        (DAY, "2019-11-29", [True, False, True, True]),  # Thanksgiving
        (DAY, "2019-11-30", [True, True, True, True]),
        (DAY, "2019-12-01", [True, False, False, False]),
        (HOUR, "2019-11-29 14:00", [True, False, True, True]),
        (HOUR, "2019-11-29 15:00", [True, True, True, True]),
        (HOUR, "2019-11-29 19:00", [True, False, True, False]),  # closed at 18:00 and 16:30
    ],
    ids=str,
)
def test_only_who_trades_in_a_period_is_waited_for(period, close, wanted):
    assert times_of(period).open(ns(close)).tolist() == wanted


@pytest.mark.parametrize(
    ("period", "seen", "close", "wanted"),
    [
        (HOUR, "2019-11-27 21:00", "2019-11-29 15:00", True),  # 42 hours, no period of its own
        (HOUR, "2019-11-27 21:00", "2019-12-02 20:00", True),  # 4 of the half day, 6 of Monday
        (HOUR, "2019-11-27 21:00", "2019-12-02 21:00", False),
        (HOUR, "2019-11-26 16:00", "2019-11-27 19:00", True),
        (HOUR, "2019-11-26 16:00", "2019-11-27 20:00", False),
        (DAY, "2019-11-28", "2019-12-13", True),
        (DAY, "2019-11-28", "2019-12-14", False),
        (DAY, "2010-01-01", "2019-12-14", False),
        (DAY, "1970-01-01", "2019-12-14", False),
    ],
    ids=str,
)
def test_who_missed_more_than_ten_periods_of_its_own_is_gone(period, seen, close, wanted):
    last_seen = np.full(4, ns(seen))
    assert bool(times_of(period).there(last_seen, ns(close))[STOCK]) == wanted


def test_weeks_have_no_holidays():
    assert due(7 * DAY, STOCK, "2019-11-28") == ns("2019-12-05")


def test_calendar_that_is_not_known_is_refused_at_once():
    with pytest.raises(InputError, match="calendar must be '24/7' or the name of an exchange"):
        times_of(DAY, {"STOCK": "MARS"})


def _closes(served, calculator, row, batch):
    """Feed a row; compare what it says with the backtest and return it by instrument."""
    out = calculator.apply(served.bars(row))
    for one in out:
        place = served.panel.instruments.index(one.instrument)
        sides = (one.long, one.short)
        parts = [sum(v for k, v in s.components.items() if k != "rounding") for s in sides]
        np.testing.assert_allclose(np.array(parts) / 1e4, batch[row, place], rtol=1e-9)
    return {one.instrument: one for one in out}


@pytest.fixture(scope="module")
def over_the_holidays(with_calendar):
    """Everything that was calculated from Halloween to February, by row and instrument."""
    calculator = Calculator.load(with_calendar.files)
    batch = with_calendar.batch("log-har", 0)
    return {row: _closes(with_calendar, calculator, row, batch) for row in range(TRAINED, N)}


def test_rows_close_by_themselves_over_holidays_with_the_margins_of_the_backtest(
    with_calendar, over_the_holidays
):
    present = with_calendar.panel.present
    names = np.array(with_calendar.panel.instruments)
    for row, found in over_the_holidays.items():
        assert list(found) == names[present[row]].tolist()
    weekdays = pd.DatetimeIndex(with_calendar.panel.time[TRAINED:] - np.timedelta64(1, "D"))
    closed = ~present[TRAINED:, list(names).index("INDEX")] & (weekdays.day_of_week < 5)
    assert {str(day.date()) for day in weekdays[closed]} >= {"2019-11-28", "2019-12-25"}


def test_every_price_is_due_when_the_next_one_came(with_calendar, over_the_holidays):
    times, checked = with_calendar.times(), 0
    for name in with_calendar.panel.instruments:
        rows = [row for row, found in over_the_holidays.items() if name in found]
        for row, following in pairwise(rows):
            assert over_the_holidays[row][name].due_at == times[following]
            checked += 1
    assert checked > 250


def test_margin_does_not_age_on_the_holiday_and_does_after_the_session_that_follows(
    with_calendar, over_the_holidays
):
    row = with_calendar.times().index(ns("2019-11-28"))  # Wednesday's close
    made = over_the_holidays[row]["INDEX"]
    ladder = Ladder()
    standing = ladder.calculated(Standing(), made)
    fresh = ladder.quote(standing, "INDEX", now=ns("2019-11-28 00:01"))
    holiday = ladder.quote(standing, "INDEX", now=ns("2019-11-29 23:59"))
    assert (holiday.status, holiday.long, holiday.short) == (Status.OK, fresh.long, fresh.short)
    late = ladder.quote(standing, "INDEX", now=ns("2019-11-30 01:00"))
    assert late.status is Status.STALE
    assert late.long.initial_margin_bps > fresh.long.initial_margin_bps
