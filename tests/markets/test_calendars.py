"""Which rows a panel has, and why a value is missing."""

import numpy as np
import pandas as pd
import pytest

from foremargin.markets import Missing, Panel, load_panel


def codes(panel: Panel, instrument: str) -> pd.Series:
    """Missing codes by start of the period."""
    starts = pd.DatetimeIndex(panel.time) - panel.period
    return pd.Series(panel.missing[:, panel.instruments.index(instrument)], index=starts)


def checks(panel: Panel) -> dict[str, int]:
    return {finding.check: finding.count for finding in panel.findings}


def test_partial_first_and_last_days_are_left_out_and_listed(make_bars, write):
    panel = load_panel(write(make_bars("2024-01-01 08:00", n=24 * 10)))
    assert str(panel.time[0])[:10] == "2024-01-03"  # the day 2024-01-02 ends there
    assert str(panel.time[-1])[:10] == "2024-01-11"
    assert checks(panel) == {"partial-period": 2}


def test_whole_first_and_last_days_are_kept(make_bars, write):
    panel = load_panel(write(make_bars(n=24 * 10)))
    assert panel.n_periods == 10
    assert panel.findings == ()


def test_a_day_with_a_gap_is_kept_and_listed(make_bars, write):
    bars = make_bars(n=24 * 10).drop(index=[100, 101])
    panel = load_panel(write(bars))
    assert panel.present.all()
    assert checks(panel) == {"gap": 2, "short-period": 1}
    assert panel.fields["bar_count"][4, 0] == 22
    r = np.diff(np.log(bars["close"].to_numpy()))[95:117]
    assert panel.fields["realized_variance"][4, 0] == pytest.approx((r**2).sum())


def test_missing_hours_of_a_market_that_never_closes_are_rows_without_data(make_bars, write):
    panel = load_panel(write(make_bars(n=240).drop(index=[100, 101])), period="1h")
    assert panel.n_periods == 240
    assert np.flatnonzero(panel.missing[:, 0] == Missing.NO_DATA).tolist() == [100, 101]
    assert np.isnan(panel.close[100:102]).all()


def test_the_return_after_missing_periods_spans_them(make_bars, write):
    bars = make_bars(n=240)
    panel = load_panel(write(bars.drop(index=[100, 101])), period="1h")
    expected = np.log(bars["close"][102] / bars["close"][99])
    assert panel.log_return[102, 0] == pytest.approx(expected, rel=1e-12)
    total = np.log(bars["close"].iloc[-1] / bars["close"].iloc[0])
    assert np.nansum(panel.log_return) == pytest.approx(total, rel=1e-10)


def test_a_period_without_volume_is_halted_and_has_no_values(make_bars, write):
    bars = make_bars(n=24 * 10)
    bars.loc[48:71, "volume"] = 0.0
    panel = load_panel(write(bars))
    assert panel.missing[:, 0].tolist() == [0, 0, Missing.HALTED, 0, 0, 0, 0, 0, 0, 0]
    values = [panel.close, panel.log_return, *panel.fields.values()]
    assert all(np.isnan(array[2, 0]) for array in values)
    expected = np.log(bars["close"][95] / bars["close"][47])
    assert panel.log_return[3, 0] == pytest.approx(expected, rel=1e-12)
    # The first bar after the halt returns from the last close before it.
    r = np.diff(np.log(bars["close"].drop(index=range(48, 72)).to_numpy()))[47:71]
    assert panel.fields["realized_variance"][3, 0] == pytest.approx((r**2).sum())


def test_a_period_with_some_volume_is_not_halted(make_bars, write):
    bars = make_bars(n=24 * 10)
    bars.loc[48:70, "volume"] = 0.0
    panel = load_panel(write(bars))
    assert panel.present.all()
    assert checks(panel) == {"zero-volume": 23}


def test_a_volume_that_is_zero_throughout_is_unknown_and_no_halt(make_bars, write):
    panel = load_panel(write(make_bars(n=24 * 10).assign(volume=0.0)))
    assert panel.present.all()
    assert np.isnan(panel.fields["volume"]).all()
    assert checks(panel) == {"volume-unknown": 240}


