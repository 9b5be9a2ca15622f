import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from foremargin.backtest.losses import (
    absolute_log_error,
    fz0_loss,
    qlike_loss,
    quantile_loss,
    shortfall,
)
from foremargin.errors import InputError, ShapeError

amounts = st.floats(-10.0, 10.0)
positive = st.floats(0.01, 10.0)
tails = st.floats(0.001, 0.5)


# Reference values ------------------------------------------------------------------------------


def test_fz0_gives_the_published_value():
    score = fz0_loss(3.0, 2.0, 2.5, tail_probability=0.025)
    # Published with ten decimals.
    assert float(score) == pytest.approx(16.7162907319, abs=5e-11)


def test_fz0_without_a_breach_has_no_excess_term():
    score = fz0_loss([2.0, -1.0], [2.0, 2.0], [2.5, 2.5], tail_probability=0.025)
    np.testing.assert_allclose(score, 2.0 / 2.5 + np.log(2.5) - 1.0, rtol=1e-12)


@given(loss=amounts, margin=positive, tail=tails)
def test_quantile_loss_is_the_scaled_pinball_loss_plus_the_loss(loss, margin, tail):
    error = loss - margin
    pinball = max((1.0 - tail) * error, -tail * error)
    expected = pinball / tail + loss
    scored = float(quantile_loss(loss, margin, tail_probability=tail))
    # Terms of size up to 20 / tail cancel.
    assert scored == pytest.approx(expected, abs=1e-10 / tail)


def test_qlike_gives_the_hand_value():
    expected = 2.0 - np.log(2.0) - 1.0
    np.testing.assert_allclose(qlike_loss([0.0004], [0.0002]), [expected], rtol=1e-12)


def test_shortfall_is_positive_exactly_on_a_breach():
    loss, margin = np.array([0.05, 0.04, -0.02]), np.array([0.04, 0.04, 0.04])
    np.testing.assert_allclose(shortfall(loss, margin), [0.01, 0.0, 0.0], rtol=1e-12)
    np.testing.assert_array_equal(shortfall(loss, margin) > 0.0, loss > margin)


# Laws ------------------------------------------------------------------------------------------


def test_quantile_loss_is_smallest_at_the_true_quantile():
    loss = stats.t(5).ppf((np.arange(20_000) + 0.5) / 20_000)
    candidates = np.linspace(2.0, 5.0, 301)
    mean = [quantile_loss(loss, c, tail_probability=0.01).mean() for c in candidates]
    # Grid of 0.01 around the 99 % quantile 3.365.
    assert abs(candidates[np.argmin(mean)] - 3.364930) <= 0.01


def test_the_smallest_quantile_loss_is_the_expected_shortfall():
    loss = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    smallest = quantile_loss(loss, 2.326348, tail_probability=0.01).mean()
    # 2000 points in the tail: the discretised mean is off by about 1e-3.
    assert smallest == pytest.approx(2.665214, abs=2e-3)


def test_fz0_is_smallest_at_the_true_pair():
    loss = np.random.default_rng(5).standard_normal(1_000_000)
    truth = (1.959964, 2.337803)
    best = fz0_loss(loss, *truth, tail_probability=0.025).mean()
    for dv, de in [(0.2, 0.0), (-0.2, 0.0), (0.0, 0.2), (0.0, -0.2), (0.2, 0.2), (-0.2, -0.2)]:
        other = fz0_loss(loss, truth[0] + dv, truth[1] + de, tail_probability=0.025).mean()
        assert other > best


def test_qlike_is_smallest_at_the_mean_of_a_noisy_proxy():
    realized = 0.0004 * np.random.default_rng(6).chisquare(1, 200_000)
    mean = realized.mean()
    best = qlike_loss(realized, mean).mean()
    assert qlike_loss(realized, 1.05 * mean).mean() > best
    assert qlike_loss(realized, 0.95 * mean).mean() > best


@given(realized=positive, variance=positive)
def test_qlike_is_zero_only_for_the_right_variance(realized, variance):
    score = float(qlike_loss(realized, variance))
    assert score >= 0.0
    assert float(qlike_loss(realized, realized)) == 0.0
    if abs(realized / variance - 1.0) > 1e-4:
        assert score > 0.0


def test_qlike_does_not_depend_on_the_unit():
    base = qlike_loss([0.0004, 0.0009], [0.0005, 0.0005])
    percent = qlike_loss([4.0, 9.0], [5.0, 5.0])
    np.testing.assert_allclose(percent, base, rtol=1e-10)


@given(loss=amounts, var=positive, extra=positive, scale=positive, tail=tails)
def test_fz0_shifts_by_the_logarithm_of_the_unit(loss, var, extra, scale, tail):
    base = fz0_loss(loss, var, var + extra, tail_probability=tail)
    scaled = fz0_loss(scale * loss, scale * var, scale * (var + extra), tail_probability=tail)
    # Near loss = VaR a rounding error is divided by tail * ES, as small as 2e-5.
    np.testing.assert_allclose(scaled, base + np.log(scale), rtol=1e-9, atol=1e-9)


# Input -----------------------------------------------------------------------------------------


