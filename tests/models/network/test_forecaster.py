"""The network as a forecaster: what its heads promise, what it may learn from, warm starts."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from foremargin.errors import InputError, NotEnoughHistoryError
from foremargin.features import History, build_history
from foremargin.markets import Panel
from foremargin.models import Forecast, Garch, RegimeNetwork, TrainingPlan
from foremargin.models.network import FittedRegimeNetwork
from foremargin.models.network import forecaster as network_module
from foremargin.models.network.inputs import Inputs
from foremargin.models.network.rows import Outcomes, Table

Array = NDArray[np.float64]
MakePanel = Callable[..., Panel]

STOP = 780
SETS = ("core", "illiquidity", "state")


def rng() -> np.random.Generator:
    return np.random.default_rng(20)


def given_array(array: Array | None) -> Array:
    assert array is not None
    return array


@pytest.mark.parametrize("side", ["lower", "upper"])
def test_tails_are_positive_ordered_and_never_cross(forecast: Forecast, side: str) -> None:
    value_at_risk = given_array(getattr(forecast, f"value_at_risk_{side}"))
    shortfall = given_array(getattr(forecast, f"expected_shortfall_{side}"))
    known = np.isfinite(forecast.variance)
    assert known.any()
    assert np.isfinite(value_at_risk[known]).all()
    assert (value_at_risk[known] > 0.0).all()
    assert (shortfall[known] > value_at_risk[known]).all()
    # In the order 1 %, 2.5 %, 5 %: the rarer the tail, the larger the loss.
    assert (np.diff(value_at_risk[known], axis=-1) < 0.0).all()
    assert (np.diff(shortfall[known], axis=-1) <= 0.0).all()


def test_the_three_regimes_sum_to_one_and_the_last_is_stress(forecast: Forecast) -> None:
    regime = given_array(forecast.regime_probability)
    known = np.isfinite(regime).all(axis=-1)
    assert known.any()
    assert np.isfinite(regime[known]).all()
    assert (regime[known] >= 0.0).all()
    np.testing.assert_allclose(regime[known].sum(axis=-1), 1.0, rtol=1e-12)
    np.testing.assert_array_equal(forecast.stress_probability, regime[..., 2])
    # Each of the three is somewhere the likeliest.
    assert set(regime[known].argmax(axis=-1)) == {0, 1, 2}


def test_liquidity_is_forecast_where_there_is_volume_and_nowhere_else(forecast: Forecast) -> None:
    probability = given_array(forecast.liquidity_stress_probability)
    cost = given_array(forecast.liquidity_cost)
    traded = forecast.instruments.index("COIN")
    closing_prices_only = forecast.instruments.index("CLOSE")
    for said in (probability, cost):
        assert np.isfinite(said[-100:, traded]).all()
        assert np.isnan(said[:, closing_prices_only]).all()
    known = np.isfinite(probability)
    assert ((probability[known] >= 0.0) & (probability[known] <= 1.0)).all()
    assert (cost[np.isfinite(cost)] > 0.0).all()


def test_a_higher_threshold_is_never_likelier_to_be_passed(
    fitted: FittedRegimeNetwork, history: History
) -> None:
    said = fitted.predict(
        fitted.inputs(history, origins=slice(STOP, 850)), history.panel.instruments
    )
    low, high = (np.full(said.log_variance.shape, value) for value in (0.8, 1.7))
    regime = said.regimes(low, high)
    assert (regime[..., 1] > 0.0).all()
    higher = said.regimes(low, 2.0 * high)
    assert (higher[..., 2] < regime[..., 2]).all()


def spied_training(
    history: History, spec: RegimeNetwork, monkeypatch: pytest.MonkeyPatch
) -> tuple[tuple[Inputs, Outcomes], tuple[Inputs, Outcomes]]:
    """Fit; return what was learnt from, and what training was stopped on."""
    made: list[tuple[Inputs, Outcomes]] = []

    def spy(inputs: Inputs, outcomes: Outcomes, **others: Any) -> Table:
        made.append((inputs, outcomes))
        return Table(inputs, outcomes, **others)

    monkeypatch.setattr(network_module, "Table", spy)
    spec.fit(history, rng=rng())
    training, held_out = made
    return training, held_out


def test_no_training_outcome_was_known_after_the_stopping_days_began(
    tiny: RegimeNetwork, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inputs, outcomes), (late, _) = spied_training(history, tiny, monkeypatch)
    stop = len(inputs.rows)
    gap = history.panel.time[-1] - history.panel.time[stop - 1]
    assert gap == np.timedelta64(120, "D")
    # The embargo: an outcome in use was complete at the close of the block's last row.
    in_use = np.isfinite(outcomes.variance)
    assert in_use.any(axis=0).all()
    assert (history.targets.known_at[:stop][inputs.rows][in_use] < stop).all()
    for other in (outcomes.scaled_return, outcomes.above[:, 0], outcomes.liquidity_stress):
        assert not (np.isfinite(other) & ~in_use).any()
    # And the rows it stops on all lie after it.
    assert not late.rows[:stop].any()
    assert late.rows[stop:].any()


def test_what_happens_in_the_stopping_days_changes_no_training_row(
    tiny: RegimeNetwork,
    history: History,
    shock_after: Callable[..., Panel],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Scaling and GARCH see them, as they would at a forecast, so that these are given.
    plain = replace(tiny, wide_features=())
    panel = shock_after(history.panel, 900 - 120 - 1)
    shocked = build_history(panel, horizons=(1, 5), features=SETS)
    (before, outcomes), _ = spied_training(history, plain, monkeypatch)
    (after, shocked_outcomes), (late, _) = spied_training(shocked, plain, monkeypatch)
    np.testing.assert_array_equal(before.rows, after.rows)
    np.testing.assert_array_equal(before.level, after.level)
    np.testing.assert_array_equal(before.windows.gather(), after.windows.gather())
    for name, value in vars(outcomes).items():
        np.testing.assert_array_equal(value, getattr(shocked_outcomes, name))
    assert late.rows.any()


def test_without_a_pass_the_network_says_what_its_skip_says(
    tiny: RegimeNetwork, history: History
) -> None:
    plan = replace(tiny.plan, max_epochs=0, head_epochs=0)
    fitted = replace(tiny, plan=plan).fit(history.upto(STOP), rng=rng())
    origins = slice(STOP, 900)
    inputs = fitted.inputs(history, origins=origins)
    wanted = fitted.skip.predict(inputs.x)
    wanted += fitted.skip.offsets(history.panel.instruments)[inputs.column] + inputs.level[:, None]
    variance = fitted.forecast(history, origins=origins).variance[inputs.rows[origins]]
    np.testing.assert_allclose(np.log(variance / [1.0, 5.0]), wanted, rtol=1e-12, atol=1e-12)


def test_too_little_history_before_the_stopping_days_is_refused(
    tiny: RegimeNetwork, make_panel: MakePanel
) -> None:
    history = build_history(make_panel(n_periods=260), horizons=(1,), features=SETS)
    with pytest.raises(NotEnoughHistoryError, match="needs 500 rows before the 120 days it stops"):
        tiny.fit(history, rng=rng())


def test_the_same_stream_gives_the_same_bits_on_any_number_of_threads(
    tiny: RegimeNetwork, history: History, fitted: FittedRegimeNetwork
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        again = tiny.fit(history.upto(STOP), rng=rng())
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    for name, weight in fitted.weights.items():
        np.testing.assert_array_equal(weight, again.weights[name])
    other = tiny.fit(history.upto(STOP), rng=np.random.default_rng(21))
    assert (other.weights["first_weight"] != fitted.weights["first_weight"]).any()


def test_an_instrument_that_was_not_trained_on_is_forecast_all_the_same(
    tiny: RegimeNetwork, history: History
) -> None:
    names = ["COIN", "INDEX", "CLOSE"]
    fewer = build_history(history.panel.select(names), horizons=(1, 5), features=SETS)
    fitted = tiny.fit(fewer.upto(STOP), rng=rng())
    said = fitted.forecast(history, origins=slice(STOP, 900)).variance
    newcomer = history.panel.instruments.index("LATE")
    assert "LATE" not in fitted.garch.fits
    assert np.isfinite(said[:, newcomer]).all()
    # Of the order of what followed: LATE is measured as COIN is, and moves like it.
    happened = np.nanmean(history.targets.variance[STOP:, newcomer, 0])
    assert 0.3 < said[:, newcomer, 0].mean() / happened < 3.0


def test_an_input_that_is_missing_at_an_origin_is_masked(
    history: History, fitted: FittedRegimeNetwork
) -> None:
    values = history.features.values.copy()
    lost = history.features.names.index("log_variance_week")
    values[850, :, lost] = np.nan
    holed = replace(history, features=replace(history.features, values=values))
    origins = slice(845, 860)
    whole, said = (fitted.forecast(h, origins=origins).variance for h in (history, holed))
    np.testing.assert_array_equal(np.isfinite(whole), np.isfinite(said))
    moved = (whole != said) & np.isfinite(whole)
    assert moved[5].any()
    assert not moved[[0, 1, 2, 3, 4, 6, 7]].any()


def test_a_warm_start_goes_on_from_the_weights_of_the_earlier_fit(
    tiny: RegimeNetwork, history: History, fitted: FittedRegimeNetwork
) -> None:
    still = replace(tiny, plan=replace(tiny.plan, warm_epochs=0, head_epochs=0))
    first = still.fit(history.upto(STOP), rng=rng())
    moved = {name: weight + 0.01 for name, weight in first.weights.items()}
    start = replace(first, weights=moved)
    later = still.refit(history.upto(860), previous=start, rng=rng())
    for name in ("first_weight", "second_bias", "correction_weight"):
        np.testing.assert_allclose(later.weights[name], moved[name], rtol=1e-6)
    # The skip is fitted afresh on everything known by then.
    assert later.skip.fits[0].intercept != first.skip.fits[0].intercept
    warm = tiny.refit(history.upto(860), previous=fitted, rng=rng())
    cold = tiny.fit(history.upto(860), rng=rng())
    origins = slice(860, 900)
    ratio = warm.forecast(history, origins=origins).variance / (
        cold.forecast(history, origins=origins).variance
    )
    assert np.nanmax(np.abs(np.log(ratio))) < 0.5


def test_a_warm_start_with_another_plan_begins_from_nothing(
    tiny: RegimeNetwork, history: History, fitted: FittedRegimeNetwork
) -> None:
    other = replace(tiny, plan=replace(tiny.plan, n_hidden=5, max_epochs=1, head_epochs=0))
    warm = other.refit(history.upto(STOP), previous=fitted, rng=rng())
    cold = other.fit(history.upto(STOP), rng=rng())
    # GARCH, which is an input, starts from its earlier estimate: the same up to rounding.
    np.testing.assert_allclose(
        warm.weights["first_weight"], cold.weights["first_weight"], rtol=1e-4, atol=1e-6
    )


def test_a_warm_start_from_another_model_is_refused(tiny: RegimeNetwork, history: History) -> None:
    garch = Garch().fit(history.upto(400), rng=rng())
    with pytest.raises(InputError, match=r"needs an earlier fit of regime-network.*FittedGarch"):
        tiny.refit(history.upto(STOP), previous=garch, rng=rng())


def test_periods_shorter_than_a_day_leave_out_the_features_of_the_market(
    make_panel: MakePanel,
) -> None:
    network = RegimeNetwork(plan=TrainingPlan())
    daily, hourly = make_panel(n_periods=60), make_panel(n_periods=60, period="1h")
    assert set(network.features_of(daily)) - set(network.features_of(hourly)) == {"state"}
