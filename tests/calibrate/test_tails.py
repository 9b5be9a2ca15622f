"""Tails, stress probabilities and regimes that are read from a forecast's own past."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from foremargin.calibrate import Regime, market_regime, with_stress_probability, with_tails
from foremargin.calibrate.pareto import pareto_tail
from foremargin.features import History, build_history
from foremargin.markets import Panel
from foremargin.models import TAIL_PROBABILITIES, Forecast

Array = NDArray[np.float64]
MakePanel = Callable[..., Panel]

FIRST = 50


def forecast_of(history: History, variance: Array, *, first: int = FIRST) -> Forecast:
    """Make a forecast from row `first` on; `variance` has shape (n_periods, N, H)."""
    return Forecast(
        model="m",
        origin=history.panel.time[first:],
        instruments=history.panel.instruments,
        horizons=history.horizons,
        variance=variance[first:],
    )


def given_array(array: Array | None) -> Array:
    assert array is not None
    return array


def past_average(history: History) -> Array:
    """Forecast by the average of the last sixty variances on the panel's axis."""
    own = pd.DataFrame(history.features.variance)
    usual = own.rolling(60, min_periods=5).mean().to_numpy()
    usual = np.where(history.panel.present, usual, np.nan)
    return np.asarray(usual[..., None] * np.array(history.horizons, dtype=float))


@pytest.fixture(scope="module")
def history(make_panel: MakePanel) -> History:
    return build_history(make_panel(n_periods=900), horizons=(1, 5))


@pytest.fixture(scope="module")
def filled(history: History) -> Forecast:
    return with_tails(forecast_of(history, past_average(history)), history, first_row=FIRST)


@pytest.mark.parametrize("side", ["lower", "upper"])
def test_tails_are_ordered_and_there_after_250_errors(
    filled: Forecast, history: History, side: str
) -> None:
    value_at_risk = given_array(getattr(filled, f"value_at_risk_{side}"))
    shortfall = given_array(getattr(filled, f"expected_shortfall_{side}"))
    for i in range(4):
        for k, horizon in enumerate(history.horizons):
            present = np.flatnonzero(history.panel.present[FIRST:, i])
            known = np.isfinite(value_at_risk[present, i, k]).all(axis=1)
            forecast = np.isfinite(filled.variance[present, i, k])
            assert known.argmax() == forecast.argmax() + 249 + horizon
            assert known[known.argmax() :].all()
    known = np.isfinite(value_at_risk).all(axis=-1)
    assert (value_at_risk[known] > 0.0).all()
    assert (shortfall[known] >= value_at_risk[known]).all()
    assert (np.diff(value_at_risk[known], axis=-1) <= 0.0).all()
    assert (np.diff(shortfall[known], axis=-1) <= 0.0).all()


def with_own_tails(forecast: Forecast, *, factor: float) -> Forecast:
    """Give a forecast tails of its own that are wrong by a factor, shortfalls 1.3 times them."""
    multiple = factor * np.array([2.6, 2.0, 1.5])
    value_at_risk = forecast.sigma_horizon()[..., None] * multiple
    return replace(
        forecast,
        value_at_risk_lower=value_at_risk,
        expected_shortfall_lower=1.3 * value_at_risk,
        value_at_risk_upper=value_at_risk,
        expected_shortfall_upper=1.3 * value_at_risk,
    )


def test_tails_of_a_models_own_are_corrected_by_their_past_scores_and_keep_their_shortfall(
    history: History,
) -> None:
    forecast = forecast_of(history, past_average(history))
    own = with_own_tails(forecast, factor=1.0)
    got = with_tails(own, history, first_row=FIRST)
    at, k, horizon, p = 400, 1, 5, 1
    scale = given_array(own.value_at_risk_lower)[:, 0, k, p]
    score = (-history.targets.log_return[FIRST:, 0, k] / scale)[: at - horizon + 1]
    kept = np.sort(score[np.isfinite(score)])
    quantile, _ = pareto_tail(kept, kept, 0.025)
    value_at_risk = given_array(got.value_at_risk_lower)[at, 0, k, p]
    np.testing.assert_allclose(value_at_risk, quantile * scale[at])
    shortfall = given_array(got.expected_shortfall_lower)[at, 0, k, p]
    np.testing.assert_allclose(shortfall, 1.3 * value_at_risk)


def test_tails_that_are_wrong_by_a_constant_factor_are_made_right(history: History) -> None:
    forecast = forecast_of(history, past_average(history))
    right = with_tails(with_own_tails(forecast, factor=1.0), history, first_row=FIRST)
    wrong = with_tails(with_own_tails(forecast, factor=4.0), history, first_row=FIRST)
    plain = with_tails(forecast, history, first_row=FIRST)
    for side in ("lower", "upper"):
        for name in (f"value_at_risk_{side}", f"expected_shortfall_{side}"):
            np.testing.assert_allclose(getattr(wrong, name), getattr(right, name), rtol=1e-10)
        # Own tails at one multiple of sigma say no more than sigma does.
        np.testing.assert_allclose(
            getattr(right, f"value_at_risk_{side}"),
            getattr(plain, f"value_at_risk_{side}"),
            rtol=1e-10,
        )


