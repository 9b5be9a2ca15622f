"""Macro add-on: what it estimates, that it looks back only, and that it rises with both factors."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foremargin.calibrate.addons import MacroStress, ewma_co_movement, macro_addon
from foremargin.errors import InputError, ShapeError


@pytest.fixture
def returns() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    factor = 0.01 * rng.standard_normal(4_000)
    return 1.5 * factor + 0.02 * rng.standard_normal(4_000), factor


def test_beta_and_correlation_are_those_of_the_process(returns) -> None:
    moved = ewma_co_movement(*returns, half_life=1_000.0)
    # With about 2,900 effective pairs a beta has a standard error of 0.037 and a correlation, of
    # 0.012: four of them each.
    assert moved.beta[-1] == pytest.approx(1.5, abs=0.15)
    assert moved.correlation[-1] == pytest.approx(0.6, abs=0.05)


def test_the_recursion_is_the_weighted_sum(returns) -> None:
    asset, factor = (series[:200] for series in returns)
    weight = 0.5 ** (np.arange(199, -1, -1) / 20.0)
    both, own, market = (weight @ p for p in (asset * factor, asset**2, factor**2))
    moved = ewma_co_movement(asset, factor, half_life=20.0)
    assert moved.beta[-1] == pytest.approx(both / market, rel=1e-10)
    assert moved.correlation[-1] == pytest.approx(both / np.sqrt(own * market), rel=1e-10)


def test_the_future_does_not_change_the_past_and_does_change_itself(returns) -> None:
    asset, factor = (series[:500].copy() for series in returns)
    before = ewma_co_movement(asset, factor, half_life=50.0)
    asset[300:] *= -4.0
    after = ewma_co_movement(asset, factor, half_life=50.0)
    np.testing.assert_array_equal(after.beta[:300], before.beta[:300])
    assert np.all(after.beta[300:] != before.beta[300:])


def test_a_missing_return_counts_for_neither_and_the_estimate_stands(returns) -> None:
    asset, factor = (series[:300].copy() for series in returns)
    gaps = np.array([100, 101, 250])
    holed = asset.copy()
    holed[gaps] = np.nan
    moved = ewma_co_movement(holed, factor, half_life=50.0)
    np.testing.assert_array_equal(moved.beta[[100, 101, 250]], moved.beta[[99, 99, 249]])
    shorter = ewma_co_movement(np.delete(asset, gaps), np.delete(factor, gaps), half_life=50.0)
    np.testing.assert_array_equal(np.delete(moved.beta, gaps), shorter.beta)


def test_there_is_no_estimate_before_enough_pairs_or_without_moves() -> None:
    asset = np.array([0.0, 0.0, 0.01, 0.02, -0.01])
    moved = ewma_co_movement(asset, 2.0 * asset, half_life=10.0, needed=4)
    np.testing.assert_array_equal(np.isnan(moved.beta), [True, True, True, False, False])
    assert moved.beta[-1] == pytest.approx(0.5)
    assert moved.correlation[-1] == pytest.approx(1.0)
    flat = ewma_co_movement(np.zeros(9), np.ones(9), half_life=10.0, needed=2)
    assert np.isnan(flat.correlation).all()
    assert ewma_co_movement(np.zeros(0), np.zeros(0), half_life=1.0).beta.shape == (0,)


SMALL = MacroStress(needed=20, window=100, half_life=20.0)


def calm(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return 15.0 + rng.uniform(-1.0, 1.0, n), 4.0 + np.cumsum(0.05 * rng.standard_normal(n))


def test_fear_at_the_top_of_its_window_is_full_stress() -> None:
    fear, rate = calm()
    fear[150] = 60.0
    rate[:] = 4.0
    stress = SMALL.stress(fear, rate)
    assert stress[150] == 1.0
    fear[150] = 15.0
    # 15 lies near the middle of the last hundred values, far below the 80th percentile.
    assert SMALL.stress(fear, rate)[150] == 0.0


def test_a_shock_of_the_rate_is_measured_by_the_changes_before_it() -> None:
    fear, rate = calm()
    fear[:] = np.linspace(20.0, 10.0, 200)  # each day the lowest so far: no stress from fear
    quiet = SMALL.stress(fear, rate)
    weight = 0.5 ** (np.arange(149, 0, -1) / 20.0)
    usual = np.sqrt(weight @ np.diff(rate[:150]) ** 2 / weight.sum())
    for sign in (-1.0, 1.0):
        moved = rate.copy()
        moved[150:] += sign * 3.5 * usual - (rate[150] - rate[149])
        stress = SMALL.stress(fear, moved)
        assert stress[150] == pytest.approx(0.5, rel=1e-10)
        np.testing.assert_array_equal(stress[:150], quiet[:150])


def test_a_rate_that_never_moved_makes_any_move_a_shock() -> None:
    fear = np.linspace(20.0, 10.0, 100)
    rate = np.full(100, 4.0)
    rate[80:] = 4.25
    stress = SMALL.stress(fear, rate)
    assert np.nanmax(stress[:80]) == 0.0
    assert stress[80] == 1.0


def test_stress_is_not_known_before_both_views_are_and_stays_over_gaps() -> None:
    fear, rate = calm()
    fear[120] = rate[120] = np.nan
    stress = SMALL.stress(fear, rate)
    assert np.isnan(stress[:21]).all()
    assert np.isfinite(stress[22:]).all()
    assert stress[120] == stress[119]


def test_stress_looks_back_only() -> None:
    fear, rate = calm()
    before = SMALL.stress(fear, rate)
    fear[100:] *= 5.0
    rate[100:] *= 5.0
    after = SMALL.stress(fear, rate)
    np.testing.assert_array_equal(after[:100], before[:100])
    assert after[100] == 1.0


def test_the_charge_is_the_product_and_is_bounded() -> None:
    addon = macro_addon([0.0, 0.5, 1.0, 1.0], beta=[9.0, -1.2, 1.2, 40.0], factor_shock=0.05)
    np.testing.assert_allclose(addon.rate, [0.0, 0.03, 0.06, 0.10])


def test_the_charge_rises_with_stress_exposure_and_shock() -> None:
    grid = np.linspace(0.0, 1.0, 11)
    for rate in (
        macro_addon(grid, beta=1.0, factor_shock=0.05).rate,
        macro_addon(0.5, beta=3.0 * grid, factor_shock=0.05).rate,
        np.array([float(macro_addon(0.5, beta=1.0, factor_shock=s).rate) for s in grid]),
    ):
        assert np.all(np.diff(rate) >= 0.0)
        assert rate[-1] > rate[0] == 0.0


def test_real_stress_is_there_in_march_2020_and_not_in_a_calm_spring(market_data: Path) -> None:
    series = pd.read_parquet(market_data / "macro_daily_long.parquet")
    two_year = series[series["series"] == "DGS2"].set_index("date")["value"]
    vix = pd.read_parquet(market_data / "vix_daily.parquet").set_index("date")["close"]
    vix = vix[vix.index >= pd.Timestamp("2012-01-01", tz="UTC")]
    published_later = two_year.reindex(vix.index).shift(1)
    values = MacroStress().stress(vix.to_numpy(), published_later.to_numpy())
    stress = pd.Series(values, index=vix.index)
    assert stress.loc["2020-03-09":"2020-03-20"].min() > 0.9
    assert stress.loc["2024-03-01":"2024-03-28"].max() == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: macro_addon(np.nan, beta=1.0, factor_shock=0.1), "stress must be finite"),
        (lambda: macro_addon(1.1, beta=1.0, factor_shock=0.1), r"stress must be in \[0, 1\]"),
        (lambda: macro_addon(1.0, beta=np.nan, factor_shock=0.1), "beta must be finite"),
        (lambda: macro_addon(1.0, beta=1.0, factor_shock=5.0), "factor_shock must be in"),
        (lambda: MacroStress(calm_percentile=1.0), "calm_percentile must be in"),
        (lambda: MacroStress(mild_shock=5.0), "0 <= mild_shock < full_shock"),
        (lambda: MacroStress(needed=2_000), "at most window"),
        (lambda: ewma_co_movement(np.zeros(2), np.zeros(2), half_life=0.0), "half_life must be"),
        (
            lambda: ewma_co_movement(np.array([np.inf]), np.zeros(1), half_life=1.0),
            "found infinite ones",
        ),
        (lambda: MacroStress().stress(np.array([np.inf]), np.zeros(1)), "found infinite"),
    ],
)
def test_what_makes_no_stress_is_refused(call, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_series_of_different_lengths_are_refused() -> None:
    with pytest.raises(ShapeError, match="equally long"):
        ewma_co_movement(np.zeros(2), np.zeros(3), half_life=1.0)
    with pytest.raises(ShapeError, match="equally long"):
        MacroStress().stress(np.zeros(2), np.zeros(3))
