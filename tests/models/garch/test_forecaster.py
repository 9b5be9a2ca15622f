"""GARCH against published values, a likelihood written by hand, `arch`, and simulation."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from arch.univariate import EGARCH, GARCH, ConstantMean, Normal, StudentsT
from numpy.typing import NDArray
from scipy.special import gammaln

from foremargin.errors import ConvergenceError, InputError, NotEnoughHistoryError
from foremargin.features import build_history
from foremargin.markets import Panel
from foremargin.models import (
    Distribution,
    Garch,
    GarchFit,
    StartVariance,
    Volatility,
    WarmForecaster,
    fit_garch,
)
from foremargin.models.garch import FitStatus, GarchModel, Mean, running, single
from foremargin.models.garch.reference import fit_with_arch
from foremargin.models.garch.running import Estimates

Array = NDArray[np.float64]
MakePanel = Callable[..., Panel]

by_volatility = pytest.mark.parametrize("volatility", list(Volatility), ids=str)


@pytest.fixture(scope="module")
def log_return() -> Array:
    """Simulate 1,500 returns of a GJR process with t errors, about 2 % a period."""
    rng = np.random.default_rng(31)
    z = rng.standard_t(7, size=1_500) * np.sqrt(5 / 7)
    variance, out = 1.0, np.empty(1_500)
    for t in range(1_500):
        out[t] = np.sqrt(variance) * z[t]
        variance = 0.04 + (0.06 + 0.08 * (z[t] < 0)) * out[t] ** 2 + 0.85 * variance
    return 0.02 * out + 0.0003


def filtered_by_hand(fit: GarchFit, log_return: Array) -> Array:
    """Filter the variance of each return, decimal squared, in the words of the textbooks."""
    e = (log_return - fit.mu) / fit.scale
    h = np.empty(len(e))
    for t in range(len(e)):
        if fit.volatility is Volatility.EGARCH:
            # ln h[t] = omega + alpha (|z| - sqrt(2/pi)) + gamma z + beta ln h[t-1]; no news at 0
            news = 0.0
            last = fit.start
            if t > 0:
                z, last = e[t - 1] / np.sqrt(h[t - 1]), np.log(h[t - 1])
                news = fit.alpha * (abs(z) - np.sqrt(2 / np.pi)) + fit.gamma * z
            h[t] = np.exp(fit.omega + news + fit.beta * last)
        elif t == 0:
            # before the data, squared residual and variance are both the start; half are falls
            h[t] = fit.omega + (fit.alpha + fit.gamma / 2 + fit.beta) * fit.start
        else:
            shock = (fit.alpha + fit.gamma * (e[t - 1] < 0)) * e[t - 1] ** 2
            h[t] = fit.omega + shock + fit.beta * h[t - 1]
    return h * fit.scale**2


@by_volatility
@pytest.mark.parametrize("start", list(StartVariance), ids=str)
@pytest.mark.parametrize("law", [Distribution.NORMAL, Distribution.T], ids=str)
def test_the_log_likelihood_is_that_of_a_likelihood_written_by_hand(
    log_return: Array, volatility: Volatility, start: StartVariance, law: Distribution
) -> None:
    fit = fit_garch(log_return, volatility=volatility, distribution=law, start_variance=start)
    h = filtered_by_hand(fit, log_return)
    e = log_return - fit.mu
    if law is Distribution.NORMAL:
        each = -0.5 * (np.log(2 * np.pi) + np.log(h) + e**2 / h)
    else:
        # Student t of variance one (Bollerslev 1987)
        nu = fit.parameters["nu"]
        constant = gammaln((nu + 1) / 2) - gammaln(nu / 2) - 0.5 * np.log(np.pi * (nu - 2))
        each = constant - 0.5 * np.log(h) - (nu + 1) / 2 * np.log1p(e**2 / (h * (nu - 2)))
    np.testing.assert_allclose(fit.log_likelihood, each.sum(), rtol=1e-10)


@by_volatility
def test_the_filter_agrees_with_one_written_by_hand(
    log_return: Array, volatility: Volatility
) -> None:
    fit = fit_garch(log_return[:1_000], volatility=volatility)
    ours = fit.next_variance(log_return, horizons=(1,))[:, 0]
    np.testing.assert_allclose(ours[:-1], filtered_by_hand(fit, log_return)[1:], rtol=1e-10)


def forecast_by_arch(
    log_return: Array, fit: GarchFit, process: GARCH | EGARCH, law: Distribution, horizon: int = 10
) -> Array:
    """Let `arch` fit and forecast by itself, decimal squared per period, (n, horizon)."""
    errors = Normal() if law is Distribution.NORMAL else StudentsT()
    scaled = log_return / fit.scale
    model = ConstantMean(scaled, volatility=process, distribution=errors, rescale=False)
    result = model.fit(disp="off", show_warning=False)
    # Its solver stops within about 1e-4 of a standard error of the solution.
    np.testing.assert_allclose(list(fit.parameters.values()), result.params, rtol=2e-3, atol=2e-4)
    ours = model.fix(list(fit.parameters.values()))
    table = ours.forecast(horizon=horizon, start=0).variance
    return np.asarray(table.to_numpy(dtype=float) * fit.scale**2)


def assert_same_after_the_start(ours: Array, theirs: Array) -> None:
    # `arch` estimates with the start at the sample mean (so do we) and forecasts with another at
    # the given mean. They differ by a few percent, which dies out with the persistence.
    np.testing.assert_allclose(ours, theirs, rtol=0.05)
    np.testing.assert_allclose(ours[400:], theirs[400:], rtol=1e-8)


@pytest.mark.parametrize("volatility", [Volatility.GARCH, Volatility.GJR], ids=str)
@pytest.mark.parametrize("law", [Distribution.NORMAL, Distribution.T], ids=str)
def test_variance_over_a_horizon_agrees_with_arch(
    log_return: Array, volatility: Volatility, law: Distribution
) -> None:
    fit = fit_garch(log_return, volatility=volatility, distribution=law)
    # `arch` takes half of the shocks as falls; ours measures the share on the residuals.
    symmetric = replace(fit, down_moment=0.5)
    ours = symmetric.next_variance(log_return, horizons=(1, 5, 10))
    per_period = forecast_by_arch(log_return, fit, GARCH(p=1, o=int(volatility == "gjr"), q=1), law)
    theirs = np.stack([per_period[:, :h].sum(1) for h in (1, 5, 10)], axis=-1)
    assert_same_after_the_start(ours, theirs)


@pytest.mark.parametrize("law", [Distribution.NORMAL, Distribution.T], ids=str)
def test_egarch_one_period_ahead_agrees_with_arch(log_return: Array, law: Distribution) -> None:
    fit = fit_garch(log_return, volatility=Volatility.EGARCH, distribution=law)
    ours = fit.next_variance(log_return, horizons=(1,))[:, 0]
    theirs = forecast_by_arch(log_return, fit, EGARCH(p=1, o=1, q=1), law, horizon=1)[:, 0]
    assert_same_after_the_start(ours, theirs)


@by_volatility
@pytest.mark.parametrize("law", [Distribution.NORMAL, Distribution.SKEW_T], ids=str)
def test_variance_over_a_horizon_agrees_with_a_bootstrap_of_the_residuals(
    log_return: Array, volatility: Volatility, law: Distribution
) -> None:
    fit = fit_garch(log_return, volatility=volatility, distribution=law)
    horizon, n_paths = 10, 40_000
    h_all = filtered_by_hand(fit, log_return) / fit.scale**2
    z_all = (log_return - fit.mu) / fit.scale / np.sqrt(h_all)
    if volatility is not Volatility.EGARCH:
        z_all = z_all / np.sqrt(np.mean(z_all**2))  # the expectation takes E[z²] = 1
    rng = np.random.default_rng(5)
    closed = fit.next_variance(log_return, horizons=(1, horizon))[-1] / fit.scale**2
    h = np.full(n_paths, closed[0])
    total = np.zeros(n_paths)
    for _ in range(horizon):
        total += h
        z = rng.choice(z_all, size=n_paths)
        if volatility is Volatility.EGARCH:
            news = fit.alpha * (np.abs(z) - np.sqrt(2 / np.pi)) + fit.gamma * z
            h = np.exp(fit.omega + news + fit.beta * np.log(h))
        else:
            h = fit.omega + ((fit.alpha + fit.gamma * (z < 0)) * z**2 + fit.beta) * h
    # Four standard errors: one false alarm in 16,000.
    assert abs(total.mean() - closed[1]) < 4.0 * total.std() / np.sqrt(n_paths)


@pytest.mark.parametrize("volatility", [Volatility.GARCH, Volatility.GJR], ids=str)
def test_variance_decays_to_its_long_run_level(log_return: Array, volatility: Volatility) -> None:
    fit = fit_garch(log_return, volatility=volatility)
    persistence = fit.alpha + fit.beta + fit.gamma * fit.down_moment
    horizons = tuple(range(1, 21))
    summed = fit.next_variance(log_return, horizons=horizons)[-1]
    # h(t+k) = long_run + persistence^(k-1) (h(t+1) - long_run)
    long_run = fit.omega / (1 - persistence) * fit.scale**2
    each = long_run + persistence ** np.arange(20) * (summed[0] - long_run)
    np.testing.assert_allclose(summed, np.cumsum(each), rtol=1e-10)


def test_simulated_parameters_are_recovered() -> None:
    rng = np.random.default_rng(9)
    omega, alpha, beta = 0.05, 0.1, 0.85
    n, variance = 20_000, 1.0
    log_return = np.empty(n)
    for t, z in enumerate(rng.normal(size=n)):
        log_return[t] = np.sqrt(variance) * z
        variance = omega + alpha * log_return[t] ** 2 + beta * variance
    fit = fit_garch(0.01 * log_return)
    # Asymptotic standard errors at this n are about 0.006, 0.006 and 0.009; four of them.
    assert abs(fit.omega * (fit.scale / 0.01) ** 2 - omega) < 0.024
    assert abs(fit.alpha - alpha) < 0.024
    assert abs(fit.beta - beta) < 0.036


@pytest.fixture(scope="module")
def mark_pound(market_data: Path) -> Array:
    table = pd.read_csv(market_data / "garch_benchmark" / "dem2gbp.csv")
    return table["return_pct"].to_numpy(dtype=float) / 100


@pytest.mark.parametrize(
    ("volatility", "law", "log_likelihood"),
    [
        (Volatility.GARCH, Distribution.NORMAL, -1104.521402),
        (Volatility.GJR, Distribution.NORMAL, -1104.058782),
        (Volatility.GARCH, Distribution.T, -987.944839),
        (Volatility.GARCH, Distribution.SKEW_T, -983.455003),
        (Volatility.GJR, Distribution.SKEW_T, -982.265187),
        (Volatility.EGARCH, Distribution.NORMAL, -1100.346896),
    ],
)
def test_the_likelihoods_of_arch_on_mark_and_pound_are_reproduced(
    mark_pound: Array, volatility: Volatility, law: Distribution, log_likelihood: float
) -> None:
    fit = fit_garch(mark_pound, volatility=volatility, distribution=law)
    in_percent = fit.log_likelihood - len(mark_pound) * np.log(100)
    # With t errors the persistence is one. It may pass that by 1e-5 here, which is worth 8e-4.
    at_bound = law is not Distribution.NORMAL
    np.testing.assert_allclose(in_percent, log_likelihood, atol=1e-3 if at_bound else 1e-5)


def test_too_few_returns_are_refused(log_return: Array) -> None:
    with pytest.raises(NotEnoughHistoryError, match="needs 250 returns, found 249"):
        fit_garch(log_return[:249])
    fit_garch(log_return[:250])


@pytest.mark.parametrize("value", [0.0, 0.003])
def test_returns_that_never_vary_are_refused(value: float) -> None:
    with pytest.raises(InputError, match="must vary, found 0 non-finite values among 1 different"):
        fit_garch(np.full(300, value))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_returns_that_are_not_finite_are_counted(log_return: Array, value: float) -> None:
    broken = log_return.copy()
    broken[[3, 30]] = value
    with pytest.raises(InputError, match="must be finite and must vary, found 2 non-finite"):
        fit_garch(broken)


def refuse_t(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let neither the compiled search nor `arch` find a solution with t errors."""
    original = running.fit_all

    def without_t(*args: Any, **options: Any) -> Estimates:
        found = original(*args, **options)
        if args[2].distribution is Distribution.T:
            found = replace(found, status=np.full_like(found.status, FitStatus.NOT_CONVERGED))
        return found

    def refuse(log_return: Array, model: GarchModel) -> Any:
        raise ConvergenceError(f"{model.volatility}-{model.distribution}: the optimiser stopped")

    monkeypatch.setattr(single, "fit_all", without_t)
    monkeypatch.setattr(single, "fit_with_arch", refuse)


