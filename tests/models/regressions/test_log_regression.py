"""The log regression, the pooled scaling, and the two models built on them."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from foremargin.errors import NotEnoughHistoryError
from foremargin.features import build_history, fit_standardiser
from foremargin.markets import Panel
from foremargin.models import LogHar, PooledHar
from foremargin.models.pooled import usable_rows
from foremargin.models.regressions.log_regression import (
    TARGET_FLOOR,
    fit_log_regression,
    log_target,
)
from foremargin.models.regressions.pooled_har import fit_pooled

MakePanel = Callable[..., Panel]


def test_a_planted_linear_relation_is_recovered_exactly() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 3)) * [1.0, 10.0, 0.01] + [5.0, 0.0, 1.0]
    y = 0.3 + x @ np.array([0.5, -0.02, 30.0])
    fit = fit_log_regression(x, y, ratio=np.exp(y), penalty=0.0)
    np.testing.assert_allclose(fit.coefficient, [0.5, -0.02, 30.0])
    np.testing.assert_allclose(fit.intercept, 0.3)
    np.testing.assert_allclose(fit.correction, 1.0)
    np.testing.assert_allclose(fit.predict(x), np.exp(y))


def test_least_squares_errors_are_orthogonal_to_the_terms_even_if_two_coincide() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(300, 2))
    x = np.column_stack([x, x[:, 0]])
    y = x[:, 0] + rng.normal(size=300)
    fit = fit_log_regression(x, y, ratio=np.exp(y), penalty=0.0)
    np.testing.assert_allclose(x.T @ (y - fit.predict_log(x)), 0.0, atol=1e-9)  # sums of 300
    np.testing.assert_allclose(fit.coefficient[0], fit.coefficient[2])


def test_a_ridge_penalty_shrinks_one_term_by_n_over_n_plus_penalty() -> None:
    rng = np.random.default_rng(3)
    x = 4.0 * rng.normal(size=(500, 1))
    y = 2.0 + 0.7 * x[:, 0]
    fit = fit_log_regression(x, y, ratio=np.exp(y), penalty=125.0)
    # (z'z + penalty) b = z'y with z'z = n for a standardised term
    np.testing.assert_allclose(fit.coefficient, 0.7 * 500 / 625)
    np.testing.assert_allclose(fit.intercept + fit.coefficient[0] * x.mean(), y.mean())


@given(seed=st.integers(0, 10_000), noise=st.floats(0.05, 2.0), factor=st.floats(0.2, 5.0))
def test_no_other_constant_factor_has_a_smaller_qlike(
    seed: int, noise: float, factor: float
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(150, 2))
    y = x @ np.array([0.5, -0.2]) + noise * rng.standard_t(5, size=150)
    fit = fit_log_regression(x, y, ratio=np.exp(y), penalty=1.0)

    def qlike(scale: float) -> float:
        u = np.exp(y) / (scale * fit.predict(x))
        return float(np.mean(u - np.log(u) - 1.0))

    assert qlike(1.0) <= qlike(factor) + 1e-12  # rounding where the factor is one


def test_predictions_stay_within_twice_what_was_seen() -> None:
    x = np.linspace(-1.0, 1.0, 100)[:, None]
    y = 3.0 * x[:, 0]
    fit = fit_log_regression(x, y, ratio=np.exp(y), penalty=0.0)
    got = fit.predict_log(np.array([[-50.0], [50.0]]))
    np.testing.assert_allclose(got, [-3.0 - np.log(2.0), 3.0 + np.log(2.0)])


def test_the_target_is_relative_to_the_level_and_floored(make_panel: MakePanel) -> None:
    history = build_history(make_panel(), horizons=(1, 5))
    for k, horizon in enumerate((1, 5)):
        got = log_target(history, horizon)
        ratio = history.targets.variance[:, :, k] / horizon / np.exp(history.features.level)
        known = np.isfinite(ratio)
        np.testing.assert_array_equal(np.isfinite(got), known)
        above = known & (ratio > TARGET_FLOOR)
        np.testing.assert_allclose(got[above], np.log(ratio[above]), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(got[known & ~above], np.log(TARGET_FLOOR))


def test_scaling_is_learnt_from_the_training_block_only() -> None:
    rng = np.random.default_rng(4)
    values = rng.normal(3.0, 2.0, size=(400, 3))
    values[::7, 1] = np.nan
    values[:, 2] = 1.5  # never varies: left out
    scaler = fit_standardiser(values)
    known = values[np.isfinite(values[:, 1]), 1]
    np.testing.assert_allclose(scaler.centre[:2], [values[:, 0].mean(), known.mean()])
    np.testing.assert_allclose(scaler.spread[:2], [values[:, 0].std(), known.std()])
    assert list(scaler.usable) == [0, 1]
    assert list(scaler.masked) == [1]
    # A later block is measured with the same rule, cut at five standard deviations.
    later = scaler.transform(np.array([[1e6, known.mean(), 9.0]]))
    np.testing.assert_allclose(later, [[5.0, 0.0, 0.0]], atol=1e-12)  # a mean minus itself


def test_a_missing_input_is_zero_and_says_so() -> None:
    values = np.random.default_rng(5).normal(size=(50, 2))
    values[3, 1] = np.nan
    scaler = fit_standardiser(values)
    out = scaler.transform(values)
    assert out.shape == (50, scaler.n_columns) == (50, 3)
    assert out[3, 1] == 0.0
    np.testing.assert_array_equal(out[:, 2], (np.arange(50) == 3).astype(float))


def test_pooled_regression_knows_the_scale_of_each_instrument(make_panel: MakePanel) -> None:
    history = build_history(make_panel(), horizons=(1, 5))
    regression = fit_pooled(history, rows=usable_rows(history), penalty=20.0)
    forecast = (
        PooledHar()
        .fit(history, rng=np.random.default_rng(0))
        .forecast(history, origins=slice(0, 900))
    )
    for i, name in enumerate(history.panel.instruments):
        error = history.targets.variance[:, i] / forecast.variance[:, i]
        n = np.isfinite(error).all(axis=1).sum()
        # Shrunk by n / (n + 100) on the log scale, what is left of a bias is small.
        mean = np.nanmean(error, axis=0)
        bound = np.exp(np.abs(regression.log_offset[name]) * 150 / n) * 1.02
        assert (mean < bound).all()
        assert (mean > 1 / bound).all()
    unknown = regression.offsets(("NEW",))
    np.testing.assert_array_equal(unknown, np.zeros((1, 2)))


def test_too_few_pooled_rows_are_refused(make_panel: MakePanel) -> None:
    history = build_history(make_panel(n_periods=150), horizons=(1,))
    with pytest.raises(NotEnoughHistoryError, match="needs 500 rows with a known outcome at hor"):
        PooledHar().fit(history, rng=np.random.default_rng(0))


def test_log_har_forecasts_better_than_the_mean_of_the_past(make_panel: MakePanel) -> None:
    history = build_history(make_panel(n_periods=1_500, seed=3), horizons=(1,))
    fitted = LogHar().fit(history.upto(900), rng=np.random.default_rng(0))
    variance = fitted.forecast(history, origins=slice(900, 1_499)).variance[:, 0, 0]
    realized = history.targets.variance[900:1_499, 0, 0]
    usual = np.full_like(variance, np.nanmean(history.features.variance[:900, 0]))

    def qlike(forecast: NDArray[np.float64]) -> float:
        u = realized / forecast
        return float(np.mean(u - np.log(u) - 1.0))

    assert qlike(variance) < 0.8 * qlike(usual)
