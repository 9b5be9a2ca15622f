"""The composition: it adds up, never falls where risk rises, and keeps NaN where it was."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import foremargin.calibrate.liquidity as package
from foremargin.calibrate.liquidity import (
    CloseOut,
    LiquidityMargin,
    LiquidityOutlook,
    LiquidityRule,
    StressedLiquidity,
    held_scale,
    impact_solvency_floor,
    liquidity_margin,
    volume_from_cost,
    worked_off_scale,
)
from foremargin.errors import InputError, ShapeError
from foremargin.models import Forecast

OUTLOOK = {
    "sigma": 0.03,
    "volume": 1e9,
    "spread": 2e-4,
    "spread_std": 1e-4,
    "stress_probability": 0.2,
}


def margin(
    notional: float = 1e8,
    base_margin: float = 0.08,
    *,
    rule: LiquidityRule | None = None,
    **change: float,
) -> LiquidityMargin:
    return liquidity_margin(
        notional, base_margin, LiquidityOutlook(**(OUTLOOK | change)), rule=rule
    )


# The mixture of calm and stress


def test_the_expected_time_to_close_is_that_of_the_mixture() -> None:
    stressed = StressedLiquidity(volume=0.25)
    p = np.array([0.0, 0.1, 0.5, 1.0])
    time = 1.0 / stressed.effective_volume(100.0, p)
    np.testing.assert_allclose(time, (1.0 - p) / 100.0 + p / 25.0, rtol=1e-14)


@given(
    p=st.floats(min_value=0.0, max_value=1.0),
    kappa=st.floats(min_value=0.01, max_value=1.0),
    exponent=st.floats(min_value=0.1, max_value=1.0),
)
@settings(max_examples=100)
def test_the_cost_at_the_effective_volume_is_no_less_than_the_expected_cost(
    p: float, kappa: float, exponent: float
) -> None:
    stressed = StressedLiquidity(volume=kappa)
    law = {"sigma": 0.04, "exponent": exponent}
    charged = impact_solvency_floor(7.0, stressed.effective_volume(100.0, p), **law)
    expected = (1.0 - p) * impact_solvency_floor(7.0, 100.0, **law)
    expected += p * impact_solvency_floor(7.0, kappa * 100.0, **law)
    assert charged >= expected * (1.0 - 1e-12)  # equal at exponent one, but for rounding


def test_stress_given_a_default_follows_from_bayes_rule() -> None:
    stressed = StressedLiquidity(default_odds=4.0)
    p, in_calm = np.array([0.0, 0.1, 1.0]), 0.01
    wanted = p * 4 * in_calm / (p * 4 * in_calm + (1 - p) * in_calm)
    np.testing.assert_allclose(stressed.at_default(p), wanted, rtol=1e-14)
    np.testing.assert_allclose(StressedLiquidity().at_default(p), p, rtol=1e-15)


def test_the_spread_of_the_mixture_is_its_mean() -> None:
    got = StressedLiquidity(spread=5.0).effective_spread_multiple(np.array([0.0, 0.25, 1.0]))
    np.testing.assert_allclose(got, [1.0, 2.0, 5.0], rtol=1e-15)


# The components


def test_every_component_follows_from_its_formula() -> None:
    got = margin(rule=LiquidityRule(concentration_growth=0.0))
    volume = 1e9 / (0.8 + 0.2 / 0.3)
    np.testing.assert_allclose(got.effective_volume, volume, rtol=1e-13)
    np.testing.assert_allclose(got.spread, (0.8 + 0.2 * 3) * (2e-4 + 3e-4) / 2, rtol=1e-13)
    np.testing.assert_allclose(got.impact, 2 / 3 * 0.03 * np.sqrt(1e8 / volume), rtol=1e-13)
    periods = 1e8 / (0.1 * volume)
    np.testing.assert_allclose(got.periods, periods, rtol=1e-13)
    np.testing.assert_allclose(got.period, 0.08 * (worked_off_scale(periods) - 1.0), rtol=1e-12)
    np.testing.assert_allclose(got.solvency_floor, 2 / 3 * 0.03 * np.sqrt(1e8 / 3e8), rtol=1e-13)
    assert got.concentration == 0.0
    assert got.solvency == 0.0


def test_a_position_that_is_held_to_the_end_needs_the_root_of_time() -> None:
    rule = LiquidityRule(close_out=CloseOut.HELD, base_periods=2.0, participation=0.05)
    got = margin(stress_probability=0.0, rule=rule)
    np.testing.assert_allclose(got.periods, 2.0)
    assert got.period == 0.0
    got = margin(notional=4e8, stress_probability=0.0, rule=rule)
    np.testing.assert_allclose(got.period, 0.08 * (held_scale(8.0 / 2.0) - 1.0), rtol=1e-13)


def test_a_position_that_is_worked_off_within_the_base_gets_no_discount() -> None:
    # Selling evenly over five periods is less risk than holding for five: 1.48 against 2.24.
    got = margin(stress_probability=0.0, rule=LiquidityRule(base_periods=5.0))
    assert got.period == 0.0
    assert got.total > got.base


def test_the_size_rule_asks_only_for_what_impact_and_time_do_not() -> None:
    rule = LiquidityRule(concentration_threshold=0.1, concentration_growth=1.0)
    got = margin(stress_probability=0.0, notional=4e8, rule=rule)
    # 4 times the threshold: three base margins on top, of which the other two hold a part.
    assert got.concentration > 0.0
    np.testing.assert_allclose(
        got.impact + got.period + got.concentration, 0.08 * (4.0 - 1.0), rtol=1e-13
    )


def test_a_small_base_margin_is_raised_to_the_floor_of_full_stress() -> None:
    got = margin(base_margin=1e-3, stress_probability=0.0, notional=9e8)
    assert got.solvency > 0.0
    np.testing.assert_allclose(got.total, got.solvency_floor, rtol=1e-13)
    wanted = impact_solvency_floor(9e8, 3e8, sigma=0.03)
    np.testing.assert_allclose(got.solvency_floor, wanted, rtol=1e-13)


def test_a_tiny_position_in_a_calm_market_pays_the_spread_alone() -> None:
    got = margin(notional=0.0, stress_probability=0.0)
    np.testing.assert_allclose(got.total, 0.08 + 2.5e-4, rtol=1e-14)


sizes = st.floats(min_value=0.0, max_value=1e11)
markets = st.fixed_dictionaries(
    {
        "sigma": st.floats(min_value=0.0, max_value=0.5),
        "volume": st.floats(min_value=1e6, max_value=1e11),
        "spread": st.floats(min_value=0.0, max_value=0.1),
        "spread_std": st.floats(min_value=0.0, max_value=0.05),
        "stress_probability": st.floats(min_value=0.0, max_value=1.0),
    }
)
rules = st.builds(
    LiquidityRule,
    exponent=st.floats(min_value=0.2, max_value=1.0),
    participation=st.floats(min_value=0.01, max_value=1.0),
    base_periods=st.floats(min_value=0.1, max_value=10.0),
    close_out=st.sampled_from(CloseOut),
    concentration_growth=st.floats(min_value=0.0, max_value=1.5),
    stressed=st.builds(
        StressedLiquidity,
        volume=st.floats(min_value=0.02, max_value=1.0),
        spread=st.floats(min_value=1.0, max_value=20.0),
        default_odds=st.floats(min_value=1.0, max_value=50.0),
    ),
)


@given(
    size=sizes,
    base=st.floats(min_value=1e-3, max_value=0.5),
    market=markets,
    rule=rules,
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize(
    "riskier",
    [*("sigma", "spread", "spread_std", "stress_probability", "volume"), "notional", "base_margin"],
)
def test_margin_never_falls_when_risk_rises(
    riskier: str,
    size: float,
    base: float,
    market: dict[str, float],
    rule: LiquidityRule,
    data: st.DataObject,
) -> None:
    given_ = {"notional": size, "base_margin": base} | market
    moved = dict(given_)
    share = data.draw(st.floats(min_value=0.0, max_value=1.0))
    if riskier == "volume":
        moved[riskier] *= 1.0 - 0.999 * share
    elif riskier == "stress_probability":
        moved[riskier] += share * (1.0 - moved[riskier])
        moved[riskier] = min(moved[riskier], 1.0)
    else:
        moved[riskier] += share * (10.0 * moved[riskier] + 1e-3)
    before, after = (margin(rule=rule, **each).total for each in (given_, moved))
    # Powers and sums round; nothing falls by more than parts in 1e12.
    assert after >= before * (1.0 - 1e-12)


def test_the_margin_rises_strictly_with_each_of_them_where_none_is_capped() -> None:
    base = margin().total
    assert margin(stress_probability=0.3).total > base
    assert margin(sigma=0.04).total > base
    assert margin(volume=5e8).total > base
    assert margin(spread=3e-4).total > base
    assert margin(spread_std=2e-4).total > base
    assert margin(notional=2e8).total > base
    assert margin(base_margin=0.09).total > base
    assert margin(rule=LiquidityRule(stressed=StressedLiquidity(default_odds=3.0))).total > base


def test_there_is_no_jump_in_the_stress_probability() -> None:
    p = np.linspace(0.0, 1.0, 10_001)
    total = liquidity_margin(
        1e8, 0.08, LiquidityOutlook(**(OUTLOOK | {"stress_probability": p}))
    ).total
    # A step of 1e-4 in p moves the margin by at most its slope, of the order of its range.
    assert np.diff(total).max() < 10.0 * (total[-1] - total[0]) / 10_000


def test_components_add_up_for_many_positions_at_once() -> None:
    rng = np.random.default_rng(9)
    outlook = LiquidityOutlook(
        sigma=rng.uniform(0.01, 0.1, size=(5, 3)),
        volume=10.0 ** rng.uniform(6, 10, size=(5, 3)),
        spread=np.array([1e-4, 1e-3, 1e-2]),
        stress_probability=rng.uniform(size=(5, 1)),
    )
    got = liquidity_margin(10.0 ** rng.uniform(5, 10, size=(5, 3)), 0.05, outlook)
    parts = ("base", "spread", "impact", "period", "concentration", "solvency")
    np.testing.assert_allclose(got.total, sum(getattr(got, name) for name in parts), rtol=1e-13)
    np.testing.assert_allclose(got.add_on, got.total - got.base, rtol=1e-9)
    for name in parts:
        assert (getattr(got, name) >= 0.0).all()
    # The rule of the page: nothing is charged twice, and nothing falls below the floor.
    multiple = np.maximum(got.impact + got.period, 0.0)
    assert (got.total >= got.solvency_floor * (1.0 - 1e-14)).all()
    assert (multiple + got.concentration >= got.impact).all()
    table = got.frame()
    assert table.index.names == ["axis_0", "axis_1"]
    assert list(table.columns[:7]) == [*parts, "total"]
    np.testing.assert_array_equal(table.loc[(4, 1), "total"], got.total[4, 1])


def test_one_position_is_one_row() -> None:
    table = margin().frame()
    assert table.shape == (1, 10)
    np.testing.assert_array_equal(table.total, margin().total)


def test_both_sides_take_their_own_base_margin() -> None:
    outlook = LiquidityOutlook(
        sigma=np.array([[0.02], [0.05]]), volume=1e9, spread=1e-4, stress_probability=0.1
    )
    got = liquidity_margin(1e7, np.array([0.07, 0.09]), outlook)
    assert got.total.shape == (2, 2)
    np.testing.assert_array_equal(got.base, [[0.07, 0.09], [0.07, 0.09]])
    np.testing.assert_array_equal(got.impact[:, 0], got.impact[:, 1])


def test_what_is_not_known_stays_unknown_and_touches_nothing_else() -> None:
    whole = OUTLOOK | {"sigma": np.array([0.03, 0.03, 0.03])}
    holes = whole | {
        "sigma": np.array([0.03, np.nan, 0.03]),
        "stress_probability": np.array([0.2, 0.2, np.nan]),
    }
    full = liquidity_margin(1e8, 0.08, LiquidityOutlook(**whole))
    got = liquidity_margin(1e8, 0.08, LiquidityOutlook(**holes))
    np.testing.assert_array_equal(np.isnan(got.total), [False, True, True])
    assert got.total[0] == full.total[0]
    got = liquidity_margin(1e8, np.array([np.nan, 0.08]), LiquidityOutlook(**OUTLOOK))
    np.testing.assert_array_equal(np.isnan(got.total), [True, False])
    assert got.frame().loc[0].isna().all()


def test_no_positions_have_an_empty_table() -> None:
    got = liquidity_margin(np.empty(0), 0.08, LiquidityOutlook(**OUTLOOK))
    assert got.total.shape == (0,)
    assert got.frame().empty


# Where forecasts come from


def _forecast(**change) -> Forecast:
    shape = (2, 1, 2)
    given_ = {
        "model": "m",
        "origin": np.array(["2024-01-01", "2024-01-02"], dtype="datetime64[ns]"),
        "instruments": ("BTC",),
        "horizons": (1, 5),
        "variance": np.array([4e-4, 4.5e-3, 9e-4, np.nan]).reshape(shape),
        "liquidity_stress_probability": np.array([0.1, 0.2, 0.3, 0.4]).reshape(shape),
        "liquidity_cost": np.array([2e-3, 3e-3, 8e-3, 9e-3]).reshape(shape),
    }
    return Forecast(**(given_ | change))


USUAL = {
    "usual_volume": np.full((2, 1), 1e9),
    "usual_sigma": np.full((2, 1), 0.02),
    "spread": np.full((2, 1), 1e-4),
}


def test_a_forecast_gives_the_volatility_of_one_period_and_the_stress_of_its_horizon() -> None:
    got = LiquidityOutlook.from_stress(_forecast(), horizon=5, **USUAL)
    np.testing.assert_allclose(got.sigma, [[0.03], [np.nan]], rtol=1e-14)
    np.testing.assert_array_equal(got.stress_probability, [[0.2], [0.4]])
    total = liquidity_margin(1e8, 0.08, got).total
    np.testing.assert_array_equal(np.isnan(total), [[False], [True]])
    # Volume is expected to rise with volatility: 1e9 * 0.03 / 0.02
    one = LiquidityOutlook(sigma=0.03, volume=1.5e9, spread=1e-4, stress_probability=0.2)
    np.testing.assert_allclose(total[0, 0], liquidity_margin(1e8, 0.08, one).total, rtol=1e-13)


def test_a_forecast_cost_gives_the_volume_and_is_not_counted_twice() -> None:
    usual_cost = np.array([[1e-3], [2e-3]])
    got = LiquidityOutlook.from_cost(_forecast(), horizon=1, usual_cost=usual_cost, **USUAL)
    # 1e9 * sigma / 0.02 * usual / cost
    np.testing.assert_allclose(got.volume, [[1e9 * 0.5], [1e9 * 1.5 * 0.25]], rtol=1e-14)
    np.testing.assert_array_equal(got.stress_probability, 0.0)
    margin_ = liquidity_margin(1e8, 0.08, got)
    np.testing.assert_allclose(margin_.effective_volume, got.volume, rtol=1e-14)


def test_a_forecast_without_what_is_needed_is_refused() -> None:
    with pytest.raises(InputError, match=r"horizon must be one of \[1, 5\], was 3"):
        LiquidityOutlook.from_stress(_forecast(), horizon=3, **USUAL)
    with pytest.raises(InputError, match="must have a liquidity_stress_probability, has none"):
        LiquidityOutlook.from_stress(
            _forecast(liquidity_stress_probability=None), horizon=1, **USUAL
        )
    with pytest.raises(InputError, match="must have a liquidity_cost, has none"):
        LiquidityOutlook.from_cost(
            _forecast(liquidity_cost=None), horizon=1, usual_cost=np.ones((2, 1)), **USUAL
        )
    with pytest.raises(InputError, match="usual_volume must be positive"):
        LiquidityOutlook.from_stress(
            _forecast(), horizon=1, **(USUAL | {"usual_volume": np.zeros((2, 1))})
        )
    with pytest.raises(ShapeError, match=r"usual_volume \(3, 1\)"):
        LiquidityOutlook.from_stress(
            _forecast(), horizon=1, **(USUAL | {"usual_volume": np.ones((3, 1))})
        )


def test_the_volume_behind_a_cost_is_found_where_cost_is_volatility_over_volume() -> None:
    rng = np.random.default_rng(2)
    sigma, volume = rng.uniform(0.01, 0.1, size=50), 10.0 ** rng.uniform(7, 10, size=50)
    cost = 0.3 * sigma / volume
    got = volume_from_cost(
        cost, sigma, usual_cost=cost[0], usual_sigma=sigma[0], usual_volume=volume[0]
    )
    np.testing.assert_allclose(got, volume, rtol=1e-13)
    unknown = volume_from_cost(np.nan, 0.1, usual_cost=1.0, usual_sigma=0.1, usual_volume=1.0)
    assert np.isnan(unknown)


def test_the_chance_of_default_in_stress_covers_simulated_closing_costs() -> None:
    rng = np.random.default_rng(4)
    n, p, odds, kappa = 400_000, 0.15, 6.0, 0.25
    stressed = rng.uniform(size=n) < p
    default = rng.uniform(size=n) < np.where(stressed, 0.02 * odds, 0.02)
    cost = 10.0 / np.where(stressed, kappa * 100.0, 100.0)  # time to close, linear in 1 / volume
    seen = cost[default]
    law = StressedLiquidity(volume=kappa, default_odds=odds)
    wanted = 10.0 / float(law.effective_volume(100.0, p))
    assert abs(seen.mean() - wanted) < 5 * stats.sem(seen)


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"notional": -1.0}, "notional must be zero or more"),
        ({"notional": np.nan}, "notional must be zero or more and finite, found nan"),
        ({"base_margin": 0.0}, "base_margin must be positive"),
        ({"volume": 0.0}, "volume must be positive"),
        ({"volume": np.inf}, "volume must be positive and finite, found inf"),
        ({"sigma": -0.1}, "sigma must be zero or more"),
        ({"stress_probability": 1.1}, r"stress_probability must be in \[0, 1\], found 1.1"),
        ({"spread": np.inf}, "spread must be zero or more and finite"),
        ({"sigma": np.ones(2), "volume": np.ones(3)}, r"sigma \(2,\), volume \(3,\)"),
        ({"sigma": 1e308, "notional": 1e13, "volume": 1.0}, "impact must be a finite number"),
    ],
)
def test_numbers_out_of_range_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        margin(**change)


def test_positions_and_forecasts_must_fit() -> None:
    outlook = LiquidityOutlook(**(OUTLOOK | {"sigma": np.ones(2)}))
    with pytest.raises(ShapeError, match=r"notional \(3,\), base_margin \(\), sigma \(2,\)"):
        liquidity_margin(np.ones(3), 0.1, outlook)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exponent": 1.2}, r"exponent must be in \(0, 1\], was 1.2"),
        ({"participation": 0.0}, r"participation must be in \(0, 1\], was 0.0"),
        ({"coefficient": -1.0}, "coefficient must be positive"),
        ({"base_periods": np.nan}, "base_periods must be positive and finite, found nan"),
        ({"spread_multiple": -1.0}, "spread_multiple must be zero or more"),
    ],
)
def test_rules_out_of_range_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(LiquidityRule(), **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"volume": 0.0}, r"volume must be in \(0, 1\], was 0.0"),
        ({"volume": 1.5}, r"volume must be in \(0, 1\], was 1.5"),
        ({"spread": 0.5}, "spread must be at least 1 and finite, was 0.5"),
        ({"default_odds": np.inf}, "default_odds must be at least 1 and finite, was inf"),
    ],
)
def test_stress_that_helps_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(StressedLiquidity(), **change)


def test_results_and_forecasts_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        margin().impact[...] = 0.0
    mine = np.full(2, 0.03)
    outlook = LiquidityOutlook(**(OUTLOOK | {"sigma": mine}))
    mine[0] = 1.0
    np.testing.assert_array_equal(outlook.sigma, 0.03)
    with pytest.raises(ValueError, match="read-only"):
        outlook.sigma[0] = 0.0  # type: ignore[index]


def test_everything_public_is_there_and_documented() -> None:
    for name in package.__all__:
        assert getattr(package, name) is not None
        if name.islower():
            assert getattr(package, name).__doc__
