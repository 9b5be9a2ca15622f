import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from foremargin.backtest import fz0_loss, quantile_loss
from foremargin.backtest.comparison import (
    murphy_quantile,
    murphy_shortfall,
    quantile_elementary_score,
    shortfall_elementary_score,
)
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError

# Multiples of 1/8, so that forecasts and outcomes tie and sums are exact.
series = st.lists(st.integers(-12, 12).map(lambda k: k / 8), min_size=4, max_size=4)


@pytest.fixture
def market() -> dict[str, np.ndarray]:
    """Losses whose volatility is known, and the tails of forecasters that know it or do not."""
    rng = np.random.default_rng(1)
    sigma = np.exp(0.4 * rng.standard_normal(2000))
    return {"loss": sigma * rng.standard_normal(2000), "sigma": sigma}


def normal_tail(sigma: np.ndarray, tail_probability: float) -> tuple[np.ndarray, np.ndarray]:
    z = stats.norm.isf(tail_probability)
    return z * sigma, stats.norm.pdf(z) / tail_probability * sigma


@settings(deadline=None)
@given(loss=series, a=series, b=series)
def test_the_extremes_of_quantiles_are_those_over_all_thresholds(loss, a, b):
    diagram = murphy_quantile(loss, a, b, tail_probability=0.125)
    every = np.arange(-2.0, 2.01, 1 / 16)  # all breaks, and a point between any two
    score_a, score_b = (
        quantile_elementary_score(loss, f, threshold=every, tail_probability=0.125) for f in (a, b)
    )
    curve = (score_a - score_b).mean(axis=0)
    assert (diagram.smallest, diagram.largest) == pytest.approx((curve.min(), curve.max()))
    signs = {"a": curve.max() <= 0.0 > curve.min(), "b": curve.min() >= 0.0 < curve.max()}
    assert diagram.dominant == next((name for name, holds in signs.items() if holds), None)


@settings(deadline=None)
@given(loss=series, a=series, b=series, more=series)
def test_the_extremes_of_pairs_are_those_over_all_thresholds(loss, a, b, more):
    pair_a = (a, np.add(a, np.abs(more)))
    pair_b = (b, np.add(b, np.abs(more[::-1])))
    diagram = murphy_shortfall(loss, pair_a, pair_b, tail_probability=0.125)
    breaks = np.arange(-2.0, 4.01, 1 / 8)
    # The curve jumps at a break: a point just below shows the limit from the left.
    every = np.concatenate([breaks, breaks - 1e-9])
    score_a, score_b = (
        shortfall_elementary_score(loss, *pair, threshold=every, tail_probability=0.125)
        for pair in (pair_a, pair_b)
    )
    curve = (score_a - score_b).mean(axis=0)
    # That point lies a billionth off the limit.
    assert diagram.smallest == pytest.approx(curve.min(), abs=1e-8)
    assert diagram.largest == pytest.approx(curve.max(), abs=1e-8)


@settings(deadline=None)
@given(loss=series, b=series, share=st.sampled_from([0.0, 0.5, 1.0]))
def test_a_forecast_between_the_other_and_the_outcome_is_worse_nowhere(loss, b, share):
    nearer = np.asarray(b) + share * np.subtract(loss, b)
    diagram = murphy_quantile(loss, nearer, b, tail_probability=0.125)
    assert diagram.largest == 0.0
    moved = share > 0.0 and loss != b
    assert diagram.dominant == ("a" if moved else None)
    assert murphy_quantile(loss, b, nearer, tail_probability=0.125).dominant == (
        "b" if moved else None
    )


def test_a_dominant_pair_has_the_lower_fz0_loss(market):
    loss, (value_at_risk, shortfall) = market["loss"], normal_tail(market["sigma"], 0.1)
    # After the fact the best shortfall is the quantile loss of the value at risk.
    best = quantile_loss(loss, value_at_risk, tail_probability=0.1)
    nearer = (value_at_risk, 0.9 * shortfall + 0.1 * best)
    diagram = murphy_shortfall(loss, nearer, (value_at_risk, shortfall), tail_probability=0.1)
    assert diagram.dominant == "a"
    better = fz0_loss(loss, *nearer, tail_probability=0.1).mean()
    assert better < fz0_loss(loss, value_at_risk, shortfall, tail_probability=0.1).mean()