def test_an_exchange_beside_a_market_that_never_closes_is_closed_at_weekends(
    make_bars, make_sessions, write
):
    write(make_bars("2024-01-01", n=28, step="1D"), "all/COIN.parquet")
    stock = make_sessions("2024-01-03", n=20, step="1D")  # Wednesday to Monday 22nd
    stock = stock[stock["open_time"] != pd.Timestamp("2024-01-15", tz="UTC")]  # a holiday
    folder = write(stock, "all/STOCK.parquet").parent
    panel = load_panel(folder)
    stock_codes = codes(panel, "STOCK")
    weekends = stock_codes["2024-01-03":"2024-01-22"]
    days = pd.DatetimeIndex(weekends.index)
    assert (weekends[days.day_of_week >= 5] == Missing.CLOSED).all()
    assert stock_codes["2024-01-15"] == Missing.NO_DATA
    assert (stock_codes[:"2024-01-02"] == Missing.NOT_LISTED).all()
    assert (stock_codes["2024-01-23":] == Missing.NOT_LISTED).all()
    assert (codes(panel, "COIN") == Missing.PRESENT).all()


def test_an_exchange_alone_has_no_weekend_rows(make_sessions, write):
    panel = load_panel(write(make_sessions(n=28, step="1D")))
    assert panel.n_periods == 20
    assert panel.present.all()


def test_hours_in_which_an_exchange_never_trades_are_closed(make_bars, make_sessions, write):
    write(make_bars(n=24 * 14), "all/COIN.parquet")
    stock = make_sessions(n=24 * 14)
    folder = write(stock[stock["open_time"].dt.hour.between(14, 20)], "all/STOCK.parquet").parent
    panel = load_panel(folder, period="1h")
    inside = codes(panel, "STOCK")["2024-01-01 14:00":"2024-01-12 20:00"]
    times = pd.DatetimeIndex(inside.index)
    trading = times.hour.isin(range(14, 21)) & (times.day_of_week < 5)
    np.testing.assert_array_equal(inside, np.where(trading, Missing.PRESENT, Missing.CLOSED))


@pytest.mark.parametrize(
    ("period", "expected"),
    [("1D", [365, 252]), ("1h", [365 * 24, 252 * 7]), ("7D", [365 / 7, 50.4])],
)
def test_a_year_has_as_many_periods_as_the_market_trades(
    make_bars, make_sessions, write, period, expected
):
    write(make_bars(n=24 * 28), "all/COIN.parquet")
    stock = make_sessions(n=24 * 28)
    folder = write(stock[stock["open_time"].dt.hour.between(14, 20)], "all/STOCK.parquet").parent
    panel = load_panel(folder, period=period)
    np.testing.assert_allclose(panel.periods_per_year, expected)


def test_a_panel_of_the_past_is_the_past_of_the_panel(make_bars, make_sessions, write):
    coin, stock = make_bars("2024-01-01 05:00", n=24 * 40), make_sessions("2024-01-10", n=24 * 30)
    coin.loc[200:230, "volume"] = 0.0
    coin = coin.drop(index=[300, 301])
    write(coin, "all/COIN.parquet")
    whole = load_panel(write(stock, "all/STOCK.parquet").parent)
    end = pd.Timestamp("2024-01-27", tz="UTC")
    for name, bars in (("COIN", coin), ("STOCK", stock)):
        write(bars[bars["open_time"] < end], f"past/{name}.parquet")
    past = load_panel(write(coin[coin["open_time"] < end], "past/COIN.parquet").parent)
    assert past.fingerprint() == whole.upto(past.n_periods).fingerprint()
    np.testing.assert_array_equal(past.periods_per_year, whole.periods_per_year)


def test_an_instrument_without_a_whole_period_is_all_not_listed(make_bars, write):
    write(make_bars(n=24 * 10), "all/LONG.parquet")
    folder = write(make_bars("2024-01-06 12:00", n=24), "all/SHORT.parquet").parent
    panel = load_panel(folder)
    assert (codes(panel, "SHORT") == Missing.NOT_LISTED).all()
    assert checks(panel)["no-whole-period"] == 1


def test_an_early_closing_hour_that_trades_on_other_weekdays_is_missing_data(
    make_bars, make_sessions, write
):
    write(make_bars(n=24 * 14), "all/COIN.parquet")
    stock = make_sessions(n=24 * 14)
    time = stock["open_time"].dt
    early = (time.day_of_week == 4) & (time.hour == 20)
    stock = stock[time.hour.between(14, 20) & ~early]
    panel = load_panel(write(stock, "all/STOCK.parquet").parent, period="1h")
    assert codes(panel, "STOCK")["2024-01-05 20:00"] == Missing.NO_DATA


def test_a_market_that_reopens_on_sunday_evening_does_not_trade_every_day(make_bars, write):
    bars = make_bars(n=24 * 28)
    time = bars["open_time"].dt
    week = (time.day_of_week < 4) | ((time.day_of_week == 4) & (time.hour < 21))
    panel = load_panel(write(bars[week | ((time.day_of_week == 6) & (time.hour >= 22))]))
    assert panel.periods_per_year.tolist() == [252]
    assert panel.present.all()
