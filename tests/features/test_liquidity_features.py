"""Features from spreads, books and crowding: causal, streamed to the bit, scale-free, and right."""

from dataclasses import fields as dataclass_fields
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from foremargin.features import Feature, Measures
from foremargin.features.features import compute_features
from foremargin.features.liquidity import EDGE, MICROSTRUCTURE_FEATURES, LogBars, NegativeSpread
from foremargin.features.liquidity.book_features import book_levels
from foremargin.features.liquidity.spread_features import log_bars
from foremargin.markets import Missing, Panel

Array = NDArray[np.float64]

N = 2_600  # hours: 108 days, longer than every window
MONEY = ("quote_volume", "open_interest_value", "liquidation_long", "liquidation_short")
PRICES = ("open", "high", "low", "bid", "ask", "index_price")

by_feature = pytest.mark.parametrize("feature", MICROSTRUCTURE_FEATURES, ids=lambda f: f.name)


def hourly_panel(seed: int = 3) -> Panel:
    """Two perpetuals with every field that the features read; the second is listed late."""
    rng = np.random.default_rng(seed)
    shape = (N, 2)
    steps = 0.002 * rng.normal(size=(N, 2, 30))
    path = np.log(100.0) + np.cumsum(steps.transpose(0, 2, 1).reshape(-1, 2), axis=0)
    trades = (path + 0.0005 * rng.choice([-1.0, 1.0], size=path.shape)).reshape(N, 30, 2)
    close = np.exp(trades[:, -1])
    fields = {
        "open": np.exp(trades[:, 0]),
        "high": np.exp(trades.max(axis=1)),
        "low": np.exp(trades.min(axis=1)),
        "volume": rng.exponential(size=shape) + 1.0,
        "bid": close * (1.0 - 1e-4 * rng.uniform(1.0, 3.0, size=shape)),
        "ask": close * (1.0 + 1e-4 * rng.uniform(1.0, 3.0, size=shape)),
        "index_price": close * np.exp(1e-3 * rng.normal(size=shape)),
        "open_interest": 1e4 * np.exp(np.cumsum(0.01 * rng.normal(size=shape), axis=0)),
        "funding_rate": 1e-4 * (1.0 + rng.normal(size=shape)),
    }
    fields["quote_volume"] = fields["volume"] * close
    push = np.tanh(100.0 * np.log(close / fields["open"]))  # takers agree with the price
    share = 0.5 + 0.1 * push + rng.uniform(-0.2, 0.2, size=shape)
    fields["taker_buy_volume"] = fields["volume"] * share
    fields["funding_rate"][np.arange(N) % 8 != 7] = np.nan
    for name in ("liquidation_long", "liquidation_short"):
        fields[name] = 0.01 * rng.exponential(size=shape) * fields["quote_volume"]
    for side in ("bid", "ask"):
        for bps in (5, 25):
            fields[f"depth_{side}_{bps}bps"] = bps * 1e5 * rng.uniform(0.5, 2.0, size=shape)
    for side in ("buy", "sell"):
        for size, cost in ((1_000, 1.0), (100_000, 3.0), (1_000_000, 9.0)):
            fields[f"slippage_{side}_{size}"] = cost * rng.uniform(0.5, 2.0, size=shape)
    missing = np.full(shape, Missing.PRESENT, dtype=np.int8)
    missing[:50, 1] = Missing.NOT_LISTED
    missing[1_500:1_510, 1] = Missing.HALTED
    log_return = np.full(shape, np.nan)
    for i in range(2):
        rows = np.flatnonzero(missing[:, i] == Missing.PRESENT)
        log_return[rows[1:], i] = np.diff(np.log(close[rows, i]))
    for array in (close, *fields.values()):
        array[missing != Missing.PRESENT] = np.nan
    opens = pd.date_range("2024-01-01", periods=N, freq="1h")
    return Panel(
        time=np.asarray(opens + pd.Timedelta("1h"), dtype="datetime64[ns]"),
        period=pd.Timedelta("1h"),
        instruments=("AAA", "BBB"),
        close=close,
        log_return=log_return,
        missing=missing,
        periods_per_year=np.full(2, 8760.0),
        fields=fields,
    )


@pytest.fixture(scope="module")
def panel() -> Panel:
    return hourly_panel()


def feature_named(name: str) -> Feature:
    return next(f for f in MICROSTRUCTURE_FEATURES if f.name == name)