def test_knowing_the_volatility_is_better_at_nearly_every_threshold(market):
    loss, sigma = market["loss"], market["sigma"]
    knowing = normal_tail(sigma, 0.1)
    blunt = normal_tail(np.full(2000, np.sqrt(np.mean(sigma**2))), 0.1)
    for diagram in (
        murphy_quantile(loss, knowing[0], blunt[0], tail_probability=0.1),
        murphy_shortfall(loss, knowing, blunt, tail_probability=0.1),
    ):
        # At the ends a handful of periods differ, and chance decides.
        assert diagram.smallest < -10.0 * diagram.largest
        assert (diagram.mean_difference < 0.0).mean() > 0.85


def test_forecasts_that_are_better_for_different_users_cross():
    loss = np.array([1.0, 5.0])
    low, high = np.array([1.0, 1.0]), np.array([5.0, 5.0])
    diagram = murphy_quantile(loss, low, high, tail_probability=0.25)
    # Between 1 and 5 both users are wrong once: 0.75 against 0.25, halved.
    assert (diagram.smallest, diagram.largest) == (0.0, 0.25)
    assert diagram.dominant == "b"
    mixed = murphy_quantile(loss, [2.0, 4.0], [1.0, 3.0], tail_probability=0.25)
    # From 1 to 2 the first acted in vain (0.25), from 3 to 4 the second did not act (0.75).
    assert (mixed.smallest, mixed.largest) == (-0.375, 0.125)
    assert mixed.dominant is None


def test_the_area_under_the_curve_is_the_difference_of_quantile_losses(market):
    loss, sigma = market["loss"][:60], market["sigma"][:60]
    rng = np.random.default_rng(2)
    a, b = 1.3 * sigma, 1.3 * sigma * np.exp(0.3 * rng.standard_normal(60))
    every = np.unique(np.concatenate([loss, a, b]))
    diagram = murphy_quantile(loss, a, b, tail_probability=0.1, threshold=every)
    area = diagram.mean_difference[:-1] @ np.diff(every) / 0.1
    gap = quantile_loss(loss, a, tail_probability=0.1) - quantile_loss(
        loss, b, tail_probability=0.1
    )
    assert area == pytest.approx(gap.mean(), abs=1e-10)


def test_above_all_shortfalls_the_curve_is_the_difference_of_quantile_losses(market):
    loss, sigma = market["loss"], market["sigma"]
    a, b = normal_tail(sigma, 0.1), normal_tail(1.2 * sigma, 0.1)
    diagram = murphy_shortfall(loss, a, b, tail_probability=0.1, threshold=[0.0, 1e3])
    gap = quantile_loss(loss, a[0], tail_probability=0.1) - quantile_loss(
        loss, b[0], tail_probability=0.1
    )
    # Scores of a thousand lose three digits when subtracted.
    np.testing.assert_allclose(diagram.mean_difference, [0.0, gap.mean()], atol=1e-10)


def test_the_default_thresholds_span_both_forecasts_in_order(market):
    loss, sigma = market["loss"], market["sigma"]
    diagram = murphy_quantile(loss, 1.3 * sigma, 1.5 * sigma, tail_probability=0.1)
    assert diagram.threshold[0] == 1.3 * sigma.min()
    assert diagram.threshold[-1] == 1.5 * sigma.max()
    assert (np.diff(diagram.threshold) > 0.0).all()
    # The curve jumps at forecasts, so a threshold between two of them would miss the jump.
    assert np.isin(diagram.threshold, np.r_[1.3 * sigma, 1.5 * sigma]).all()
    assert diagram.difference.shape == (2000, 201)


def test_equal_forecasts_differ_nowhere(market):
    loss, pair = market["loss"], normal_tail(market["sigma"], 0.1)
    for diagram in (
        murphy_quantile(loss, pair[0], pair[0], tail_probability=0.1),
        murphy_shortfall(loss, pair, pair, tail_probability=0.1),
    ):
        assert (diagram.smallest, diagram.largest, diagram.dominant) == (0.0, 0.0, None)
        band = diagram.band(confidence_level=0.9, n_resamples=5, rng=np.random.default_rng(0))
        assert not band.frame().to_numpy().any()


def test_pairs_that_agree_but_for_rounding_do_not_dominate(market):
    loss, (value_at_risk, shortfall) = market["loss"], normal_tail(market["sigma"], 0.1)
    shuffled = np.random.default_rng(3).permutation(2000)
    diagram = murphy_shortfall(
        np.r_[loss, loss[shuffled]],
        (np.r_[value_at_risk, value_at_risk[shuffled]], np.r_[shortfall, shortfall[shuffled]]),
        (np.r_[value_at_risk, value_at_risk[shuffled]], np.r_[shortfall, shortfall[shuffled]]),
        tail_probability=0.1,
    )
    assert diagram.dominant is None


