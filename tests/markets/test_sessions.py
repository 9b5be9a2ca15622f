"""Calendars that are named: holidays, early closes, breaks, and when the next session is."""

import numpy as np
import pandas as pd
import pytest

from foremargin.errors import InputError
from foremargin.markets import Missing, Severity, load_panel
from foremargin.markets.calendars import next_session
from foremargin.markets.parsing import DAY_NS, HOUR_NS
from foremargin.markets.sessions import sessions_of, usual_sessions


@pytest.fixture
def load(tmp_path, write):
    """Return a function that loads bars by name, some of them with the name of a calendar."""

    def loaded(bars, calendars, *, period="1D"):
        text = ""
        for name, frame in bars.items():
            write(frame, f"{name}.parquet")
            text += f'[[bars]]\npath = "{name}.parquet"\ncalendar = "{calendars.get(name, "")}"\n'
        path = tmp_path / "market.toml"
        path.write_text(text.replace('calendar = ""\n', ""))
        return load_panel(path, period=period)

    return loaded


def codes(panel, instrument):
    starts = pd.DatetimeIndex(panel.time) - panel.period
    return pd.Series(panel.missing[:, panel.instruments.index(instrument)], index=starts)


def checks(panel):
    return {finding.check: finding for finding in panel.findings}


def trading_hours(bars, *, until=21):
    time = bars["open_time"].dt
    return bars[(time.hour >= 14) & (time.hour < until) & (time.day_of_week < 5)]


def test_a_holiday_is_closed_and_a_session_without_bars_is_missing_data(make_bars, load):
    days = make_bars("2024-01-02", n=28, step="1D")
    time = days["open_time"]
    stock = days[(time.dt.day_of_week < 5) & ~time.dt.day.isin([15, 18])]
    panel = load({"COIN": days, "STOCK": stock}, {"STOCK": "XNYS"})
    found = codes(panel, "STOCK")
    assert found["2024-01-15"] == Missing.CLOSED  # Martin Luther King's day
    assert found["2024-01-18"] == Missing.NO_DATA
    assert (found[found.index.day_of_week >= 5] == Missing.CLOSED).all()
    alone = load({"STOCK": stock}, {"STOCK": "XNYS"})
    found = codes(alone, "STOCK")
    assert found["2024-01-18"] == Missing.NO_DATA
    assert pd.Timestamp("2024-01-15") not in found.index
    assert not (found == Missing.CLOSED).any()


def test_hours_after_an_early_close_are_closed(make_bars, load):
    hours = make_bars("2024-06-24", n=24 * 14)
    half_day = hours["open_time"].dt.date == pd.Timestamp("2024-07-03").date()
    holiday = hours["open_time"].dt.date == pd.Timestamp("2024-07-04").date()
    open_late = hours["open_time"].dt.hour >= 17
    stock = hours[~(half_day & open_late) & ~holiday]
    stock = stock[stock["open_time"].dt.hour.between(13, 19)]
    stock = stock[stock["open_time"].dt.day_of_week < 5]
    panel = load({"COIN": hours, "STOCK": stock}, {"STOCK": "XNYS"}, period="1h")
    found = codes(panel, "STOCK")
    assert (found["2024-07-03 13:00":"2024-07-03 16:00"] == Missing.PRESENT).all()
    assert (found["2024-07-03 17:00":"2024-07-03 23:00"] == Missing.CLOSED).all()
    assert (found["2024-07-04 00:00":"2024-07-04 23:00"] == Missing.CLOSED).all()
    inside = found["2024-06-24 13:00":"2024-07-05 19:00"]
    assert not (inside == Missing.NO_DATA).any()
    assert "outside-calendar" not in checks(panel)


def test_a_break_at_noon_is_closed(make_bars, load):
    hours = make_bars("2024-01-08", n=24 * 5)
    # Hong Kong trades from 1:30 to 4:00 and from 5:00 to 8:00 UTC.
    stock = hours[hours["open_time"].dt.hour.isin([1, 2, 3, 5, 6, 7])]
    panel = load({"COIN": hours, "STOCK": stock}, {"STOCK": "XHKG"}, period="1h")
    found = codes(panel, "STOCK")["2024-01-08 01:00":"2024-01-12 07:00"]
    traded = found.index.hour.isin([1, 2, 3, 5, 6, 7])
    np.testing.assert_array_equal(found, np.where(traded, Missing.PRESENT, Missing.CLOSED))


