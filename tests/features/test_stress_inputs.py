"""Features of news and illiquidity, by hand; the laws of all features stand in test_registry."""

from collections.abc import Callable

import numpy as np
import pytest

from foremargin.features import Measures, build_features
from foremargin.features.liquidity import log_amihud
from foremargin.markets import Panel

AT = 500  # a row on which COIN and INDEX trade
COIN, INDEX = 0, 1


@pytest.fixture(scope="module")
def panel(make_panel: Callable[..., Panel]) -> Panel:
    return make_panel(n_periods=900)


def test_the_news_in_option_prices_is_against_a_day_a_week_and_a_month_before(
    panel: Panel,
) -> None:
    names = ["implied_change_day", "implied_change_week", "implied_against_month"]
    got = build_features(panel, names=names).values[:, INDEX]
    own = np.flatnonzero(panel.present[:, INDEX])
    at = own[300]
    log_variance = 2.0 * np.log(panel.values("implied_vol")[own[:301], INDEX])
    now = log_variance[-1]
    wanted = [now - log_variance[-2], now - log_variance[-6], now - log_variance[-21:].mean()]
    np.testing.assert_allclose(got[at], wanted, rtol=1e-9)  # 7 days are 5 sessions, 30 days 21


def test_a_fall_is_measured_by_the_long_run_volatility_and_a_rise_is_none(panel: Panel) -> None:
    names = ["fall_day_against_level", "fall_week_against_level"]
    got = build_features(panel, names=names).values[:, COIN]
    sigma = np.exp(0.5 * Measures(panel=panel).level[:, COIN])
    log_return = panel.log_return[:, COIN]
    for at in range(AT, AT + 30):
        mean = [log_return[at], log_return[at - 6 : at + 1].mean()]
        np.testing.assert_allclose(got[at], np.minimum(mean, 0.0) / sigma[at], rtol=1e-9)
    assert 0.2 < (got[AT:, 0] < 0.0).mean() < 0.8


def test_illiquidity_is_measured_against_ninety_days(panel: Panel) -> None:
    names = ["illiquidity_last", "illiquidity_week_ago", "range_illiquidity_last"]
    got = build_features(panel, names=names).values[AT, COIN]
    raw = log_amihud(Measures(panel=panel))[:, COIN]
    ranges = np.log(panel.values("range_illiquidity")[:, COIN])
    wanted = [
        raw[AT] - raw[AT - 89 : AT + 1].mean(),
        raw[AT - 6] - raw[AT - 6 - 89 : AT - 6 + 1].mean(),
        ranges[AT] - ranges[AT - 89 : AT + 1].mean(),
    ]
    np.testing.assert_allclose(got, wanted, rtol=1e-9)


def test_without_bars_inside_the_range_of_the_period_serves(
    make_panel: Callable[..., Panel],
) -> None:
    bare = make_panel(n_periods=400, intraday=False)
    got = build_features(bare, names=["range_illiquidity_last"]).values[300, COIN, 0]
    high, low, value = (bare.values(name)[:301, COIN] for name in ("high", "low", "quote_volume"))
    raw = np.log(np.log(high / low) / value)
    np.testing.assert_allclose(got, raw[-1] - raw[-90:].mean(), rtol=1e-9)
