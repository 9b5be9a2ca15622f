import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from foremargin.backtest import fz0_loss, quantile_loss
from foremargin.backtest.comparison import quantile_elementary_score, shortfall_elementary_score
from foremargin.errors import InputError, ShapeError

# Multiples of 1/64, so that ties occur and sums are exact.
grid = st.integers(-128, 128).map(lambda k: k / 64)


def integral_of_steps(breaks: np.ndarray, score) -> np.ndarray:
    """Integral over thresholds of a score that is constant between `breaks`, per period."""
    width = np.diff(breaks)
    return np.asarray(score(breaks[:-1] + width / 2) @ width)


@settings(deadline=None)
@given(
    loss=st.lists(grid, min_size=5, max_size=5),
    margin=st.lists(grid, min_size=5, max_size=5),
    tail_probability=st.floats(0.001, 0.5),
)
def test_the_integral_over_thresholds_is_the_quantile_loss(loss, margin, tail_probability):
    breaks = np.unique([*loss, *margin, -3.0, 3.0])
    integral = integral_of_steps(
        breaks,
        lambda theta: quantile_elementary_score(
            loss, margin, threshold=theta, tail_probability=tail_probability
        ),
    )
    expected = quantile_loss(loss, margin, tail_probability=tail_probability)
    np.testing.assert_allclose(integral / tail_probability + loss, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("loss", "margin", "expected"),
    [
        (0.01, 0.03, [0.0, 0.05, 0.05, 0.0]),  # acted in vain between loss and margin
        (0.03, 0.01, [0.0, 0.95, 0.95, 0.0]),  # did not act when needed
        (0.02, 0.02, [0.0, 0.0, 0.0, 0.0]),
    ],
)
def test_quantile_scores_follow_the_definition_at_the_edges(loss, margin, expected):
    score = quantile_elementary_score(
        [loss], [margin], threshold=[0.005, 0.01, 0.02, 0.03], tail_probability=0.05
    )
    np.testing.assert_array_equal(score, [expected])


def test_the_true_quantile_is_best_at_every_threshold():
    theta = np.linspace(-1.0, 4.0, 41)
    truth = stats.norm.isf(0.1)
    # Expected score of a forecast M under the normal law, in closed form.
    expected = [
        np.where(theta < m, 0.1 * stats.norm.cdf(theta), 0.9 * stats.norm.sf(theta))
        for m in (truth, truth - 0.3, truth + 0.3)
    ]
    assert (expected[0] <= expected[1]).all()
    assert (expected[0] <= expected[2]).all()
    sample = np.random.default_rng(1).standard_normal(200_000)
    for m, law in zip((truth, truth - 0.3), expected, strict=False):
        score = quantile_elementary_score(
            sample, np.full(sample.size, m), threshold=theta, tail_probability=0.1
        )
        # Five standard errors of a score between 0 and 0.9.
        np.testing.assert_allclose(score.mean(axis=0), law, atol=5 * 0.45 / np.sqrt(200_000))


def fz0_from_thresholds(loss, value_at_risk, expected_shortfall, tail_probability) -> float:
    """Integral of score over squared threshold, plus the logarithm of the loss."""

    def score(inverse: float) -> float:
        found = shortfall_elementary_score(
            [loss],
            [value_at_risk],
            [expected_shortfall],
            threshold=[1.0 / inverse],
            tail_probability=tail_probability,
        )
        return float(found[0, 0])

    # Over inverse thresholds the weight is one. Above the loss and the forecast the score is
    # constant, below both it is zero, and between them smooth.
    low, high = sorted([1.0 / loss, 1.0 / expected_shortfall])
    constant = score(low / 2.0) * low
    between = integrate.quad(score, low, high, epsabs=1e-13, epsrel=1e-13)[0]
    return float(constant + between + np.log(loss))


@pytest.mark.parametrize(
    ("loss", "value_at_risk", "expected_shortfall", "tail_probability"),
    [
        (3.0, 2.0, 2.5, 0.025),
        (0.5, 2.0, 2.5, 0.025),
        (2.2, 2.0, 2.5, 0.01),
        (0.02, 0.03, 0.03, 0.1),
    ],
)
def test_the_integral_with_inverse_square_weights_is_fz0(
    loss, value_at_risk, expected_shortfall, tail_probability
):
    expected = fz0_loss(loss, value_at_risk, expected_shortfall, tail_probability=tail_probability)
    found = fz0_from_thresholds(loss, value_at_risk, expected_shortfall, tail_probability)
    assert found == pytest.approx(float(expected), rel=1e-10, abs=1e-10)