def test_bars_of_a_session_are_dated_by_its_day_and_bars_inside_it_by_the_clock():
    # Sydney opens at 10:00 in summer, which is 23:00 UTC of the day before.
    sunday = np.array([pd.Timestamp("2024-01-14").value])
    sessions = sessions_of("XASX", first=int(sunday[0]), last=int(sunday[0]))
    opened = sessions.open_periods(sunday, period=DAY_NS, by_day=True)
    assert not opened.any()
    assert sessions.open_periods(sunday, period=DAY_NS, by_day=False).all()
    hours = sunday[0] + np.arange(24) * HOUR_NS
    np.testing.assert_array_equal(
        sessions.open_periods(hours, period=HOUR_NS, by_day=False), np.arange(24) == 23
    )


def test_a_year_has_the_sessions_of_the_exchange():
    # NYSE, 2010 to 2019: 252 252 250 252 252 252 252 251 251 252 sessions in 3,652 days.
    usual = usual_sessions("XNYS")
    assert usual.periods_per_year(period=DAY_NS) == pytest.approx(2516 / 3652 * 365.25, rel=1e-12)
    hours = usual.periods_per_year(period=HOUR_NS)
    assert 6.9 < hours / usual.periods_per_year(period=DAY_NS) < 7.0  # early closes have four


def test_the_year_does_not_depend_on_how_much_was_loaded(make_sessions, load):
    stock = make_sessions("2024-01-02", n=60, step="1D")
    whole = load({"STOCK": stock}, {"STOCK": "XNYS"})
    part = load({"STOCK": stock.iloc[:12]}, {"STOCK": "XNYS"})
    assert whole.periods_per_year == part.periods_per_year
    assert whole.periods_per_session.tolist() == [1]
    assert not whole.trades_every_day.any()


def test_a_market_without_a_weekend_in_its_file_can_be_named_always_open(make_bars, load):
    bars = make_bars("2024-01-01 06:00", n=24 * 4)  # Monday to Friday
    guessed, named = load({"X": bars}, {}), load({"X": bars}, {"X": "24/7"})
    assert guessed.periods_per_year.tolist() == [252]
    assert named.periods_per_year.tolist() == [365]
    assert (guessed.n_periods, named.n_periods) == (5, 3)  # only whole days of an open market
    found = checks(guessed)["calendar-guessed"]
    assert (found.severity, found.count) == (Severity.INFO, 0)
    assert "calendar-guessed" not in checks(named)


@pytest.mark.parametrize(("n_days", "guessed"), [(5, True), (12, True), (15, False)])
def test_two_weekends_tell_an_exchange(make_sessions, load, n_days, guessed):
    panel = load({"X": make_sessions(n=n_days, step="1D")}, {})
    assert ("calendar-guessed" in checks(panel)) == guessed


def test_one_weekend_of_bars_tells_a_market_that_never_closes(make_bars, load):
    assert not load({"X": make_bars(n=9, step="1D")}, {}).findings


def test_bars_outside_the_calendar_are_kept_and_told(make_bars, load):
    panel = load({"X": make_bars("2024-01-08", n=12, step="1D")}, {"X": "XNYS"})
    assert panel.present.all()
    found = checks(panel)["outside-calendar"]
    assert (found.severity, found.count) == (Severity.WARNING, 3)  # a weekend and a holiday
    assert str(found.first) == "2024-01-13 00:00:00+00:00"