def values_of(panel: Panel, *names: str) -> Array:
    chosen = [feature_named(name) for name in names]
    return compute_features(Measures(panel=panel), chosen).values.squeeze(axis=2)


@by_feature
def test_a_feature_does_not_depend_on_the_currency(feature: Feature, panel: Panel) -> None:
    factor = 128.0  # a power of two, so that ratios keep every bit; logs and sums are rounded
    fields = dict(panel.fields)
    for name in [*MONEY, *PRICES, *(name for name in fields if name.startswith("depth_"))]:
        if name in fields:
            fields[name] = factor * fields[name]
    other = replace(panel, close=factor * panel.close, fields=fields)
    got, base = (values_of(one, feature.name) for one in (other, panel))
    np.testing.assert_allclose(got, base, rtol=1e-6, atol=1e-9)


@by_feature
def test_a_feature_of_what_was_not_recorded_is_unknown_and_no_error(
    feature: Feature, panel: Panel
) -> None:
    assert np.isnan(values_of(replace(panel, fields={}), feature.name)).all()


def test_the_bars_of_a_panel_are_the_bars_of_its_instruments(panel: Panel) -> None:
    got = log_bars(Measures(panel=panel))
    rows = panel.present[:, 1]
    prices = {name: panel.fields[name][rows, 1] for name in ("open", "high", "low")}
    alone = LogBars.of(**prices, close=panel.close[rows, 1])
    for field in dataclass_fields(LogBars):
        np.testing.assert_array_equal(getattr(got, field.name)[rows, 1], getattr(alone, field.name))


def test_the_spread_of_a_week_is_edge_of_its_bars_per_volatility(panel: Panel) -> None:
    got = values_of(panel, "spread_edge_week")[-1, 0]
    # 168 pairs of bars need 169 bars.
    prices = {name: panel.fields[name][-169:, 0] for name in ("open", "high", "low")}
    week = LogBars.of(**prices, close=panel.close[-169:, 0])
    sigma = np.sqrt(Measures(panel=panel).variance[-720:, 0].mean())
    expected = EDGE.bps(week, negative=NegativeSpread.SIGNED) / 1e4 / sigma
    np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_a_quoted_spread_twice_as_wide_as_usual_is_the_log_of_two(panel: Panel) -> None:
    spread = np.where(panel.present, 4.0, np.nan)
    spread[-1] = 8.0
    only = replace(panel, fields={"spread_bps": spread})
    np.testing.assert_allclose(values_of(only, "quoted_spread")[-2:], [[0.0] * 2, [np.log(2)] * 2])


def test_depth_is_read_at_the_narrowest_distance_and_slippage_at_the_typical_size(
    panel: Panel,
) -> None:
    depth, slippage = values_of(panel, "depth_ratio"), values_of(panel, "slippage_ratio")
    fields = panel.fields
    both = (fields["depth_bid_5bps"] + fields["depth_ask_5bps"])[-720:, 0]
    cost = (fields["slippage_buy_100000"] + fields["slippage_sell_100000"])[-720:, 0]
    np.testing.assert_allclose(depth[-1, 0], np.log(both[-1] / np.median(both)))
    np.testing.assert_allclose(slippage[-1, 0], np.log(cost[-1] / np.median(cost)))
    large, small = (
        fields[f"slippage_buy_{size}"] + fields[f"slippage_sell_{size}"]
        for size in (1_000_000, 1_000)
    )
    np.testing.assert_allclose(
        values_of(panel, "slippage_steepness")[-1], np.log(large / small)[-1]
    )


def test_a_level_counts_only_if_both_sides_have_it() -> None:
    names = ["slippage_buy_1000", "slippage_sell_1000", "slippage_buy_5", "depth_bid_7bps"]
    assert book_levels(names, "slippage_{side}_{level}") == [1000]
    assert book_levels(names, "depth_{side}_{level}bps") == []


def test_funding_that_never_changed_has_no_stress_and_a_jump_has(panel: Panel) -> None:
    rate = np.where(np.isfinite(panel.fields["funding_rate"]), 1e-4, np.nan)
    still = replace(panel, fields={"funding_rate": rate})
    assert np.isnan(values_of(still, "funding_stress")).all()
    wild = panel.fields["funding_rate"].copy()
    wild[-24:] = np.where(np.isfinite(wild[-24:]), 3e-3, np.nan)
    stress = values_of(replace(panel, fields={"funding_rate": wild}), "funding_stress")
    assert stress[-1, 0] > 2.0
    assert abs(stress[-25, 0]) < 1.0


