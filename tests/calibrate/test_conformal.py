"""Adaptive conformal margins: the breach rate they promise, and when they learn of a loss."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from foremargin.calibrate import ConformalMargin, adaptive_conformal_margin
from foremargin.calibrate.empirical import rolling_tails
from foremargin.errors import InputError, ShapeError

Array = NDArray[np.float64]


def garch_losses(n: int, seed: int) -> tuple[Array, Array]:
    """Losses with t errors, and the volatility they were drawn with."""
    rng = np.random.default_rng(seed)
    z = rng.standard_t(5, size=n) * np.sqrt(3 / 5)
    sigma = np.ones(n)
    for t in range(1, n):
        sigma[t] = np.sqrt(0.03 + (0.12 * z[t - 1] ** 2 + 0.85) * sigma[t - 1] ** 2)
    return 0.02 * sigma * z, 0.02 * sigma


def breaches(loss: Array, margin: Array) -> NDArray[np.bool_]:
    known = np.isfinite(margin) & np.isfinite(loss)
    return np.asarray(loss[known] > margin[known])


@pytest.mark.parametrize("tail_probability", [0.01, 0.05])
@pytest.mark.parametrize("kind", ["independent", "garch"])
def test_the_breach_rate_is_held(kind: str, tail_probability: float) -> None:
    n = 20_000
    loss, sigma = garch_losses(n, seed=1)
    if kind == "independent":
        loss = 0.02 * np.random.default_rng(2).standard_t(3, size=n)
        sigma = np.full(n, 0.02)
    result = adaptive_conformal_margin(loss, sigma, tail_probability=tail_probability)
    breach = breaches(loss, result.margin)
    # Breaches of independent scores; the level leans against them, so a binomial band with a
    # false-alarm rate of 1e-4 is wider than it needs to be.
    low, high = stats.binom.interval(1 - 1e-4, len(breach), tail_probability)
    assert low <= breach.sum() <= high


def test_without_adaptation_the_margin_is_the_plain_quantile_times_sigma() -> None:
    loss, sigma = garch_losses(2_000, seed=3)
    got = adaptive_conformal_margin(
        loss, sigma, tail_probability=0.02, horizon=3, window=500, needed=200, rate=0.0
    )
    quantile = rolling_tails(loss / sigma, np.array([0.02]), 3, 500, 200)[0][:, 0]
    np.testing.assert_array_equal(got.margin, quantile * sigma)


def test_after_losses_triple_the_breach_rate_comes_back_sooner_than_without_adaptation() -> None:
    n, break_at, tail = 12_000, 6_000, 0.02
    loss = 0.01 * np.random.default_rng(4).standard_t(5, size=n)
    loss[break_at:] *= 3.0
    sigma = np.full(n, 0.01)  # the forecast notices nothing
    counts = {}
    for rate in (0.0, 0.005):
        margin = adaptive_conformal_margin(loss, sigma, tail_probability=tail, rate=rate).margin
        breach = loss > margin
        counts[rate] = breach[break_at : break_at + 1_000].sum()
        # Once the window holds new losses only, all is as before: binomial, 1e-4 either side.
        low, high = stats.binom.interval(1 - 2e-4, n - break_at - 1_000, tail)
        assert low <= breach[break_at + 1_000 :].sum() <= high
    assert counts[0.005] < 0.75 * counts[0.0]


@pytest.mark.parametrize("horizon", [1, 5])
def test_breaches_and_the_level_balance_exactly_while_no_bound_is_reached(horizon: int) -> None:
    loss, sigma = garch_losses(5_000, seed=5)
    rate, tail = 0.0005, 0.05
    result = adaptive_conformal_margin(
        loss, sigma, tail_probability=tail, rate=rate, horizon=horizon
    )
    aimed = result.aimed_tail_probability[np.isfinite(result.aimed_tail_probability)]
    assert (aimed > tail / 4).all()
    assert (aimed < 3 * tail).all()
    # a[t+1] = a[t] + rate (tail - breach), so the sum telescopes; the last breaches are not yet in.
    breach = breaches(loss, result.margin)[:-horizon]
    np.testing.assert_allclose(aimed[-1] - aimed[0], rate * (tail - breach).sum(), rtol=1e-9)


@pytest.mark.parametrize("tail_probability", [0.01, 0.05])
def test_the_level_stays_within_its_bounds_whatever_happens(tail_probability: float) -> None:
    rng = np.random.default_rng(6)
    loss = np.exp(rng.normal(size=4_000).cumsum() * 0.1) * rng.standard_t(2, size=4_000)
    result = adaptive_conformal_margin(
        loss, np.ones(4_000), tail_probability=tail_probability, rate=0.05
    )
    aimed = result.aimed_tail_probability[np.isfinite(result.aimed_tail_probability)]
    assert aimed.min() == tail_probability / 4
    assert aimed.max() == 3 * tail_probability


@pytest.mark.parametrize("horizon", [1, 5])
def test_a_loss_moves_no_margin_before_it_is_known(horizon: int) -> None:
    loss, sigma = garch_losses(600, seed=7)

    def margins(loss: Array) -> ConformalMargin:
        return adaptive_conformal_margin(
            loss, sigma, tail_probability=0.05, horizon=horizon, window=300, needed=50
        )

    base = margins(loss)
    changed = loss.copy()
    changed[400] = 1.0  # a breach, and the largest loss there is
    moved = margins(changed)
    until = 400 + horizon
    np.testing.assert_array_equal(moved.margin[:until], base.margin[:until])
    np.testing.assert_array_equal(
        moved.aimed_tail_probability[:until], base.aimed_tail_probability[:until]
    )
    assert moved.margin[until] > base.margin[until]
    assert moved.aimed_tail_probability[until] < base.aimed_tail_probability[until]


def test_losses_and_forecasts_that_are_missing_are_skipped() -> None:
    loss, sigma = garch_losses(900, seed=8)
    holes = np.zeros(900, dtype=bool)
    holes[200:260] = True
    with_holes = adaptive_conformal_margin(
        np.where(holes, np.nan, loss), np.where(holes, np.nan, sigma), tail_probability=0.05
    )
    closed_up = adaptive_conformal_margin(loss[~holes], sigma[~holes], tail_probability=0.05)
    assert np.isnan(with_holes.margin[holes]).all()
    # Row 260 follows row 199 in the short series, so both know the same from then on.
    np.testing.assert_array_equal(with_holes.margin[261:], closed_up.margin[201:])


def test_the_margin_scales_with_losses_and_forecasts() -> None:
    loss, sigma = garch_losses(800, seed=9)
    base = adaptive_conformal_margin(loss, sigma, tail_probability=0.05).margin
    scaled = adaptive_conformal_margin(4.0 * loss, 4.0 * sigma, tail_probability=0.05).margin
    np.testing.assert_array_equal(scaled, 4.0 * base)


def test_unequal_shapes_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"equally long, were \(5,\) and \(4,\)"):
        adaptive_conformal_margin(np.zeros(5), np.ones(4), tail_probability=0.01)


@pytest.mark.parametrize("tail_probability", [0.0, 0.99, 1.0])
def test_a_tail_probability_that_is_a_confidence_level_is_refused(tail_probability: float) -> None:
    with pytest.raises(InputError, match=r"write 0\.01 for 1 %"):
        adaptive_conformal_margin(np.zeros(5), np.ones(5), tail_probability=tail_probability)


@pytest.mark.parametrize("option", [{"horizon": 0}, {"rate": -0.1}, {"needed": 0}, {"window": 50}])
def test_numbers_out_of_range_are_refused(option: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="horizon must be at least 1, rate not negative and 1 <="):
        adaptive_conformal_margin(
            np.zeros(5),
            np.ones(5),
            tail_probability=0.01,
            **option,
        )


def test_a_volatility_of_zero_is_refused() -> None:
    with pytest.raises(InputError, match="sigma must be positive or NaN, found 1 values"):
        adaptive_conformal_margin(np.zeros(3), np.array([1.0, 0.0, np.nan]), tail_probability=0.01)