def test_the_frames_hold_what_the_results_hold(market):
    loss, sigma = market["loss"], market["sigma"]
    diagram = murphy_quantile(loss, 1.3 * sigma, 1.5 * sigma, tail_probability=0.1)
    band = diagram.band(confidence_level=0.9, n_resamples=50, rng=np.random.default_rng(0))
    assert diagram.frame().index.name == band.frame().index.name == "threshold"
    np.testing.assert_array_equal(diagram.frame()["mean_difference"], diagram.mean_difference)
    assert band.frame().columns.tolist() == ["mean_difference", "low", "high"]
    inside = (band.low <= band.mean_difference) & (band.mean_difference <= band.high)
    # Ends of fifty resamples are noisy where only a few periods differ.
    assert inside.mean() > 0.95


def test_the_band_covers_the_true_difference_as_often_as_promised():
    rng = np.random.default_rng(4)
    covered = np.zeros(2)
    theta = [1.4, 1.5]
    # Forecasts 1.3 and 1.6: the score differs by 0.9 - 1{L <= theta} between them.
    truth = 0.9 - stats.norm.cdf(theta)
    for _ in range(400):
        loss = rng.standard_normal(300)
        diagram = murphy_quantile(
            loss, np.full(300, 1.3), np.full(300, 1.6), tail_probability=0.1, threshold=theta
        )
        band = diagram.band(confidence_level=0.9, mean_block=1, n_resamples=200, rng=rng)
        covered += (band.low <= truth) & (truth <= band.high)
    low, high = stats.binom.interval(1 - 1e-4, 400, 0.9)
    # Twenty losses beyond the threshold: the percentile interval is short by up to 2 %.
    assert ((low - 8 <= covered) & (covered <= high)).all()


def test_dependent_differences_need_blocks(moving_average):
    rng = np.random.default_rng(5)
    loss = moving_average(rng, (1, 1000), 20)[0] / np.sqrt(20)
    diagram = murphy_quantile(
        loss, np.full(1000, 0.5), np.full(1000, 1.0), tail_probability=0.1, threshold=[0.7]
    )
    width = [
        float(np.ptp([band.low, band.high]))
        for block in (1, 40)
        for band in [diagram.band(confidence_level=0.9, mean_block=block, n_resamples=500, rng=rng)]
    ]
    assert width[1] > 2.0 * width[0]


# What is refused --------------------------------------------------------------------------------


def test_missing_values_are_refused():
    with pytest.raises(InputError, match="value_at_risk_b must be finite, found 1 NaN"):
        murphy_quantile([0.1], [0.1], [np.nan], tail_probability=0.1)
    with pytest.raises(InputError, match="expected_shortfall must be finite, found 1 NaN"):
        murphy_shortfall([0.1], ([0.1], [np.nan]), ([0.1], [0.1]), tail_probability=0.1)


def test_different_lengths_are_refused():
    with pytest.raises(ShapeError, match=r"value_at_risk_b \(2,\); align"):
        murphy_quantile([0.1], [0.1], [0.1, 0.2], tail_probability=0.1)
    with pytest.raises(ShapeError, match=r"expected_shortfall \(2,\); align"):
        murphy_shortfall([0.1], ([0.1], [0.1]), ([0.1], [0.1, 0.2]), tail_probability=0.1)


def test_a_value_at_risk_above_its_shortfall_is_refused():
    with pytest.raises(InputError, match="found 1 of 1 that do; the arguments may be swapped"):
        murphy_shortfall([0.1], ([0.1], [0.2]), ([0.3], [0.2]), tail_probability=0.1)


def test_a_probability_in_per_cent_is_refused():
    with pytest.raises(InputError, match=r"tail_probability must be in \(0, 1\), was 1"):
        murphy_quantile([0.1], [0.1], [0.1], tail_probability=1)
    with pytest.raises(InputError, match=r"confidence_level must be in \(0, 1\), was 95"):
        murphy_quantile([0.1, 0.2], [0.1, 0.1], [0.2, 0.2], tail_probability=0.1).band(
            confidence_level=95, rng=np.random.default_rng(0)
        )


def test_a_band_of_one_period_is_refused():
    with pytest.raises(NotEnoughHistoryError, match="more than 1 periods for a bootstrap"):
        murphy_quantile([0.1], [0.1], [0.2], tail_probability=0.1).band(
            confidence_level=0.9, rng=np.random.default_rng(0)
        )


def test_the_numbers_of_a_diagram_cannot_be_changed():
    diagram = murphy_quantile([0.1], [0.1], [0.2], tail_probability=0.1)
    with pytest.raises(ValueError, match="read-only"):
        diagram.difference[0, 0] = 1.0
