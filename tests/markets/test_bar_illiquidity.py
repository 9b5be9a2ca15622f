"""Illiquidity inside a period: against a loop, from files to the panel, and what it leaves out."""

import numpy as np
import pandas as pd
import pytest

from foremargin.features import Measures
from foremargin.features.liquidity import log_amihud
from foremargin.markets import load_panel
from foremargin.markets.realized import bar_illiquidity

NAMES = ("bar_amihud", "range_illiquidity", "late_range_illiquidity")


def bars(n, *, seed=2):
    rng = np.random.default_rng(seed)
    close = np.exp(np.cumsum(0.01 * rng.normal(size=n)))
    return {
        "close": close,
        "high": close * np.exp(rng.uniform(0.0, 0.01, size=n)),
        "low": close * np.exp(-rng.uniform(0.0, 0.01, size=n)),
        "quote_asset_volume": rng.uniform(1e3, 1e5, size=n),
    }, np.concatenate([[np.nan], np.diff(np.log(close))])


def test_it_is_the_mean_over_the_bars_that_traded():
    columns, returns = bars(20)
    columns["quote_asset_volume"][[3, 12]] = 0.0
    heads = np.array([0, 8, 9])
    found = bar_illiquidity(columns, returns, heads)
    for k, rows in enumerate([range(8), range(8, 9), range(9, 20)]):
        value = columns["quote_asset_volume"]
        amihud = [abs(returns[j]) / value[j] for j in rows if value[j] > 0 and j > 0]
        wide = {
            j: np.log(columns["high"][j] / columns["low"][j]) / value[j] for j in rows if value[j]
        }
        late = [wide[j] for j in list(rows)[-max(1, round(len(rows) / 4)) :] if j in wide]
        wanted = [np.mean(amihud), np.mean(list(wide.values())), np.mean(late)]
        np.testing.assert_allclose([found[name][k] for name in NAMES], wanted, rtol=1e-12)


def test_it_halves_when_twice_as_much_is_traded_and_is_unknown_where_nothing_is():
    columns, returns = bars(48)
    heads = np.array([0, 24])
    base = bar_illiquidity(columns, returns, heads)
    columns["quote_asset_volume"] = columns["quote_asset_volume"] * 2.0
    columns["quote_asset_volume"][24:] = 0.0
    doubled = bar_illiquidity(columns, returns, heads)
    for name in NAMES:
        assert doubled[name][0] == pytest.approx(base[name][0] / 2.0, rel=1e-12)
        assert np.isnan(doubled[name][1])


def test_without_ranges_there_is_the_amihud_measure_alone():
    columns, returns = bars(24)
    del columns["high"], columns["low"]
    assert list(bar_illiquidity(columns, returns, np.array([0]))) == ["bar_amihud"]


def test_a_panel_of_days_from_hours_has_it_and_one_of_daily_bars_falls_back_on_the_day(tmp_path):
    columns, _ = bars(24 * 30)
    table = pd.DataFrame(
        {
            "open_time": pd.date_range("2023-01-01", periods=24 * 30, freq="1h", tz="UTC"),
            **{name: columns[name] for name in ("close", "high", "low")},
            "open": columns["close"],
            "volume": columns["quote_asset_volume"] / columns["close"],
        }
    )
    table.to_parquet(tmp_path / "COIN.parquet")
    daily, hourly = (load_panel(tmp_path, period=period) for period in ("1D", "1h"))
    assert all(np.isfinite(daily.values(name)[1:]).all() for name in NAMES)
    assert all(np.isnan(hourly.values(name)).all() for name in NAMES)
    got = log_amihud(Measures(panel=daily))[1:, 0]
    np.testing.assert_allclose(got, np.log(daily.values("bar_amihud")[1:, 0]))
    whole = np.abs(hourly.log_return) / hourly.values("quote_volume")
    np.testing.assert_allclose(log_amihud(Measures(panel=hourly))[1:], np.log(whole[1:]))
