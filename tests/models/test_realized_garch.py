"""Realized GARCH against a likelihood written by hand, simulation, and its own expectations."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from foremargin.errors import ConvergenceError, InputError, NotEnoughHistoryError
from foremargin.features import build_history
from foremargin.markets import Panel
from foremargin.models import RealizedGarch, RealizedGarchFit, fit_realized_garch
from foremargin.models import realized_garch as module

Array = NDArray[np.float64]
MakePanel = Callable[..., Panel]

OMEGA, BETA, GAMMA = 0.06, 0.55, 0.4
XI, PHI, TAU_1, TAU_2, SIGMA_U = -0.2, 1.0, -0.08, 0.06, 0.4
UNIT = 0.01  # decimal return that the simulation calls one


def simulate(
    n: int, rng: np.random.Generator, *, log_h: float | Array = 0.0
) -> tuple[Array, Array, Array]:
    """Returns and log measures of the process, in decimals, and its log variances of unit returns.

    With an array of first log variances, one path from each.
    """
    start = np.asarray(log_h, dtype=float)
    now, returns, measures, logs = start.copy(), [], [], []
    for _ in range(n):
        z = rng.normal(size=start.shape)
        x = XI + PHI * now + TAU_1 * z + TAU_2 * (z**2 - 1) + SIGMA_U * rng.normal(size=start.shape)
        returns.append(UNIT * np.exp(now / 2) * z)
        measures.append(x + 2 * np.log(UNIT))
        logs.append(now)
        now = OMEGA + BETA * now + GAMMA * x
    return np.array(returns), np.array(measures), np.array(logs)


@pytest.fixture(scope="module")
def series() -> tuple[Array, Array, Array]:
    return simulate(4_000, np.random.default_rng(1))


@pytest.fixture(scope="module")
def fit(series: tuple[Array, Array, Array]) -> RealizedGarchFit:
    return fit_realized_garch(series[0], series[1])


def test_the_parameters_of_a_simulated_process_are_found(fit: RealizedGarchFit) -> None:
    # Standard errors at n = 4,000 are about 0.01 (beta, gamma) and 0.007 (tau).
    assert fit.beta == pytest.approx(BETA, abs=0.04)
    assert fit.gamma == pytest.approx(GAMMA, abs=0.04)
    assert fit.persistence == pytest.approx(BETA + GAMMA * PHI, abs=0.02)
    assert fit.measurement[2:] == pytest.approx([TAU_1, TAU_2], abs=0.025)
    assert fit.error_variance == pytest.approx(SIGMA_U**2, rel=0.08)


def test_the_log_likelihood_is_that_of_a_likelihood_written_by_hand(
    fit: RealizedGarchFit, series: tuple[Array, Array, Array]
) -> None:
    r, x = series[0] / fit.scale - fit.mu, series[1] - 2 * np.log(fit.scale)
    xi, phi, tau_1, tau_2 = fit.measurement
    log_h, total = fit.start, 0.0
    for t in range(len(r)):
        z = r[t] / np.exp(log_h / 2)
        u = x[t] - xi - phi * log_h - tau_1 * z - tau_2 * (z**2 - 1)
        total -= 0.5 * (np.log(2 * np.pi) + log_h + z**2)
        total -= 0.5 * (np.log(2 * np.pi * fit.error_variance) + u**2 / fit.error_variance)
        log_h = fit.omega + fit.beta * log_h + fit.gamma * x[t]
    assert fit.log_likelihood == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("search", [[0.1, 0.6, 0.35], [0.3, 0.3, 0.5]])
def test_the_gradient_is_the_slope_of_the_likelihood(
    search: list[float], series: tuple[Array, Array, Array]
) -> None:
    r, x = series[0][:600] / UNIT, series[1][:600] - 2 * np.log(UNIT)
    at = np.array(search)
    gradient = module._negative(at, r, x, 0.1)[1]
    for j, step in enumerate(1e-6 * np.eye(3)):
        above, below = (module._negative(at + s, r, x, 0.1)[0] for s in (step, -step))
        # Central differences of a value of some thousands round at about 1e-6 of the slope.
        assert gradient[j] == pytest.approx((above - below) / 2e-6, rel=1e-5)


def test_the_next_variance_is_that_of_the_recursion(
    fit: RealizedGarchFit, series: tuple[Array, Array, Array]
) -> None:
    ahead = fit.next_variance(series[1], horizons=(1,))[:-1, 0]
    truth = UNIT**2 * np.exp(series[2][1:])
    np.testing.assert_allclose(np.log(ahead[100:] / truth[100:]), 0.0, atol=0.12)
    assert abs(np.mean(np.log(ahead[100:] / truth[100:]))) < 0.05


def test_the_variance_over_several_periods_is_the_mean_of_simulated_paths(
    fit: RealizedGarchFit, series: tuple[Array, Array, Array]
) -> None:
    horizons = (1, 5, 22)
    for row in (500, 2_000):
        expected = fit.next_variance(series[1][: row + 1], horizons=horizons)[-1]
        first = np.full(40_000, series[2][row + 1])
        _, _, paths = simulate(22, np.random.default_rng(2), log_h=first)
        total = UNIT**2 * np.cumsum(np.exp(paths).mean(axis=1))
        # The fit's parameters are estimates: a few percent of the level, more of what is far.
        np.testing.assert_allclose(expected, total[np.array(horizons) - 1], rtol=0.12)


def test_a_series_that_is_short_or_broken_is_refused(series: tuple[Array, Array, Array]) -> None:
    log_return, log_measure, _ = series
    with pytest.raises(NotEnoughHistoryError, match="needs 250 periods, found 249"):
        fit_realized_garch(log_return[:249], log_measure[:249])
    broken = log_measure.copy()
    broken[7] = np.nan
    with pytest.raises(InputError, match="found 1 non-finite values"):
        fit_realized_garch(log_return, broken)
    with pytest.raises(InputError, match="returns must vary"):
        fit_realized_garch(np.full(300, 0.01), log_measure[:300])


def test_an_instrument_that_does_not_converge_is_noted_and_left_out(
    make_panel: MakePanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(log_return: Array, log_measure: Array) -> RealizedGarchFit:
        raise ConvergenceError("stopped")

    monkeypatch.setattr(module, "fit_realized_garch", fail)
    history = build_history(make_panel(n_periods=600).select(["COIN", "CLOSE"]), horizons=(1,))
    fitted = RealizedGarch().fit(history, rng=np.random.default_rng(3))
    assert [note.split(":")[0] for note in fitted.notes] == [
        "COIN, 599 periods",
        "CLOSE, 599 periods",
    ]
    forecast = fitted.forecast(history, origins=slice(500, 600))
    assert np.isnan(forecast.variance).all()