def test_a_price_that_hardly_ever_moves_has_tails_without_a_warning(
    make_panel: MakePanel,
) -> None:
    base = make_panel(n_periods=600)
    still = np.where(np.arange(600)[:, None] % 50 == 0, base.log_return, 0.0)
    pegged = replace(base, log_return=np.where(np.isfinite(base.log_return), still, np.nan))
    history = build_history(pegged, horizons=(1,))
    constant = np.full((*base.close.shape, 1), 1e-4)
    forecast = with_tails(forecast_of(history, constant), history, first_row=FIRST)
    at_risk = given_array(forecast.value_at_risk_lower)[..., 2]
    shortfall = given_array(forecast.expected_shortfall_lower)[..., 2]
    assert (at_risk[np.isfinite(at_risk)] == 0.0).any()
    np.testing.assert_array_equal(np.isfinite(shortfall), np.isfinite(at_risk))
    assert (shortfall >= at_risk)[np.isfinite(at_risk)].all()


def test_a_tail_is_that_of_past_scores_times_the_forecast(
    filled: Forecast, history: History
) -> None:
    at, k, horizon = 400, 1, 5
    sigma = filled.sigma_horizon()[:, 0, k]
    score = -history.targets.log_return[FIRST:, 0, k] / sigma
    kept = np.sort(score[: at - horizon + 1][np.isfinite(score[: at - horizon + 1])])
    quantile, beyond = pareto_tail(kept, kept, 0.025)
    got = given_array(filled.value_at_risk_lower)[at, 0, k, TAIL_PROBABILITIES.index(0.025)]
    np.testing.assert_allclose(got, quantile * sigma[at])
    shortfall = given_array(filled.expected_shortfall_lower)[at, 0, k, 1]
    np.testing.assert_allclose(shortfall, beyond * sigma[at])


def test_tails_ignore_the_future(
    filled: Forecast, history: History, shock_after: Callable[..., Panel]
) -> None:
    shock = 700
    other = build_history(shock_after(history.panel, shock), horizons=(1, 5))
    moved = with_tails(forecast_of(other, past_average(other)), other, first_row=FIRST)
    stressed = with_stress_probability(moved, other, first_row=FIRST)
    base = with_stress_probability(filled, history, first_row=FIRST)
    upto = shock + 1 - FIRST
    for name in ("value_at_risk_lower", "expected_shortfall_upper", "stress_probability"):
        was, now = given_array(getattr(base, name)), given_array(getattr(stressed, name))
        assert np.isfinite(was[upto - 1]).any()
        np.testing.assert_array_equal(now[:upto], was[:upto])
        both = np.isfinite(now[upto + 20 :]) & np.isfinite(was[upto + 20 :])
        assert (now[upto + 20 :][both] != was[upto + 20 :][both]).mean() > 0.5


def test_tails_of_a_correct_forecast_are_hit_as_often_as_they_say(make_panel: MakePanel) -> None:
    panel = make_panel(n_periods=5_000, clustered=False)
    history = build_history(panel, horizons=(1,))
    constant = np.full((*panel.close.shape, 1), 4e-4)
    forecast = with_tails(forecast_of(history, constant), history, first_row=FIRST)
    log_return = history.targets.log_return[FIRST:]
    for sign, side in ((-1.0, "lower"), (1.0, "upper")):
        value_at_risk = given_array(getattr(forecast, f"value_at_risk_{side}"))
        for k, tail in enumerate(TAIL_PROBABILITIES):
            known = np.isfinite(value_at_risk[..., k]) & np.isfinite(log_return)
            hits = (sign * log_return > value_at_risk[..., k])[known]
            # Independent scores: binomial, widened for the quantile that is itself an estimate
            # of about as many scores as it is judged on; four deviations.
            assert abs(hits.mean() - tail) < 4.0 * np.sqrt(2 * tail * (1 - tail) / len(hits))


def test_regimes_rank_the_last_week_within_the_past(history: History) -> None:
    regime = market_regime(history)
    week = history.features.column("log_variance_week")
    for i in (0, 1):
        rows = np.flatnonzero(np.isfinite(week[:, i]))
        assert (regime[rows[:99], i] == Regime.UNKNOWN.value).all()
        for at in range(99, len(rows), 37):
            past = week[rows[: at + 1], i]
            elevated, stressed = np.quantile(past, [0.8, 0.95])
            now = past[-1]
            wanted = Regime.STRESSED if now > stressed else Regime.CALM
            if elevated < now <= stressed:
                wanted = Regime.ELEVATED
            assert regime[rows[at], i] == wanted.value
    assert set(np.unique(regime)) == {r.value for r in Regime}
    assert (regime[~history.panel.present] == Regime.UNKNOWN.value).all()


@pytest.mark.parametrize("stop", [120, 500, 899])
def test_a_regime_is_the_same_when_everything_after_it_is_deleted(
    history: History, stop: int
) -> None:
    np.testing.assert_array_equal(market_regime(history.upto(stop)), market_regime(history)[:stop])


def test_tails_that_are_corrected_one_by_one_still_do_not_cross(history: History) -> None:
    forecast = forecast_of(history, past_average(history))
    own = with_own_tails(forecast, factor=1.0)
    rng = np.random.default_rng(19)
    unruly = np.exp(0.5 * rng.normal(size=given_array(own.value_at_risk_lower).shape))
    scaled = replace(
        own,
        value_at_risk_lower=given_array(own.value_at_risk_lower) * unruly,
        expected_shortfall_lower=given_array(own.expected_shortfall_lower) * unruly,
    )
    got = with_tails(scaled, history, first_row=FIRST)
    value_at_risk = given_array(got.value_at_risk_lower)
    shortfall = given_array(got.expected_shortfall_lower)
    known = np.isfinite(value_at_risk).all(axis=-1)
    assert known.any()
    for tails in (value_at_risk[known], shortfall[known]):
        assert (np.diff(tails, axis=-1) <= 0.0).all()
    assert (shortfall[known] >= value_at_risk[known]).all()
