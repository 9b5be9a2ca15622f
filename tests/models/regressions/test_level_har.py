"""HAR on levels: against least squares by hand, the filter, weights, and missing quarticity."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.features import History, build_history
from foremargin.markets import Panel
from foremargin.models import LevelForm, LevelHar
from foremargin.models.regressions.level_har import FittedLevelHar, LevelFit

MakePanel = Callable[..., Panel]
COIN, INDEX = 0, 1
TERMS = ("log_variance_last", "log_variance_week", "log_variance_month")


@pytest.fixture(scope="module")
def history(make_panel: MakePanel) -> History:
    return build_history(make_panel(), horizons=(1, 5))


def fitted(history: History, form: LevelForm) -> FittedLevelHar:
    return LevelHar(form=form).fit(history, rng=np.random.default_rng(0))


def by_hand(history: History, column: int, k: int) -> tuple[NDArray[np.float64], ...]:
    """Return terms, with a constant, and outcomes of the rows that are known."""
    level = history.features.level[:, column]
    x = [np.exp(history.features.column(name)[:, column] + level) for name in TERMS]
    design = np.column_stack([np.ones(len(level)), *x])
    y = history.targets.variance[:, column, k] / history.horizons[k]
    rows = np.isfinite(design).all(axis=1) & np.isfinite(y)
    return design[rows], y[rows]


@pytest.mark.parametrize("k", [0, 1])
def test_har_is_least_squares_on_variances(history: History, k: int) -> None:
    x, y = by_hand(history, COIN, k)
    wanted = np.linalg.lstsq(x, y, rcond=None)[0]
    fit = fitted(history, LevelForm.OLS).fits["COIN", history.horizons[k], False]
    # Normal equations of variances near 1e-4 lose some digits against a decomposition.
    np.testing.assert_allclose([fit.intercept, *fit.coefficient], wanted, rtol=1e-6)


def test_weights_are_one_over_the_fitted_variance(history: History) -> None:
    x, y = by_hand(history, COIN, 0)
    first = x @ np.linalg.lstsq(x, y, rcond=None)[0]
    root = 1.0 / np.sqrt(np.maximum(first, y[y > 0.0].min()))
    wanted = np.linalg.lstsq(x * root[:, None], y * root, rcond=None)[0]
    fit = fitted(history, LevelForm.WLS).fits["COIN", 1, False]
    np.testing.assert_allclose([fit.intercept, *fit.coefficient], wanted, rtol=1e-6)


def test_an_insane_forecast_is_replaced_by_the_mean_and_an_unknown_one_is_not() -> None:
    fit = LevelFit(intercept=0.0, coefficient=np.array([1.0]), low=1.0, high=3.0, mean=1.5)
    x = np.array([[0.5], [2.0], [3.5], [-1.0], [np.nan]])
    np.testing.assert_array_equal(fit.predict(x), [1.5, 2.0, 1.5, 1.5, np.nan])


def test_a_noisy_variance_counts_less_in_harq() -> None:
    fit = LevelFit(intercept=0.0, coefficient=np.array([0.6, -0.2]), low=0.0, high=9.0, mean=1.0)
    assert fit.predict(np.array([[1.0, 2.0]])) < fit.predict(np.array([[1.0, 1.0]]))


def test_harq_is_har_where_quarticity_is_not_known(history: History) -> None:
    origins = slice(300, 900)
    plain = fitted(history, LevelForm.OLS).forecast(history, origins=origins).variance
    noisy = fitted(history, LevelForm.QUARTICITY).forecast(history, origins=origins).variance
    np.testing.assert_array_equal(noisy[:, INDEX], plain[:, INDEX])
    assert (noisy[:, COIN] != plain[:, COIN]).mean() > 0.9
    # A day without quarticity falls back; the days around it do not.
    quarticity = history.panel.values("realized_quarticity").copy()
    quarticity[500] = np.nan
    fields = {**history.panel.fields, "realized_quarticity": quarticity}
    holed = replace(history, panel=replace(history.panel, fields=fields))
    got = fitted(history, LevelForm.QUARTICITY).forecast(holed, origins=origins).variance
    assert np.isfinite(got[200, COIN]).all()
    assert (got[200, COIN] != noisy[200, COIN]).all()
    np.testing.assert_array_equal(np.delete(got, 200, axis=0), np.delete(noisy, 200, axis=0))
