"""Calibration of probabilities: what each map is, what it recovers, and what it never sees."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from foremargin.calibrate import (
    Calibration,
    fit_calibration,
    with_calibrated_probabilities,
)
from foremargin.errors import InputError, NotEnoughHistoryError, ShapeError
from foremargin.features import History, build_history
from foremargin.markets import Panel
from foremargin.models import Forecast

Array = NDArray[np.float64]

FIRST = 50
by_method = pytest.mark.parametrize("method", list(Calibration), ids=str)


def said_and_seen(n: int, *, seed: int = 1, slope: float = 1.0, shift: float = 0.0) -> list[Array]:
    """Draw forecasts, and events that happen at log odds of `shift` + `slope` times theirs."""
    rng = np.random.default_rng(seed)
    said = expit(1.5 * rng.normal(size=n) - 1.5)
    seen = (rng.uniform(size=n) < expit(shift + slope * logit(said))).astype(float)
    return [said, seen]


@by_method
def test_an_overconfident_forecast_is_brought_to_the_frequencies_it_has(
    method: Calibration,
) -> None:
    said, seen = said_and_seen(20_000, slope=0.5, shift=-0.8)
    learnt = fit_calibration(said, seen, method=method)
    at = np.array([0.03, 0.1, 0.3, 0.6])
    truth = expit(-0.8 + 0.5 * logit(at))
    # A tenth of 20,000 draws has a standard error below 0.01; steps are wider than the families.
    np.testing.assert_allclose(learnt.apply(at), truth, atol=0.03)
    assert abs(learnt.apply(said).mean() - seen.mean()) < 0.005


@by_method
def test_a_map_never_falls_and_never_reaches_certainty(method: Calibration) -> None:
    said, seen = said_and_seen(400, slope=-0.5)  # larger where it happened less: no use at all
    calibrated = fit_calibration(said, seen, method=method).apply(np.linspace(0.0, 1.0, 501))
    assert (np.diff(calibrated) >= 0.0).all()
    assert ((calibrated > 0.0) & (calibrated < 1.0)).all()
    assert np.ptp(calibrated) < 0.35  # as flat as an increasing map can be, but for its prior


@pytest.mark.parametrize("method", [Calibration.BETA, Calibration.PLATT], ids=str)
def test_the_smooth_maps_minimise_the_penalised_log_loss(method: Calibration) -> None:
    said, seen = said_and_seen(900, slope=1.4, shift=0.3)
    columns = [np.ones(900), np.log(said), -np.log(1 - said)]
    if method is Calibration.PLATT:
        columns = [np.ones(900), logit(said)]
    x, identity = np.column_stack(columns), np.array([0.0, *np.ones(len(columns) - 1)])

    def objective(b: Array) -> float:
        score = x @ b
        loss = np.logaddexp(0.0, score) - seen * score
        return float(loss.sum() / 5 + 5.0 * ((b - identity) ** 2).sum())  # horizon 5, prior 10 / 2

    found = minimize(objective, identity, bounds=[(None, None)] + [(0, None)] * (len(columns) - 1))
    got = fit_calibration(said, seen, horizon=5, method=method).apply(said)
    # The map is kept at 400 points, linear in log odds between them.
    np.testing.assert_allclose(got, expit(x @ found.x), atol=1e-3)


def test_isotonic_calibration_merges_neighbours_that_are_out_of_order() -> None:
    said = np.repeat([0.1, 0.3, 0.5, 0.7], 100)
    seen = np.concatenate([np.arange(100) < k for k in (20, 60, 40, 90)]).astype(float)
    learnt = fit_calibration(said, seen, method=Calibration.ISOTONIC)
    got = learnt.apply(np.array([0.1, 0.3, 0.5, 0.7]))
    np.testing.assert_allclose(got, [0.2, 0.5, 0.5, 0.9])


def test_what_has_never_happened_is_not_called_impossible() -> None:
    said = np.repeat([0.1, 0.5, 0.9], 100)
    seen = np.repeat([0.0, 0.0, 1.0], 100)
    seen[150:] = np.arange(150) < 50
    learnt = fit_calibration(said, seen, horizon=1, method=Calibration.ISOTONIC)
    assert learnt.apply(np.array([0.1]))[0] == pytest.approx(1.0 / 302.0)  # one in n + 2


def test_a_calibrated_forecast_is_left_nearly_alone() -> None:
    said, seen = said_and_seen(20_000)
    moved = fit_calibration(said, seen).apply(said) - said
    assert np.abs(moved).max() < 0.03


def test_overlapping_outcomes_move_a_forecast_less() -> None:
    said, seen = said_and_seen(2_000, slope=0.5)
    near, far = (
        np.abs(fit_calibration(said, seen, horizon=horizon).apply(said) - said).mean()
        for horizon in (10, 1)
    )
    assert 0.0 < near < far


@by_method
def test_too_few_events_are_an_error_that_says_what_to_do(method: Calibration) -> None:
    said, seen = said_and_seen(1_000)
    seen[np.flatnonzero(seen)[29:]] = 0.0
    with pytest.raises(NotEnoughHistoryError, match=r"found 29 and 971; keep the probabilities"):
        fit_calibration(said, seen, method=method)


def test_bad_input_is_named() -> None:
    said, seen = said_and_seen(1_000)
    with pytest.raises(ShapeError, match="equally long"):
        fit_calibration(said, seen[1:])
    with pytest.raises(InputError, match=r"in \[0, 1\] everywhere"):
        fit_calibration(np.where(said > 0.5, np.nan, said), seen)
    with pytest.raises(InputError, match=r"0\.0 or 1\.0 everywhere"):
        fit_calibration(said, said)
    with pytest.raises(InputError, match="horizon must be at least 1"):
        fit_calibration(said, seen, horizon=0)


@pytest.fixture(scope="module")
def history(make_panel: Callable[..., Panel]) -> History:
    return build_history(make_panel(n_periods=1_200), horizons=(1, 3))


def overconfident(history: History) -> Forecast:
    """Make a forecast that knows a little of what comes, and says it three times too loud."""
    rng = np.random.default_rng(4)
    shape = history.targets.stress[FIRST:].shape
    hint = 0.5 * np.nan_to_num(history.targets.stress[FIRST:]) + rng.normal(size=shape)
    said = np.where(history.panel.present[FIRST:, :, None], expit(3.0 * hint - 2.0), np.nan)
    return Forecast(
        model="m",
        origin=history.panel.time[FIRST:],
        instruments=history.panel.instruments,
        horizons=history.horizons,
        variance=np.where(np.isfinite(said), 1e-4, np.nan),
        stress_probability=said,
    )


def known(array: Array | None) -> Array:
    assert array is not None
    return array


def test_probabilities_stay_as_they_are_until_thirty_events_are_known(history: History) -> None:
    forecast = overconfident(history)
    calibrated = with_calibrated_probabilities(forecast, history, first_row=FIRST)
    before, after = known(forecast.stress_probability), known(calibrated.stress_probability)
    assert calibrated.liquidity_stress_probability is None
    np.testing.assert_array_equal(calibrated.variance, forecast.variance)
    changed = np.flatnonzero((np.nan_to_num(before) != np.nan_to_num(after))[..., 0].any(axis=1))
    first = FIRST + changed[0]
    outcome = history.targets.stress[FIRST:first, :, 0]
    done = history.targets.known_at[FIRST:first, :, 0] <= first
    assert 30 <= np.nansum(outcome[done]) < 60  # a month brings less than thirty more
    assert changed[0] % 28 == 0  # months are counted from the first origin
    np.testing.assert_array_equal(np.isfinite(after), np.isfinite(before))


@by_method
def test_what_is_said_too_loud_is_said_with_less_loss(
    history: History, method: Calibration
) -> None:
    forecast = overconfident(history)
    calibrated = with_calibrated_probabilities(forecast, history, first_row=FIRST, method=method)
    outcome = history.targets.stress[FIRST:]
    late = np.isfinite(outcome) & (np.arange(len(outcome)) > 500)[:, None, None]
    before, after = (
        np.mean((known(f.stress_probability)[late] - outcome[late]) ** 2)
        for f in (forecast, calibrated)
    )
    assert after < 0.9 * before


def test_regimes_follow_the_calibrated_probability_of_stress(history: History) -> None:
    forecast = overconfident(history)
    said = known(forecast.stress_probability)
    regimes = np.stack([0.75 * (1.0 - said), 0.25 * (1.0 - said), said], axis=-1)
    calibrated = with_calibrated_probabilities(
        replace(forecast, regime_probability=regimes), history, first_row=FIRST
    )
    now, stress = known(calibrated.regime_probability), known(calibrated.stress_probability)
    assert (np.nan_to_num(stress) != np.nan_to_num(said)).any()
    np.testing.assert_array_equal(now[..., 2], stress)
    np.testing.assert_allclose(now[..., 0], 0.75 * (1.0 - stress), rtol=1e-12)


@by_method
def test_calibration_ignores_the_future_and_sees_it_once_it_is_known(
    history: History, method: Calibration
) -> None:
    forecast, at = overconfident(history), 800
    stress, later = history.targets.stress, history.targets.known_at > at
    flipped = replace(history.targets, stress=np.where(later, 1.0 - stress, stress))
    was, now = (
        known(
            with_calibrated_probabilities(
                forecast, replace(history, targets=targets), first_row=FIRST, method=method
            ).stress_probability
        )
        for targets in (history.targets, flipped)
    )
    upto = at + 1 - FIRST
    np.testing.assert_array_equal(now[:upto], was[:upto])
    after = slice(upto + 28, None)
    both = np.isfinite(now[after])
    assert (now[after][both] != was[after][both]).mean() > 0.5
