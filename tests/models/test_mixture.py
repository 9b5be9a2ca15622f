"""Mixtures: weights come from the past alone, go to the better member, and say what they were."""

from dataclasses import replace

import numpy as np
import pytest

from foremargin.errors import InputError
from foremargin.features import build_history
from foremargin.models import Forecast, Mixture

FIRST = 300  # panel row of the first origin


@pytest.fixture(scope="module")
def history(make_panel):
    return build_history(make_panel(n_periods=1_200), horizons=(1, 5))


def member(name, history, *, noise, bias=0.0, seed=0):
    """A forecaster that knows the outcome but for an error of this size in logs."""
    outcome = history.targets.variance[FIRST:]
    filled = np.where(np.isfinite(outcome) & (outcome > 0.0), outcome, np.nanmedian(outcome))
    error = np.random.default_rng(seed).normal(size=filled.shape) * noise + bias
    present = history.panel.present[FIRST:, :, None]
    return Forecast(
        model=name,
        origin=history.panel.time[FIRST:],
        instruments=history.panel.instruments,
        horizons=history.horizons,
        variance=np.where(present, filled * np.exp(error), np.nan),
    )


def members(history):
    return {
        "good": member("good", history, noise=0.3, seed=1),
        "poor": member("poor", history, noise=1.2, seed=2),
    }


def mix(history, forecasts, **options):
    mixture = Mixture(name="mix", members=tuple(forecasts), **options)
    return mixture.combine(forecasts, history, first_row=FIRST)


def weights_of(table, name, *, last=True):
    moment = table.known_from.max() if last else table.known_from.min()
    rows = table[(table.member == name) & (table.known_from == moment)]
    return rows.sort_values("horizon").weight.to_numpy()


def mean_qlike(forecast, history):
    outcome = history.targets.variance[FIRST:]
    known = np.isfinite(outcome) & (outcome > 0.0) & np.isfinite(forecast.variance)
    log_error = np.log(outcome[known] / forecast.variance[known])
    return float(np.mean(np.exp(log_error) - log_error - 1.0))


def test_weights_begin_equal_and_go_to_the_better_member(history):
    _, table = mix(history, members(history))
    np.testing.assert_array_equal(weights_of(table, "good", last=False), [0.5, 0.5])
    assert (weights_of(table, "good") > 0.8).all()
    sums = table.groupby(["known_from", "horizon"]).weight.sum()
    np.testing.assert_allclose(sums, 1.0, rtol=1e-12)


def test_two_members_with_errors_of_their_own_are_better_together(history):
    both = {
        "one": member("one", history, noise=0.6, seed=3),
        "two": member("two", history, noise=0.6, seed=4),
    }
    mixed, table = mix(history, both)
    assert mean_qlike(mixed, history) < 0.75 * min(mean_qlike(f, history) for f in both.values())
    assert weights_of(table, "one") == pytest.approx([0.5, 0.5], abs=0.1)


def test_a_forecast_does_not_change_when_the_future_does(history, shock_after):
    row = 800
    before, _ = mix(history, members(history))
    shocked = build_history(shock_after(history.panel, row), horizons=(1, 5))
    after, _ = mix(shocked, members(history))  # what the members said stays as it was
    np.testing.assert_array_equal(before.variance[: row - FIRST], after.variance[: row - FIRST])
    assert not np.allclose(before.variance, after.variance, equal_nan=True)


def test_the_weights_minimise_past_qlike_on_the_simplex(history):
    forecasts = members(history)
    mixture = Mixture(name="mix", members=tuple(forecasts), prior_days=1e-9)
    logs = np.stack([np.log(f.variance) for f in forecasts.values()], axis=-1)
    found = mixture.learn(logs, history, first_row=FIRST, known_row=history.panel.n_periods)
    outcome = history.targets.variance[FIRST:, :, 0]
    used = np.isfinite(outcome) & (outcome > 0.0) & np.isfinite(logs[:, :, 0]).all(axis=-1)
    grid = np.linspace(0.0, 1.0, 1_001)
    log_error = np.log(outcome[used])[:, None] - (
        logs[:, :, 0][used] @ np.stack([grid, 1.0 - grid])
    )
    best = grid[np.argmin((np.exp(log_error) - log_error).mean(axis=0))]
    assert found.weight[0, 0] == pytest.approx(best, abs=0.002)


def test_where_a_member_says_nothing_the_others_speak(history):
    forecasts = members(history)
    silent = np.array(forecasts["good"].variance)
    silent[500:600] = np.nan
    forecasts["good"] = replace(forecasts["good"], variance=silent)
    mixed, _ = mix(history, forecasts)
    np.testing.assert_allclose(mixed.variance[500:600], forecasts["poor"].variance[500:600])


def test_a_member_without_weight_still_speaks_alone(history):
    forecasts = members(history)
    weights = Mixture(name="mix", members=("good", "poor")).learn(
        np.stack([np.log(f.variance) for f in forecasts.values()], axis=-1),
        history,
        first_row=FIRST,
        known_row=900,
    )
    all_on_one = replace(weights, weight=np.array([[1.0, 0.0], [1.0, 0.0]]))
    logs = np.array([[[np.nan, -3.0], [np.nan, np.nan]]])
    np.testing.assert_array_equal(all_on_one.mix(logs), [[-3.0, np.nan]])


def test_probabilities_are_means_of_those_that_there_are(history):
    forecasts = members(history)
    half = np.full(forecasts["good"].variance.shape, 0.5)
    half[:, 0] = np.nan
    forecasts["good"] = replace(forecasts["good"], liquidity_stress_probability=half)
    mixed, _ = mix(history, forecasts)
    np.testing.assert_array_equal(mixed.liquidity_stress_probability, half)
    assert mixed.stress_probability is None


def test_tellers_say_the_probabilities_and_have_no_say_in_the_variance(history):
    forecasts = members(history)
    plain, _ = mix(history, forecasts)
    shape = forecasts["good"].variance.shape
    regimes = np.broadcast_to([0.6, 0.2, 0.2], (*shape, 3))
    forecasts["net"] = replace(
        member("net", history, noise=2.0, seed=5),
        regime_probability=regimes.copy(),
        stress_probability=np.full(shape, 0.2),
        liquidity_cost=np.full(shape, 3e-4),
    )
    forecasts["other"] = replace(
        member("other", history, noise=2.0, seed=6), stress_probability=np.full(shape, 0.6)
    )
    mixture = Mixture(name="mix", members=("good", "poor"), tellers=("net", "other"))
    assert mixture.sources == ("good", "poor", "net", "other")
    mixed, _ = mixture.combine(forecasts, history, first_row=FIRST)
    np.testing.assert_array_equal(mixed.variance, plain.variance)
    assert mixed.stress_probability is not None
    assert mixed.regime_probability is not None
    assert mixed.liquidity_cost is not None
    np.testing.assert_allclose(mixed.stress_probability, 0.4)
    # The regimes agree: what is left beside stress keeps its shares of three to one.
    np.testing.assert_allclose(mixed.regime_probability[0, 0, 0], [0.45, 0.15, 0.4])
    np.testing.assert_allclose(mixed.liquidity_cost, 3e-4)


def test_a_missing_member_and_a_lonely_one_are_refused(history):
    mixture = Mixture(name="mix", members=("good", "absent"))
    with pytest.raises(InputError, match="needs the forecasts of"):
        mixture.combine(members(history), history, first_row=FIRST)
    with pytest.raises(InputError, match="at least two different members"):
        Mixture(name="mix", members=("good", "good"))
