"""Nodes from a forecast: the law's quantiles, and the coverage that is promised."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from foremargin.calibrate.options import (
    Book,
    Kind,
    Marks,
    SpotVolForecast,
    book_greeks,
    fitted_grid,
    forecast_grid,
    forecast_moves,
    scenario_pnl,
    simulated_grid,
)
from foremargin.errors import InputError, ShapeError

DAY = 1 / 365


def one_regime(**change: Any) -> SpotVolForecast:
    numbers: dict[str, Any] = {
        "variance": 0.04**2,
        "probability": 1.0,
        "vol_sigma": 0.1,
        "vol_mean": 0.02,
        "correlation": -0.5,
    }
    return SpotVolForecast(**(numbers | change))


def test_a_quantile_of_a_mixture_is_where_its_probability_is(two_regimes: SpotVolForecast) -> None:
    score = np.array([-5.0, -1.0, -1e-9, 0.7, 5.0])
    scale = np.sqrt(two_regimes.variance * 3 / 5)
    r = two_regimes.spot_quantile(score)
    below = (two_regimes.probability * stats.t(5).cdf(r[:, None] / scale)).sum(axis=1)
    np.testing.assert_allclose(below, stats.norm.cdf(score), rtol=1e-12)
    v = two_regimes.vol_quantile(score, -0.1)
    z = -0.1 / scale
    weight = two_regimes.probability * stats.t(5).pdf(z) / scale
    shrink = np.sqrt(3 / 5)
    spread = shrink * two_regimes.vol_sigma * np.sqrt(1 - two_regimes.correlation**2)
    spread = spread * np.sqrt((5 + z**2) / 6)
    location = two_regimes.vol_mean + two_regimes.correlation * shrink * two_regimes.vol_sigma * z
    parts = stats.t(6).cdf((v[:, None] - location) / spread)
    np.testing.assert_allclose(
        (weight * parts).sum(axis=1) / weight.sum(), stats.norm.cdf(score), rtol=1e-12
    )


@pytest.mark.parametrize("nu", [None, 4.0])
def test_quantiles_of_one_regime_are_those_of_the_law(nu: float | None) -> None:
    law = one_regime(degrees_of_freedom=nu)
    shrink = 1.0 if nu is None else np.sqrt((nu - 2) / nu)
    unit = stats.norm() if nu is None else stats.t(nu)
    score = stats.norm.ppf(0.01)
    assert law.spot_quantile(score) == pytest.approx(0.04 * shrink * unit.ppf(0.01), rel=1e-12)
    r = np.array([-0.15, 0.0, 0.03])
    z = r / (0.04 * shrink)
    given_spot = unit if nu is None else stats.t(nu + 1)
    spread = np.sqrt(1 - 0.25) * (1.0 if nu is None else np.sqrt((nu + z**2) / (nu + 1)))
    for side, tail in ((-score, 0.99), (score, 0.01)):
        want = 0.02 + 0.1 * shrink * (-0.5 * z + spread * given_spot.ppf(tail))
        np.testing.assert_allclose(law.vol_quantile(side, r), want, rtol=1e-11)


def test_a_large_fall_brings_the_stressed_regime(two_regimes: SpotVolForecast) -> None:
    calm, stressed = (
        SpotVolForecast(
            variance=two_regimes.variance[k : k + 1],
            probability=np.ones(1),
            vol_sigma=two_regimes.vol_sigma[k : k + 1],
            vol_mean=two_regimes.vol_mean[k : k + 1],
            correlation=two_regimes.correlation[k : k + 1],
            degrees_of_freedom=5.0,
        )
        for k in range(2)
    )
    r = np.array([-0.4, 0.0])
    got, low, high = (law.vol_quantile(1.3, r) for law in (two_regimes, calm, stressed))
    assert np.all((low < got) & (got < high))
    assert (got - low)[0] / (high - low)[0] > 0.8 > 0.2 > (got - low)[1] / (high - low)[1]


def test_sampled_moves_have_the_forecast_moments(two_regimes: SpotVolForecast) -> None:
    rng = np.random.default_rng(11)
    law = replace(two_regimes, degrees_of_freedom=None)
    r, v = law.sample(400_000, rng=rng)
    p = law.probability
    mean = np.sum(p * law.vol_mean)
    variance = np.sum(p * (law.vol_sigma**2 + law.vol_mean**2)) - mean**2
    covariance = np.sum(p * law.correlation * np.sqrt(law.variance) * law.vol_sigma)
    # Five standard errors of normal mixtures with a kurtosis below 15.
    band = 5 * np.sqrt(15 / 400_000)
    assert r.var() == pytest.approx(np.sum(p * law.variance), rel=band)
    assert v.var() == pytest.approx(variance, rel=band)
    assert np.cov(r, v)[0, 1] == pytest.approx(covariance, rel=2 * band)


@pytest.mark.parametrize("confidence_level", [0.9, 0.99])
def test_the_disc_holds_the_confidence_exactly(
    two_regimes: SpotVolForecast, confidence_level: float
) -> None:
    n, radius = 6_000, np.sqrt(-2 * np.log(1 - confidence_level))
    r, v = two_regimes.sample(n, rng=np.random.default_rng(12))
    scale = np.sqrt(two_regimes.variance * 3 / 5)
    z = stats.norm.ppf((two_regimes.probability * stats.t(5).cdf(r[:, None] / scale)).sum(axis=1))
    reach = np.sqrt(np.maximum(radius**2 - z**2, 0.0))
    inside = np.abs(z) <= radius
    inside &= two_regimes.vol_quantile(-reach, r) <= v
    inside &= v <= two_regimes.vol_quantile(reach, r)
    least, most = stats.binom.interval(1 - 1e-4, n, confidence_level)
    assert least <= inside.sum() <= most


def short_options(hedged: bool) -> tuple[Book, Marks]:
    """A strangle and a near straddle sold; hedged with perpetuals so that delta is zero."""
    rows = [
        (Kind.CALL, 115.0, 20 * DAY, -3.0),
        (Kind.PUT, 88.0, 20 * DAY, -2.0),
        (Kind.CALL, 101.0, 4 * DAY, -1.0),
        (Kind.PUT, 99.0, 70 * DAY, -1.0),
        (Kind.PERP, np.nan, np.nan, 0.0),
    ]
    book = Book.of(rows)
    marks = Marks.flat(book, spot=100.0, sigma_ann=0.8)
    if hedged:
        quantity = book.quantity.copy()
        quantity[-1] = -book_greeks(book, marks)["delta"].sum()
        book = book.with_quantity(quantity)
    return book, marks


@pytest.mark.parametrize("nu", [None, 4.0])
@pytest.mark.parametrize("hedged", [True, False])
@pytest.mark.parametrize("confidence_level", [0.95, 0.99])
def test_options_sold_are_covered(
    two_regimes: SpotVolForecast, nu: float | None, hedged: bool, confidence_level: float
) -> None:
    law = replace(two_regimes, degrees_of_freedom=nu)
    book, marks = short_options(hedged)
    n = 20_000
    outcome = simulated_grid(law, n, rng=np.random.default_rng(13), horizon=DAY)
    loss = -scenario_pnl(book, marks, outcome).total()
    grid = forecast_grid(law, confidence_level=confidence_level, horizon=DAY)
    margin = scenario_pnl(book, marks, grid).loss()
    # At least: a grid that covered exactly would fail this once in ten thousand.
    assert (loss <= margin).sum() >= stats.binom.ppf(1e-4, n, confidence_level)
    # What holds for every such book costs this one up to two and a half times its own quantile.
    assert margin <= 2.6 * np.quantile(loss, confidence_level)


@pytest.mark.parametrize("hedged", [True, False])
def test_a_grid_fitted_to_a_book_covers_it_and_little_more(
    two_regimes: SpotVolForecast, hedged: bool
) -> None:
    law = replace(two_regimes, degrees_of_freedom=None)
    book, marks = short_options(hedged)
    grid = fitted_grid(
        book,
        marks,
        law,
        confidence_level=0.99,
        horizon=DAY,
        rng=np.random.default_rng(15),
    )
    margin = scenario_pnl(book, marks, grid).loss()
    n = 40_000  # outcomes that the fit has not seen
    outcome = simulated_grid(law, n, rng=np.random.default_rng(16), horizon=DAY)
    covered = (-scenario_pnl(book, marks, outcome).total() <= margin).sum()
    # The fit aims at a quantile that is high enough with 99 % certainty: coverage is between the
    # level itself and about four standard errors of 20,000 outcomes above it.
    assert covered >= stats.binom.ppf(1e-3, n, 0.99)
    assert covered <= stats.binom.ppf(1 - 1e-3, n, 0.99 + 5 * np.sqrt(0.01 * 0.99 / 20_000))


def test_a_fit_needs_enough_outcomes(two_regimes: SpotVolForecast) -> None:
    book, marks = short_options(hedged=False)
    with pytest.raises(InputError, match=r"the quantile at 0\.99, was 50; take at least 459"):
        fitted_grid(
            book, marks, two_regimes, confidence_level=0.99, n=50, rng=np.random.default_rng(1)
        )


def test_options_bought_and_spreads_are_covered_too(make_book, two_regimes) -> None:
    grid = forecast_grid(two_regimes, confidence_level=0.95, horizon=DAY)
    n = 10_000
    outcome = simulated_grid(two_regimes, n, rng=np.random.default_rng(14), horizon=DAY)
    for seed in range(12):
        book, marks = make_book(seed, n=6, sign=[1.0, 0.0, 0.0][seed % 3])
        margin = scenario_pnl(book, marks, grid).loss()
        covered = (-scenario_pnl(book, marks, outcome).total() <= margin).sum()
        assert covered >= stats.binom.ppf(1e-4, n, 0.95), seed


@settings(max_examples=12, deadline=None)
@given(sigma=st.floats(0.01, 0.15), more=st.floats(1.01, 3.0), hedged=st.booleans())
def test_more_forecast_volatility_asks_for_more(sigma: float, more: float, hedged: bool) -> None:
    book, marks = short_options(hedged)

    def loss(scale: float, confidence_level: float = 0.99) -> float:
        law = one_regime(variance=(scale * sigma) ** 2, vol_sigma=scale * 0.1, vol_mean=0.0)
        grid = forecast_grid(law, confidence_level=confidence_level)
        return scenario_pnl(book, marks, grid).loss()

    assert loss(more) > loss(1.0)
    assert loss(1.0, 0.999) > loss(1.0)


def test_every_node_lies_beside_the_region_and_unmoved_is_one_of_them() -> None:
    law = one_regime()
    grid = forecast_grid(law, confidence_level=0.99, horizon=DAY, n_side=2)
    assert len(grid) == 2 * 3 * 5
    assert set(grid.elapsed) == {0.0, DAY}
    assert np.any((grid.spot_move == 0.0) & (grid.vol_move == 0.0))
    radius = np.sqrt(-2 * np.log(0.01))
    assert np.log1p(grid.spot_move).min() == pytest.approx(-0.04 * radius, rel=1e-12)
    # Under a normal law the disc is an ellipse: v ends at its mean plus radius times
    # sigma, reached between two of the points that are looked at.
    top, bottom = np.log1p(grid.vol_move).max(), np.log1p(grid.vol_move).min()
    assert top == pytest.approx(0.02 + 0.1 * radius, rel=1e-3)
    assert bottom == pytest.approx(0.02 - 0.1 * radius, rel=1e-3)


def test_a_node_has_the_extremes_of_both_segments_beside_it() -> None:
    n_side, radius = 3, np.sqrt(-2 * np.log(0.01))
    grid = forecast_grid(one_regime(), confidence_level=0.99, n_side=n_side)
    count = 2 * n_side + 1
    log_vol = np.log1p(grid.vol_move)
    score = radius * np.linspace(-1, 1, count)
    for j in range(count):
        z = np.linspace(score[max(j - 1, 0)], score[min(j + 1, count - 1)], 2_001)
        # The edge of an ellipse with the leverage of one_regime, -0.5.
        reach = np.sqrt(0.75) * np.sqrt(np.maximum(radius**2 - z**2, 0.0))
        top = (0.02 + 0.1 * (-0.5 * z + reach)).max()
        bottom = (0.02 + 0.1 * (-0.5 * z - reach)).min()
        # The region is looked at in 17 points of each segment.
        assert log_vol[j] == pytest.approx(top, abs=5e-4)
        assert log_vol[j + 2 * count] == pytest.approx(bottom, abs=5e-4)


def test_a_ladder_reaches_where_the_region_does() -> None:
    moves = forecast_moves(one_regime(), confidence_level=0.99)
    grid = forecast_grid(one_regime(), confidence_level=0.99)
    own = (-0.2, -0.1, 0.0, 0.05, 0.1)
    ladder = moves.ladder(own, widest=own)
    assert min(ladder) == pytest.approx(grid.spot_move.min(), rel=1e-14)
    assert max(ladder) == pytest.approx(grid.spot_move.max(), rel=1e-14)
    assert ladder[1] == pytest.approx(ladder[0] / 2)
    assert moves.at_least(fall=0.9, rise=0.0, vol_up=0.0, vol_down=0.0).fall == 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"variance": 0.0}, "variance must be positive"),
        ({"variance": np.nan}, "variance must be finite"),
        ({"vol_sigma": -0.1}, "vol_sigma must be positive"),
        ({"probability": 0.9}, "must be a vector that sums to 1, summed to 0.9"),
        ({"correlation": -1.0}, r"correlation must be in \(-1, 1\)"),
        ({"degrees_of_freedom": 2.0}, "degrees_of_freedom must be above 2, was 2.0"),
    ],
)
def test_a_law_that_is_none_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        one_regime(**change)


def test_other_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"correlation must have shape \(1,\)"):
        one_regime(correlation=np.zeros(2))
    with pytest.raises(InputError, match=r"write 0\.99 for 99 %"):
        forecast_grid(one_regime(), confidence_level=0.01)
    with pytest.raises(InputError, match="n_side must be at least 1"):
        forecast_grid(one_regime(), confidence_level=0.99, n_side=0)
    with pytest.raises(InputError, match="horizon must not be negative"):
        forecast_grid(one_regime(), confidence_level=0.99, horizon=-1.0)
    with pytest.raises(InputError, match="score must be finite"):
        one_regime().spot_quantile(np.nan)
