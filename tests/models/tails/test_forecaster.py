"""Forecasts of the tail recursions: coverage, horizons, shortfalls, variances."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.features import History, build_history
from foremargin.markets import Missing, Panel
from foremargin.models import TAIL_PROBABILITIES, Forecast, TailLaw, TailRecursion
from foremargin.models.tails.multiples import take_multiples

Array = NDArray[np.float64]
MakePanel = Callable[..., Panel]

HORIZONS = (1, 5)
N, STOP = 5_000, 2_500
by_law = pytest.mark.parametrize("law", list(TailLaw), ids=str)


def rng() -> np.random.Generator:
    return np.random.default_rng(6)


def given(array: Array | None) -> Array:
    assert array is not None
    return array


@pytest.fixture(scope="module")
def history(make_panel: MakePanel) -> History:
    """One instrument whose volatility follows its absolute returns, more after falls."""
    panel = make_panel(n_periods=N, seed=9).select(["CLOSE"])
    noise = rng().standard_t(6, size=N) * np.sqrt(4 / 6)
    sigma, log_return = 0.01, np.empty(N)
    for t in range(N):
        log_return[t] = sigma * noise[t]
        sigma = 0.0004 + 0.88 * sigma + (0.14 if noise[t] < 0 else 0.06) * abs(log_return[t])
    close = 100.0 * np.exp(np.cumsum(log_return))
    log_return[0] = np.nan
    simulated = replace(
        panel,
        close=close[:, None],
        log_return=log_return[:, None],
        missing=np.full((N, 1), Missing.PRESENT, dtype=np.int8),
        fields={},
    )
    return build_history(simulated, horizons=HORIZONS)


@pytest.fixture(scope="module")
def forecast_of(history: History) -> Callable[[TailLaw], Forecast]:
    """Forecast the second half by a fit on the first, once per law."""
    made: dict[TailLaw, Forecast] = {}

    def forecast(law: TailLaw) -> Forecast:
        if law not in made:
            fitted = TailRecursion(law=law).fit(history.upto(STOP), rng=rng())
            assert fitted.notes == ()
            made[law] = fitted.forecast(history, origins=slice(STOP, N))
        return made[law]

    return forecast


@by_law
@pytest.mark.parametrize("side", ["lower", "upper"])
def test_what_is_forecast_is_exceeded_as_often_as_it_says(
    law: TailLaw, side: str, history: History, forecast_of: Callable[[TailLaw], Forecast]
) -> None:
    value_at_risk = given(getattr(forecast_of(law), f"value_at_risk_{side}"))
    loss = (-1.0 if side == "lower" else 1.0) * history.targets.log_return[STOP:]
    for k, horizon in enumerate(HORIZONS):
        known = np.isfinite(loss[:, 0, k])
        rate = (loss[known, 0, k, None] > value_at_risk[known, 0, k]).mean(axis=0)
        # Three binomial deviations of the origins and of the fit, which are as many; breaches of
        # overlapping horizons count once.
        tails = np.array(TAIL_PROBABILITIES)
        allowed = 3.0 * np.sqrt(2.0 * tails * horizon / known.sum())
        assert (np.abs(rate - tails) < allowed).all()


@by_law
def test_tails_do_not_cross_and_shortfalls_lie_beyond(
    law: TailLaw, forecast_of: Callable[[TailLaw], Forecast]
) -> None:
    forecast = forecast_of(law)
    for side in ("lower", "upper"):
        value_at_risk = given(getattr(forecast, f"value_at_risk_{side}"))
        shortfall = given(getattr(forecast, f"expected_shortfall_{side}"))
        assert (np.diff(value_at_risk, axis=-1) <= 0.0).all()
        assert (np.diff(shortfall, axis=-1) <= 0.0).all()
        assert (shortfall > value_at_risk).all()
        assert (value_at_risk[:, :, 1] > value_at_risk[:, :, 0]).all()


@by_law
def test_the_variance_is_right_on_average_and_moves_with_the_truth(
    law: TailLaw, history: History, forecast_of: Callable[[TailLaw], Forecast]
) -> None:
    variance = forecast_of(law).variance[:, 0]
    realized = history.targets.variance[STOP:, 0]
    known = np.isfinite(realized).all(axis=1)
    ratio = (realized[known] / variance[known]).mean(axis=0)
    np.testing.assert_allclose(ratio, 1.0, atol=0.25)
    # Squared returns are noisy: a correlation of logs with five of them is never near one.
    logs = np.log(np.stack([variance[known, 1], realized[known, 1]]))
    assert np.corrcoef(logs)[0, 1] > 0.15


def test_a_fall_lifts_the_lower_tail_of_the_asymmetric_law_more_than_a_rise(
    history: History,
) -> None:
    spec = TailRecursion(law=TailLaw.ASYMMETRIC)
    fitted = spec.fit(history.upto(STOP), rng=rng())
    lower = []
    for sign in (-1.0, 1.0):
        log_return = history.panel.log_return.copy()
        log_return[STOP] = sign * 0.06
        moved = replace(history, panel=replace(history.panel, log_return=log_return))
        forecast = fitted.forecast(moved, origins=slice(STOP, STOP + 1))
        lower.append(given(forecast.value_at_risk_lower)[0, 0, 0, 2])
    assert lower[0] > 1.2 * lower[1]


def test_an_instrument_with_too_few_returns_has_no_forecast(history: History) -> None:
    for law in TailLaw:
        fitted = TailRecursion(law=law).fit(history.upto(250), rng=rng())
        forecast = fitted.forecast(history, origins=slice(250, 300))
        assert np.isnan(forecast.variance).all()
        assert np.isnan(given(forecast.value_at_risk_lower)).all()


def test_multiples_are_those_of_the_window() -> None:
    path = np.tile([[3.0, 2.0, 1.0]], (2_000, 2, 1))
    log_return = np.random.default_rng(7).normal(size=(2_000, 2)) * [1.0, 2.0]
    log_return[-3:] = np.nan  # not known yet
    multiples = take_multiples(
        path, log_return, log_return**2, horizons=(1, 4), shortfall=np.full((2, 3), 1.25)
    )
    np.testing.assert_array_equal(multiples.value_at_risk[0], 1.0)
    np.testing.assert_array_equal(multiples.shortfall[0], 1.25)
    known = log_return[:-3, 1]
    for s, sign in enumerate((-1.0, 1.0)):
        quantile = np.quantile(sign * known, 0.975)
        np.testing.assert_allclose(multiples.value_at_risk[1, s, 1], quantile / 2.0)
        beyond = (sign * known)[sign * known > quantile].mean()
        np.testing.assert_allclose(multiples.shortfall[1, s, 1], beyond / quantile)
    np.testing.assert_allclose(multiples.variance[1], np.mean(known**2) / 4.0)


def test_without_losses_beyond_a_quantile_the_shortfall_is_a_usual_one() -> None:
    path = np.tile([[9.0, 8.0, 7.0]], (300, 2, 1))
    calm = np.random.default_rng(8).normal(size=(300, 1))
    multiples = take_multiples(path, calm, calm**2, horizons=(1,), shortfall=None)
    assert ((multiples.shortfall > 1.3) & (multiples.shortfall < 1.5)).all()
