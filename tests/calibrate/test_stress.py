"""Probability of stress from past errors: what it says of simulated errors, and what it sees."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats

from foremargin.calibrate import with_stress_probability
from foremargin.calibrate.stress import _share_above
from foremargin.features import History, build_history
from foremargin.markets import Panel
from foremargin.models import Forecast

Array = NDArray[np.float64]
MakePanel = Callable[..., Panel]

FIRST = 50


def forecast_of(history: History, variance: Array) -> Forecast:
    """Make a forecast from row FIRST on; `variance` has shape (n_periods, N, H)."""
    return Forecast(
        model="m",
        origin=history.panel.time[FIRST:],
        instruments=history.panel.instruments,
        horizons=history.horizons,
        variance=variance[FIRST:],
    )


def stress_of(forecast: Forecast, history: History) -> Array:
    filled = with_stress_probability(forecast, history, first_row=FIRST).stress_probability
    assert filled is not None
    return filled


def past_average(history: History) -> Array:
    """Forecast by the average of the last sixty variances on the panel's axis."""
    own = pd.DataFrame(history.features.variance)
    usual = own.rolling(60, min_periods=5).mean().to_numpy()
    usual = np.where(history.panel.present, usual, np.nan)
    return np.asarray(usual[..., None] * np.array(history.horizons, dtype=float))


@pytest.fixture(scope="module")
def history(make_panel: MakePanel) -> History:
    return build_history(make_panel(n_periods=900), horizons=(1, 5))


def with_outcomes(history: History, *, realized: Array, threshold: float) -> History:
    known = np.isfinite(history.targets.variance)
    targets = replace(
        history.targets,
        variance=np.where(known, realized, np.nan),
        stress_threshold=np.full(known.shape, threshold),
    )
    return replace(history, targets=targets)


def test_stress_probabilities_are_those_of_the_errors_they_were_drawn_from(
    make_panel: MakePanel,
) -> None:
    panel = make_panel(n_periods=3_000, clustered=False)
    rng = np.random.default_rng(17)
    shape = (*panel.close.shape, 1)
    predicted = 4e-4 * np.exp(0.7 * rng.normal(size=shape))
    realized = predicted * np.exp(0.5 * rng.normal(size=shape))
    threshold = 7e-4
    base = build_history(panel, horizons=(1,))
    history = with_outcomes(base, realized=realized, threshold=threshold)
    variance = np.where(panel.present[..., None], predicted, np.nan)
    got = stress_of(forecast_of(history, variance), history)
    known = np.isfinite(got)
    assert ((got[known] > 0.0) & (got[known] < 1.0)).all()  # never certain, however far away
    # The error is lognormal: P(realised > threshold) = P(Z > ln(threshold / predicted) / 0.5)
    truth = stats.norm.sf(np.log(threshold / predicted[FIRST:]) / 0.5)
    # A share of at least 250 errors; the largest of 10,000 such deviations is below 5 of them.
    allowed = 5.0 * np.sqrt(truth * (1 - truth) / 250) + 1 / 250
    assert (np.abs(got - truth) < allowed)[known].all()
    # And what it says comes true as often as it says.
    happened = (realized[FIRST:] > threshold)[known]
    assert abs(happened.mean() - got[known].mean()) < 4.0 * np.sqrt(0.25 / known.sum())


def test_a_forecast_with_a_stress_probability_of_its_own_is_returned_as_it_is(
    history: History,
) -> None:
    forecast = forecast_of(history, past_average(history))
    once = with_stress_probability(forecast, history, first_row=FIRST)
    assert with_stress_probability(once, history, first_row=FIRST) is once


def test_stress_is_more_probable_when_more_variance_is_forecast(history: History) -> None:
    base = forecast_of(history, past_average(history))
    at = 600
    raised = base.variance.copy()
    raised[at] *= 1.5
    low, high = stress_of(base, history), stress_of(replace(base, variance=raised), history)
    known = np.isfinite(low[at])
    assert known.any()
    assert (high[at][known] > low[at][known]).all()  # strictly: there is no step in it


def test_the_stress_probability_ignores_the_future(
    history: History, shock_after: Callable[..., Panel]
) -> None:
    shock = 700
    other = build_history(shock_after(history.panel, shock), horizons=(1, 5))
    base = stress_of(forecast_of(history, past_average(history)), history)
    moved = stress_of(forecast_of(other, past_average(other)), other)
    upto = shock + 1 - FIRST
    assert np.isfinite(base[upto - 1]).any()
    np.testing.assert_array_equal(moved[:upto], base[:upto])


@pytest.mark.parametrize("lag", [1, 4])
def test_it_is_the_share_of_known_errors_that_would_reach_stress_and_a_little_of_their_normal_law(
    lag: int,
) -> None:
    rng = np.random.default_rng(18)
    error, needed_error = rng.normal(size=(2, 150))
    error[rng.uniform(size=150) < 0.2] = np.nan
    needed_error[70] = np.nan
    got = _share_above(error, needed_error, lag, 30, 10)
    for t in range(150):
        past = error[: max(0, t - lag + 1)]
        kept = past[np.isfinite(past)][-30:]
        if len(kept) < 10 or t == 70:
            assert np.isnan(got[t])
            continue
        normal = stats.norm.sf(needed_error[t], loc=kept.mean(), scale=kept.std())
        weight = 50.0 / (50.0 + len(kept) / lag)
        wanted = weight * normal + (1.0 - weight) * (kept > needed_error[t]).mean()
        np.testing.assert_allclose(got[t], wanted)


def test_a_price_that_stood_still_counts_as_a_small_error_and_not_as_none(
    make_panel: MakePanel,
) -> None:
    panel = make_panel(n_periods=600, clustered=False)
    base = build_history(panel, horizons=(1,))
    realized = np.full(base.targets.variance.shape, 1e-3)
    realized[::2] = 0.0
    history = with_outcomes(base, realized=realized, threshold=5e-4)
    variance = np.where(panel.present[..., None], 5e-4, np.nan)
    got = stress_of(forecast_of(history, np.broadcast_to(variance, realized.shape)), history)
    assert 0.45 < np.nanmean(got[400:]) < 0.55  # every second error would mean stress