def test_a_scalar_margin_goes_with_any_shape():
    loss = np.array([[0.01, 0.05], [0.02, 0.06]])
    full = quantile_loss(loss, np.full((2, 2), 0.04), tail_probability=0.01)
    np.testing.assert_array_equal(quantile_loss(loss, 0.04, tail_probability=0.01), full)


def test_a_series_is_read_by_position():
    loss = pd.Series([0.01, 0.05], index=[7, 8])
    np.testing.assert_array_equal(shortfall(loss, 0.04), shortfall(loss.to_numpy(), 0.04))


CALLS = {
    "quantile": lambda a, b: quantile_loss(a, b, tail_probability=0.01),
    "fz0": lambda a, b: fz0_loss(a, b, 2.0 * np.asarray(b), tail_probability=0.01),
    "qlike": qlike_loss,
    "log error": absolute_log_error,
    "shortfall": shortfall,
}
by_loss = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())


@by_loss
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_refused(call, bad):
    with pytest.raises(InputError, match="must be finite, found 1 NaN or infinite of 2"):
        call([1.0, bad], [1.0, 1.0])
    with pytest.raises(InputError, match="must be finite, found 1 NaN or infinite of 2"):
        call([1.0, 1.0], [1.0, bad])


@by_loss
def test_different_lengths_are_refused(call):
    with pytest.raises(ShapeError, match=r"same shape, was .*\(3,\).*\(2,\); align"):
        call([1.0, 1.0, 1.0], [1.0, 1.0])


@by_loss
def test_a_column_against_a_row_is_refused(call):
    with pytest.raises(ShapeError, match="must have the same shape"):
        call(np.ones((3, 1)), np.ones(3))


def test_qlike_refuses_a_realised_variance_of_zero():
    with pytest.raises(InputError, match=r"realized_variance must be > 0, found 1.*drop or fl"):
        qlike_loss([0.0, 0.0004], [0.0004, 0.0004])


def test_qlike_refuses_a_forecast_of_zero():
    with pytest.raises(InputError, match=r"variance must be > 0, found 2 of 2.*in the model"):
        qlike_loss([0.0004, 0.0004], [0.0, -1.0])


@given(realized=positive, forecast=positive, unit=positive)
def test_twice_as_much_is_as_wrong_as_half_as_much_in_any_unit(realized, forecast, unit):
    error = float(absolute_log_error(realized, forecast))
    assert error == pytest.approx(abs(np.log(realized / forecast)), abs=1e-12)
    assert float(absolute_log_error(forecast, realized)) == error
    scaled = float(absolute_log_error(unit * realized, unit * forecast))
    assert scaled == pytest.approx(error, abs=1e-9)  # rounding of the products


def test_the_log_error_is_smallest_at_the_median_and_qlike_at_the_mean():
    cost = np.exp(np.random.default_rng(1).standard_normal(4_001))
    median, mean = np.median(cost), cost.mean()
    assert absolute_log_error(cost, np.full(4_001, median)).mean() < min(
        absolute_log_error(cost, np.full(4_001, factor * median)).mean() for factor in (0.9, 1.1)
    )
    assert absolute_log_error(cost, np.full(4_001, median)).mean() < (
        absolute_log_error(cost, np.full(4_001, mean)).mean()
    )
    assert qlike_loss(cost, np.full(4_001, mean)).mean() < (
        qlike_loss(cost, np.full(4_001, median)).mean()
    )


def test_the_log_error_refuses_what_has_no_logarithm():
    with pytest.raises(InputError, match=r"realized must be > 0, found 1.*no logarithm"):
        absolute_log_error([0.0, 1.0], [1.0, 1.0])
    with pytest.raises(InputError, match=r"forecast must be > 0, found 1.*in the model"):
        absolute_log_error([1.0, 1.0], [-1.0, 1.0])


def test_fz0_refuses_swapped_forecasts():
    with pytest.raises(InputError, match=r"must not exceed expected_shortfall.*swapped"):
        fz0_loss(3.0, 2.5, 2.0, tail_probability=0.025)


def test_fz0_refuses_forecasts_with_the_sign_of_returns():
    with pytest.raises(InputError, match="value_at_risk must be > 0"):
        fz0_loss(-3.0, -2.0, -2.5, tail_probability=0.025)


def test_fz0_refuses_an_expected_shortfall_of_another_length():
    with pytest.raises(ShapeError, match=r"expected_shortfall \(3,\)"):
        fz0_loss([1.0, 1.0], [1.0, 1.0], [2.0, 2.0, 2.0], tail_probability=0.025)


@pytest.mark.parametrize("tail_probability", [99, 0.0, 1.0])
def test_a_tail_probability_outside_the_unit_interval_is_refused(tail_probability):
    with pytest.raises(InputError, match=r"tail_probability must be in \(0, 1\).*0\.01 for 1 %"):
        quantile_loss(1.0, 1.0, tail_probability=tail_probability)
    with pytest.raises(InputError, match=r"tail_probability must be in \(0, 1\).*0\.01 for 1 %"):
        fz0_loss(1.0, 1.0, 2.0, tail_probability=tail_probability)
