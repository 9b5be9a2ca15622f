"""The tails that a law gives to a forecast: scores known at the origin, scaled, own or pooled."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from foremargin.calibrate.laws import Empirical, Normal, ScoreLaw, law_tails
from foremargin.features import History, build_history
from foremargin.markets import Panel
from foremargin.models import Forecast

FIRST = 50


@pytest.fixture(scope="module")
def history(make_panel: Callable[..., Panel]) -> History:
    return build_history(make_panel(n_periods=500), horizons=(1, 5))


@pytest.fixture(scope="module")
def forecast(history: History) -> Forecast:
    usual = pd.DataFrame(history.features.variance).rolling(40, min_periods=5).mean().to_numpy()
    usual = np.where(history.panel.present, usual, np.nan)
    return Forecast(
        model="m",
        origin=history.panel.time[FIRST:],
        instruments=history.panel.instruments,
        horizons=(1, 5),
        variance=(usual[..., None] * np.array([1.0, 5.0]))[FIRST:],
    )


def scores_known(history: History, forecast: Forecast, *, row: int, horizon: int) -> np.ndarray:
    """Scores of longs and shorts, shape (row + 1, n_instruments, 2), NaN where not known."""
    k, h = history.targets.at(horizon), forecast.horizons.index(horizon)
    sigma = np.sqrt(forecast.variance[: row + 1, :, h])
    moved = history.targets.log_return[FIRST : FIRST + row + 1, :, k] / sigma
    known = history.targets.known_at[FIRST : FIRST + row + 1, :, k] <= FIRST + row
    return np.where(known[..., None], np.stack([-moved, moved], axis=-1), np.nan)


@pytest.mark.parametrize("law", [Normal(), Empirical()], ids=lambda law: law.name)
@pytest.mark.parametrize("horizon", [1, 5])
def test_a_tail_is_the_law_of_the_known_scores_times_the_forecast(
    history: History, forecast: Forecast, law: ScoreLaw, horizon: int
) -> None:
    filled = law_tails(forecast, history, law, first_row=FIRST)
    fitted_at, row, i = 280, 290, 0  # fits are made every 28 days
    past = scores_known(history, forecast, row=fitted_at, horizon=horizon)[:, i]
    sigma = np.sqrt(forecast.variance[row, i, forecast.horizons.index(horizon)])
    for s, side in enumerate(("lower", "upper")):
        own = past[np.isfinite(past[:, s]), s]
        tail = law.fit(own, tail_probabilities=(0.01, 0.025, 0.05))
        h = forecast.horizons.index(horizon)
        for name, wanted in (
            ("value_at_risk", tail.quantile),
            ("expected_shortfall", tail.mean_beyond),
        ):
            got = getattr(filled, f"{name}_{side}")[row, i, h]
            np.testing.assert_allclose(got, sigma * wanted, rtol=1e-12)


def test_a_pooled_law_has_one_tail_for_all(history: History, forecast: Forecast) -> None:
    filled = law_tails(forecast, history, Empirical(pooled=True), first_row=FIRST)
    sigma = np.sqrt(forecast.variance[300, :, 0])[:, None]
    lower, upper = filled.value_at_risk_lower, filled.value_at_risk_upper
    assert lower is not None
    assert upper is not None
    np.testing.assert_allclose(lower[300, :, 0] / sigma, upper[300, :, 0] / sigma, rtol=1e-12)
    assert np.ptp((lower[300, :, 0, 0] / sigma[:, 0])[history.panel.present[FIRST + 300]]) < 1e-12
    past = scores_known(history, forecast, row=280, horizon=1)
    wanted = Empirical().fit(past[np.isfinite(past)], tail_probabilities=(0.01,)).quantile[0]
    assert lower[300, 0, 0, 0] / sigma[0, 0] == pytest.approx(wanted, rel=1e-12)


def test_nothing_after_the_origin_matters(history: History, forecast: Forecast) -> None:
    at = FIRST + 330
    targets = history.targets
    changed = np.where(targets.known_at > at, 3.0, targets.log_return)
    shocked = replace(history, targets=replace(targets, log_return=changed))
    base = law_tails(forecast, history, Empirical(), first_row=FIRST)
    moved = law_tails(forecast, shocked, Empirical(), first_row=FIRST)
    assert base.value_at_risk_lower is not None
    assert moved.value_at_risk_lower is not None
    before = slice(0, at - FIRST + 1)
    np.testing.assert_array_equal(
        base.value_at_risk_lower[before], moved.value_at_risk_lower[before]
    )
    assert not np.array_equal(base.value_at_risk_lower, moved.value_at_risk_lower, equal_nan=True)


def test_there_is_no_tail_before_a_hundred_scores(history: History, forecast: Forecast) -> None:
    filled = law_tails(forecast, history, Normal(), first_row=FIRST)
    assert filled.value_at_risk_lower is not None
    assert np.isnan(filled.value_at_risk_lower[:100]).all()