def test_the_basis_is_stressed_by_its_distance_from_its_month(panel: Panel) -> None:
    got = values_of(panel, "basis_stress")[-1, 0]
    basis = np.log(panel.close / panel.fields["index_price"])[-720:, 0]
    np.testing.assert_allclose(got, (basis[-1] - basis.mean()) / basis.std(ddof=1), rtol=1e-9)


def test_open_interest_changes_in_units_over_a_week(panel: Panel) -> None:
    held = panel.fields["open_interest"][:, 0]
    got = values_of(panel, "open_interest_change")[-1, 0]
    np.testing.assert_allclose(got, np.log(held[-1] / held[-169]))
    fields = {"open_interest_value": panel.fields["open_interest"] * panel.close}
    by_value = values_of(replace(panel, fields=fields), "open_interest_change")[-1, 0]
    np.testing.assert_allclose(by_value, got)


def test_open_interest_that_stays_while_volume_halves_is_high_per_volume(panel: Panel) -> None:
    shape = panel.close.shape
    traded = np.where(np.arange(N) < N - 168, 2e6, 1e6)[:, None] * np.ones(shape)
    fields = {"open_interest_value": np.full(shape, 5e7), "quote_volume": traded}
    for array in fields.values():
        array[~panel.present] = np.nan
    got = values_of(replace(panel, fields=fields), "open_interest_to_volume")[-1, 0]
    week = np.convolve(traded[:, 0], np.full(168, 1 / 168), mode="valid")[-2_160:]
    np.testing.assert_allclose(got, np.log(5e7 / 1e6) - np.log(5e7 / week).mean())


def test_open_interest_is_concentrated_where_one_instrument_holds_it(panel: Panel) -> None:
    held = np.where(panel.present, 1.0 / panel.close, np.nan)
    even = values_of(replace(panel, fields={"open_interest": held}), "open_interest_concentration")
    np.testing.assert_allclose(even[-1], np.log(0.5))
    np.testing.assert_allclose(even[10, 0], 0.0, atol=1e-12)  # the other is not listed yet


def test_liquidations_of_longs_alone_are_all_on_one_side(panel: Panel) -> None:
    fields = dict(panel.fields)
    fields["liquidation_short"] = np.full_like(fields["liquidation_short"], np.nan)
    only_longs = replace(panel, fields=fields)
    np.testing.assert_allclose(values_of(only_longs, "liquidation_side")[-1], [1.0, 1.0])
    longs, traded = (panel.fields[x][-24:, 0] for x in ("liquidation_long", "quote_volume"))
    usual = [
        panel.fields["liquidation_long"][t - 24 : t, 0].mean()
        / panel.fields["quote_volume"][t - 24 : t, 0].mean()
        for t in range(N - 2_159, N + 1)
    ]
    got = values_of(only_longs, "liquidation_share")[-1, 0]
    np.testing.assert_allclose(got, longs.mean() / traded.mean() / np.mean(usual), rtol=1e-9)


def test_flow_that_moves_prices_twice_as_much_as_usual_shows_in_kyles_lambda(
    panel: Panel,
) -> None:
    imbalance = 2.0 * panel.fields["taker_buy_volume"] / panel.fields["volume"] - 1.0
    flow = imbalance * panel.fields["quote_volume"]
    slope = np.where(np.arange(N) < N - 168, 1e-5, 2e-5)[:, None]
    known = np.isfinite(panel.log_return)
    known[-100:-60] = False  # flow without a return, which neither of the two moments may count
    moved = replace(panel, log_return=np.where(known, slope * flow, np.nan))
    got = values_of(moved, "kyle_lambda_week")[-1, 0]
    pairs = np.flatnonzero(known[:, 0])
    pairs = pairs[pairs >= N - 2_160]
    usual = np.cov(flow[pairs, 0], (slope * flow)[pairs, 0])
    np.testing.assert_allclose(got, np.log(2e-5 / (usual[0, 1] / usual[0, 0])), rtol=1e-9)
    against = replace(panel, log_return=-moved.log_return)
    assert np.isnan(values_of(against, "kyle_lambda_week")[-1]).all()