def test_a_fit_that_does_not_converge_falls_back_to_normal_errors_and_says_so(
    make_panel: MakePanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_t(monkeypatch)
    history = build_history(make_panel(n_periods=500), horizons=(1,))
    rng = np.random.default_rng(0)
    fitted = Garch(distribution=Distribution.T).fit(history, rng=rng)
    normal = Garch(distribution=Distribution.NORMAL).fit(history, rng=rng)
    assert len(fitted.notes) == len(fitted.fits) > 0
    assert all("garch-t: the optimiser stopped" in note for note in fitted.notes)
    assert not normal.notes
    got = fitted.forecast(history, origins=slice(400, 500)).variance
    wanted = normal.forecast(history, origins=slice(400, 500)).variance
    np.testing.assert_array_equal(got, wanted)


def test_where_the_compiled_search_fails_arch_estimates(
    log_return: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = fit_garch(log_return, distribution=Distribution.T)
    original = running.fit_all

    def fail(*args: Any, **options: Any) -> Estimates:
        found = original(*args, **options)
        lost = np.full_like(found.theta, np.nan)
        return replace(found, theta=lost, status=np.full_like(found.status, 2))

    monkeypatch.setattr(single, "fit_all", fail)
    got = fit_garch(log_return, distribution=Distribution.T)
    assert got.log_likelihood != wanted.log_likelihood
    np.testing.assert_allclose(got.log_likelihood, wanted.log_likelihood, atol=1e-3)


def test_an_optimiser_that_fails_twice_is_an_error(
    log_return: Array, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = ConstantMean.fit

    def fail(self: ConstantMean, *args: Any, **options: Any) -> Any:
        result = original(self, *args, **options)
        result._optim_output["status"] = 9
        return result

    monkeypatch.setattr(ConstantMean, "fit", fail)
    model = GarchModel(
        volatility=Volatility.GARCH,
        distribution=Distribution.NORMAL,
        mean=Mean.CONSTANT,
        start_variance=StartVariance.EXPONENTIAL,
    )
    with pytest.raises(ConvergenceError, match="garch-normal: the optimiser stopped with flag 9"):
        fit_with_arch(log_return, model)


@by_volatility
def test_a_warm_fit_finds_what_a_cold_one_finds(
    make_panel: MakePanel, volatility: Volatility
) -> None:
    history = build_history(make_panel(n_periods=900), horizons=(1, 5))
    rng = np.random.default_rng(0)
    forecaster = Garch(volatility=volatility, distribution=Distribution.T)
    assert isinstance(forecaster, WarmForecaster)
    before = forecaster.fit(history.upto(700), rng=rng)
    cold = forecaster.fit(history.upto(800), rng=rng)
    warm = forecaster.refit(history.upto(800), previous=before, rng=rng)
    origins = slice(800, 900)
    np.testing.assert_allclose(
        warm.forecast(history, origins=origins).variance,
        cold.forecast(history, origins=origins).variance,
        rtol=1e-5,  # a search stops a millionth of a standard error from the solution
    )


def test_a_refit_starts_where_the_previous_fit_ended(
    make_panel: MakePanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = build_history(make_panel(n_periods=700), horizons=(1,))
    rng = np.random.default_rng(0)
    previous = Garch().fit(history.upto(600), rng=rng)
    starts: list[Array] = []
    original = running.fit_all

    def watch(*args: Any, **options: Any) -> Estimates:
        starts.append(options["start"])
        return original(*args, **options)

    monkeypatch.setattr(single, "fit_all", watch)
    Garch().refit(history, previous=previous, rng=rng)
    Garch(distribution=Distribution.T).refit(history, previous=previous, rng=rng)
    mus = [estimate.mu for estimate, _ in previous.fits.values()]
    np.testing.assert_allclose(starts[0][:, 0], mus)
    assert np.isnan(starts[1]).all()  # another model: nothing to start from


def test_a_fit_uses_its_window_and_no_more(make_panel: MakePanel) -> None:
    history = build_history(make_panel(n_periods=700), horizons=(1,))
    rng = np.random.default_rng(0)
    fitted = Garch(window=300).fit(history, rng=rng)
    estimate, first_row = fitted.fits["COIN"]
    assert first_row == 400
    wanted = fit_garch(history.panel.log_return[400:, 0])
    assert estimate.parameters == wanted.parameters


def test_the_share_of_variance_from_falls_is_measured_on_the_residuals() -> None:
    # Falls are rare and large: more than half of the variance, fewer than half of the periods.
    shock = np.random.default_rng(2).exponential(size=3_000)
    log_return = 0.01 * (1.0 - shock)
    fit = fit_garch(log_return, volatility=Volatility.GJR)
    z = (log_return - fit.mu) / np.sqrt(filtered_by_hand(fit, log_return))
    share = (z[z < 0] ** 2).sum() / (z**2).sum()
    np.testing.assert_allclose(fit.down_moment, share)
    assert share > 0.6
    # One period further: h(t+2) = omega + (alpha + beta + gamma share) h(t+1)
    one, two = fit.next_variance(log_return, horizons=(1, 2))[-1] / fit.scale**2
    persistence = fit.alpha + fit.beta + fit.gamma * share
    np.testing.assert_allclose(two - one, fit.omega + persistence * one)
