"""Bars become periods: against a hand computation, against pandas, and by the laws that hold."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foremargin.errors import InputError
from foremargin.markets import load_panel
from foremargin.markets.realized import realized_measures


def test_a_period_of_three_bars_agrees_with_the_hand_computation(write):
    # A Friday evening to Sunday, 8-hour bars, so that Saturday is one whole period of three.
    close = [100.0, 101.0, 99.0, 102.0, 103.0, 100.0, 104.0, 105.0, 106.0]
    bars = pd.DataFrame(
        {
            "open_time": pd.date_range("2024-01-05", periods=9, freq="8h", tz="UTC"),
            "open": [99.0, 100.0, 101.0, 99.0, 102.0, 103.0, 100.0, 104.0, 105.0],
            "high": [110.0] * 3 + [111.0, 115.0, 112.0] + [110.0] * 3,
            "low": [90.0] * 3 + [91.0, 88.0, 92.0] + [90.0] * 3,
            "close": close,
            "volume": [1.0] * 3 + [2.0, 3.0, 4.0] + [1.0] * 3,
        }
    )
    panel = load_panel(write(bars), period="1D")
    saturday = list(panel.time.astype(str)).index("2024-01-07T00:00:00.000000000")
    r = np.log([102 / 99, 103 / 102, 100 / 103])
    expected = {
        "open": 99.0,
        "high": 115.0,
        "low": 88.0,
        "volume": 9.0,
        "quote_volume": 102 * 2 + 103 * 3 + 100 * 4,
        "bar_count": 3.0,
        "realized_variance": (r**2).sum(),
        "semivariance_negative": r[2] ** 2,
        "semivariance_positive": r[0] ** 2 + r[1] ** 2,
        "bipower_variance": np.pi / 2 * 3 / 2 * (abs(r[1] * r[0]) + abs(r[2] * r[1])),
        "realized_quarticity": 3 / 3 * (r**4).sum(),
    }
    found = {name: panel.fields[name][saturday, 0] for name in expected}
    assert found == pytest.approx(expected, rel=1e-12)
    assert panel.close[saturday, 0] == 100.0
    assert panel.log_return[saturday, 0] == pytest.approx(np.log(100 / 99), rel=1e-12)


def test_prices_and_volumes_agree_with_pandas_resample(make_bars, write):
    bars = make_bars(n=24 * 20)
    panel = load_panel(write(bars), period="1D")
    days = bars.set_index("open_time").resample("1D")
    reference = days.agg(
        {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    )
    for name in ("open", "high", "low", "volume"):
        np.testing.assert_allclose(panel.fields[name][:, 0], reference[name], rtol=1e-12)
    np.testing.assert_array_equal(panel.close[:, 0], reference["close"])
    ends = (reference.index + pd.Timedelta("1D")).tz_localize(None).to_numpy()
    np.testing.assert_array_equal(panel.time, ends)


@pytest.mark.parametrize(
    "name", ["realized_variance", "semivariance_negative", "semivariance_positive", "volume"]
)
def test_a_day_is_the_sum_of_its_hours(make_bars, write, name):
    path = write(make_bars(n=12 * 24 * 10, step="5min"))
    daily = load_panel(path, period="1D").fields[name][:, 0]
    hourly = load_panel(path, period="1h").fields[name][:, 0]
    np.testing.assert_allclose(daily, hourly.reshape(-1, 24).sum(axis=1), rtol=1e-12)


def test_semivariances_add_up_to_realized_variance(make_bars, write):
    fields = load_panel(write(make_bars()), period="1D").fields
    total = fields["semivariance_negative"] + fields["semivariance_positive"]
    np.testing.assert_allclose(total, fields["realized_variance"], rtol=1e-12)


@given(
    log_return=st.lists(
        # Squares and fourth powers of smaller returns leave the range of normal floats.
        st.floats(-0.5, 0.5).filter(lambda x: x == 0 or abs(x) > 1e-30),
        min_size=6,
        max_size=40,
    ),
    scale=st.floats(0.1, 10.0),
)
@settings(max_examples=50, deadline=None)
def test_measures_scale_with_the_square_and_the_quarticity_with_the_fourth_power(log_return, scale):
    returns, heads = np.array(log_return), np.array([0, 3])
    base = realized_measures(returns, heads)
    scaled = realized_measures(scale * returns, heads)
    for name, values in base.items():
        power = 4 if name == "realized_quarticity" else 2
        np.testing.assert_allclose(scaled[name], scale**power * values, rtol=1e-9)


def test_bipower_variance_ignores_a_jump_that_realized_variance_counts():
    returns = np.full(288, 1e-3)
    jump = returns.copy()
    jump[100] = 0.1
    calm = realized_measures(returns, np.array([0]))
    jumpy = realized_measures(jump, np.array([0]))
    assert jumpy["realized_variance"][0] > 30 * calm["realized_variance"][0]
    assert jumpy["bipower_variance"][0] < 2 * calm["bipower_variance"][0]


def test_bipower_variance_estimates_the_variance_of_a_diffusion():
    returns = np.random.default_rng(3).normal(scale=1e-3, size=288 * 200)
    measures = realized_measures(returns, np.arange(0, len(returns), 288))
    # 57,600 returns: the standard error of the mean is below 0.7 %.
    assert measures["bipower_variance"].mean() == pytest.approx(288e-6, rel=0.03)
    assert measures["realized_quarticity"].mean() == pytest.approx(288e-6**2, rel=0.05)


def test_a_period_with_one_return_has_no_bipower_variance():
    measures = realized_measures(np.array([0.01, 0.02, 0.03]), np.array([0, 1]))
    assert np.isnan(measures["bipower_variance"]).tolist() == [True, False]


def test_the_first_bar_of_a_period_carries_the_night_before_it(make_sessions, write):
    bars = make_sessions(n=24 * 14)
    bars = bars[bars["open_time"].dt.hour.between(14, 20)].reset_index(drop=True)
    panel = load_panel(write(bars), period="1D")
    returns = np.diff(np.log(bars["close"]))
    second_day = returns[6:13]  # from the last bar of the first day on
    assert panel.fields["realized_variance"][1, 0] == pytest.approx((second_day**2).sum())


def test_the_very_first_bar_returns_from_its_own_open(make_bars, write):
    bars = make_bars(n=24 * 7)
    bars.loc[0, "open"] = 50.0
    bars.loc[0, "low"] = 49.0
    moved = load_panel(write(bars)).fields["realized_variance"][0, 0]
    assert moved > np.log(2.0) ** 2 * 0.9


def test_the_first_return_is_unknown_in_a_file_without_open(make_bars, write):
    bars = make_bars(n=24 * 7)[["open_time", "close"]]
    panel = load_panel(write(bars))
    r = np.diff(np.log(bars["close"]))[:23]
    assert panel.fields["realized_variance"][0, 0] == pytest.approx((r**2).sum())
    assert "open" not in panel.fields
    assert np.isnan(panel.values("high")).all()


def test_bars_as_long_as_the_period_have_no_realised_measures(make_bars, write):
    panel = load_panel(write(make_bars(n=30, step="1D")))
    assert "realized_variance" not in panel.fields
    assert (panel.fields["bar_count"] == 1).all()


def test_realised_measures_are_unknown_only_for_the_instrument_with_long_bars(make_bars, write):
    write(make_bars(n=30, step="1D"), "all/DAILY.parquet")
    folder = write(make_bars(n=30 * 24), "all/HOURLY.parquet").parent
    variance = load_panel(folder).fields["realized_variance"]
    assert np.isnan(variance).all(axis=0).tolist() == [True, False]


def test_other_columns_follow_their_rules(make_bars, write):
    bars = make_bars("2024-01-05", n=9, step="8h")
    nan = np.nan
    bars["quote_asset_volume"] = np.arange(9.0)
    bars["number_of_trades"] = 10
    bars["taker_buy_base_asset_volume"] = 0.5
    bars["bid"] = [1.0, 1.1, 1.2, 1.3, 1.4, nan, 1.6, 1.7, 1.8]
    bars["open_interest"] = [5.0, 6.0, 7.0, nan, nan, nan, 8.0, 8.0, 8.0]
    bars["funding_rate"] = [nan, nan, nan, 1e-4, nan, 2e-4, 1e-4, 1e-4, 1e-4]
    panel = load_panel(write(bars))
    saturday = {name: panel.fields[name][1, 0] for name in panel.fields}
    assert saturday["quote_volume"] == 3 + 4 + 5
    assert saturday["number_of_trades"] == 30
    assert saturday["taker_buy_volume"] == 1.5
    assert saturday["bid"] == 1.4
    assert saturday["funding_rate"] == pytest.approx(3e-4)
    assert np.isnan(panel.fields["funding_rate"][0, 0])
    assert np.isnan(saturday["open_interest"])  # the value of Friday is not carried over


def test_close_times_describe_the_same_bars_as_open_times(make_bars, write):
    bars = make_bars()
    ends = bars["open_time"] + pd.Timedelta("1h")
    by_start = load_panel(write(bars, "a/X.parquet"))
    by_end = bars.rename(columns={"open_time": "close_time"}).assign(close_time=ends)
    assert load_panel(write(by_end, "b/X.parquet")).fingerprint() == by_start.fingerprint()
    # Exchanges write the last millisecond of the bar.
    millisecond = by_end.assign(close_time=ends - pd.Timedelta("1ms"))
    assert load_panel(write(millisecond, "c/X.parquet")).fingerprint() == by_start.fingerprint()


@pytest.mark.parametrize("period", ["30min", "90min"])
def test_a_period_that_is_no_multiple_of_the_bar_is_refused(make_bars, write, period):
    with pytest.raises(InputError, match="must be a whole multiple of the bar length, which is 1h"):
        load_panel(write(make_bars()), period=period)


@pytest.mark.parametrize("period", ["7h", "36h", "0D", "-1D", "soon", ""])
def test_a_period_that_divides_no_day_is_refused(make_bars, write, period):
    with pytest.raises(InputError, match="period must divide a day or be whole days"):
        load_panel(write(make_bars()), period=period)


def test_bars_that_end_after_their_period_are_listed(make_bars, write):
    bars = make_bars("2024-01-01 00:30", n=24 * 8)
    findings = [f for f in load_panel(write(bars)).findings if f.check == "off-grid"]
    assert [f.count for f in findings] == [8]