def test_the_known_point_of_fz0_comes_back():
    assert fz0_from_thresholds(3.0, 2.0, 2.5, 0.025) == pytest.approx(16.7162907319, abs=5e-11)


def test_the_score_of_a_pair_is_that_of_the_paper_in_the_signs_of_losses():
    rng = np.random.default_rng(2)
    loss = rng.normal(0.0, 1.0, 50)
    quantile = rng.uniform(0.5, 2.0, 50)
    shortfall = quantile + rng.uniform(0.0, 1.0, 50)
    eta = np.linspace(-2.0, 4.0, 13)
    # Returns y = -L, forecasts x1 = -V and x2 = -E, threshold v = -eta.
    y, x1, x2, v = -loss[:, None], -quantile[:, None], -shortfall[:, None], -eta
    expected = (v <= x2) * ((y <= x1) * (x1 - y) / 0.025 - (x1 - v)) + (v <= y) * (y - v)
    found = shortfall_elementary_score(
        loss, quantile, shortfall, threshold=eta, tail_probability=0.025
    )
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_the_true_pair_is_best_at_every_threshold():
    sample = np.random.default_rng(3).standard_normal(200_000)
    eta = np.linspace(1.0, 3.0, 9)
    quantile, shortfall = stats.norm.isf(0.1), stats.norm.pdf(stats.norm.isf(0.1)) / 0.1

    def mean_score(v: float, e: float) -> np.ndarray:
        ones = np.ones(sample.size)
        score = shortfall_elementary_score(
            sample, v * ones, e * ones, threshold=eta, tail_probability=0.1
        )
        return np.asarray(score.mean(axis=0))

    best = mean_score(quantile, shortfall)
    # A tie in truth may fall either way by the sampling error of a difference of costs.
    for v, e in [(quantile, shortfall + 0.4), (quantile, 1.4), (1.0, shortfall), (1.6, shortfall)]:
        assert (mean_score(v, e) >= best - 0.01).all()
        assert (mean_score(v, e) > best + 0.01).any()


def test_a_value_at_risk_above_its_shortfall_is_refused():
    with pytest.raises(InputError, match="must not exceed expected_shortfall, found 1 of 2"):
        shortfall_elementary_score(
            [0.1, 0.1], [0.2, 0.4], [0.3, 0.3], threshold=[0.1], tail_probability=0.05
        )


@pytest.mark.parametrize("place", range(3))
def test_missing_values_are_refused(place):
    arguments = [[0.1, 0.2], [0.2, 0.2], [0.3, 0.3]]
    arguments[place] = [np.nan, 0.2]
    with pytest.raises(InputError, match="must be finite, found 1 NaN"):
        shortfall_elementary_score(*arguments, threshold=[0.1], tail_probability=0.05)
    if place < 2:
        with pytest.raises(InputError, match="must be finite, found 1 NaN"):
            quantile_elementary_score(*arguments[:2], threshold=[0.1], tail_probability=0.05)


def test_a_missing_threshold_and_one_that_is_no_list_are_refused():
    with pytest.raises(InputError, match="threshold must be finite"):
        quantile_elementary_score([0.1], [0.1], threshold=[np.nan], tail_probability=0.05)
    with pytest.raises(ShapeError, match=r"threshold must have shape \(n,\), was \(\)"):
        quantile_elementary_score([0.1], [0.1], threshold=0.1, tail_probability=0.05)


def test_different_lengths_and_a_probability_in_per_cent_are_refused():
    with pytest.raises(ShapeError, match=r"loss \(2,\), value_at_risk \(1,\)"):
        quantile_elementary_score([0.1, 0.2], [0.1], threshold=[0.1], tail_probability=0.05)
    with pytest.raises(InputError, match=r"tail_probability must be in \(0, 1\), was 5"):
        quantile_elementary_score([0.1], [0.1], threshold=[0.1], tail_probability=5)