def test_before_a_calendar_is_recorded_the_bars_tell(make_bars, make_sessions, load):
    coin = make_bars("1996-12-23", n=28, step="1D")
    stock = make_sessions("1996-12-23", n=28, step="1D")
    new_year = stock["open_time"].dt.strftime("%m-%d").isin(["01-01", "01-02", "01-03", "01-15"])
    panel = load({"COIN": coin, "STOCK": stock[~new_year]}, {"STOCK": "XTKS"})
    found = codes(panel, "STOCK")
    listed = found[:"1997-01-17"]
    assert (listed[listed.index.day_of_week >= 5] == Missing.CLOSED).all()
    assert (found["1997-01-01":"1997-01-03"] == Missing.CLOSED).all()
    assert found["1997-01-15"] == Missing.CLOSED  # coming-of-age day
    assert (found["1996-12-23":"1996-12-27"] == Missing.PRESENT).all()
    old = sessions_of("XTKS", first=0, last=DAY_NS)
    assert not old.known(np.array([0, 1000 * DAY_NS])).any()


def test_a_calendar_that_does_not_exist_is_refused():
    with pytest.raises(
        InputError, match=r"must be '24/7' or the name of an exchange .*, was 'MOON'"
    ):
        usual_sessions("MOON")


def starts_of_next(panel, instrument):
    times = pd.DatetimeIndex(next_session(panel, panel.instruments.index(instrument)))
    return pd.Series(times, index=pd.DatetimeIndex(panel.time) - panel.period)


def test_the_session_after_a_friday_is_monday_or_tuesday_if_monday_is_a_holiday(
    make_bars, make_sessions, load
):
    stock = make_sessions("2024-01-02", n=28, step="1D")
    bars = {"NAMED": stock, "GUESSED": stock, "COIN": make_bars("2024-01-02", n=28, step="1D")}
    panel = load(bars, {"NAMED": "XNYS"})
    friday = "2024-01-12"
    assert starts_of_next(panel, "NAMED")[friday] == pd.Timestamp("2024-01-16")
    assert starts_of_next(panel, "GUESSED")[friday] == pd.Timestamp("2024-01-15")
    assert starts_of_next(panel, "COIN")[friday] == pd.Timestamp("2024-01-13")
    assert starts_of_next(panel, "NAMED")["2024-01-09"] == pd.Timestamp("2024-01-10")
    for name in panel.instruments:
        assert (starts_of_next(panel, name).to_numpy() >= panel.time).all()
        half = starts_of_next(panel.upto(14), name)
        pd.testing.assert_series_equal(half, starts_of_next(panel, name)[:14], check_freq=False)


def test_a_closure_by_surprise_is_not_known_the_day_before(make_sessions, load):
    # The exchange was closed on 2001-09-11 to 14; the 10th was a Monday like any other.
    stock = make_sessions("2001-08-20", n=40, step="1D")
    closed = (
        stock["open_time"].dt.strftime("%m-%d").isin(["09-03", *(f"09-{d}" for d in range(11, 15))])
    )
    panel = load({"X": stock[~closed]}, {"X": "XNYS"})
    assert starts_of_next(panel, "X")["2001-09-10"] == pd.Timestamp("2001-09-11")
    assert starts_of_next(panel, "X")["2001-08-31"] == pd.Timestamp("2001-09-04")  # Labour Day
    assert not (panel.missing == Missing.NO_DATA).any()
    evening = np.array([pd.Timestamp("2001-09-10 20:00").value])
    hours = sessions_of("XNYS", first=int(evening[0]), last=int(evening[0]))
    upcoming = hours.next_open(evening, period=HOUR_NS)
    assert pd.Timestamp(upcoming[0]) == pd.Timestamp("2001-09-11 13:00")


def test_the_next_hour_of_trading_follows_at_once_or_on_the_next_session(make_bars, load):
    hours = make_bars("2024-01-02", n=24 * 20)
    panel = load({"X": trading_hours(hours)}, {"X": "XNYS"}, period="1h")
    following = starts_of_next(panel, "X")
    assert following["2024-01-12 15:00"] == pd.Timestamp("2024-01-12 16:00")
    assert following["2024-01-12 20:00"] == pd.Timestamp("2024-01-16 14:00")
    assert following["2024-01-10 20:00"] == pd.Timestamp("2024-01-11 14:00")
